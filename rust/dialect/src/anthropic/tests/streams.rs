//! Streams, cut anywhere, written and read again.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::anthropic::{Reader, Writer};
use crate::{ApiError, Dialect, ErrorKind, Event, Finish, PartKind, Reply, Source, Usage};

const REPLY: Reply<'_> = Reply { model: "small", id: "req_1", created: 7, include_usage: true };

fn read(pieces: &[&[u8]]) -> Vec<Event> {
    let mut reader = Reader::new();
    let mut events = Vec::new();
    for piece in pieces {
        reader.feed(piece, &mut events).unwrap();
    }
    reader.finish(&mut events).unwrap();
    events
}

fn write(events: &[Event]) -> Vec<u8> {
    let mut writer = Writer::new(&REPLY);
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    out
}

/// The events of a written stream: their names and data.
fn lines(out: &[u8]) -> Vec<(String, Value)> {
    std::str::from_utf8(out)
        .unwrap()
        .split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            let name = name.strip_prefix("event: ").unwrap();
            assert_eq!(data["type"], name);
            (name.to_owned(), data)
        })
        .collect()
}

fn sse(events: &[Value]) -> Vec<u8> {
    events
        .iter()
        .flat_map(|event| {
            format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()).into_bytes()
        })
        .collect()
}

fn full() -> Vec<u8> {
    sse(&[
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 25, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 9, "output_tokens": 1}}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "héllo"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi 🙂"}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {"type": "char_location"}}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"query\":"}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "\"x\"}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}}),
        json!({"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": ""}}),
        json!({"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": "{\"a\":1}"}}),
        json!({"type": "content_block_stop", "index": 3}),
        json!({"type": "new_event", "x": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"input_tokens": 26, "output_tokens": 89}}),
        json!({"type": "message_stop"}),
    ])
}

#[test]
fn every_event_is_understood_and_the_placeholder_is_no_usage() {
    let events = read(&[&full()]);
    let start = Usage {
        source: Source::Reported,
        input: Some(25),
        cache_read: Some(9),
        cache_write_5m: Some(0),
        ..Usage::default()
    };
    assert_eq!(events[1], Event::Usage(start));
    assert_eq!(events[2], Event::Ping);
    let last = Usage { input: Some(26), output: Some(89), ..start };
    assert_eq!(events[events.len() - 2..], [Event::Usage(last), Event::End]);
    assert!(events.contains(&Event::Signature { choice: 0, part: 0, signature: "EqQB".into() }));
    assert!(events.contains(&Event::Open {
        choice: 0,
        part: 2,
        kind: PartKind::Other { dialect: Dialect::Anthropic, value: json!({"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}}) }
    }));
    assert!(
        matches!(&events[events.len() - 3], Event::Finish { finish: Finish::ToolCalls, native: Some(word), .. } if word == "tool_use")
    );
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_events() {
    let bytes = full();
    let whole = read(&[&bytes]);
    for cut in 0..=bytes.len() {
        assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&single), whole);
}

#[test]
fn what_is_written_has_the_api_s_events_in_the_api_s_order() {
    let written = lines(&write(&read(&[&full()])));
    let names: Vec<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "message_start",
            "ping",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(
        written[0].1["message"]["usage"],
        json!({"input_tokens": 25, "cache_creation_input_tokens": 0, "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}, "cache_read_input_tokens": 9, "output_tokens": 0})
    );
    assert_eq!(written[0].1["message"]["model"], "small");
    assert_eq!(
        written[13].1["delta"],
        json!({"type": "input_json_delta", "partial_json": ""}),
        "the first piece is empty"
    );
    let delta = &written[16].1;
    assert_eq!(delta["delta"], json!({"stop_reason": "tool_use", "stop_sequence": null}));
    assert_eq!(
        delta["usage"],
        json!({"input_tokens": 26, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 9, "output_tokens": 89})
    );
}

#[test]
fn calls_that_come_side_by_side_are_told_one_after_the_other() {
    let open = |part: u32| Event::Open {
        choice: 0,
        part,
        kind: PartKind::ToolCall { id: format!("c{part}"), name: "f".into() },
    };
    let piece = |part: u32, text: &str| Event::Delta { choice: 0, part, text: text.into() };
    let events = [
        Event::Start { id: "x".into(), model: "m".into(), created: None },
        open(0),
        piece(0, "{"),
        open(1),
        piece(1, "{\"b\""),
        piece(0, "}"),
        piece(1, ":1}"),
        Event::Close { choice: 0, part: 1 },
        Event::Close { choice: 0, part: 0 },
        Event::Finish {
            choice: 0,
            finish: Finish::ToolCalls,
            native: Some("tool_calls".into()),
            stop_text: None,
            rest: Map::new(),
        },
        Event::Usage(Usage { source: Source::Reported, input: Some(3), output: Some(4), ..Usage::default() }),
        Event::End,
    ];
    let written = lines(&write(&events));
    let told: Vec<String> = written
        .iter()
        .filter(|(_, data)| data.get("index").is_some())
        .map(|(name, data)| {
            format!("{} {} {}", name, data["index"], data["delta"]["partial_json"].as_str().unwrap_or(""))
        })
        .collect();
    assert_eq!(
        told,
        [
            "content_block_start 0 ",
            "content_block_delta 0 ",
            "content_block_delta 0 {",
            "content_block_delta 0 }",
            "content_block_stop 0 ",
            "content_block_start 1 ",
            "content_block_delta 1 ",
            "content_block_delta 1 {\"b\"",
            "content_block_delta 1 :1}",
            "content_block_stop 1 ",
        ]
    );
    assert_eq!(
        written[0].1["message"]["usage"],
        json!({"input_tokens": 0, "output_tokens": 0}),
        "not known yet"
    );
    assert_eq!(written[written.len() - 2].1["usage"], json!({"input_tokens": 3, "output_tokens": 4}));
}

#[test]
fn a_call_s_signature_is_in_its_id_also_in_a_stream() {
    let open = |part: u32| Event::Open {
        choice: 0,
        part,
        kind: PartKind::ToolCall { id: "c".into(), name: "f".into() },
    };
    let text = |part: u32| Event::Delta { choice: 0, part, text: "{}".into() };
    let sign = |part: u32| Event::Signature { choice: 0, part, signature: "sig".into() };
    let close = |part: u32| Event::Close { choice: 0, part };
    for events in [
        vec![open(0), sign(0), text(0), close(0)],
        vec![open(0), text(0), sign(0), close(0)],
        vec![open(0), open(1), text(1), sign(1), text(0), sign(0), close(0), close(1)],
    ] {
        let written = lines(&write(&events));
        let starts = written.iter().filter(|(name, _)| name == "content_block_start");
        for (_, start) in starts {
            let id = start["content_block"]["id"].as_str().unwrap().to_owned();
            assert_eq!(crate::carry::split_id(id), ("c".to_owned(), Some("sig".to_owned())));
        }
        let pieces = written.iter().filter(|(_, data)| data["delta"]["partial_json"] == "{}").count();
        assert_eq!(pieces, events.len() / 4);
    }
}

#[test]
fn parts_of_other_dialects_leave_no_gap_in_the_indices() {
    let other = PartKind::Other { dialect: Dialect::Gemini, value: json!({}) };
    let events = [
        Event::Open { choice: 0, part: 0, kind: other },
        Event::Close { choice: 0, part: 0 },
        Event::Open { choice: 0, part: 1, kind: PartKind::Text },
        Event::Close { choice: 0, part: 1 },
    ];
    let written = lines(&write(&events));
    assert_eq!(
        written.iter().map(|(_, data)| data["index"].as_u64()).collect::<Vec<_>>(),
        [Some(0), Some(0)]
    );
}

#[test]
fn an_error_in_a_stream_is_read_and_written() {
    let body =
        sse(&[json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})]);
    let events = read(&[&body]);
    assert!(
        matches!(&events[..], [Event::Error(error)] if error.kind == ErrorKind::Overloaded && error.status == 0)
    );
    let written = lines(&write(&[Event::Error(ApiError::new(0, ErrorKind::RateLimited, "slow down"))]));
    assert_eq!(written[0].1["error"], json!({"type": "rate_limit_error", "message": "slow down"}));
}

#[test]
fn half_a_stream_and_nonsense_are_faults() {
    let bytes = full();
    let mut reader = Reader::new();
    reader.feed(&bytes[..bytes.len() / 2], &mut Vec::new()).unwrap();
    assert!(reader.finish(&mut Vec::new()).is_err());
    for nonsense in [
        "data: {\n\n",
        "data: {}\n\n",
        "data: [1]\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":9,\"delta\":{\"type\":\"text_delta\",\"text\":\"\"}}\n\n",
    ] {
        assert!(Reader::new().feed(nonsense.as_bytes(), &mut Vec::new()).is_err(), "{nonsense}");
    }
    let mut reader = Reader::new();
    let open = |index: usize| {
        sse(&[
            json!({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}),
        ])
    };
    let flood: Vec<u8> = (0..1000).flat_map(open).collect();
    assert!(reader.feed(&flood, &mut Vec::new()).is_err(), "blocks without end");
}

#[test]
fn a_stream_that_said_why_it_stops_is_whole_without_its_last_event() {
    let body = sse(&[
        json!({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 1}}),
    ]);
    assert_eq!(read(&[&body]).last(), Some(&Event::End));
}

fn kinds() -> impl Strategy<Value = (PartKind, Vec<String>, bool)> {
    let text = "[a-zé🙂\"\\\\\n]{1,8}";
    let texts = proptest::collection::vec(text, 0..4);
    prop_oneof![
        texts.clone().prop_map(|texts| (PartKind::Text, texts, false)),
        (texts.clone(), any::<bool>()).prop_map(|(texts, signed)| (
            PartKind::Thinking { id: None },
            texts,
            signed
        )),
        ("[A-Za-z0-9_-]{1,12}", "[a-z]{1,6}", texts).prop_map(|(id, name, texts)| (
            PartKind::ToolCall { id, name },
            texts,
            false
        )),
        text.prop_map(|data| (PartKind::RedactedThinking { data }, Vec::new(), false)),
        text.prop_map(|x| (
            PartKind::Other {
                dialect: Dialect::Anthropic,
                value: json!({"type": "web_search_tool_result", "x": x})
            },
            Vec::new(),
            false
        )),
    ]
}

proptest! {
    #[test]
    fn reading_what_was_written_gives_the_events_that_were_written(
        parts in proptest::collection::vec(kinds(), 0..6),
        word in prop_oneof![Just("end_turn"), Just("max_tokens"), Just("tool_use"), Just("refusal"), Just("pause_turn")],
        input in proptest::option::of(0u64..1000),
        output in 0u64..1000,
        cut in 0usize..4000,
    ) {
        let mut events = vec![Event::Start { id: "msg_1".into(), model: "small".into(), created: None }];
        let start = Usage { source: Source::Reported, input: Some(input.unwrap_or(0)), ..Usage::default() };
        events.push(Event::Usage(start));
        for (part, (kind, texts, signed)) in parts.into_iter().enumerate() {
            let part = part as u32;
            events.push(Event::Open { choice: 0, part, kind });
            events.extend(texts.into_iter().map(|text| Event::Delta { choice: 0, part, text }));
            if signed {
                events.push(Event::Signature { choice: 0, part, signature: "EqQB==".into() });
            }
            events.push(Event::Close { choice: 0, part });
        }
        events.push(Event::Finish { choice: 0, finish: crate::anthropic::answer::finish_of(word), native: Some(word.into()), stop_text: None, rest: Map::new() });
        events.push(Event::Usage(Usage { output: Some(output), ..start }));
        events.push(Event::End);
        let bytes = write(&events);
        let cut = cut.min(bytes.len());
        prop_assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), events);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut reader = Reader::new();
        let mut events = Vec::new();
        let _ = reader.feed(&bytes, &mut events).and_then(|()| reader.finish(&mut events));
    }
}
