//! Golden conversations: what each dialect's requests, answers, streams and errors become in each other dialect.
//!
//! A case is a file in `tests/golden/dialect/`; its name begins with its sort and the dialect that it comes from. It holds what comes in,
//! written by hand, and what goes out in each dialect. `UPDATE_GOLDEN=1` writes what goes out anew: read the difference then.
#![allow(clippy::unwrap_used, clippy::panic)] // a failure here is a failed test

mod frames;
mod lessons;
mod loops;
mod print;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tidegate_dialect::{Dialect, EventReader, EventWriter, Reply, Target};

/// All dialects, their names in the files, and a model of a provider that speaks it.
const DIALECTS: [(Dialect, &str, &str); 8] = [
    (Dialect::OpenAi, "openai", "gpt-4o"),
    (Dialect::Responses, "responses", "gpt-5"),
    (Dialect::Anthropic, "anthropic", "claude-sonnet-4-5"),
    (Dialect::Gemini, "gemini", "gemini-2.5-pro"),
    (Dialect::Bedrock, "bedrock", "anthropic.claude-sonnet-4-5-v1:0"),
    (Dialect::Cohere, "cohere", "command-a-03-2025"),
    (Dialect::Mistral, "mistral", "mistral-large-latest"),
    (Dialect::Ollama, "ollama", "qwen3"),
];

const REPLY: Reply<'static> =
    Reply { model: "small", id: "req-1", created: 1_700_000_000, include_usage: true };

#[test]
fn requests_become_what_the_files_say() {
    each_json("request", |from, input| {
        let mut out = Map::new();
        let body = input.to_string();
        let request = match from.parse_request(body.as_bytes(), None, None) {
            Ok(request) => request,
            Err(fault) => {
                out.insert("refused".into(), fault.message.into());
                return out;
            }
        };
        for (to, name, model) in DIALECTS {
            out.insert(name.into(), written(to, &request, model));
        }
        out
    });
}

/// The body in the target's words. Where the target can't say all of it: what is said of that, and the body without it.
fn written(to: Dialect, request: &tidegate_dialect::ChatRequest, model: &str) -> Value {
    let mut target = Target { model, stream: request.stream, max_tokens: 4096, drop_unsupported: false };
    let mut body = Vec::new();
    let fault = match to.write_request(request, &target, &mut body) {
        Ok(written) if written.dropped.is_empty() => return json_of(&body),
        Ok(written) => return json!({"left_out": written.dropped, "body": json_of(&body)}),
        Err(fault) => fault,
    };
    target.drop_unsupported = true;
    body.clear();
    match to.write_request(request, &target, &mut body) {
        Ok(written) => {
            json!({"refused": fault.message, "left_out": written.dropped, "body": json_of(&body)})
        }
        Err(again) => json!({"refused": fault.message, "refused_too": again.message}),
    }
}

#[test]
fn answers_become_what_the_files_say() {
    each_json("answer", |from, input| {
        let answer = from.parse_answer(input.to_string().as_bytes()).unwrap();
        let mut out = Map::new();
        for (to, name, _) in DIALECTS {
            let mut body = Vec::new();
            to.write_answer(&answer, &REPLY, &mut body);
            out.insert(name.into(), json_of(&body));
        }
        out
    });
}

#[test]
fn errors_become_what_the_files_say() {
    each_json("errors", |from, input| {
        let mut out = Map::new();
        for (name, case) in input.as_object().unwrap() {
            let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
            let error = from.parse_error(status, case["body"].to_string().as_bytes());
            let mut all = Map::new();
            let mut read = json!({"kind": format!("{:?}", error.kind), "status": error.status});
            if let Some(after) = error.retry_after_ms {
                read["retry_after_ms"] = after.into();
            }
            all.insert("read".into(), read);
            for (to, name, _) in DIALECTS {
                let mut body = Vec::new();
                to.write_error(&error, &mut body);
                all.insert(name.into(), json_of(&body));
            }
            out.insert(name.clone(), all.into());
        }
        out
    });
}

#[test]
fn streams_become_what_the_files_say() {
    for path in cases("stream", "txt") {
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, input) = text.split_once("== from\n").unwrap();
        let input = input.split("== to ").next().unwrap().to_owned();
        let from = dialect_of(&path);
        let raw = if from == Dialect::Bedrock { frames::encode(&input) } else { input.clone().into_bytes() };
        let mut whole = format!("{head}== from\n{input}");
        for (to, name, _) in DIALECTS {
            let said = translated(from, to, &raw, raw.len());
            // Where the bytes are cut must not matter.
            for size in [1, 7] {
                assert_eq!(said, translated(from, to, &raw, size), "{} to {name}", path.display());
            }
            let (bytes, fault) = said;
            let said = if to == Dialect::Bedrock {
                frames::decode(&bytes)
            } else {
                String::from_utf8(bytes).unwrap()
            };
            whole.push_str(&format!("== to {name}\n{said}"));
            if let Some(fault) = fault {
                whole.push_str(&format!("(fault: {fault})\n"));
            }
        }
        settle(&path, &text, &whole);
    }
}

/// What a client reads, and the fault in which the provider's stream ended. The engine tells the client of that.
fn translated(from: Dialect, to: Dialect, raw: &[u8], size: usize) -> (Vec<u8>, Option<String>) {
    let (mut reader, mut writer) = (EventReader::new(from), EventWriter::new(to, &REPLY));
    let (mut events, mut out) = (Vec::new(), Vec::new());
    let mut fault = None;
    for piece in raw.chunks(size) {
        fault = fault.or_else(|| reader.feed(piece, &mut events).err());
    }
    fault = fault.or_else(|| reader.finish(&mut events).err());
    for event in &events {
        writer.write(event, &mut out);
    }
    (out, fault.map(|fault| fault.message))
}

/// Runs `convert` over the input of each case of a sort, and compares what comes out with the rest of the file.
fn each_json(sort: &str, convert: impl Fn(Dialect, &Value) -> Map<String, Value>) {
    for path in cases(sort, "json") {
        let text = std::fs::read_to_string(&path).unwrap();
        let case: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut whole = Map::new();
        whole.insert("input".into(), case["input"].clone());
        whole.extend(convert(dialect_of(&path), &case["input"]));
        settle(&path, &text, &print::pretty(&whole.into()));
    }
}

fn settle(path: &Path, is: &str, ought: &str) {
    if is == ought {
        return;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, ought).unwrap();
        return;
    }
    let differs = is.lines().zip(ought.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| is.lines().count().min(ought.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(no more)").to_owned();
    panic!("{} line {}:\n  file: {}\n  now:  {}", path.display(), line + 1, at(is), at(ought));
}

/// The files of a sort, in order.
fn cases(sort: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/dialect").join(sort);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == extension))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no cases in {}", folder.display());
    paths
}

/// Whose words a case comes in: its file's name begins with it.
fn dialect_of(path: &Path) -> Dialect {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let first = name.split('-').next().unwrap();
    DIALECTS.iter().find(|(_, known, _)| *known == first).unwrap_or_else(|| panic!("{name}: whose?")).0
}

fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)))
}
