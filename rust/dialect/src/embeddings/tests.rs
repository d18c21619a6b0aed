//! Vectors there and back, and calls joined and taken apart.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Reply, Source, Target};

const REPLY: Reply<'_> = Reply { model: "small", id: "r1", created: 0, include_usage: false };
const TARGET: Target<'_> = Target { model: "m", stream: false, max_tokens: 0, drop_unsupported: false };
const FORMS: [Form; 7] = [
    Form::OpenAi,
    Form::GeminiOne,
    Form::GeminiMany,
    Form::Cohere,
    Form::Ollama,
    Form::OllamaOne,
    Form::Mistral,
];

fn texts(texts: &[&str]) -> EmbedRequest {
    let inputs = texts.iter().map(|text| Input::Text((*text).to_owned())).collect();
    EmbedRequest { model: "m".into(), inputs, ..EmbedRequest::default() }
}

#[test]
fn a_text_survives_each_form() {
    for form in FORMS {
        let request = texts(&["hello"]);
        let mut out = Vec::new();
        write_request(form, &request, &TARGET, &mut out).unwrap();
        let read = parse_request(form, &out).unwrap();
        assert_eq!(read.inputs, request.inputs, "{form:?}");
        let answer = EmbedAnswer {
            model: "m".into(),
            vectors: vec![vec![0.5, -0.25, 1e-7]],
            usage: Usage { source: Source::Reported, input: Some(3), ..Usage::default() },
        };
        let mut out = Vec::new();
        write_answer(form, &answer, &request, &REPLY, &mut out);
        let back = parse_answer(form, &out).unwrap();
        assert_eq!(back.vectors, answer.vectors, "{form:?}");
    }
}

#[test]
fn tasks_and_sizes_are_said_in_each_ones_words() {
    let mut request = texts(&["a", "b"]);
    (request.task, request.dimensions) = (Some("query".into()), Some(8));
    let written = |form| {
        let mut out = Vec::new();
        write_request(form, &request, &TARGET, &mut out)
            .map(|_| serde_json::from_slice::<serde_json::Value>(&out).unwrap())
    };
    let gemini = written(Form::GeminiMany).unwrap();
    assert_eq!(gemini["requests"][1]["taskType"], "RETRIEVAL_QUERY");
    assert_eq!(gemini["requests"][1]["outputDimensionality"], 8);
    assert_eq!(gemini["requests"][1]["model"], "models/m");
    let cohere = written(Form::Cohere).unwrap();
    assert_eq!((&cohere["input_type"], &cohere["output_dimension"]), (&json!("search_query"), &json!(8)));
    let dropped = write_request(Form::OpenAi, &request, &TARGET, &mut Vec::new()).unwrap().dropped;
    assert_eq!(dropped, ["input_type"]);
    assert!(written(Form::GeminiOne).is_err());
    for form in [Form::GeminiMany, Form::Cohere] {
        let mut out = Vec::new();
        write_request(form, &request, &TARGET, &mut out).unwrap();
        let read = parse_request(form, &out).unwrap();
        assert_eq!((&read.task, read.dimensions, &read.inputs), (&request.task, Some(8), &request.inputs));
    }
}

#[test]
fn base64_is_for_the_client_and_lists_for_the_provider() {
    let request =
        parse_request(Form::OpenAi, br#"{"model":"m","input":"a","encoding_format":"base64"}"#).unwrap();
    let mut out = Vec::new();
    write_request(Form::OpenAi, &request, &TARGET, &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().contains(r#""encoding_format":"float""#));
    let answer = EmbedAnswer { vectors: vec![vec![1.0, 0.1]], ..EmbedAnswer::default() };
    let mut out = Vec::new();
    write_answer(Form::OpenAi, &answer, &request, &REPLY, &mut out);
    assert!(String::from_utf8(out.clone()).unwrap().contains(r#""embedding":"AACAP83MzD0=""#));
    assert_eq!(parse_answer(Form::OpenAi, &out).unwrap().vectors, answer.vectors);
}

#[test]
fn tokens_pass_to_openais_alone() {
    let request = parse_request(Form::OpenAi, br#"{"model":"m","input":[[1,2],[3]]}"#).unwrap();
    assert_eq!(request.inputs, [Input::Tokens(vec![1, 2]), Input::Tokens(vec![3])]);
    assert_eq!(request.estimate(), 3);
    assert!(write_request(Form::OpenAi, &request, &TARGET, &mut Vec::new()).is_ok());
    assert!(write_request(Form::Cohere, &request, &TARGET, &mut Vec::new()).is_err());
    let lone = parse_request(Form::OpenAi, br#"{"model":"m","input":[1,2]}"#).unwrap();
    assert_eq!(lone.inputs, [Input::Tokens(vec![1, 2])]);
}

#[test]
fn what_is_wrong_is_named() {
    let path = |form, body: &str| parse_request(form, body.as_bytes()).unwrap_err().path;
    assert_eq!(path(Form::OpenAi, "{}"), "input");
    assert_eq!(path(Form::OpenAi, r#"{"input":[]}"#), "input");
    assert_eq!(path(Form::OpenAi, r#"{"input":["a",{}]}"#), "input[1]");
    assert_eq!(path(Form::Cohere, r#"{"model":"m"}"#), "texts");
    assert_eq!(path(Form::Cohere, r#"{"texts":["a"],"embedding_types":["int8"]}"#), "embedding_types");
    assert_eq!(path(Form::GeminiMany, r#"{"requests":[{}]}"#), "requests[0].content");
}

#[test]
fn vectors_come_in_the_order_of_the_inputs() {
    let body =
        br#"{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":4}}"#;
    let answer = parse_answer(Form::OpenAi, body).unwrap();
    assert_eq!(answer.vectors, [[1.0], [2.0]]);
    assert_eq!(answer.usage.input, Some(4));
    assert!(parse_answer(Form::OpenAi, br#"{"data":[{"embedding":["x"]}]}"#).is_err());
    assert!(parse_answer(Form::OpenAi, br#"{"error":{}}"#).is_err());
}

#[test]
fn only_what_is_alike_is_merged() {
    let (one, mut other) = (texts(&["a"]), texts(&["b"]));
    assert!(can_merge(&one, &other));
    other.encoding = Encoding::Base64;
    assert!(can_merge(&one, &other));
    other.dimensions = Some(4);
    assert!(!can_merge(&one, &other));
    let tokens = EmbedRequest { inputs: vec![Input::Tokens(vec![1])], ..one.clone() };
    assert!(!can_merge(&one, &tokens));
    assert_eq!(merge(&[]), None);
}

proptest! {
    #[test]
    fn a_merged_answer_is_split_exactly(
        sizes in proptest::collection::vec(proptest::collection::vec(".{0,20}", 1..4), 1..6),
        tokens in proptest::option::of(any::<u64>()),
        cached in proptest::option::of(0u64..1000),
    ) {
        let requests: Vec<EmbedRequest> = sizes
            .iter()
            .map(|inputs| texts(&inputs.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        let borrowed: Vec<&EmbedRequest> = requests.iter().collect();
        let merged = merge(&borrowed).unwrap();
        let usage = Usage { source: Source::Reported, input: tokens, cache_read: cached, ..Usage::default() };
        let vectors: Vec<Vec<f32>> = (0..merged.inputs.len()).map(|at| vec![at as f32]).collect();
        let answer = EmbedAnswer { model: "m".into(), vectors: vectors.clone(), usage };
        let parts = split(answer.clone(), &borrowed).unwrap();
        prop_assert_eq!(parts.iter().flat_map(|part| part.vectors.clone()).collect::<Vec<_>>(), vectors);
        for (part, request) in parts.iter().zip(&requests) {
            prop_assert_eq!(part.vectors.len(), request.inputs.len());
        }
        let sum = |bucket: fn(&Usage) -> Option<u64>| parts.iter().map(|part| bucket(&part.usage)).sum::<Option<u64>>();
        prop_assert_eq!(sum(|usage| usage.input), tokens);
        prop_assert_eq!(sum(|usage| usage.cache_read), cached);
        let mut short = answer;
        short.vectors.pop();
        prop_assert!(split(short, &borrowed).is_err());
    }
}
