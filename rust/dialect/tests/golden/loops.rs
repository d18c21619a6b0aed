//! Conversations that go on over several turns between a client of one dialect and providers of others: what providers hand out
//! comes back to them as it was.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tidegate_dialect::{
    Answer, ChatRequest, Choice, Dialect, EventReader, EventWriter, Finish, Gather, Message, Part, Role,
    Source, Target, Tool, Usage, replay,
};

use crate::{DIALECTS, REPLY};

/// Where the client's answer comes back from.
const CLIENTS: [Dialect; 8] = [
    Dialect::OpenAi,
    Dialect::Responses,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::Bedrock,
    Dialect::Cohere,
    Dialect::Mistral,
    Dialect::Ollama,
];

/// One turn of a model: what it thinks, says and calls, and what the tools say.
#[derive(Debug, Clone)]
struct Turn {
    thought: Option<(String, String)>,
    said: Option<String>,
    calls: Vec<(String, String, String)>,
    signature: Option<String>,
}

fn turn() -> impl Strategy<Value = Turn> {
    let words = "[a-zA-Zäö \"\\\\{}]{1,12}[a-z]";
    let token = "[A-Za-z0-9+/]{8}";
    let call = (
        "[a-z]{1,8}",
        prop_oneof![Just("{}".to_owned()), "[a-z]{1,6}".prop_map(|key| format!("{{\"{key}\":[1,\"ü\"]}}"))],
        "[a-z0-9 ]{1,10}[a-z]",
    );
    (
        proptest::option::of((words, token)),
        proptest::option::of(words),
        proptest::collection::vec(call, 1..4),
        proptest::option::of(token),
    )
        .prop_map(|(thought, said, calls, signature)| Turn { thought, said, calls, signature })
}

/// What a provider of `dialect` answers: its own ids, its own tokens.
fn answer(dialect: Dialect, number: usize, turn: &Turn) -> Answer {
    let mut parts = Vec::new();
    let claude = matches!(dialect, Dialect::Anthropic | Dialect::Bedrock);
    if let Some((text, token)) = &turn.thought {
        // In the chat form Claude's signatures stand bare, others behind a mark.
        let (signature, id) = match dialect {
            _ if claude => (Some(token.clone()), None),
            Dialect::Responses => (Some(format!("tg.o.{token}")), Some(format!("rs_{number}"))),
            Dialect::Mistral => (Some(format!("tg.m.{token}")), None),
            _ => (None, None),
        };
        parts.push(Part::Thinking { text: text.clone(), signature, id });
    }
    if let Some(text) = &turn.said {
        parts.push(Part::text(text.clone()));
    }
    for (at, (name, arguments, _)) in turn.calls.iter().enumerate() {
        let id = match dialect {
            Dialect::Mistral => format!("{number:04}{at:05}"),
            _ => format!("call_{number}_{at}x"),
        };
        let signature = turn.signature.clone().filter(|_| dialect == Dialect::Gemini && at == 0);
        parts.push(Part::ToolCall {
            id,
            name: name.clone(),
            arguments: arguments.clone(),
            signature,
            cache: None,
        });
    }
    let choice = Choice {
        index: 0,
        parts,
        finish: Finish::ToolCalls,
        native_finish: None,
        stop_text: None,
        logprobs: None,
        rest: Map::new(),
    };
    let usage = Usage { source: Source::Reported, input: Some(3), output: Some(4), ..Usage::default() };
    Answer { id: format!("id{number}"), model: "m".into(), choices: vec![choice], usage, ..Answer::default() }
}

/// What a client of `client` is told of an answer that a provider of `provider` gave.
fn told(provider: Dialect, client: Dialect, answer: &Answer, streamed: bool) -> Value {
    let mut wire = Vec::new();
    let given = if streamed {
        let given = pass(provider, answer);
        // What an SDK gathers of the client's stream.
        pass(client, &given)
    } else {
        provider.write_answer(answer, &REPLY, &mut wire);
        provider.parse_answer(&wire).unwrap()
    };
    let mut body = Vec::new();
    client.write_answer(&given, &REPLY, &mut body);
    serde_json::from_slice(&body).unwrap()
}

/// The client's conversation grows by what it was told, to the letter, and by what its tools say.
fn go_on(client: Dialect, told: &Value, turn: &Turn, conversation: &mut Vec<Value>) {
    let said = turn.calls.iter().map(|(name, _, said)| (name, said));
    let list = |at: &str| told.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
    let flat = |message: Value, conversation: &mut Vec<Value>| {
        let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
        conversation.push(message);
        for (call, (name, said)) in calls.iter().zip(said.clone()) {
            conversation.push(match client {
                Dialect::Ollama => json!({"role": "tool", "tool_name": name, "content": said}),
                _ => json!({"role": "tool", "tool_call_id": call["id"], "content": said}),
            });
        }
    };
    match client {
        Dialect::OpenAi | Dialect::Mistral => flat(told["choices"][0]["message"].clone(), conversation),
        Dialect::Cohere | Dialect::Ollama => flat(told["message"].clone(), conversation),
        Dialect::Responses => {
            let items = list("/output");
            let calls: Vec<Value> =
                items.iter().filter(|item| item["type"] == "function_call").cloned().collect();
            conversation.extend(items);
            for (call, (_, said)) in calls.iter().zip(said) {
                conversation.push(
                    json!({"type": "function_call_output", "call_id": call["call_id"], "output": said}),
                );
            }
        }
        Dialect::Anthropic => {
            let content = list("/content");
            let calls = content.iter().filter(|block| block["type"] == "tool_use");
            let results: Vec<Value> = calls
                .zip(said)
                .map(|(call, (_, said))| json!({"type": "tool_result", "tool_use_id": call["id"], "content": said}))
                .collect();
            conversation.push(json!({"role": "assistant", "content": content}));
            conversation.push(json!({"role": "user", "content": results}));
        }
        Dialect::Bedrock => {
            let content = list("/output/message/content");
            let calls = content.iter().filter_map(|block| block.get("toolUse"));
            let results: Vec<Value> = calls
                .zip(said)
                .map(|(call, (_, said))| {
                    json!({"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": said}]}})
                })
                .collect();
            conversation.push(json!({"role": "assistant", "content": content}));
            conversation.push(json!({"role": "user", "content": results}));
        }
        Dialect::Gemini => {
            let parts = list("/candidates/0/content/parts");
            let calls = parts.iter().filter_map(|part| part.get("functionCall"));
            let results: Vec<Value> = calls
                .zip(said)
                .map(|(call, (name, said))| {
                    let response = json!({"output": said});
                    json!({"functionResponse": {"id": call["id"], "name": name, "response": response}})
                })
                .collect();
            conversation.push(json!({"role": "model", "parts": parts}));
            conversation.push(json!({"role": "user", "parts": results}));
        }
    }
}

/// The client's next request, read.
fn request_of(client: Dialect, conversation: &[Value]) -> ChatRequest {
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]);
    let body = match client {
        Dialect::Responses => json!({"model": "m", "input": conversation}),
        Dialect::Gemini => json!({"contents": conversation}),
        Dialect::Bedrock => json!({"messages": conversation}),
        Dialect::Anthropic => json!({"model": "m", "max_tokens": 9, "messages": conversation}),
        _ => json!({"model": "m", "messages": conversation, "tools": tools}),
    };
    client.parse_request(body.to_string().as_bytes(), Some("m"), Some(false)).unwrap()
}

/// The first words.
fn opening(client: Dialect) -> Value {
    match client {
        Dialect::Gemini => json!({"role": "user", "parts": [{"text": "go"}]}),
        Dialect::Bedrock => json!({"role": "user", "content": [{"text": "go"}]}),
        _ => json!({"role": "user", "content": "go"}),
    }
}

/// The answer as a stream of the dialect, read again.
fn pass(dialect: Dialect, answer: &Answer) -> Answer {
    let (mut events, mut wire) = (Vec::new(), Vec::new());
    replay(answer, &mut events);
    let mut writer = EventWriter::new(dialect, &REPLY);
    for event in &events {
        writer.write(event, &mut wire);
    }
    let (mut reader, mut read, mut gather) = (EventReader::new(dialect), Vec::new(), Gather::new());
    reader.feed(&wire, &mut read).unwrap();
    reader.finish(&mut read).unwrap();
    read.iter().for_each(|event| gather.feed(event));
    gather.into_answer()
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, name: None, rest: Map::new() }
}

/// The client's own words for its conversation, read as the gateway reads them.
fn through(client: Dialect, request: &ChatRequest) -> ChatRequest {
    let mut request = request.clone();
    request.dialect = Some(client);
    let target = Target { model: "m", stream: false, max_tokens: 10, drop_unsupported: false };
    let mut body = Vec::new();
    client.write_request(&request, &target, &mut body).unwrap();
    client.parse_request(&body, Some("m"), Some(false)).unwrap()
}

/// What a provider reads of the request.
fn arrives(provider: Dialect, model: &str, request: &ChatRequest) -> ChatRequest {
    let target = Target { model, stream: false, max_tokens: 10, drop_unsupported: false };
    let mut body = Vec::new();
    provider
        .write_request(request, &target, &mut body)
        .unwrap_or_else(|fault| panic!("{provider:?}: {fault}"));
    provider.parse_request(&body, Some(model), Some(false)).unwrap()
}

type Call = (String, String, Value, Option<String>);

fn calls(request: &ChatRequest) -> Vec<Call> {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    parts
        .filter_map(|part| match part {
            Part::ToolCall { id, name, arguments, signature, .. } => {
                Some((id.clone(), name.clone(), serde_json::from_str(arguments).unwrap(), signature.clone()))
            }
            _ => None,
        })
        .collect()
}

fn results(request: &ChatRequest) -> Vec<(String, Option<String>, String)> {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    parts
        .filter_map(|part| match part {
            Part::ToolResult { id, name, parts, .. } => {
                let text = parts.iter().map(|part| match part {
                    Part::Text { text, .. } => text.as_str(),
                    _ => "",
                });
                Some((id.clone(), name.clone(), text.collect()))
            }
            _ => None,
        })
        .collect()
}

fn thoughts(request: &ChatRequest) -> Vec<(String, String)> {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    parts
        .filter_map(|part| match part {
            Part::Thinking { text, signature: Some(signature), .. } => {
                Some((text.clone(), signature.clone()))
            }
            _ => None,
        })
        .collect()
}

fn user(text: &str) -> Message {
    message(Role::User, vec![Part::text(text)])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// A → B → A over several turns, for each pair: ids tie results to calls, arguments and tokens come back as they were.
    #[test]
    fn what_a_provider_hands_out_comes_back_to_it(turns in proptest::collection::vec(turn(), 1..4), streamed: bool) {
        for client in CLIENTS {
            for (provider, _, model) in DIALECTS {
                let mut conversation = vec![opening(client)];
                let mut given: Vec<Call> = Vec::new();
                let mut thought: Vec<(String, String)> = Vec::new();
                for (number, turn) in turns.iter().enumerate() {
                    let answer = answer(provider, number, turn);
                    for part in &answer.choices[0].parts {
                        match part {
                            Part::ToolCall { id, name, arguments, signature, .. } => given.push((
                                id.clone(), name.clone(), serde_json::from_str(arguments).unwrap(), signature.clone(),
                            )),
                            Part::Thinking { text, signature: Some(signature), .. } => {
                                thought.push((text.clone(), signature.clone()));
                            }
                            _ => {}
                        }
                    }
                    go_on(client, &told(provider, client, &answer, streamed), turn, &mut conversation);
                }
                let sent = request_of(client, &conversation);
                let read = arrives(provider, model, &sent);
                let at = format!("{client:?} to {provider:?}, streamed: {streamed}");
                let back = calls(&read);
                let plain = |calls: &[Call]| calls.iter().map(|(_, name, arguments, _)| (name.clone(), arguments.clone())).collect::<Vec<_>>();
                prop_assert_eq!(plain(&back), plain(&given), "{}", &at);
                // Clients of Ollama's have no ids, nor any place for tokens.
                if client != Dialect::Ollama {
                    let tokens = |calls: &[Call]| calls.iter().map(|(.., signature)| signature.clone()).collect::<Vec<_>>();
                    prop_assert_eq!(tokens(&back), tokens(&given), "{}", &at);
                    if provider != Dialect::Ollama {
                        let ids = |calls: &[Call]| calls.iter().map(|(id, ..)| id.clone()).collect::<Vec<_>>();
                        prop_assert_eq!(ids(&back), ids(&given), "{}", &at);
                    }
                    if !matches!(client, Dialect::Cohere) && !matches!(provider, Dialect::OpenAi | Dialect::Cohere | Dialect::Ollama) {
                        prop_assert_eq!(thoughts(&read), thought, "{}", &at);
                    }
                }
                // Each result is its call's.
                let wanted: Vec<_> = turns.iter().flat_map(|turn| &turn.calls).map(|(name, _, said)| (Some(name.clone()), said.clone())).collect();
                let got = results(&read);
                prop_assert_eq!(got.iter().map(|(_, name, said)| (name.clone(), said.clone())).collect::<Vec<_>>(), wanted, "{}", &at);
                for ((id, ..), (call, ..)) in got.iter().zip(&back) {
                    prop_assert_eq!(id, call, "{}", &at);
                }
            }
        }
    }

    /// A request in dialect A, in B's words, read again: the same conversation, but for what B can't say.
    #[test]
    fn a_conversation_reads_the_same_in_each_dialect(turns in proptest::collection::vec(turn(), 1..3), system in "[a-z]{1,9}", most in 1u64..9999) {
        let mut messages = vec![message(Role::System, vec![Part::text(system)]), user("go")];
        let mut tools = Vec::new();
        for (number, turn) in turns.iter().enumerate() {
            let mut parts: Vec<Part> = turn.said.iter().map(|text| Part::text(text.clone())).collect();
            let mut said = Vec::new();
            for (at, (name, arguments, result)) in turn.calls.iter().enumerate() {
                let id = format!("c{number:04}{at:04}");
                parts.push(Part::ToolCall { id: id.clone(), name: name.clone(), arguments: arguments.clone(), signature: None, cache: None });
                said.push(Part::ToolResult { id, name: Some(name.clone()), parts: vec![Part::text(result.clone())], is_error: false, cache: None });
                tools.push(Tool::Function { name: name.clone(), description: Some("d".into()), parameters: Some(serde_json::json!({"type": "object", "properties": {"a": {"type": "string"}}})), strict: None, cache: None });
            }
            messages.push(message(Role::Assistant, parts));
            messages.push(message(Role::Tool, said));
        }
        let request = ChatRequest {
            model: "m".into(), messages, tools, max_tokens: Some(most), temperature: Some(0.5), top_p: Some(0.25), ..ChatRequest::default()
        };
        for (a, ..) in DIALECTS {
            for (b, _, model) in DIALECTS {
                let first = through(a, &request);
                let second = arrives(b, model, &first);
                let at = format!("{a:?} to {b:?}");
                prop_assert_eq!(flat(&second), flat(&request), "{}", &at);
                prop_assert_eq!((second.max_tokens, second.temperature, second.top_p), (Some(most), Some(0.5), Some(0.25)), "{}", &at);
                prop_assert_eq!(second.tools.len(), request.tools.len());
            }
        }
    }
}

/// The conversation without how it is cut into messages: dialects differ in whether results share one.
fn flat(request: &ChatRequest) -> Vec<(Role, Part)> {
    let parts = request.messages.iter().flat_map(|message| {
        message.parts.iter().map(|part| {
            let part = match part.clone() {
                Part::ToolCall { id, name, arguments, signature, cache } => {
                    let value: Value = serde_json::from_str(&arguments).unwrap();
                    Part::ToolCall { id, name, arguments: value.to_string(), signature, cache }
                }
                other => other,
            };
            (message.role, part)
        })
    });
    parts.collect()
}
