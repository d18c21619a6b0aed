//! Records for tests.

use std::time::{Duration, UNIX_EPOCH};

use tidegate_message::{Field, Known, RequestHead, Span};
use tidegate_plan::Variable;

use super::Record;

/// A head of `GET TARGET HTTP/1.1` with these fields.
pub(crate) fn head(target: &[u8], fields: &[(&str, &[u8])]) -> RequestHead {
    let mut head = RequestHead::default();
    head.bytes.extend_from_slice(b"GET ");
    head.method_name = Span::new(0, 3);
    head.target = Span::new(4, 4 + target.len());
    head.bytes.extend_from_slice(target);
    head.bytes.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in fields {
        let start = head.bytes.len();
        head.bytes.extend_from_slice(name.as_bytes());
        head.bytes.extend_from_slice(b": ");
        let value_start = head.bytes.len();
        head.bytes.extend_from_slice(value);
        let value_end = head.bytes.len();
        head.bytes.extend_from_slice(b"\r\n");
        head.fields.push(Field {
            known: Known::parse(name.as_bytes()),
            name: Span::new(start, start + name.len()),
            value: Span::new(value_start, value_end),
            line: Span::new(start, head.bytes.len()),
        });
    }
    head.bytes.extend_from_slice(b"\r\n");
    head
}

/// An exchange like many.
pub(crate) fn record(head: Option<&RequestHead>) -> Record<'_> {
    Record {
        head,
        protocol: "",
        client_ip: [192, 0, 2, 7].into(),
        user: "ci",
        time: UNIX_EPOCH + Duration::from_millis(1_795_233_600_123),
        duration: Duration::from_micros(1_234),
        status: 200,
        bytes_sent: 5120,
        bytes_received: 17,
        route: "api",
        upstream: "backend",
        endpoint: "10.0.0.1:8080",
        upstream_duration: Some(Duration::from_micros(987)),
        attempts: 1,
        reason: "",
        request_id: "4bf92f3577b34da6a3ce929d0e0e4736",
        traceparent: b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        host: b"api.example.com",
        listener: ":8080",
    }
}

/// Variables that know a little.
pub(crate) struct Few;

impl tidegate_route::Variables for Few {
    fn write(&self, variable: Variable, out: &mut Vec<u8>) {
        match variable {
            Variable::Method => out.extend_from_slice(b"GET"),
            Variable::Status => out.extend_from_slice(b"999"),
            _ => {}
        }
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == "x-evil").then_some(b"a\"b\nc\xff")
    }

    fn query(&self, _: &str, _: &mut Vec<u8>) {}

    fn claim(&self, _: &str, _: &mut Vec<u8>) {}

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn capture(&self, _: &str) -> Option<&[u8]> {
        None
    }
}
