//! Seeds: the cases of `tests/corpus/http1`, the golden plans and conversations, a few headers of the PROXY protocol.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::dialects::NAMES;

/// Larger inputs cost a fuzzer more than they find.
const LARGEST: usize = 16 * 1024;

/// The seeds of the target called `name`.
pub fn of(name: &str) -> Vec<Vec<u8>> {
    let mut seeds = match name {
        "request_head" => requests(),
        "differential" => accepted().into_iter().flat_map(|seed| [doubled(&seed), seed]).collect(),
        "response_head" => cases(|case| case.get("request_method").is_some()),
        "chunk" => cases(|_| true).iter().filter_map(|seed| after_head(seed)).collect(),
        "plan" => files("tests/golden/plan", "json").iter().filter_map(|path| fs::read(path).ok()).collect(),
        "proxy_protocol" => proxy_headers(),
        "client_hello" => crate::client_hello::seeds(),
        "requests" => goldens("request"),
        "answers" => goldens("answer"),
        "streams" => streams(),
        "body" => goldens("request").into_iter().map(|seed| seed[1..].to_vec()).collect(),
        "sse" | "frames" => streams().into_iter().map(|seed| seed[1..].to_vec()).collect(),
        "guard" => texts(),
        _ => Vec::new(),
    };
    if name != "plan" {
        seeds.retain(|seed| seed.len() <= LARGEST);
    }
    seeds.push(Vec::new());
    seeds.sort();
    seeds.dedup();
    seeds
}

fn requests() -> Vec<Vec<u8>> {
    cases(|case| case.get("request_method").is_none())
}

/// Only what is taken can be compared.
fn accepted() -> Vec<Vec<u8>> {
    cases(|case| case.get("request_method").is_none() && case["expect"] == "accept")
}

/// Pipelining: the same request twice.
fn doubled(seed: &[u8]) -> Vec<u8> {
    [seed, seed].concat()
}

fn after_head(seed: &[u8]) -> Option<Vec<u8>> {
    let at = seed.windows(4).position(|window| window == b"\r\n\r\n")?;
    (at + 4 < seed.len()).then(|| seed[at + 4..].to_vec())
}

fn cases(wanted: impl Fn(&Value) -> bool) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for path in files("tests/corpus/http1", "json") {
        let text = fs::read(&path).unwrap_or_default();
        let cases: Vec<Value> =
            serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // Cases that are not UTF-8 are few; mutations get there soon enough.
        seeds.extend(cases.iter().filter(|case| wanted(case)).filter_map(|case| bytes(&case["bytes"])));
    }
    assert!(!seeds.is_empty(), "the corpus is beside this crate");
    seeds
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Array(parts) => {
            let parts: Option<Vec<Vec<u8>>> = parts.iter().map(bytes).collect();
            parts.map(|parts| parts.concat())
        }
        Value::Object(_) => {
            let times = usize::try_from(value["times"].as_u64()?).ok()?;
            Some(value["repeat"].as_str()?.repeat(times).into_bytes())
        }
        _ => None,
    }
}

/// What comes in in the golden conversations, behind the byte that picks the dialect.
fn goldens(sort: &str) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for path in files(&format!("tests/golden/dialect/{sort}"), "json") {
        let case: Value = serde_json::from_slice(&fs::read(&path).unwrap_or_default()).unwrap_or_default();
        seeds.extend(behind_dialect(&path, case["input"].to_string().as_bytes()));
    }
    assert!(!seeds.is_empty(), "the goldens are beside this crate");
    seeds
}

fn streams() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for path in files("tests/golden/dialect/stream", "txt") {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let input = text.split_once("== from\n").and_then(|(_, rest)| rest.split("== to ").next());
        seeds.extend(input.and_then(|input| behind_dialect(&path, input.as_bytes())));
    }
    assert!(!seeds.is_empty(), "the goldens are beside this crate");
    seeds
}

fn behind_dialect(path: &Path, input: &[u8]) -> Option<Vec<u8>> {
    let name = path.file_stem()?.to_str()?.split('-').next()?;
    let dialect = NAMES.iter().position(|known| *known == name)?;
    Some([&[u8::try_from(dialect).ok()?], input].concat())
}

fn texts() -> Vec<Vec<u8>> {
    [
        "My card is 4111 1111 1111 1111, my mail ann@example.org, call +49 170 1234567.",
        "DE89 3704 0044 0532 0130 00 and 192.0.2.17, 2001:db8::1, 078-05-1120",
        "the Project Tide is secret, Ebbe too; 123-abc [pii_1] [PII_2] [x",
        "sk-ant-REDACTED and AKIAIOSFODNN7EXAMPLE",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQ==\n-----END PRIVATE KEY-----\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

fn proxy_headers() -> Vec<Vec<u8>> {
    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    let binary = |command: u8, family: u8, body: &[u8]| {
        [SIGNATURE, &[command, family], &(body.len() as u16).to_be_bytes(), body].concat()
    };
    vec![
        b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET / HTTP/1.1\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        binary(0x20, 0x00, &[]),
        binary(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 2, 1, 2, 3, 4]),
        binary(0x21, 0x12, &[192, 0, 2, 1, 198, 51, 100, 2, 1, 2, 3, 4, 4, 0, 1, 0]),
        binary(0x21, 0x21, &[7; 36]),
        binary(0x21, 0x31, &[b'/'; 216]),
    ]
}

/// The files of a folder of the repository, in order; none where there is no such folder.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths
}
