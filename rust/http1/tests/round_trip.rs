//! Whatever is forwarded is one request, and the same one.

mod support;

use proptest::prelude::*;
use support::{End, Taken, pairs, requests, target};
use tidegate_http1::{BodyLength, LAST_CHUNK, chunk_size_line, copy_request_fields};
use tidegate_http1::{Limits, parse_request};
use tidegate_message::{Known, RequestHead};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_forwarded_request_reads_back_as_itself(request in request()) {
        let (taken, end) = requests(&request);
        if let (End::Whole, [one]) = (end, &taken[..]) {
            check(&request, one)?;
        }
    }

    #[test]
    fn a_damaged_request_is_refused_or_reads_back_as_itself(
        request in request(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), interesting_byte(), 0..3_u8), 1..4),
    ) {
        let mut bytes = request;
        for (at, byte, how) in damage {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        let (taken, _) = requests(&bytes);
        let mut rest = &bytes[..];
        for one in &taken {
            let length = check(rest, one)?;
            rest = &rest[length..];
        }
    }
}

#[test]
fn most_generated_requests_are_accepted() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let accepted = (0..500)
        .filter(|_| {
            let bytes = request().new_tree(&mut runner).expect("a request can be made").current();
            requests(&bytes).0.len() == 1
        })
        .count();
    assert!(accepted > 200, "{accepted} of 500: the property would say little");
}

/// Writes `one` as an upstream would get it, reads that back, and compares; returns the bytes that `one` took
/// of `original` up to the end of its head.
fn check(original: &[u8], one: &Taken) -> Result<usize, TestCaseError> {
    let mut head = RequestHead::default();
    let length = parse_request(original, &Limits::default(), &mut head).ok().flatten();
    let length = length.ok_or_else(|| TestCaseError::fail("the request was read before"))?;
    let wire = forward(&head, one);
    let (again, end) = requests(&wire);
    prop_assert_eq!(end, End::Whole);
    prop_assert_eq!(again.len(), 1);
    let again = &again[0];
    prop_assert_eq!(&again.method, &one.method);
    prop_assert_eq!(&again.target, &one.target);
    prop_assert_eq!(&again.body, &one.body);
    prop_assert_eq!(&again.trailers, &one.trailers);

    let (first, second) = (pairs(&one.fields), pairs(&again.fields));
    let second: Vec<_> = second.into_iter().filter(|field| has_host(&first) || field.0 != "host").collect();
    prop_assert_eq!(&first, &second);
    prop_assert_eq!(first, expected_fields(&head));

    let consumed = original.len() - rest_after(&original[length..], one);
    Ok(consumed)
}

/// How many bytes are left after the body of `one`, which `rest` starts with.
fn rest_after(rest: &[u8], one: &Taken) -> usize {
    match one.facts.body {
        BodyLength::Chunked => {
            let mut decoder = tidegate_http1::ChunkDecoder::new(Default::default());
            let mut rest = rest;
            while let Ok(step) = decoder.decode(rest) {
                rest = &rest[step.consumed..];
                if step.done {
                    break;
                }
            }
            rest.len()
        }
        _ => rest.len() - one.body.len(),
    }
}

fn has_host(fields: &[(String, String)]) -> bool {
    fields.iter().any(|field| field.0 == "host")
}

/// The head with our own request line and framing (RFC 9112 §6).
fn forward(head: &RequestHead, one: &Taken) -> Vec<u8> {
    let mut wire = head.slice(head.method_name).to_vec();
    wire.push(b' ');
    wire.extend_from_slice(&target(head));
    wire.extend_from_slice(b" HTTP/1.1\r\n");
    if head.known(Known::Host).is_none() {
        wire.extend_from_slice(b"Host: upstream.example\r\n");
    }
    copy_request_fields(head, &mut wire, |_| false);
    match one.facts.body {
        BodyLength::Exact(length) => {
            wire.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
            wire.extend_from_slice(&one.body);
        }
        BodyLength::Chunked => {
            wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in one.body.chunks(7) {
                let mut line = [0; 18];
                let length = chunk_size_line(chunk.len(), &mut line);
                wire.extend_from_slice(&line[..length]);
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(&LAST_CHUNK[..3]);
            wire.extend_from_slice(&one.trailers);
            wire.extend_from_slice(b"\r\n");
        }
        BodyLength::None | BodyLength::UntilClose => wire.extend_from_slice(b"\r\n"),
    }
    wire
}

/// What should be forwarded, told a second time and naively.
fn expected_fields(head: &RequestHead) -> Vec<(String, String)> {
    const HOP: [&str; 11] = [
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "http2-settings",
    ];
    const KEPT: [&str; 6] = ["host", "x-forwarded-for", "content-type", "authorization", "cookie", "expect"];
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all: Vec<_> = head
        .fields
        .iter()
        .map(|field| (text(head.slice(field.name)).to_ascii_lowercase(), text(head.slice(field.value))))
        .collect();
    let named: Vec<String> = all
        .iter()
        .filter(|field| field.0 == "connection")
        .flat_map(|field| field.1.split(','))
        .map(|option| option.trim().to_ascii_lowercase())
        .collect();
    let modern = head.version == tidegate_message::Version::Http11;
    all.into_iter()
        .filter(|(name, _)| !HOP.contains(&name.as_str()))
        .filter(|(name, _)| !named.contains(name) || KEPT.contains(&name.as_str()))
        .filter(|(name, _)| modern || name != "expect")
        .map(
            |(name, value)| {
                if name == "host" { (name, text(head.slice(head.authority))) } else { (name, value) }
            },
        )
        .collect()
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop::sample::select(vec!["GET", "POST", "HEAD", "OPTIONS", "PUT", "x!"]);
    let target = prop_oneof![
        "/[a-z/%.]{0,12}",
        "/[a-z]{0,4}\\?[a-z=&?]{0,8}",
        "/[a-z]{0,4}#[a-z?]{0,4}",
        Just("http://b.example:81".to_owned()),
        Just("http://b.example?x#y".to_owned()),
        Just("https://[::1]/a?b".to_owned()),
        Just("*".to_owned()),
    ];
    let version = prop_oneof![9 => Just("1.1"), 1 => Just("1.0")];
    let fields = proptest::collection::vec((name(), value()), 0..10);
    let body = proptest::collection::vec(any::<u8>(), 0..40);
    (method, target, version, fields, 0..10_usize, 0..4_u8, body).prop_map(
        |(method, target, version, mut fields, host_at, framing, body)| {
            fields.insert(host_at.min(fields.len()), ("Host", "a.example".to_owned()));
            let mut bytes = format!("{method} {target} HTTP/{version}\r\n").into_bytes();
            for (name, value) in fields {
                bytes.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
            }
            match framing {
                0 | 1 => bytes.extend_from_slice(b"\r\n"),
                2 => {
                    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                    bytes.extend_from_slice(&body);
                }
                _ => {
                    bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                    for chunk in body.chunks(11) {
                        bytes.extend_from_slice(format!("{:x};a=b\r\n", chunk.len()).as_bytes());
                        bytes.extend_from_slice(chunk);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    bytes.extend_from_slice(b"0\r\nX-Sum: 1\r\nHost: c\r\n\r\n");
                }
            }
            bytes
        },
    )
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Connection",
        "X-A",
        "x-b",
        "X-Forwarded-For",
        "Content-Type",
        "Authorization",
        "Cookie",
        "TE",
        "Trailer",
        "Keep-Alive",
        "Upgrade",
        "Proxy-Connection",
        "X_Under",
        "Expect",
        "Accept",
    ])
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            " close", "keep-alive", " X-A, x-b", " x-forwarded-for, content-type,", "\tauthorization , Upgrade", "",
            " \t ", " websocket", " 100-continue", " cookie",
        ])
        .prop_map(str::to_owned),
        1 => "[ -~\t]{0,20}",
        1 => "[a-z,é]{0,20}",
    ]
}

fn interesting_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        2 => prop::sample::select(&b"\r\n :\t,;0/#?%\0\x0b\x7f\x80"[..]),
        1 => any::<u8>(),
    ]
}
