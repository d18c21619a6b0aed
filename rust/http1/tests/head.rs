//! Heads at their limits, spans, and what is kept from one head to the next.

use tidegate_http1::{
    BodyLength, Limits, Refusal, ResponseFault, copy_request_fields, copy_response_fields, parse_request,
    parse_request_after, parse_response, response_facts,
};
use tidegate_message::{Known, Method, RequestHead, ResponseHead, Version};

fn with_fields(count: usize) -> Vec<u8> {
    let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    for index in 1..count {
        bytes.extend_from_slice(format!("X-{index}: {index}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[test]
fn every_part_of_a_request_is_found() {
    let bytes = b"\r\nPOST /a/b?c=d HTTP/1.0\r\nhOST:\t a.example:80 \r\nX-A:\r\n\r\nbody";
    let mut head = RequestHead::default();
    assert_eq!(parse_request(bytes, &Limits::default(), &mut head), Ok(Some(bytes.len() - 4)));
    assert_eq!(head.method, Method::Post);
    assert_eq!(head.slice(head.method_name), b"POST");
    assert_eq!(head.slice(head.target), b"/a/b?c=d");
    assert_eq!(head.slice(head.path), b"/a/b");
    assert_eq!(head.slice(head.query), b"c=d");
    assert!(head.has_query);
    assert_eq!(head.slice(head.authority), b"a.example:80");
    assert_eq!(head.version, Version::Http10);
    assert_eq!(head.fields.len(), 2);
    assert_eq!(head.slice(head.fields[0].line), b"hOST:\t a.example:80 \r\n");
    assert_eq!(head.fields[0].known, Known::Host);
    assert_eq!(head.slice(head.fields[1].name), b"X-A");
    assert_eq!(head.slice(head.fields[1].value), b"");
    assert_eq!(head.slice(head.fields[1].line), b"X-A:\r\n");
}

#[test]
fn every_part_of_a_response_is_found() {
    let bytes = b"HTTP/1.0 404 Not here\r\nServer: x\r\n\r\n";
    let mut head = ResponseHead::default();
    assert_eq!(parse_response(bytes, &Limits::default(), &mut head), Ok(Some(bytes.len())));
    assert_eq!((head.status, head.version), (404, Version::Http10));
    assert_eq!(head.slice(head.reason), b"Not here");
    assert_eq!(head.known(Known::Server), Some(&b"x"[..]));
    for (line, reason) in [("HTTP/1.1 200", ""), ("HTTP/1.1 200 ", ""), ("HTTP/1.1 200 \t", "\t")] {
        let bytes = format!("{line}\r\n\r\n");
        parse_response(bytes.as_bytes(), &Limits::default(), &mut head).expect("a status line");
        assert_eq!(head.slice(head.reason), reason.as_bytes());
    }
}

#[test]
fn a_head_may_have_exactly_its_limits() {
    let bytes = with_fields(10);
    let mut head = RequestHead::default();
    let limits = Limits { head_bytes: bytes.len(), head_fields: 10 };
    assert_eq!(parse_request(&bytes, &limits, &mut head), Ok(Some(bytes.len())));
    let fewer = Limits { head_bytes: bytes.len() - 1, ..limits };
    assert_eq!(parse_request(&bytes, &fewer, &mut head), Err(Refusal::HeadTooLarge));
    let fewer = Limits { head_fields: 9, ..limits };
    assert_eq!(parse_request(&bytes, &fewer, &mut head), Err(Refusal::TooManyFields));
    // Bytes that follow the head do not count.
    let more = [&bytes[..], &[b'x'; 1000]].concat();
    assert_eq!(parse_request(&more, &limits, &mut head), Ok(Some(bytes.len())));
}

#[test]
fn a_thousand_fields_can_be_allowed() {
    let mut head = RequestHead::default();
    for count in [63, 64, 65, 128, 1000] {
        let bytes = with_fields(count);
        let limits = Limits { head_bytes: 1 << 20, head_fields: count };
        assert_eq!(parse_request(&bytes, &limits, &mut head), Ok(Some(bytes.len())));
        assert_eq!(head.fields.len(), count);
        let bytes = with_fields(count + 1);
        assert_eq!(parse_request(&bytes, &limits, &mut head), Err(Refusal::TooManyFields));
    }
}

#[test]
fn response_limits_are_held_too() {
    let bytes = b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n";
    let mut head = ResponseHead::default();
    let limits = Limits { head_bytes: bytes.len(), head_fields: 2 };
    assert_eq!(parse_response(bytes, &limits, &mut head), Ok(Some(bytes.len())));
    let fewer = Limits { head_bytes: bytes.len() - 1, ..limits };
    assert_eq!(parse_response(bytes, &fewer, &mut head), Err(ResponseFault::HeadTooLarge));
    let fewer = Limits { head_fields: 1, ..limits };
    assert_eq!(parse_response(bytes, &fewer, &mut head), Err(ResponseFault::TooManyFields));
}

#[test]
fn a_refused_head_leaves_no_span_without_its_bytes() {
    let mut head = RequestHead::default();
    let good = with_fields(3);
    parse_request(&good, &Limits::default(), &mut head).expect("a good head");
    for bad in [&b"GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n"[..], b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"] {
        assert!(parse_request(bad, &Limits::default(), &mut head).is_err());
        assert!(head.fields.is_empty() && head.bytes.is_empty() && head.target.is_empty());
    }
    // One that could be split is there for the log.
    let bad = b"GET /secret HTTP/1.1\r\nHost: a b\r\n\r\n";
    assert_eq!(parse_request(bad, &Limits::default(), &mut head), Err(Refusal::InvalidHost));
    assert_eq!(head.slice(head.target), b"/secret");
}

#[test]
fn a_head_is_read_into_the_room_that_is_there() {
    let bytes = with_fields(64);
    let mut head = RequestHead::default();
    parse_request(&bytes, &Limits::default(), &mut head).expect("a good head");
    let room = (head.bytes.as_ptr(), head.fields.as_ptr(), head.bytes.capacity(), head.fields.capacity());
    for count in [1, 30, 64] {
        parse_request(&with_fields(count), &Limits::default(), &mut head).expect("a good head");
        let now = (head.bytes.as_ptr(), head.fields.as_ptr(), head.bytes.capacity(), head.fields.capacity());
        assert_eq!(now, room);
    }
}

#[test]
fn a_dripping_head_is_complete_at_the_same_byte() {
    let bytes = with_fields(20);
    let mut head = RequestHead::default();
    for end in 1..bytes.len() {
        assert_eq!(parse_request(&bytes[..end], &Limits::default(), &mut head), Ok(None), "{end}");
        assert_eq!(parse_request_after(&bytes[..end], end - 1, &Limits::default(), &mut head), Ok(None));
    }
    let last = parse_request_after(&bytes, bytes.len() - 1, &Limits::default(), &mut head);
    assert_eq!(last, Ok(Some(bytes.len())));
}

#[test]
fn untouched_lines_are_copied_byte_for_byte() {
    let bytes =
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A:  b \r\nKeep-Alive: 5\r\nx_c:\r\nX-Skip: d\r\nX-E: f\r\n\r\n";
    let mut head = RequestHead::default();
    parse_request(bytes, &Limits::default(), &mut head).expect("a good head");
    let mut out = b"before;".to_vec();
    copy_request_fields(&head, &mut out, |field| head.slice(field.name) == b"X-Skip");
    assert_eq!(out, b"before;Host: a\r\nX-A:  b \r\nx_c:\r\nX-E: f\r\n");
}

#[test]
fn a_caller_that_skips_host_writes_its_own() {
    let bytes = b"GET http://b/ HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    let mut head = RequestHead::default();
    parse_request(bytes, &Limits::default(), &mut head).expect("a good head");
    let mut out = Vec::new();
    copy_request_fields(&head, &mut out, |_| false);
    assert_eq!(out, b"Host: b\r\nX: y\r\n");
    out.clear();
    copy_request_fields(&head, &mut out, |field| field.known == Known::Host);
    assert_eq!(out, b"X: y\r\n");
}

#[test]
fn a_response_keeps_what_connection_cannot_take_away() {
    let bytes = b"HTTP/1.1 200 OK\r\nConnection: X-Hop, Set-Cookie, Cache-Control, close\r\nX-Hop: 1\r\n\
        Set-Cookie: a=b\r\nCache-Control: private\r\nTransfer-Encoding: chunked\r\nServer: x\r\n\r\n";
    let mut head = ResponseHead::default();
    parse_response(bytes, &Limits::default(), &mut head).expect("a good head");
    let mut out = Vec::new();
    copy_response_fields(&head, &mut out, |_| false);
    assert_eq!(out, b"Set-Cookie: a=b\r\nCache-Control: private\r\nServer: x\r\n");
    let facts = response_facts(&head, Method::Get).expect("good framing");
    assert_eq!((facts.body, facts.keep_alive), (BodyLength::Chunked, false));
}
