//! What the provider says, in OpenAI's and in Anthropic's words.

use std::io::Write;

use crate::request::{Dialect, Schedule};

/// The text of a whole answer: about 700 bytes, as a short reply has.
const TEXT: &str = "A reverse proxy stands in front of one or more servers and passes requests on to them. It ends TLS, \
spreads load, keeps answers that may be kept, and limits those who ask too often. What a gateway for language models adds \
is that it knows what a request costs: it counts tokens, holds budgets, and chooses who answers. Clients speak to one \
address in the words that they already know, and the gateway speaks to each provider in its own. When a provider is slow \
or says that it has had enough, another one is asked, and the client never learns of it. All of that should cost less \
time than the wire does, or people go around it.";

/// Fields that providers send with every answer, and that a gateway reads or passes on.
const OPENAI_HEAD: &str = "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jun 2026 00:00:00 GMT\r\n\
openai-organization: bench\r\nopenai-processing-ms: 1\r\nopenai-version: 2020-10-01\r\n\
x-ratelimit-limit-requests: 1000000\r\nx-ratelimit-limit-tokens: 1000000000\r\n\
x-ratelimit-remaining-requests: 999999\r\nx-ratelimit-remaining-tokens: 999999000\r\n\
x-ratelimit-reset-requests: 1ms\r\nx-ratelimit-reset-tokens: 1ms\r\nx-request-id: req_0123456789abcdef\r\n";
const ANTHROPIC_HEAD: &str = "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jun 2026 00:00:00 GMT\r\n\
anthropic-ratelimit-requests-limit: 1000000\r\nanthropic-ratelimit-requests-remaining: 999999\r\n\
anthropic-ratelimit-requests-reset: 2026-06-01T00:00:01Z\r\nanthropic-ratelimit-tokens-limit: 1000000000\r\n\
anthropic-ratelimit-tokens-remaining: 999999000\r\nanthropic-ratelimit-tokens-reset: 2026-06-01T00:00:01Z\r\n\
request-id: req_0123456789abcdef\r\nanthropic-organization-id: bench\r\n";

/// Answers that are not streamed, rendered once.
pub struct Wholes {
    openai: Vec<u8>,
    anthropic: Vec<u8>,
}

impl Wholes {
    /// Renders them.
    pub fn new() -> Self {
        let openai = format!(
            r#"{{"id":"chatcmpl-bench0123456789","object":"chat.completion","created":1780272000,"model":"bench","choices":[{{"index":0,"message":{{"role":"assistant","content":"{TEXT}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":220,"completion_tokens":150,"total_tokens":370,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}},"service_tier":"default","system_fingerprint":"fp_bench"}}"#
        );
        let anthropic = format!(
            r#"{{"id":"msg_bench0123456789","type":"message","role":"assistant","model":"bench","content":[{{"type":"text","text":"{TEXT}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":220,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":150,"service_tier":"standard"}}}}"#
        );
        Self { openai: whole(OPENAI_HEAD, &openai), anthropic: whole(ANTHROPIC_HEAD, &anthropic) }
    }

    /// Head and body.
    pub fn of(&self, dialect: Dialect) -> &[u8] {
        match dialect {
            Dialect::OpenAi => &self.openai,
            Dialect::Anthropic => &self.anthropic,
        }
    }
}

fn whole(head: &str, body: &str) -> Vec<u8> {
    format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// What is not served here.
pub const UNKNOWN: &[u8] =
    b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 82\r\n\r\n\
{\"error\":{\"message\":\"no such path or model\",\"type\":\"not_found_error\",\"code\":null}}";

/// The head of a stream, and what comes before its first event.
pub fn begin(out: &mut Vec<u8>, dialect: Dialect) {
    let (head, first): (&str, &[&str]) = match dialect {
        Dialect::OpenAi => (
            OPENAI_HEAD,
            &[concat!(
                "data: {\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1780272000,",
                "\"model\":\"bench\",\"system_fingerprint\":\"fp_bench\",\"choices\":[{\"index\":0,\"delta\":{\"role\":",
                "\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}]}\n\n"
            )],
        ),
        Dialect::Anthropic => (
            ANTHROPIC_HEAD,
            &[
                concat!(
                    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench0123456789\",",
                    "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench\",\"content\":[],\"stop_reason\":null,",
                    "\"stop_sequence\":null,\"usage\":{\"input_tokens\":220,\"cache_creation_input_tokens\":0,",
                    "\"cache_read_input_tokens\":0,\"output_tokens\":1}}}\n\n"
                ),
                concat!(
                    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,",
                    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
                ),
            ],
        ),
    };
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(
        b"Content-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for event in first {
        chunk(out, event.as_bytes());
    }
}

/// One event with its number and the instant at which it was sent.
pub fn event(out: &mut Vec<u8>, scratch: &mut Vec<u8>, dialect: Dialect, number: u32, now: u64) {
    scratch.clear();
    // Writing to a vector never fails.
    let _ = match dialect {
        Dialect::OpenAi => write!(
            scratch,
            "data: {{\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1780272000,\
             \"model\":\"bench\",\"system_fingerprint\":\"fp_bench\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\
             \"#{number}@{now} \"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
        ),
        Dialect::Anthropic => write!(
            scratch,
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\
             \"text_delta\",\"text\":\"#{number}@{now} \"}}}}\n\n"
        ),
    };
    chunk(out, scratch);
}

/// What comes behind the last event.
pub fn end(out: &mut Vec<u8>, scratch: &mut Vec<u8>, dialect: Dialect, schedule: Schedule) {
    scratch.clear();
    let events = schedule.events;
    let _ = match dialect {
        Dialect::OpenAi => write!(
            scratch,
            "data: {{\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1780272000,\
             \"model\":\"bench\",\"system_fingerprint\":\"fp_bench\",\"choices\":[{{\"index\":0,\"delta\":{{}},\
             \"logprobs\":null,\"finish_reason\":\"stop\"}}]}}\n\n"
        ),
        Dialect::Anthropic => write!(
            scratch,
            "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\n\
             event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\",\
             \"stop_sequence\":null}},\"usage\":{{\"output_tokens\":{events}}}}}\n\n\
             event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
        ),
    };
    if dialect == Dialect::OpenAi {
        if schedule.usage {
            let _ = write!(
                scratch,
                "data: {{\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1780272000,\
                 \"model\":\"bench\",\"system_fingerprint\":\"fp_bench\",\"choices\":[],\"usage\":{{\"prompt_tokens\":220,\
                 \"completion_tokens\":{events},\"total_tokens\":{}}}}}\n\n",
                u64::from(events) + 220
            );
        }
        scratch.extend_from_slice(b"data: [DONE]\n\n");
    }
    chunk(out, scratch);
    out.extend_from_slice(b"0\r\n\r\n");
}

fn chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    let _ = write!(out, "{:x}\r\n", bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length_told(answer: &[u8]) -> (usize, usize) {
        let text = std::str::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let told = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        (told.parse().unwrap(), body.len())
    }

    #[test]
    fn every_whole_answer_is_as_long_as_it_says_and_about_a_kilobyte() {
        let wholes = Wholes::new();
        for answer in [wholes.of(Dialect::OpenAi), wholes.of(Dialect::Anthropic)] {
            let (told, long) = length_told(answer);
            assert_eq!(told, long);
            assert!((900..1400).contains(&long), "{long}");
        }
        let (told, long) = length_told(UNKNOWN);
        assert_eq!(told, long);
    }

    #[test]
    fn an_event_bears_its_number_and_its_instant() {
        for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
            let (mut out, mut scratch) = (Vec::new(), Vec::new());
            event(&mut out, &mut scratch, dialect, 17, 123_456);
            assert!(String::from_utf8(out).unwrap().contains("\"#17@123456 \""));
        }
    }
}
