//! Plain answers.

use tidegate_dialect::Usage;
use tidegate_dialect::chat::{Choice, Finish};

use super::*;

#[test]
fn an_answer_is_read_with_disjoint_buckets() {
    let answer = answer_of(&response());
    let choice = &answer.choices[0];
    let thought = Part::Thinking {
        text: "a\n\nb".into(),
        signature: Some("tg.o.gAAA".into()),
        id: Some("rs_1".into()),
    };
    assert_eq!(choice.parts[0], thought);
    assert!(matches!(&choice.parts[1], Part::Text { text, citations: Some(_), .. } if text == "hi"));
    assert_eq!(choice.parts[2], call("call_1", "f", "{}"));
    assert!(matches!(&choice.parts[3], Part::Other { dialect: Dialect::Responses, .. }));
    assert_eq!((choice.finish, choice.native_finish.as_deref()), (Finish::ToolCalls, Some("completed")));
    assert_eq!(
        (answer.id.as_str(), answer.model.as_str(), answer.created),
        ("resp_1", "gpt-x-2026", Some(1_700_000_001))
    );
    let expected = Usage {
        source: Source::Reported,
        input: Some(30),
        cache_read: Some(60),
        cache_write_5m: Some(10),
        output: Some(20),
        reasoning: Some(30),
        ..Usage::default()
    };
    assert_eq!(answer.usage, expected);
    assert_eq!((answer.usage.input_total(), answer.usage.output_total()), (Some(100), Some(50)));
    // What the object repeats of the request is not carried to clients of other dialects.
    assert_eq!(answer.rest.keys().collect::<Vec<_>>(), ["service_tier"]);
}

#[test]
fn ends_are_read_by_status_and_reason() {
    let with = |change: Value| {
        let mut value = response();
        value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        value["output"].as_array_mut().unwrap().truncate(2);
        answer_of(&value).choices[0].finish
    };
    assert_eq!(with(json!({})), Finish::Stop);
    let incomplete = |reason: &str| json!({"status": "incomplete", "incomplete_details": {"reason": reason}});
    assert_eq!(with(incomplete("max_output_tokens")), Finish::Length);
    assert_eq!(with(incomplete("content_filter")), Finish::ContentFilter);
    assert_eq!(
        with(json!({"status": "failed", "error": {"code": "server_error", "message": "x"}})),
        Finish::Error
    );
    assert!(Dialect::Responses.parse_answer(b"{}").is_err());
    assert!(Dialect::Responses.parse_answer(b"<html>").is_err());
}

#[test]
fn an_answer_is_written_as_it_was_read() {
    let mut out = Vec::new();
    Dialect::Responses.write_answer(&answer_of(&response()), &REPLY, &mut out);
    let written: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (&written["id"], &written["model"], &written["status"]),
        (&json!("resp_1"), &json!("small"), &json!("completed"))
    );
    assert_eq!(written["service_tier"], "default");
    let again = answer_of(&written);
    assert_eq!(again.choices, answer_of(&response()).choices);
    assert_eq!(again.usage, answer_of(&response()).usage);
}

#[test]
fn signatures_of_other_providers_come_back_in_the_next_turn() {
    let signed = Part::ToolCall {
        id: "call:1".into(),
        name: "f".into(),
        arguments: "{}".into(),
        signature: Some("R2Vt+aW5p/Q==".into()),
        cache: None,
    };
    let parts = vec![
        Part::Thinking { text: "t".into(), signature: Some("anthropic".into()), id: None },
        Part::RedactedThinking { data: "hidden".into() },
        signed,
        call("call_2", "g", "{}"),
    ];
    let choice = Choice {
        index: 0,
        parts: parts.clone(),
        finish: Finish::ToolCalls,
        native_finish: None,
        stop_text: None,
        logprobs: None,
        rest: Map::new(),
    };
    let answer = Answer { choices: vec![choice], ..Answer::default() };
    let mut out = Vec::new();
    Dialect::Responses.write_answer(&answer, &REPLY, &mut out);
    let written: Value = serde_json::from_slice(&out).unwrap();
    let streamed = gather(&events_of(&answer));
    assert_eq!(streamed["output"], written["output"]);
    let items = written["output"].as_array().unwrap().clone();
    let ids: std::collections::HashSet<&str> =
        items.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), items.len());
    // The client gives the items back as they came.
    let request = parse(json!({"model": "m", "input": items}));
    let [message] = request.messages.as_slice() else { panic!("{:?}", request.messages) };
    let mut back = message.parts.clone();
    if let Part::Thinking { id, .. } = &mut back[0] {
        *id = None;
    }
    assert_eq!(back, parts);
}
