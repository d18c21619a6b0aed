//! Streams.

use tidegate_dialect::chat::{Choice, Finish};
use tidegate_dialect::{EventReader, Usage};

use super::*;

#[test]
fn a_stream_tells_everything_in_the_dialects_order() {
    let answer = Answer {
        choices: vec![Choice {
            index: 0,
            parts: vec![
                Part::Thinking { text: "hm so".into(), signature: Some("S".into()), id: None },
                Part::text("héllo"),
                call("call_1", "f", "{\"a\":1}"),
            ],
            finish: Finish::ToolCalls,
            native_finish: None,
            stop_text: None,
            logprobs: None,
            rest: Map::new(),
        }],
        usage: Usage { source: Source::Reported, input: Some(3), output: Some(4), ..Usage::default() },
        ..Answer::default()
    };
    let values = data_of(&stream(&events_of(&answer)));
    let names: Vec<&str> = values.iter().map(|value| value["type"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let mut plain = Vec::new();
    Dialect::Responses.write_answer(&answer, &REPLY, &mut plain);
    let plain: Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(values.last().unwrap()["response"], plain);
    assert_eq!(values[13]["text"], "héllo");
    assert_eq!(values[8]["item"], plain["output"][0]);
}

#[test]
fn a_stream_that_was_cut_short_says_so() {
    let events = |finish| {
        let mut answer = answer_of(&response());
        answer.choices[0].parts.truncate(2);
        answer.choices[0].finish = finish;
        events_of(&answer)
    };
    let values = data_of(&stream(&events(Finish::Length)));
    let last = values.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(last["response"]["output"][1]["status"], "incomplete");
    assert_eq!(gather(&events(Finish::ContentFilter))["incomplete_details"]["reason"], "content_filter");
}

#[test]
fn an_error_after_the_beginning_ends_the_stream_as_failed() {
    let mut events = events_of(&answer_of(&response()));
    events.truncate(5);
    let error = tidegate_dialect::ApiError::new(0, tidegate_dialect::ErrorKind::RateLimited, "slow down");
    events.push(Event::Error(error));
    events.push(Event::End);
    let values = data_of(&stream(&events));
    let [.., error, failed] = values.as_slice() else { panic!() };
    assert_eq!((&error["type"], &error["message"]), (&json!("error"), &json!("slow down")));
    assert_eq!(error["code"], "rate_limit_exceeded");
    assert_eq!(failed["type"], "response.failed");
    assert_eq!(failed["response"]["error"], json!({"code": "rate_limit_exceeded", "message": "slow down"}));
}

fn read(bytes: &[u8]) -> Result<Vec<Event>, Fault> {
    let mut reader = EventReader::new(Dialect::Responses);
    let mut events = Vec::new();
    reader.feed(bytes, &mut events)?;
    reader.finish(&mut events)?;
    Ok(events)
}

#[test]
fn a_stream_is_read_as_it_was_written_wherever_it_is_cut() {
    let mut answer = answer_of(&response());
    answer.choices[0].parts.push(Part::Refusal { text: "no".into() });
    answer.choices[0].parts.push(Part::RedactedThinking { data: "x".into() });
    if let Part::Text { citations, .. } = &mut answer.choices[0].parts[1] {
        *citations = None;
    }
    let written = events_of(&answer);
    let bytes = stream(&written);
    let events = read(&bytes).unwrap();
    let told = |events: &[Event]| -> Vec<Event> {
        events.iter().filter(|e| !matches!(e, Event::Start { .. } | Event::Finish { .. })).cloned().collect()
    };
    assert_eq!(told(&events), told(&written));
    for cut in (1..bytes.len()).step_by(7) {
        let mut reader = EventReader::new(Dialect::Responses);
        let mut pieces = Vec::new();
        reader.feed(&bytes[..cut], &mut pieces).unwrap();
        reader.feed(&bytes[cut..], &mut pieces).unwrap();
        reader.finish(&mut pieces).unwrap();
        assert_eq!(pieces, events, "cut at {cut}");
    }
    let half = read(&bytes[..bytes.len() / 2]);
    assert!(half.is_err());
}

fn sse(values: &[Value]) -> Vec<u8> {
    values
        .iter()
        .map(|v| format!("event: {}\ndata: {v}\n\n", v["type"].as_str().unwrap()))
        .collect::<String>()
        .into()
}

fn texts(events: &[Event]) -> Vec<(u32, String)> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Delta { part, text, .. } => Some((*part, text.clone())),
            _ => None,
        })
        .collect()
}

#[test]
fn calls_side_by_side_and_servers_that_leave_events_out_are_understood() {
    let call = |index: u32, arguments: &str| json!({"type": "function_call", "id": format!("fc_{index}"), "call_id": format!("call_{index}"), "name": "f", "arguments": arguments});
    let events = read(&sse(&[
        json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "created_at": 5}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": call(0, "")}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": call(1, "")}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{\"b\""}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": ":1}"}),
        json!({"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "{}"}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": call(1, "{\"b\":1}")}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": call(0, "{}")}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": call(2, "{\"whole\":1}")}),
        json!({"type": "response.output_text.delta", "output_index": 3, "content_index": 0, "delta": "late"}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": []}}),
    ]))
    .unwrap();
    let expected = [(1, "{\"b\""), (0, "{}"), (1, ":1}"), (2, "{\"whole\":1}"), (3, "late")];
    assert_eq!(texts(&events), expected.map(|(part, text)| (part, text.to_owned())));
    let opened = events.iter().filter(|event| matches!(event, Event::Open { .. })).count();
    let closed = events.iter().filter(|event| matches!(event, Event::Close { .. })).count();
    assert_eq!((opened, closed), (4, 4));
    assert!(matches!(events.iter().rev().nth(1), Some(Event::Finish { finish: Finish::ToolCalls, .. })));
    assert!(!events.iter().any(|event| matches!(event, Event::Usage(_))));
}

#[test]
fn a_stream_with_nothing_but_its_last_event_is_whole() {
    let events = read(&sse(&[json!({"type": "response.completed", "response": response()})])).unwrap();
    assert_eq!(texts(&events), [(0, "a\n\nb".to_owned()), (1, "hi".to_owned()), (2, "{}".to_owned())]);
    assert!(matches!(&events[0], Event::Start { id, .. } if id == "resp_1"));
    assert!(events.iter().any(|event| matches!(event, Event::Usage(usage) if usage.cache_read == Some(60))));
    assert_eq!(events.last(), Some(&Event::End));
}

#[test]
fn summaries_in_parts_become_one_thought_and_raw_thought_is_not_told_twice() {
    let summary = |index: u32, text: &str| json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0, "summary_index": index, "delta": text});
    let events = read(&sse(&[
        json!({"type": "response.created", "response": {}}),
        json!({"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "output_index": 0, "summary_index": 0}),
        summary(0, "a"),
        json!({"type": "response.reasoning_text.delta", "item_id": "rs_1", "output_index": 0, "content_index": 0, "delta": "raw"}),
        json!({"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "output_index": 0, "summary_index": 1}),
        summary(1, "b"),
        json!({"type": "response.output_item.done", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}}),
        json!({"type": "response.completed", "response": {"status": "completed"}}),
    ]))
    .unwrap();
    let text: String = texts(&events).into_iter().map(|(_, text)| text).collect();
    assert_eq!(text, "a\n\nb");
    assert!(events.contains(&Event::Signature { choice: 0, part: 0, signature: "tg.o.E".into() }));
}

#[test]
fn errors_inside_a_stream_end_it() {
    let flat =
        read(&sse(&[json!({"type": "error", "code": "rate_limit_exceeded", "message": "m", "param": null})]))
            .unwrap();
    let failed = read(&sse(&[json!({"type": "response.failed", "response": {"id": "r", "status": "failed", "error": {"code": "context_length_exceeded", "message": "long"}}})])).unwrap();
    let kind = |events: &[Event]| match events.last() {
        Some(Event::Error(error)) => error.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(&flat), tidegate_dialect::ErrorKind::RateLimited);
    assert_eq!(kind(&failed), tidegate_dialect::ErrorKind::ContextTooLong);
    assert!(read(b"data: <html>\n\n").is_err());
    assert!(read(b"data: [1]\n\n").is_err());
}

#[test]
fn events_without_names_and_with_unusual_spelling_are_the_same_events() {
    let bytes = stream(&events_of(&answer_of(&response())));
    let text = String::from_utf8(bytes.clone()).unwrap();
    let nameless: String = text.split_inclusive('\n').filter(|line| !line.starts_with("event: ")).collect();
    assert_eq!(read(nameless.as_bytes()).unwrap(), read(&bytes).unwrap());
    // The type escaped, the index as a float, one field twice.
    let odd = text
        .replace("{\"type\":\"response.output_text.delta\"", "{\"type\":\"response.output\\u005ftext.delta\"")
        .replace("\"output_index\":2,\"delta\"", "\"output_index\":2.0,\"delta\":\"\",\"delta\"");
    assert_ne!(odd, text);
    assert_eq!(read(odd.as_bytes()).unwrap(), read(&bytes).unwrap());
}

#[test]
fn probabilities_come_with_their_text() {
    let token = json!({"token": "hi", "logprob": -0.5, "bytes": [104, 105], "top_logprobs": []});
    let events = [
        Event::Start { id: String::new(), model: String::new(), created: None },
        Event::Open { choice: 0, part: 0, kind: PartKind::Text },
        Event::Logprobs { choice: 0, value: json!({"content": [token]}) },
        Event::Delta { choice: 0, part: 0, text: "hi".into() },
        Event::Close { choice: 0, part: 0 },
        Event::End,
    ];
    let bytes = stream(&events);
    let values = data_of(&bytes);
    assert_eq!(values[4]["logprobs"], json!([token]));
    assert_eq!(values.last().unwrap()["response"]["output"][0]["content"][0]["logprobs"], json!([token]));
    assert!(read(&bytes).unwrap().contains(&events[2]));
}
