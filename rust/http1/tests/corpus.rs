//! Every case of `tests/corpus/http1` through head, framing and body.

mod support;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use support::{End, Taken, pairs, requests, response};
use tidegate_http1::{BodyLength, ChunkFault, Refusal, ResponseFault};
use tidegate_message::Method;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    class: String,
    bytes: Option<Bytes>,
    base64: Option<String>,
    expect: Expect,
    reason: Option<String>,
    status: Option<u16>,
    rfc: String,
    note: Option<String>,
    #[serde(default)]
    upstream: Vec<Upstream>,
    keep_alive: Option<bool>,
    expect_continue: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    upgrade: Option<Option<String>>,
    request_method: Option<String>,
    framing: Option<String>,
    body: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Text(String),
    Repeat { repeat: String, times: usize },
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
enum Expect {
    Accept,
    Refuse,
    Partial,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upstream {
    method: String,
    target: String,
    body_length: usize,
    body: Option<String>,
    host: Option<String>,
    #[serde(default)]
    present: Vec<(String, String)>,
    #[serde(default)]
    absent: Vec<String>,
    trailers: Option<String>,
}

/// Tells `"upgrade": null` (there must be none) from no such key.
fn present<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(input).map(Some)
}

#[test]
fn every_case_has_the_verdict_that_the_corpus_gives_it() {
    let mut wrong = Vec::new();
    for case in cases() {
        let verdict = if case.request_method.is_some() { judge_response(&case) } else { judge(&case) };
        if let Err(why) = verdict {
            wrong.push(format!("{}: {why}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn bytes_that_come_one_by_one_get_the_same_verdict() {
    use tidegate_http1::{Limits, parse_request_after};
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| case.request_method.is_none()) {
        let bytes = case.input();
        if bytes.len() > 4096 {
            continue;
        }
        let whole = parse_request_after(&bytes, 0, &Limits::default(), &mut Default::default());
        let mut dripped = Ok(None);
        for end in 1..=bytes.len() {
            let seen = end - 1;
            dripped = parse_request_after(&bytes[..end], seen, &Limits::default(), &mut Default::default());
            if !matches!(dripped, Ok(None)) {
                break;
            }
        }
        // A bad line that has no end yet is told in one piece, and waits for its end where it drips in.
        let waits = case.name.contains("incomplete");
        if whole != dripped && !waits {
            wrong.push(format!("{}: {whole:?} at once, {dripped:?} one by one", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_are_unique_and_every_verdict_has_its_section() {
    let mut names = HashSet::new();
    let cases = cases();
    assert!(cases.len() >= 170, "{}", cases.len());
    for case in &cases {
        assert!(names.insert(&case.name), "{} is there twice", case.name);
        assert!(case.rfc.starts_with("RFC "), "{}", case.name);
        assert!(!case.class.is_empty() && case.note.as_deref() != Some(""), "{}", case.name);
        assert_eq!(case.reason.is_some(), case.expect == Expect::Refuse, "{}", case.name);
    }
}

#[test]
fn every_cause_that_can_be_met_has_a_case() {
    let reasons: HashSet<_> = cases().into_iter().filter_map(|case| case.reason).collect();
    let known = Refusal::ALL.iter().map(|cause| cause.as_str());
    let known = known.chain(ResponseFault::ALL.iter().map(|cause| cause.as_str()));
    let known = known.chain(ChunkFault::ALL.iter().map(|cause| cause.as_str()));
    let missing: Vec<_> = known.filter(|name| !reasons.contains(*name)).collect();
    // What no reading of the head explains has this name; nothing is known that needs it.
    assert_eq!(missing, ["malformed_head", "malformed_head"]);
}

fn judge(case: &Case) -> Result<(), String> {
    let (taken, end) = requests(&case.input());
    check_end(case, &end)?;
    if taken.len() != case.upstream.len() {
        return Err(format!("{} requests are forwarded, not {}", taken.len(), case.upstream.len()));
    }
    for (taken, expected) in taken.iter().zip(&case.upstream) {
        check_request(taken, expected)?;
    }
    let Some(last) = taken.last() else { return Ok(()) };
    let facts = last.facts;
    same("keep_alive", case.keep_alive.unwrap_or(facts.keep_alive), facts.keep_alive)?;
    same("expect_continue", case.expect_continue.unwrap_or(facts.expect_continue), facts.expect_continue)?;
    let upgrade = last.upgrade.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
    same("upgrade", case.upgrade.clone().unwrap_or(upgrade.clone()), upgrade)
}

fn check_request(taken: &Taken, expected: &Upstream) -> Result<(), String> {
    same("method", expected.method.as_bytes(), &taken.method[..])?;
    same("target", expected.target.as_bytes(), &taken.target[..])?;
    same("body_length", expected.body_length, taken.body.len())?;
    if let Some(body) = &expected.body {
        same("body", body.as_bytes(), &taken.body[..])?;
    }
    if let Some(trailers) = &expected.trailers {
        same("trailers", trailers.as_bytes(), &taken.trailers[..])?;
    }
    let fields = pairs(&taken.fields);
    let values = |name: &str| -> Vec<_> {
        fields.iter().filter(|field| field.0 == name).map(|field| field.1.clone()).collect()
    };
    if let Some(host) = &expected.host {
        same("host", vec![host.clone()], values("host"))?;
    }
    for field in &expected.present {
        if !fields.contains(field) {
            return Err(format!("{field:?} is not forwarded"));
        }
    }
    let always = ["connection", "transfer-encoding", "content-length", "keep-alive", "upgrade"];
    for name in expected.absent.iter().map(String::as_str).chain(always) {
        same(name, Vec::<String>::new(), values(name))?;
    }
    Ok(())
}

fn judge_response(case: &Case) -> Result<(), String> {
    let method = Method::parse(case.request_method.as_deref().unwrap_or_default().as_bytes());
    let (taken, end) = response(&case.input(), method);
    if let (Expect::Refuse, End::Refused(reason, _)) = (&case.expect, &end) {
        return same("reason", case.reason.as_deref(), Some(*reason));
    }
    check_end(case, &end)?;
    let Some((status, facts, body)) = taken else { return Ok(()) };
    same("status", case.status, Some(status))?;
    same("keep_alive", case.keep_alive, Some(facts.keep_alive))?;
    let framing = match facts.body {
        BodyLength::None => "none",
        BodyLength::Exact(_) => "exact",
        BodyLength::Chunked => "chunked",
        BodyLength::UntilClose => "until_close",
    };
    same("framing", case.framing.as_deref(), Some(framing))?;
    same("body", case.body.clone().unwrap_or_default().as_bytes(), &body[..])
}

fn check_end(case: &Case, end: &End) -> Result<(), String> {
    match (&case.expect, end) {
        (Expect::Accept, End::Whole) | (Expect::Partial, End::Partial) => Ok(()),
        (Expect::Refuse, End::Refused(reason, status)) => {
            same("reason", case.reason.as_deref(), Some(*reason))?;
            same("status", case.status, Some(*status))
        }
        _ => Err(format!("{:?} is expected, not {end:?}", case.expect)),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, got: T) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("{what} should be {expected:?}, and is {got:?}")) }
}

fn cases() -> Vec<Case> {
    let mut paths: Vec<PathBuf> = fs::read_dir(corpus())
        .expect("the corpus is there")
        .map(|entry| entry.expect("the corpus can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    paths
        .iter()
        .flat_map(|path| {
            let text = fs::read(path).expect("a file of the corpus can be read");
            serde_json::from_slice::<Vec<Case>>(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/http1")
}

impl Case {
    fn input(&self) -> Vec<u8> {
        match (&self.bytes, &self.base64) {
            (Some(Bytes::Text(text)), None) => text.clone().into_bytes(),
            (Some(Bytes::Parts(parts)), None) => parts
                .iter()
                .flat_map(|part| match part {
                    Part::Text(text) => text.clone().into_bytes(),
                    Part::Repeat { repeat, times } => repeat.repeat(*times).into_bytes(),
                })
                .collect(),
            (None, Some(text)) => decode_base64(text),
            _ => panic!("{} needs either bytes or base64", self.name),
        }
    }
}

/// RFC 4648 §4, for the few cases that are not UTF-8.
fn decode_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let digit = DIGITS.iter().position(|digit| *digit == byte).expect("a digit of base64");
        bits = bits << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
