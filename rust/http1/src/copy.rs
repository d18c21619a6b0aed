//! Which fields go on: runs of untouched lines are copied as they came.
//!
//! Connection names further fields that belong to this hop (RFC 9110 §7.6.1), and they are left out too. But
//! a sender must not name a field that is meant for every recipient, and one who does so to a gateway wants a
//! field to vanish that somebody behind it relies on: those stay.

use tidegate_message::{Field, Known, RequestHead, ResponseHead, Version, hop_by_hop, list_members};

/// Names that Connection cannot take away: what describes the content, what decides caching (RFC 9110 §7.6.1
/// names Cache-Control as the example), and who the client is as those before us have found it.
const PROTECTED: &[&[u8]] = &[
    b"accept",
    b"accept-encoding",
    b"age",
    b"allow",
    b"authorization",
    b"cache-control",
    b"cookie",
    b"date",
    b"etag",
    b"expect",
    b"expires",
    b"forwarded",
    b"host",
    b"location",
    b"max-forwards",
    b"origin",
    b"pragma",
    b"range",
    b"retry-after",
    b"set-cookie",
    b"strict-transport-security",
    b"traceparent",
    b"tracestate",
    b"true-client-ip",
    b"vary",
    b"via",
    b"www-authenticate",
    b"x-api-key",
    b"x-client-ip",
    b"x-real-ip",
    b"x-request-id",
];

/// Families of such names.
const PROTECTED_PREFIXES: &[&[u8]] =
    &[b"access-control-", b"cf-", b"content-", b"if-", b"sec-", b"x-forwarded-", b"x-ssl-"];

/// Appends the request's fields that go to the next hop, in their order, each with its CRLF.
///
/// Left out are hop-by-hop fields, those that Connection names (see above), the fields that frame the body
/// (the caller derives its own), Expect on HTTP/1.0, where it has no meaning (RFC 9110 §10.1.1), and those for
/// which `also_skip` says so. Where the target's authority is not the Host field's, Host is written anew from
/// it (RFC 9112 §3.2.2). A request without Host (HTTP/1.0 only) gets none here.
pub fn copy_request_fields(head: &RequestHead, out: &mut Vec<u8>, also_skip: impl Fn(&Field) -> bool) {
    let named = Named::gather(&head.bytes, &head.fields);
    let old = head.version == Version::Http10;
    let mut run = Run::new(&head.bytes);
    for field in &head.fields {
        if hop_by_hop(field.known)
            || also_skip(field)
            || (old && field.known == Known::Expect)
            || named.contains(field)
        {
            run.flush(out);
        } else if field.known == Known::Host && field.value != head.authority {
            run.flush(out);
            out.extend_from_slice(field.name.of(&head.bytes));
            out.extend_from_slice(b": ");
            out.extend_from_slice(head.authority.of(&head.bytes));
            out.extend_from_slice(b"\r\n");
        } else {
            run.keep(field);
        }
    }
    run.flush(out);
}

/// Appends the response's fields that go to the client; as [`copy_request_fields`] leaves out.
pub fn copy_response_fields(head: &ResponseHead, out: &mut Vec<u8>, also_skip: impl Fn(&Field) -> bool) {
    let named = Named::gather(&head.bytes, &head.fields);
    let mut run = Run::new(&head.bytes);
    for field in &head.fields {
        if hop_by_hop(field.known) || also_skip(field) || named.contains(field) {
            run.flush(out);
        } else {
            run.keep(field);
        }
    }
    run.flush(out);
}

/// Lines that stand together and are to be copied together.
struct Run<'a> {
    bytes: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Run<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, start: 0, end: 0 }
    }

    fn keep(&mut self, field: &Field) {
        if self.start == self.end {
            self.start = field.line.start as usize;
        }
        self.end = field.line.end as usize;
    }

    /// Copies what was kept so far; a line that is left out ends the run.
    fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[self.start..self.end]);
        self.start = self.end;
    }
}

/// The fields that Connection names beyond those that are left out anyway; nearly always none.
struct Named<'a> {
    bytes: &'a [u8],
    fields: &'a [Field],
    any: bool,
}

impl<'a> Named<'a> {
    fn gather(bytes: &'a [u8], fields: &'a [Field]) -> Self {
        let mut named = Self { bytes, fields, any: false };
        named.any = named.options().any(|option| !is_usual(option));
        named
    }

    /// The comparison of every field with every option is bounded by the check of the number of options when
    /// the head's facts are derived.
    fn contains(&self, field: &Field) -> bool {
        if !self.any {
            return false;
        }
        let name = field.name.of(self.bytes);
        self.options().any(|option| option.eq_ignore_ascii_case(name)) && !is_protected(name)
    }

    fn options(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        self.fields
            .iter()
            .filter(|field| field.known == Known::Connection)
            .flat_map(move |field| list_members(field.value.of(bytes)))
    }
}

/// The options that name no field, or one that is left out anyway.
fn is_usual(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"keep-alive")
        || option.eq_ignore_ascii_case(b"close")
        || hop_by_hop(Known::parse(option))
}

fn is_protected(name: &[u8]) -> bool {
    PROTECTED.iter().any(|known| known.eq_ignore_ascii_case(name))
        || PROTECTED_PREFIXES
            .iter()
            .any(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}
