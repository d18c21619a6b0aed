//! Prompts as their caller uses them: versions, inputs, messages, answers, the document.

use serde_json::{Value, json};
use tidegate_plan::{Prompt, PromptVersion};
use tidegate_prompt::{Prompts, Role, UnknownVersion};

fn version(name: &str, weight: u32, template: &str) -> PromptVersion {
    PromptVersion {
        version: name.into(),
        weight,
        model: 0,
        messages: vec![("user".into(), template.into())],
        input: "{}".into(),
        output: None,
        parameters: "{}".into(),
    }
}

fn prompt(versions: Vec<PromptVersion>) -> Prompt {
    Prompt { name: "summarize".into(), description: "Makes a text short.".into(), versions }
}

fn one(version: PromptVersion) -> Prompts {
    Prompts::compile(&[prompt(vec![version])]).expect("a good prompt")
}

fn render(prompts: &Prompts, inputs: &Value) -> Result<Vec<(Role, String)>, (String, String)> {
    let version =
        prompts.find("summarize").and_then(|prompt| prompt.choose(None, 7).ok()).expect("a version");
    version.render(inputs).map_err(|fault| (fault.path, fault.message))
}

fn said(template: &str, inputs: &Value) -> Result<String, String> {
    let rendered = render(&one(version("1", 1, template)), inputs);
    rendered.map(|mut messages| messages.remove(0).1).map_err(|(_, message)| message)
}

#[test]
fn messages_are_made_of_the_inputs_in_their_order() {
    let messages = vec![
        ("system".into(), "Use {{ words }} words.".into()),
        ("user".into(), "Summarize:\n{{ text }}".into()),
    ];
    let prompts = one(PromptVersion { messages, ..version("1", 1, "") });
    let rendered =
        render(&prompts, &json!({ "words": 5, "text": "<b>All</b> of it & more" })).expect("good inputs");
    assert_eq!(
        rendered,
        [
            (Role::System, "Use 5 words.".to_owned()),
            (Role::User, "Summarize:\n<b>All</b> of it & more".to_owned()),
        ]
    );
}

#[test]
fn templates_loop_choose_and_filter() {
    let template = "{% for item in items %}{{ loop.index }}. {{ item | upper }}\n{% endfor %}{% if short %}Be brief.{% endif %}";
    assert_eq!(
        said(template, &json!({ "items": ["a", "b"], "short": true })).as_deref(),
        Ok("1. A\n2. B\nBe brief.")
    );
    assert_eq!(
        said("{{ thing | tojson }}", &json!({ "thing": { "z": 1, "a": [true] } })).as_deref(),
        Ok(r#"{"z": 1, "a": [true]}"#)
    );
}

#[test]
fn inputs_are_checked_and_the_fault_says_where_but_not_what_was_sent() {
    let schema = json!({
        "type": "object",
        "required": ["text"],
        "properties": { "text": { "type": "string" }, "tags": { "type": "array", "items": { "type": "string", "maxLength": 3 } } },
        "additionalProperties": false,
    });
    let prompts = one(PromptVersion { input: schema.to_string(), ..version("1", 1, "{{ text }}") });
    for (inputs, path, word) in [
        (json!({}), "", "text"),
        (json!({ "text": 7_654_321 }), "/text", "string"),
        (json!({ "text": "a", "tags": ["ok", "secret"] }), "/tags/1", "longer"),
        (json!({ "text": "a", "more": 1 }), "", "more"),
        (json!(["text"]), "", "object"),
    ] {
        let (at, message) = render(&prompts, &inputs).expect_err("bad inputs");
        assert_eq!(at, path, "{message}");
        assert!(message.contains(word), "{message}");
        assert!(!message.contains("secret") && !message.contains("7654321"), "{message}");
    }
    assert!(render(&prompts, &json!({ "text": "a", "tags": ["b"] })).is_ok());
}

#[test]
fn an_input_that_the_template_needs_and_does_not_get_is_a_fault() {
    let why = said("one\n{{ missing }}", &json!({})).expect_err("it is missing");
    assert!(why.contains("an input that is not there (line 2)"), "{why}");
}

#[test]
fn a_template_that_runs_too_long_is_stopped() {
    let template = "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}";
    let why = said(template, &json!({})).expect_err("it does not end");
    assert!(why.contains("runs too long"), "{why}");
}

#[test]
fn a_prompt_that_gets_too_long_is_stopped() {
    let template = "{% for a in range(9999) %}{{ text }}{% endfor %}";
    let why = said(template, &json!({ "text": "x".repeat(10_000) })).expect_err("it is too long");
    assert!(why.contains("longer than"), "{why}");
}

#[test]
fn a_template_has_no_others_to_load() {
    let why = said("{% include 'secrets' %}", &json!({})).expect_err("there is none");
    assert!(why.contains("another template"), "{why}");
    assert!(said("{% include '0' %}", &json!({})).is_err(), "it does not end within itself");
}

#[test]
fn prompts_that_can_not_be_are_refused_with_their_place() {
    let good = || version("1", 1, "hello");
    let cases = [
        (version("1", 1, "{{ open"), "prompts[0].versions[0].messages[0]", "syntax error"),
        (PromptVersion { messages: vec![], ..good() }, "prompts[0].versions[0].messages", "no message"),
        (
            PromptVersion { messages: vec![("god".into(), String::new())], ..good() },
            "prompts[0].versions[0].messages[0]",
            "no role",
        ),
        (PromptVersion { input: "{".into(), ..good() }, "prompts[0].versions[0].input", "no JSON"),
        (
            PromptVersion { input: r#"{"type": "text"}"#.into(), ..good() },
            "prompts[0].versions[0].input",
            "no JSON Schema",
        ),
        (PromptVersion { output: Some("[]".into()), ..good() }, "prompts[0].versions[0].output", "object"),
        (
            PromptVersion { output: Some(r#"{"$ref": "https://example.com/schema"}"#.into()), ..good() },
            "prompts[0].versions[0].output",
            "no JSON Schema",
        ),
        (
            PromptVersion { parameters: "[]".into(), ..good() },
            "prompts[0].versions[0].parameters",
            "no JSON object",
        ),
        (version("1", 0, "hello"), "prompts[0].versions", "weight"),
    ];
    for (written, path, why) in cases {
        let fault = Prompts::compile(&[prompt(vec![written])]).expect_err("a bad prompt");
        assert_eq!(fault.path, path, "{fault}");
        assert!(fault.why.contains(why), "{fault}");
    }
}

#[test]
fn a_version_is_pinned_or_chosen_by_weight() {
    let versions = vec![version("1", 3, "one"), version("2", 1, "two"), version("draft", 0, "three")];
    let prompts = Prompts::compile(&[prompt(versions)]).expect("a good prompt");
    let prompt = prompts.find("summarize").expect("the prompt");
    assert!(prompts.find("other").is_none());
    assert_eq!(prompt.choose(Some("draft"), 0).map(|version| &*version.name), Ok("draft"));
    assert_eq!(prompt.choose(Some("4"), 0).map(|version| &*version.name), Err(UnknownVersion));
    let mut counts = [0; 2];
    for user in 0..4000_u32 {
        let spread = prompt.spread(&user.to_be_bytes());
        let chosen = prompt.choose(None, spread).expect("one of them");
        assert_eq!(
            prompt.choose(None, spread).map(|version| &*version.name),
            Ok(&*chosen.name),
            "the same for the same key"
        );
        counts[usize::from(chosen.name == "2")] += 1;
        assert_ne!(chosen.name, "draft");
    }
    assert!((850..1150).contains(&counts[1]), "{counts:?}");
    for spread in [0, u64::MAX] {
        assert!(prompt.choose(None, spread).is_ok());
    }
}

#[test]
fn an_answer_is_the_text_or_the_json_that_was_promised() {
    let text = one(version("1", 1, "hello"));
    let text = text.find("summarize").expect("the prompt").versions().first().expect("a version");
    assert_eq!(text.answer("Short.").ok(), Some(json!({ "text": "Short." })));
    assert!(text.output_schema().is_none());
    let schema =
        json!({ "type": "object", "required": ["title"], "properties": { "title": { "type": "string" } } });
    let prompts = one(PromptVersion { output: Some(schema.to_string()), ..version("1", 1, "hello") });
    let version = prompts.find("summarize").expect("the prompt").versions().first().expect("a version");
    assert_eq!(version.output_schema(), Some(&schema));
    assert_eq!(version.answer(r#" {"title": "a"} "#).ok(), Some(json!({ "title": "a" })));
    assert_eq!(version.answer("```json\n{\"title\": \"a\"}\n```").ok(), Some(json!({ "title": "a" })));
    let wrong = version.answer(r#"{"title": 77123}"#).expect_err("a number");
    assert_eq!(wrong.path, "/title");
    assert!(!wrong.message.contains("77123"), "{wrong}");
    let none = version.answer("I am sorry").expect_err("no JSON");
    assert!(none.message.contains("is no JSON") && !none.message.contains("sorry"), "{none}");
}

#[test]
fn the_document_lists_every_prompt_with_its_schemas() {
    let input = json!({ "type": "object", "properties": { "text": { "$ref": "#/$defs/line" } }, "$defs": { "line": { "type": "string" } } });
    let output = json!({ "type": "object" });
    let first = PromptVersion {
        input: input.to_string(),
        output: Some(output.to_string()),
        ..version("v1", 1, "hello")
    };
    let prompts = Prompts::compile(&[prompt(vec![version("v0", 0, "old"), first])]).expect("a good prompt");
    let document: Value =
        serde_json::from_slice(&prompts.openapi("https://ai.example.com", "/prompts/")).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "https://ai.example.com");
    let post = &document["paths"]["/prompts/summarize"]["post"];
    assert_eq!(post["summary"], "Makes a text short.");
    assert_eq!(post["parameters"][0]["schema"]["enum"], json!(["v0", "v1"]));
    let refers = |place: &Value| {
        let pointer =
            place["schema"]["$ref"].as_str().and_then(|text| text.strip_prefix('#')).expect("a reference");
        document.pointer(pointer).expect("what it refers to").clone()
    };
    let taken = refers(&post["requestBody"]["content"]["application/json"]);
    assert_eq!(taken["$id"], "urn:tidegate:prompt:summarize.v1.input");
    assert_eq!(taken["$defs"], input["$defs"]);
    assert_eq!(refers(&post["responses"]["200"]["content"]["application/json"]), output);
    assert_eq!(document["components"]["schemas"]["summarize.v0.input"], json!({ "type": "object" }));
    let fails = refers(&post["responses"]["400"]["content"]["application/problem+json"]);
    assert_eq!(fails["properties"]["request_id"]["type"], "string");
}
