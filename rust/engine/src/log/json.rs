//! One JSON object a line, always with the same keys in the same order.

use tidegate_message::{Known, RequestHead};

use super::{
    calendar, escape,
    number::{push_decimal, push_ip, push_milliseconds},
    record::Record,
};

/// Text that is not known is empty, `upstream_duration_ms` is `null` where no upstream answered.
pub(super) fn write(record: &Record<'_>, out: &mut Vec<u8>) {
    let head = record.read_head();
    let part = |part: fn(&RequestHead) -> &[u8]| head.map(part).unwrap_or_default();
    let known = |name| head.and_then(|head| head.known(name)).unwrap_or_default();
    out.extend_from_slice(b"{\"time\":\"");
    calendar::push_utc(record.time, out);
    out.extend_from_slice(b"\",\"client_ip\":\"");
    push_ip(record.client_ip, out);
    text(b"\",\"user\":\"", record.user.as_bytes(), out);
    text(b"\",\"method\":\"", part(|head| head.slice(head.method_name)), out);
    text(b"\",\"host\":\"", record.host, out);
    text(b"\",\"target\":\"", part(|head| head.slice(head.target)), out);
    let protocol = head.map_or(record.protocol, |head| head.version.as_str());
    text(b"\",\"protocol\":\"", protocol.as_bytes(), out);
    number(b"\",\"status\":", u64::from(record.status), out);
    number(b",\"bytes_sent\":", record.bytes_sent, out);
    number(b",\"bytes_received\":", record.bytes_received, out);
    out.extend_from_slice(b",\"duration_ms\":");
    push_milliseconds(record.duration, out);
    text(b",\"listener\":\"", record.listener.as_bytes(), out);
    text(b"\",\"route\":\"", record.route.as_bytes(), out);
    text(b"\",\"upstream\":\"", record.upstream.as_bytes(), out);
    text(b"\",\"endpoint\":\"", record.endpoint.as_bytes(), out);
    out.extend_from_slice(b"\",\"upstream_duration_ms\":");
    match record.upstream_duration {
        Some(duration) => push_milliseconds(duration, out),
        None => out.extend_from_slice(b"null"),
    }
    number(b",\"attempts\":", u64::from(record.attempts), out);
    text(b",\"reason\":\"", record.reason.as_bytes(), out);
    text(b"\",\"request_id\":\"", record.request_id.as_bytes(), out);
    text(b"\",\"traceparent\":\"", record.traceparent, out);
    text(b"\",\"referer\":\"", known(Known::Referer), out);
    text(b"\",\"user_agent\":\"", known(Known::UserAgent), out);
    out.extend_from_slice(b"\"}\n");
}

fn text(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    escape::json(value, out);
}

fn number(key: &[u8], value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    push_decimal(value, out);
}
