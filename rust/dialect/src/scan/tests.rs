//! Scanning, against serde_json.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn accepted_by_serde(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok()
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
        && body.trim_ascii_start().starts_with(b"{")
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
        "[\\x00-\\x7f\"\\\\]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((".{0,12}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn a_chat_request_is_read_in_one_pass() {
    let body = br#" {"model":"gpt-4o","messages":[{"role":"user","content":"Hello \"you\""}],
        "stream":true,"stream_options":{"include_usage":true},"max_tokens":10,"max_completion_tokens":7,
        "temperature":0.5,"n":2,"user":"u\u0031","tools":[{"type":"function"}],"extra":{"a":[1,2,{}]}} "#;
    let scan = scan(body).unwrap();
    assert_eq!(scan.model.as_deref(), Some("gpt-4o"));
    assert_eq!((scan.stream, scan.include_usage), (Some(true), true));
    assert_eq!(scan.max_tokens, Some(7));
    assert_eq!((scan.temperature, scan.n), (Some(0.5), Some(2)));
    assert_eq!(scan.user.as_deref(), Some("u1"));
    assert!(scan.tools);
    assert_eq!(scan.text_bytes, "user".len() + r#"Hello \"you\""#.len() + "function".len());
    assert_eq!(scan.find(body, "extra").map(|at| &body[at]), Some(&br#"{"a":[1,2,{}]}"#[..]));
    assert_eq!(scan.members.len(), 11);
}

#[test]
fn what_is_said_twice_is_refused_however_it_is_spelt() {
    for body in [
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":"a","mod\u0065l":"b"}"#,
        r#"{"stream":true,"stream":false}"#,
        r#"{"messages":[],"messages":[]}"#,
        r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#,
    ] {
        assert_eq!(scan(body.as_bytes()).unwrap_err().kind, crate::error::FaultKind::Wrong, "{body}");
    }
    assert!(scan(br#"{"x":1,"x":2}"#).is_ok());
}

#[test]
fn wrong_types_are_named() {
    for (body, path) in [
        (r#"{"model":5}"#, "model"),
        (r#"{"stream":"yes"}"#, "stream"),
        (r#"{"max_tokens":-1}"#, "max_tokens"),
        (r#"{"temperature":"hot"}"#, "temperature"),
    ] {
        assert_eq!(scan(body.as_bytes()).unwrap_err().path, path);
    }
    assert_eq!(scan(br#"{"model":null}"#).unwrap().model, None);
}

#[test]
fn what_is_no_object_or_broken_is_refused() {
    for body in [
        "",
        " ",
        "[]",
        "5",
        "{",
        "}",
        "{}x",
        "{}{}",
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        r#"{"a":[1}"#,
        r#"{"a":{]}"#,
        r#"{"a":01}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":+1}"#,
        r#"{"a":tru}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12g4"}"#,
        "{\"a\":\"\n\"}",
        r#"{"a":"b}"#,
        r#"{a:1}"#,
        "{\"a\":1e}",
        "{\"a\":NaN}",
    ] {
        assert!(scan(body.as_bytes()).is_err(), "{body}");
        assert!(!accepted_by_serde(body.as_bytes()), "{body}");
    }
    assert!(scan(b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn the_number_of_fields_is_bounded() {
    let body = |count: usize| {
        let fields: Vec<String> = (0..count).map(|at| format!("\"f{at}\":1")).collect();
        format!("{{{}}}", fields.join(","))
    };
    assert!(scan(body(MEMBERS).as_bytes()).is_ok());
    assert!(scan(body(MEMBERS + 1).as_bytes()).is_err());
}

#[test]
fn depth_is_bounded_as_by_serde() {
    for levels in [125, 126, 127, 128, 100_000] {
        let body = format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        let tree: Result<Value, _> = serde_json::from_str(&body);
        assert_eq!(scan(body.as_bytes()).is_ok(), tree.is_ok(), "{levels}");
    }
}

#[test]
fn pictures_count_as_media_and_not_as_words() {
    let picture = "A".repeat(10_000);
    let body = json!({"messages": [{"content": [
        {"image_url": {"url": format!("data:image/png;base64,{picture}")}},
        {"source": {"data": picture}},
        {"text": "what is this"},
    ]}]});
    let scan = scan(body.to_string().as_bytes()).unwrap();
    assert_eq!((scan.media, scan.text_bytes), (2, 12));
}

#[test]
fn the_bound_on_output_is_found_in_each_dialect() {
    let found = |dialect, body: &str| scan(body.as_bytes()).unwrap().max_output(body.as_bytes(), dialect);
    assert_eq!(found(Dialect::OpenAi, r#"{"max_tokens":5}"#), Some(5));
    assert_eq!(found(Dialect::Gemini, r#"{"generationConfig":{"maxOutputTokens":6}}"#), Some(6));
    assert_eq!(found(Dialect::Bedrock, r#"{"inferenceConfig":{"maxTokens":7}}"#), Some(7));
    assert_eq!(found(Dialect::Ollama, r#"{"options":{"num_predict":-1}}"#), None);
    assert_eq!(found(Dialect::Anthropic, r#"{}"#), None);
}

proptest! {
    #[test]
    fn any_object_is_scanned_to_the_same_members(value in any_json(), pretty in any::<bool>()) {
        let mut object = serde_json::Map::new();
        object.insert("a".into(), value);
        object.insert("model".into(), json!("m"));
        let value = Value::Object(object.clone());
        let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let scan = scan(body.as_bytes()).unwrap();
        prop_assert_eq!(scan.model.as_deref(), Some("m"));
        prop_assert_eq!(scan.members.len(), object.len());
        for (name, value) in &object {
            let at = scan.find(body.as_bytes(), name).unwrap();
            let read: Value = serde_json::from_str(&body[at]).unwrap();
            // Floats are compared as text: serde_json's own reader may be off by the last bit.
            prop_assert_eq!(read.to_string().len().abs_diff(value.to_string().len()) < 64, true);
            if !value.to_string().contains('.') && !value.to_string().contains('e') {
                prop_assert_eq!(&read, value);
            }
        }
    }

    #[test]
    fn broken_texts_are_refused_exactly_where_serde_refuses_them(
        value in any_json(), at in any::<prop::sample::Index>(), byte in prop_oneof![
            Just(b'"'), Just(b'\\'), Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b','), Just(b':'), Just(b'0'), Just(b'.'), Just(b' '), Just(b'u'), Just(b'e'), Just(0x01), any::<u8>()
        ]
    ) {
        let mut body = json!({"some": value}).to_string().into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        prop_assert_eq!(scan(&body).is_ok(), accepted_by_serde(&body), "{}", String::from_utf8_lossy(&body));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&bytes);
    }
}
