//! What is written to either side: heads with the framing that Tidegate derived itself, and nothing of the sender's.

use tidegate_auth::without_query_parameter;
use tidegate_http1::{BodyLength, RequestFacts, copy_request_fields, copy_response_fields};
use tidegate_message::{Field, Known, Method, Version, hop_by_hop};
use tidegate_plan::ForwardedStyle;

use crate::{
    abuse::shadow::shadows,
    answer::{push_field, push_number_field, write_connection, write_status},
    connection::Next,
    exchange::Exchange,
    failure::{Cause, Failure},
    handshake,
    loop_guard::LoopGuard,
    prepare::PreparedRoute,
    upstream::Endpoint,
    variables::Variables,
    worker::{Worker, WorkerPlan},
};

/// Writes the request's head as the upstream gets it.
pub fn request(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    exchange: &Exchange,
    facts: &RequestFacts,
    endpoint: &Endpoint,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let head = &exchange.head;
    let server = &plan.shared.plan.server;
    let variables = Variables { worker, plan, exchange };
    out.extend_from_slice(head.slice(head.method_name));
    out.push(b' ');
    match &route.rewrite {
        Some(rewrite) if rewrite.rewrites_target() => {
            rewrite
                .rewrite_path(head, exchange.path(), exchange.prefix_len, &variables, out)
                .map_err(|refusal| Failure::client(Cause::BadPath(refusal.as_str())))?;
            if rewrite.rewrites_query() {
                rewrite.rewrite_query(head, &variables, out);
            } else {
                own_query(route, exchange, out);
            }
        }
        _ => {
            own_path(exchange, out);
            own_query(route, exchange, out);
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    let rewritten = route.rewrite.as_ref().is_some_and(|rewrite| rewrite.write_host(&variables, out));
    if !rewritten {
        let own = head.slice(head.authority);
        out.extend_from_slice(if own.is_empty() { endpoint.authority.as_bytes() } else { own });
    }
    out.extend_from_slice(b"\r\n");

    let id_header = server.request_id.header.as_bytes();
    let is_ours = |field: &Field, name: &[u8]| {
        let forwarded = match field.known {
            Known::Host => true,
            Known::XForwardedFor | Known::XForwardedProto | Known::XForwardedHost => {
                tells_x_forwarded(server.forwarded)
            }
            Known::Forwarded => tells_forwarded(server.forwarded),
            Known::Expect => !facts.expect_continue || exchange.body.is_received(),
            _ => false,
        };
        if forwarded {
            return true;
        }
        // A client's word on these is worth something only where a trusted proxy passed it on.
        (field.known == Known::XForwardedPort && !exchange.peer_trusted)
            || (!id_header.is_empty() && name.eq_ignore_ascii_case(id_header))
            || route.strips(field, name)
            || drops_for_cache(route, exchange, field, name)
            || route.request_edits.removes(name)
            || exchange.hook_remove.iter().any(|removed| name.eq_ignore_ascii_case(removed.as_bytes()))
    };
    let ours = |field: &Field| {
        let name = head.slice(field.name);
        is_ours(field, name)
            || shadows(name, |hyphenated| {
                let known = Known::parse(hyphenated);
                hop_by_hop(known) || is_ours(&Field { known, ..*field }, hyphenated)
            })
    };
    copy_request_fields(head, out, ours);
    identity(route, exchange, out);

    if tells_x_forwarded(server.forwarded) {
        x_forwarded(&variables, out);
    }
    if tells_forwarded(server.forwarded) {
        forwarded(&variables, out);
    }
    if !id_header.is_empty() {
        push_field(out, id_header, exchange.request_id().as_bytes());
    }
    if !exchange.traceparent.is_empty() {
        push_field(out, b"traceparent", exchange.traceparent.as_bytes());
    }
    let guard = plan.shared.loop_guard.as_ref();
    if let Some(guard) = guard {
        guard.write(head.version, out);
    }
    if server.via && !guard.is_some_and(LoopGuard::is_via) {
        via(head.version, out);
    }
    route.request_edits.write(&variables, out);
    out.extend_from_slice(&exchange.hook_set);
    if let Some(cached) = &exchange.cached {
        out.extend_from_slice(&cached.validators);
        out.extend_from_slice(&cached.lines);
    }
    match facts.body {
        BodyLength::None | BodyLength::UntilClose => {}
        BodyLength::Exact(length) => content_length(length, out),
        BodyLength::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    if let Some(upgrade) = facts.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
        push_field(out, b"Upgrade", head.slice(upgrade));
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// What the upstream is told of who came, but for what somebody else has the last word on.
fn identity(route: &PreparedRoute, exchange: &Exchange, out: &mut Vec<u8>) {
    for line in exchange.identity.split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let replaced =
            exchange.hook_remove.iter().any(|removed| name.eq_ignore_ascii_case(removed.as_bytes()));
        if !replaced && !route.request_edits.removes(name) {
            out.extend_from_slice(line);
        }
    }
}

/// The path as it came: an absolute form's scheme and authority and a fragment are none of it (RFC 9112 §3.2.1).
pub fn own_path(exchange: &Exchange, out: &mut Vec<u8>) {
    let head = &exchange.head;
    if head.path.is_empty() {
        out.extend_from_slice(if head.method == Method::Options { b"*" } else { b"/" });
    } else {
        out.extend_from_slice(head.slice(head.path));
    }
}

/// The query as it came, without a key that is not for the upstream.
fn own_query(route: &PreparedRoute, exchange: &Exchange, out: &mut Vec<u8>) {
    let head = &exchange.head;
    if !head.has_query {
        return;
    }
    if let (Some(cache), true) = (&route.cache, keeps(exchange)) {
        // What is not in the key is not sent.
        tidegate_cache::key::write_query(&cache.rules.key.query, head.slice(head.query), out);
        return;
    }
    out.push(b'?');
    let start = out.len();
    out.extend_from_slice(head.slice(head.query));
    for (name, _) in route.query_credentials().filter(|(_, strip)| *strip) {
        let query = out.split_off(start);
        without_query_parameter(&query, name.as_bytes(), out);
        if out.len() == start && !query.is_empty() {
            // Nothing but credentials stood behind the question mark.
            out.truncate(start - 1);
            return;
        }
    }
}

/// Whether the answer may be kept.
fn keeps(exchange: &Exchange) -> bool {
    exchange.cached.as_ref().is_some_and(|cached| cached.lead.is_some())
}

/// Whether a field stays behind because answers are kept that it does not tell apart.
fn drops_for_cache(route: &PreparedRoute, exchange: &Exchange, field: &Field, name: &[u8]) -> bool {
    match (&exchange.cached, &route.cache) {
        (Some(cached), Some(cache)) => cached.drops(cache, field, name),
        _ => false,
    }
}

fn tells_x_forwarded(style: ForwardedStyle) -> bool {
    matches!(style, ForwardedStyle::XForwarded | ForwardedStyle::Both)
}

fn tells_forwarded(style: ForwardedStyle) -> bool {
    matches!(style, ForwardedStyle::Forwarded | ForwardedStyle::Both)
}

/// Trusted proxies' lists are continued; anybody else's are replaced.
pub fn x_forwarded(variables: &Variables<'_>, out: &mut Vec<u8>) {
    let exchange = variables.exchange;
    let head = &exchange.head;
    out.extend_from_slice(b"X-Forwarded-For: ");
    if exchange.peer_trusted {
        for value in head.all(Known::XForwardedFor) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
        variables.peer_ip(out);
    } else {
        out.extend_from_slice(exchange.client_text.as_bytes());
    }
    out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
    out.extend_from_slice(variables.scheme());
    out.extend_from_slice(b"\r\nX-Forwarded-Host: ");
    match head.known(Known::XForwardedHost) {
        Some(told) if exchange.peer_trusted => out.extend_from_slice(told),
        _ => out.extend_from_slice(head.slice(head.authority)),
    }
    out.extend_from_slice(b"\r\n");
}

/// RFC 7239 §4: an IPv6 address stands in brackets and quotation marks.
fn forwarded(variables: &Variables<'_>, out: &mut Vec<u8>) {
    let exchange = variables.exchange;
    let head = &exchange.head;
    out.extend_from_slice(b"Forwarded: ");
    if exchange.peer_trusted {
        for value in head.all(Known::Forwarded) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }
    out.extend_from_slice(b"for=");
    if exchange.peer.ip().to_canonical().is_ipv6() {
        out.extend_from_slice(b"\"[");
        variables.peer_ip(out);
        out.extend_from_slice(b"]\"");
    } else {
        variables.peer_ip(out);
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(variables.scheme());
    if !head.authority.is_empty() {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(head.slice(head.authority));
        out.push(b'"');
    }
    out.extend_from_slice(b"\r\n");
}

/// RFC 9110 §7.6.3.
fn via(received: Version, out: &mut Vec<u8>) {
    out.extend_from_slice(match received {
        Version::Http10 => b"Via: 1.0 tidegate\r\n",
        Version::Http11 => b"Via: 1.1 tidegate\r\n",
        Version::Http2 => b"Via: 2.0 tidegate\r\n",
    });
}

fn content_length(length: u64, out: &mut Vec<u8>) {
    push_number_field(out, b"Content-Length", length);
}

/// Writes the response's head as the client gets it. `chunked`: its body goes out in chunks.
#[allow(clippy::too_many_arguments)] // what a response's head depends on
pub fn response(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    exchange: &Exchange,
    body: BodyLength,
    chunked: bool,
    next: Next,
    out: &mut Vec<u8>,
) {
    let head = &exchange.response;
    write_status(out, head.status, head.slice(head.reason));
    response_fields(worker, plan, route, exchange, out);
    match body {
        BodyLength::Exact(length) => content_length(length, out),
        BodyLength::Chunked | BodyLength::UntilClose if chunked => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        BodyLength::None if exchange.head.method == Method::Head || head.status == 304 => {
            // What a GET would have had (RFC 9110 §8.6).
            if let Some(length) = head.known(Known::ContentLength) {
                push_field(out, b"Content-Length", length);
            }
        }
        _ => {}
    }
    write_connection(out, exchange, next);
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of a `101`, with the protocol that the upstream chose.
pub fn switching(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    exchange: &Exchange,
    out: &mut Vec<u8>,
) {
    let head = &exchange.response;
    write_status(out, 101, head.slice(head.reason));
    response_fields(worker, plan, route, exchange, out);
    out.extend_from_slice(b"Connection: Upgrade\r\n");
    if let Some(protocol) = head.known(Known::Upgrade) {
        push_field(out, b"Upgrade", protocol);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of an informational response.
pub fn informational(exchange: &Exchange, out: &mut Vec<u8>) {
    let head = &exchange.response;
    write_status(out, head.status, head.slice(head.reason));
    copy_response_fields(head, out, |_| false);
    out.extend_from_slice(b"\r\n");
}

fn response_fields(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    exchange: &Exchange,
    out: &mut Vec<u8>,
) {
    let head = &exchange.response;
    let server = &plan.shared.plan.server;
    let id_header = server.request_id.header.as_bytes();
    let tells_id = server.request_id.respond && !id_header.is_empty();
    let hsts = handshake::hsts(plan, exchange, Some(route));
    if route.response_edits.is_empty() && !tells_id && hsts.is_empty() {
        copy_response_fields(head, out, |_| false);
    } else {
        copy_response_fields(head, out, |field| {
            let name = head.slice(field.name);
            (tells_id && name.eq_ignore_ascii_case(id_header))
                || (!hsts.is_empty() && name.eq_ignore_ascii_case(handshake::HSTS))
                || route.response_edits.removes(name)
        });
    }
    if head.known(Known::Date).is_none() {
        // RFC 9110 §6.6.1: whoever forwards a response without a date adds the time at which it came.
        out.extend_from_slice(b"Date: ");
        worker.date(out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(&exchange.fields);
    if !hsts.is_empty() {
        push_field(out, handshake::HSTS, hsts.as_bytes());
    }
    if tells_id {
        push_field(out, id_header, exchange.request_id().as_bytes());
    }
    if server.via {
        via(head.version, out);
    }
    route.response_edits.write(&Variables { worker, plan, exchange }, out);
}
