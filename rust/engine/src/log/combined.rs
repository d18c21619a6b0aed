//! nginx's `combined` format, to the byte.

use tidegate_message::Known;

use super::{
    calendar, escape,
    number::{push_decimal, push_ip},
    record::{Record, request_line},
};

/// `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`.
pub(super) fn write(record: &Record<'_>, out: &mut Vec<u8>) {
    let head = record.read_head();
    push_ip(record.client_ip, out);
    out.extend_from_slice(b" - ");
    value(Some(record.user.as_bytes()).filter(|user| !user.is_empty()), out);
    out.extend_from_slice(b" [");
    calendar::push_local(record.time, out);
    out.extend_from_slice(b"] \"");
    value(head.map(request_line), out);
    out.extend_from_slice(b"\" ");
    push_decimal(u64::from(record.status), out);
    out.push(b' ');
    push_decimal(record.bytes_sent, out);
    out.extend_from_slice(b" \"");
    value(head.and_then(|head| head.known(Known::Referer)), out);
    out.extend_from_slice(b"\" \"");
    value(head.and_then(|head| head.known(Known::UserAgent)), out);
    out.extend_from_slice(b"\"\n");
}

/// What is not there is a hyphen; what is there and empty is nothing.
fn value(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        Some(value) => escape::nginx(value, out),
        None => out.push(b'-'),
    }
}
