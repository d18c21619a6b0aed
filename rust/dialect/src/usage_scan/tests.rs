//! What is read of answers and streams on their way, however they are cut, and what is kept from clients.

use super::*;
use proptest::prelude::*;
use serde_json::json;

const STREAM: &[u8] = b"data: {\"id\":\"x\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n: ping\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"say \\\"usage\\\":{}\"},\"finish_reason\":null}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\r\n\r\ndata: {\"choices\": [ ], \"usage\": {\"prompt_tokens\": 5, \"completion_tokens\": 2, \"total_tokens\": 7}}\n\ndata: [DONE]\n\n";

fn passed(pieces: &[&[u8]], hide: bool) -> (PassedStream, Vec<u8>) {
    let mut stream = PassedStream::new(Dialect::OpenAi, hide);
    let mut out = Vec::new();
    for piece in pieces {
        stream.filter(piece, &mut out);
    }
    stream.finish(&mut out);
    (stream, out)
}

#[test]
fn a_whole_answer_tells_its_facts() {
    let body = json!({"id": "x", "model": "m", "choices": [{"message": {"content": "\"finish_reason\":\"length\""},
        "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 9, "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 4}}});
    let facts = pass_through_usage(Dialect::OpenAi, body.to_string().as_bytes());
    assert_eq!((facts.usage.input, facts.usage.cache_read, facts.usage.output), (Some(5), Some(4), Some(3)));
    assert_eq!((facts.finish, facts.model.as_deref()), (Some(Finish::ToolCalls), Some("m")));
    let whole = crate::openai::parse_answer(body.to_string().as_bytes()).unwrap();
    assert_eq!(whole.usage, facts.usage);
    assert_eq!(pass_through_usage(Dialect::OpenAi, b"\xff\xfb\x90 sound"), PassedFacts::default());
}

#[test]
fn the_usage_that_the_client_did_not_ask_for_is_hidden_and_the_rest_is_untouched() {
    let (stream, out) = passed(&[STREAM], true);
    assert_eq!(stream.facts().usage.input_total(), Some(5));
    assert_eq!(stream.facts().finish, Some(Finish::Length));
    assert_eq!(stream.facts().model.as_deref(), Some("m-1"));
    assert!(stream.is_whole() && stream.has_content());
    assert_eq!(stream.content_events(), 1);
    let text = String::from_utf8(STREAM.to_vec()).unwrap();
    let at = text.find("data: {\"choices\": [ ]").unwrap();
    let end = text.find("data: [DONE]").unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), format!("{}{}", &text[..at], &text[end..]));
    assert_eq!(passed(&[STREAM], false).1, STREAM);
}

#[test]
fn a_cut_anywhere_changes_nothing() {
    let (_, whole) = passed(&[STREAM], true);
    for cut in 0..=STREAM.len() {
        let (stream, out) = passed(&[&STREAM[..cut], &STREAM[cut..]], true);
        assert_eq!(out, whole, "cut at {cut}");
        assert_eq!(stream.facts().usage.output, Some(2));
    }
    let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
    assert_eq!(passed(&bytes, true).1, whole);
}

#[test]
fn usage_beside_choices_is_read_and_stays() {
    let event = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
    let (stream, out) = passed(&[event], true);
    assert_eq!((stream.facts().usage.input, out.as_slice()), (Some(1), &event[..]));
}

#[test]
fn errors_and_halves_are_seen() {
    let (stream, _) =
        passed(&[b"data: {\"error\":{\"message\":\"m\",\"code\":\"rate_limit_exceeded\"}}\n\n"], false);
    assert_eq!(stream.error().unwrap().kind, crate::ErrorKind::RateLimited);
    assert!(!stream.is_whole());
    let (half, _) = passed(&[b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"], false);
    assert!(half.has_content() && !half.is_whole());
    let (completion, _) =
        passed(&[b"data: {\"choices\":[{\"text\":\"ab\",\"finish_reason\":null}]}\n\n"], false);
    assert_eq!(completion.text_bytes(), 2);
}

proptest! {
    #[test]
    fn what_passes_is_what_came_up_to_the_end_of_an_event(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'd'), any::<u8>()], 0..120), cut in 0usize..120) {
        let cut = cut.min(bytes.len());
        for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Ollama, Dialect::Bedrock] {
            let (mut stream, mut out) = (PassedStream::new(dialect, false), Vec::new());
            stream.filter(&bytes[..cut], &mut out);
            stream.filter(&bytes[cut..], &mut out);
            prop_assert!(bytes.starts_with(&out));
            stream.finish(&mut out);
            prop_assert!(bytes.starts_with(&out));
        }
    }
}

#[test]
fn half_an_event_does_not_pass() {
    let cases: [(Dialect, &[u8], &[u8]); 4] = [
        (Dialect::OpenAi, b"data: {\"choices\":[]}\n\n", b"data: {\"choi"),
        (Dialect::Anthropic, b"event: ping\r\ndata: {\"type\":\"ping\"}\r\n\r\n", b"event: message_st"),
        (Dialect::Ollama, b"{\"message\":{\"content\":\"x\"},\"done\":false}\n", b"{\"mess"),
        (
            Dialect::Bedrock,
            &[0, 0, 0, 16, 0, 0, 0, 0, 5, 194, 72, 235, 125, 152, 200, 255],
            &[0, 0, 0, 99, 0],
        ),
    ];
    for (dialect, whole, half) in cases {
        let both = [whole, half].concat();
        for cut in 0..both.len() {
            let (mut stream, mut out) = (PassedStream::new(dialect, false), Vec::new());
            stream.filter(&both[..cut], &mut out);
            stream.filter(&both[cut..], &mut out);
            stream.finish(&mut out);
            assert_eq!(out, whole, "{dialect:?} {cut}");
        }
    }
}
