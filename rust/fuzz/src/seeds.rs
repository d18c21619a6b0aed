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
        "http2" => connections(),
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

/// Both sides of HTTP/2 connections behind the byte that chooses; see [`crate::http2`].
fn connections() -> Vec<Vec<u8>> {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    // GET / of http://a, with literals of every sort; trailers; a status.
    let request =
        [&b"\x82\x86\x84\x41\x01a"[..], b"\x40\x01x\x01y", b"\x0f\x11\x03a=b", b"\x10\x02te\x08trailers"]
            .concat();
    let websocket = b"\x02\x07CONNECT\x00\x09:protocol\x09websocket\x86\x84\x41\x01a";
    let length = [&request[..], b"\x0f\x0d\x013"].concat();
    let response = b"\x88\x40\x01x\x82\xf3\xff\x0f\x0d\x013";
    let mut seeds = Vec::new();
    for cut in [0_u8, 6, 254] {
        let side = |client: u8, frames: &[Vec<u8>]| [&[cut | client][..], &frames.concat()].concat();
        seeds.push(side(0, &[frame(1, 5, 1, &request), frame(1, 5, 3, b"\x82\x86\x84\xbe\xbf")]));
        seeds.push(side(0, &[frame(1, 4, 1, &request), frame(0, 0, 1, b"abc"), frame(1, 5, 1, b"\xbe")]));
        seeds.push(side(0, &[frame(1, 4, 1, &length), frame(0, 9, 1, b"\x02abc\0\0")]));
        seeds.push(side(
            0,
            &[frame(1, 0, 1, &request[..5]), frame(9, 4, 1, &request[5..]), frame(8, 0, 1, &[0, 0, 1, 0])],
        ));
        seeds.push(side(
            0,
            &[frame(1, 4, 1, websocket), frame(0, 1, 1, b"raw"), frame(3, 0, 1, &[0, 0, 0, 8])],
        ));
        seeds.push(side(0, &[frame(4, 0, 0, b"\0\x04\0\0\0\x02\0\x01\0\0\0\0"), frame(6, 0, 0, &[7; 8])]));
        seeds.push(side(
            1,
            &[frame(1, 4, 1, response), frame(0, 1, 1, b"abc"), frame(1, 4, 3, b"\x48\x03100")],
        ));
        seeds.push(side(
            1,
            &[frame(1, 4, 1, b"\x48\x03103"), frame(1, 4, 1, b"\x89"), frame(1, 5, 1, b"\0\x01a\x01b")],
        ));
        seeds.push(side(
            1,
            &[frame(1, 4, 3, b"\x88"), frame(0, 0, 3, b"abc"), frame(0, 1, 3, b""), frame(7, 0, 0, &[0; 8])],
        ));
    }
    seeds
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
