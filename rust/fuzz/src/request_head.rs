//! Request heads: spans that hold, named refusals, and the same verdict however the bytes come.

use tidegate_http1::{
    Limits, Refusal, copy_request_fields, parse_request, parse_request_after, request_facts,
};
use tidegate_message::{Method, RequestHead, Span};

/// Checks what must hold for any bytes.
pub fn run(data: &[u8]) {
    let limits = Limits::default();
    let mut head = RequestHead::default();
    let verdict = parse_request(data, &limits, &mut head);
    match verdict {
        Ok(Some(length)) => {
            accepted(data, length, &head);
            small_limits(data, length, &head);
        }
        Ok(None) => assert!(data.len() < limits.head_bytes, "an endless head is refused"),
        Err(refusal) => {
            assert_ne!(refusal, Refusal::MalformedHead, "every refusal names its cause");
            assert!(head.bytes.is_empty() == head.fields.is_empty() || !head.bytes.is_empty());
        }
    }
    in_pieces(data, verdict);
}

fn accepted(data: &[u8], length: usize, head: &RequestHead) {
    assert_eq!(head.bytes, data[..length]);
    assert!(data[..length].ends_with(b"\r\n\r\n"));
    assert!(!matches!(head.method, Method::Connect | Method::Trace));
    for span in [head.method_name, head.target, head.path, head.query, head.authority] {
        inside(span, length);
    }
    let mut at = None;
    for field in &head.fields {
        inside(field.line, length);
        assert!(at.is_none_or(|at| at == field.line.start), "lines stand side by side");
        at = Some(field.line.end);
        let line = field.line.of(&head.bytes);
        assert_eq!(line.iter().filter(|byte| matches!(byte, b'\r' | b'\n' | 0)).count(), 2);
        assert!(line.ends_with(b"\r\n"));
        assert!(field.name.start == field.line.start && field.value.end < field.line.end);
        assert_eq!(head.bytes[field.name.end as usize], b':');
    }
    assert!(at.is_none_or(|at| at as usize == length - 2), "the last line stands before the empty one");
    let facts = request_facts(head);
    let mut out = Vec::new();
    copy_request_fields(head, &mut out, |_| false);
    assert!(out.is_empty() || out.ends_with(b"\r\n"));
    if let Ok(facts) = facts
        && let Some(span) = facts.upgrade
    {
        inside(span, length);
    }
}

/// A head that just fits is taken, and one byte less refuses it.
fn small_limits(data: &[u8], length: usize, head: &RequestHead) {
    let exact = Limits { head_bytes: length, head_fields: head.fields.len() };
    let mut again = RequestHead::default();
    assert_eq!(parse_request(data, &exact, &mut again), Ok(Some(length)));
    assert!(parse_request(data, &Limits { head_bytes: length - 1, ..exact }, &mut again).is_err());
    if let Some(fewer) = exact.head_fields.checked_sub(1) {
        let fewer = Limits { head_fields: fewer, ..exact };
        assert_eq!(parse_request(data, &fewer, &mut again), Err(Refusal::TooManyFields));
    }
}

/// An accepted head is incomplete up to its last byte; a refused one is never accepted on the way.
fn in_pieces(data: &[u8], verdict: Result<Option<usize>, Refusal>) {
    let limits = Limits::default();
    let mut head = RequestHead::default();
    let (mut seen, mut step) = (0, 1);
    while seen < data.len() {
        let end = data.len().min(seen + step);
        step = step % 7 + 1;
        match (parse_request_after(&data[..end], seen, &limits, &mut head), verdict) {
            (Ok(None), _) => seen = end,
            (Ok(Some(length)), whole) => {
                assert_eq!(whole, Ok(Some(length)));
                assert!(length > seen && length <= end);
                return;
            }
            (Err(_), Err(_)) => return,
            (Err(refusal), whole) => panic!("{refusal} of a part, {whole:?} of the whole"),
        }
    }
    assert!(!matches!(verdict, Ok(Some(_))), "a whole head was not seen");
}

fn inside(span: Span, length: usize) {
    assert!(span.start <= span.end && span.end as usize <= length);
}
