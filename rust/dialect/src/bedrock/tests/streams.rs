//! Streams, cut anywhere, written and read again.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::bedrock::frames::{Splitter, write_event, write_exception};
use crate::bedrock::{Reader, Writer};
use crate::{ApiError, Dialect, ErrorKind, Event, Finish, Media, Part, PartKind, Reply, Source, Usage};

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

fn frames(events: &[(&str, Value)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, body) in events {
        write_event(name, &mut out, |out| out.extend_from_slice(body.to_string().as_bytes()));
    }
    out
}

fn told(bytes: &[u8]) -> Vec<(String, Value)> {
    let mut told = Vec::new();
    let mut splitter = Splitter::new();
    splitter
        .feed(bytes, |frame| {
            told.push((frame.name.to_owned(), serde_json::from_slice(frame.payload).unwrap()));
            Ok(())
        })
        .unwrap();
    told
}

fn full() -> Vec<(&'static str, Value)> {
    vec![
        ("messageStart", json!({"role": "assistant"})),
        ("contentBlockDelta", json!({"delta": {"reasoningContent": {"text": "hm"}}, "contentBlockIndex": 0})),
        (
            "contentBlockDelta",
            json!({"delta": {"reasoningContent": {"signature": "EqQB"}}, "contentBlockIndex": 0}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 0})),
        (
            "contentBlockDelta",
            json!({"delta": {"reasoningContent": {"redactedContent": "Eo8B"}}, "contentBlockIndex": 1}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 1})),
        ("contentBlockDelta", json!({"delta": {"text": "Hi 🙂"}, "contentBlockIndex": 2})),
        (
            "contentBlockDelta",
            json!({"delta": {"citation": {"title": "t", "location": {}}}, "contentBlockIndex": 2}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 2})),
        (
            "contentBlockStart",
            json!({"start": {"toolUse": {"toolUseId": "t1", "name": "look"}}, "contentBlockIndex": 3}),
        ),
        ("contentBlockDelta", json!({"delta": {"toolUse": {"input": "{\"a\":1}"}}, "contentBlockIndex": 3})),
        ("contentBlockStop", json!({"contentBlockIndex": 3})),
        ("contentBlockStart", json!({"start": {"image": {"format": "png"}}, "contentBlockIndex": 4})),
        (
            "contentBlockDelta",
            json!({"delta": {"image": {"source": {"bytes": "iVBORw0KGgo="}}}, "contentBlockIndex": 4}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 4})),
        ("contentBlockStart", json!({"start": {"toolResult": {"toolUseId": "t9"}}, "contentBlockIndex": 5})),
        ("contentBlockDelta", json!({"delta": {"toolResult": [{"text": "x"}]}, "contentBlockIndex": 5})),
        ("contentBlockStop", json!({"contentBlockIndex": 5})),
        ("messageStop", json!({"stopReason": "tool_use"})),
        (
            "metadata",
            json!({"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}, "metrics": {"latencyMs": 0}}),
        ),
    ]
}

#[test]
fn every_frame_is_understood_and_written_again() {
    let bytes = frames(&full());
    let events = read(&[&bytes]);
    assert!(events.contains(&Event::Signature { choice: 0, part: 0, signature: "EqQB".into() }));
    assert!(events.contains(&Event::Open {
        choice: 0,
        part: 1,
        kind: PartKind::RedactedThinking { data: "Eo8B".into() }
    }));
    assert!(matches!(&events[events.len() - 3], Event::Finish { finish: Finish::ToolCalls, .. }));
    let usage = Usage { source: Source::Reported, input: Some(3), output: Some(4), ..Usage::default() };
    assert_eq!(events[events.len() - 2..], [Event::Usage(usage), Event::End]);
    let expected: Vec<(String, Value)> =
        full().into_iter().map(|(name, body)| (name.to_owned(), body)).collect();
    assert_eq!(told(&write(&events)), expected);
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_events() {
    let bytes = frames(&full());
    let whole = read(&[&bytes]);
    for cut in 0..=bytes.len() {
        assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&single), whole);
}

#[test]
fn exceptions_are_read_and_written_as_frames() {
    let mut bytes = Vec::new();
    write_exception("throttlingException", &mut bytes, |out| {
        out.extend_from_slice(b"{\"message\":\"slow\"}")
    });
    let events = read(&[&bytes]);
    assert!(
        matches!(&events[..], [Event::Error(error)] if error.kind == ErrorKind::RateLimited && error.message == "slow")
    );
    for (kind, name) in [
        (ErrorKind::Overloaded, "serviceUnavailableException"),
        (ErrorKind::Server, "internalServerException"),
        (ErrorKind::ContentFilter, "validationException"),
        (ErrorKind::Timeout, "modelStreamErrorException"),
    ] {
        let written = told(&write(&[Event::Error(ApiError::new(0, kind, "m"))]));
        assert_eq!(written, [(name.to_owned(), json!({"message": "m"}))]);
    }
}

#[test]
fn half_a_stream_and_nonsense_are_faults() {
    let bytes = frames(&full());
    let mut reader = Reader::new();
    reader.feed(&bytes[..bytes.len() / 2], &mut Vec::new()).unwrap();
    assert!(reader.finish(&mut Vec::new()).is_err());
    assert!(Reader::new().feed(b"event: message_start\n\n", &mut Vec::new()).is_err());
    let nonsense = frames(&[("contentBlockDelta", json!({"delta": {"text": "x"}}))]);
    assert!(Reader::new().feed(&nonsense, &mut Vec::new()).is_err());
    let flood: Vec<u8> = (0..1000u32)
        .flat_map(|index| {
            frames(&[("contentBlockDelta", json!({"delta": {"text": "x"}, "contentBlockIndex": index}))])
        })
        .collect();
    assert!(Reader::new().feed(&flood, &mut Vec::new()).is_err(), "blocks without end");
}

#[test]
fn a_stream_without_metadata_is_whole_once_it_said_why_it_stops() {
    let events = read(&[&frames(&[("messageStop", json!({"stopReason": "max_tokens"}))])]);
    assert!(matches!(
        &events[..],
        [Event::Start { .. }, Event::Finish { finish: Finish::Length, .. }, Event::End]
    ));
}

fn kinds() -> impl Strategy<Value = (PartKind, Vec<String>, bool)> {
    let text = "[a-zé🙂\"\\\\\n]{1,8}";
    let texts = || proptest::collection::vec(text, 1..4);
    let image = Media::Base64 { media_type: "image/png".into(), data: "iVBORw0KGgo=".into() };
    let image = Part::Image { media: image, detail: None, cache: None };
    let other =
        json!({"start": {"toolResult": {"toolUseId": "t"}}, "deltas": [{"toolResult": [{"text": "x"}]}]});
    prop_oneof![
        texts().prop_map(|texts| (PartKind::Text, texts, false)),
        (texts(), any::<bool>()).prop_map(|(texts, signed)| (PartKind::Thinking { id: None }, texts, signed)),
        ("[A-Za-z0-9_-]{1,12}", "[a-z]{1,6}", texts()).prop_map(|(id, name, texts)| (
            PartKind::ToolCall { id, name },
            texts,
            false
        )),
        Just((PartKind::RedactedThinking { data: "Eo8B".into() }, Vec::new(), false)),
        Just((PartKind::Media { part: image }, Vec::new(), false)),
        Just((PartKind::Other { dialect: Dialect::Bedrock, value: other }, Vec::new(), false)),
    ]
}

proptest! {
    #[test]
    fn reading_what_was_written_gives_the_events_that_were_written(
        parts in proptest::collection::vec(kinds(), 0..6),
        word in prop_oneof![Just("end_turn"), Just("max_tokens"), Just("tool_use"), Just("content_filtered"), Just("malformed_tool_use")],
        input in 0u64..1000,
        output in 0u64..1000,
        cut in 0usize..6000,
    ) {
        let mut events = vec![Event::Start { id: String::new(), model: String::new(), created: None }];
        for (part, (kind, texts, signed)) in parts.into_iter().enumerate() {
            let part = part as u32;
            events.push(Event::Open { choice: 0, part, kind });
            events.extend(texts.into_iter().map(|text| Event::Delta { choice: 0, part, text }));
            if signed {
                events.push(Event::Signature { choice: 0, part, signature: "EqQB==".into() });
            }
            events.push(Event::Close { choice: 0, part });
        }
        events.push(Event::Finish { choice: 0, finish: crate::bedrock::answer::finish_of(word), native: Some(word.into()), stop_text: None, rest: Map::new() });
        events.push(Event::Usage(Usage { source: Source::Reported, input: Some(input), output: Some(output), ..Usage::default() }));
        events.push(Event::End);
        let bytes = write(&events);
        let cut = cut.min(bytes.len());
        prop_assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), events);
    }

    #[test]
    fn no_payload_makes_the_reader_panic(name in "(contentBlock(Start|Delta|Stop)|message(Start|Stop)|metadata)", body in "[{}\\[\\]\":,a-z0-9]{0,60}") {
        let mut bytes = Vec::new();
        write_event(&name, &mut bytes, |out| out.extend_from_slice(body.as_bytes()));
        let _ = Reader::new().feed(&bytes, &mut Vec::new());
    }
}
