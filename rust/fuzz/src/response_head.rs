//! Response heads: spans that hold, named faults, and the same verdict however the bytes come.

use tidegate_http1::{
    BodyLength, Limits, ResponseFault, copy_response_fields, parse_response, parse_response_after,
    response_facts,
};
use tidegate_message::{Method, ResponseHead};

/// Checks what must hold for any bytes.
pub fn run(data: &[u8]) {
    let limits = Limits::default();
    let mut head = ResponseHead::default();
    let verdict = parse_response(data, &limits, &mut head);
    match verdict {
        Ok(Some(length)) => accepted(data, length, &head),
        Ok(None) => assert!(data.len() < limits.head_bytes, "an endless head is refused"),
        Err(fault) => assert_ne!(fault, ResponseFault::MalformedHead, "every fault names its cause"),
    }
    let mut seen = 0;
    while seen < data.len() {
        let end = data.len().min(seen + seen % 5 + 1);
        match (parse_response_after(&data[..end], seen, &limits, &mut head), verdict) {
            (Ok(None), _) => seen = end,
            (Ok(length), whole) => {
                assert_eq!(whole, Ok(length));
                return;
            }
            (Err(_), Err(_)) => return,
            (Err(fault), whole) => panic!("{fault} of a part, {whole:?} of the whole"),
        }
    }
    assert!(!matches!(verdict, Ok(Some(_))), "a whole head was not seen");
}

fn accepted(data: &[u8], length: usize, head: &ResponseHead) {
    assert_eq!(head.bytes, data[..length]);
    assert!((100..=599).contains(&head.status));
    let line = data[..length].split(|byte| *byte == b'\n').next().unwrap_or_default();
    assert!(line.strip_suffix(b"\r").is_some_and(|line| line.ends_with(head.slice(head.reason))));
    for field in &head.fields {
        let line = field.line.of(&head.bytes);
        assert_eq!(line.iter().filter(|byte| matches!(byte, b'\r' | b'\n' | 0)).count(), 2);
        assert!(line.ends_with(b"\r\n"));
    }
    for method in [Method::Get, Method::Head] {
        let Ok(facts) = response_facts(head, method) else { continue };
        let bodiless = method == Method::Head || matches!(head.status, 100..=199 | 204 | 304);
        assert_eq!(facts.body == BodyLength::None, bodiless);
        assert!(!(facts.body == BodyLength::UntilClose && facts.keep_alive));
    }
    let mut out = Vec::new();
    copy_response_fields(head, &mut out, |_| false);
    assert!(out.is_empty() || out.ends_with(b"\r\n"));
}
