//! Answers from the store: the head that is kept, with what only this moment knows, and the content without a copy.

use std::{future::poll_fn, io::IoSlice, ops::Range, sync::Arc, task::Poll};

use tidegate_cache::{
    Freshness, Object, Outcome, Reason, RequestFacts,
    fields::{Fields, Kept},
    present::{self, Part, Shown, View},
    range, status,
};
use tidegate_message::Method;

use super::{count, now_ms};
use crate::{
    answer::{self, push_field, push_number_field, reason_phrase, write_connection, write_status},
    connection::{Close, Connection, Next},
    exchange::Exchange,
    handshake,
    prepare::PreparedRoute,
    variables::Variables,
    worker::{Worker, WorkerPlan},
};

/// Contents up to this are copied behind their head: cheaper than parts of their own.
const COPIED: u64 = 4096;
/// Pieces of content that go out in one call.
const PIECES_MOST: usize = 16;

/// An answer that is given from the store.
#[derive(Debug)]
pub struct Given {
    /// What.
    pub object: Arc<Object>,
    /// How the request was met.
    pub outcome: Outcome,
    /// Why the origin was asked, where it was.
    pub reason: Option<Reason>,
    /// What the origin answered, where it did.
    pub forwarded: Option<u16>,
    /// The text of the key, where the client is told.
    pub debug: bool,
    /// What the request says to caches.
    pub facts: RequestFacts,
}

/// Sends an answer from the store.
pub async fn give(
    worker: &Worker,
    plan: &WorkerPlan,
    connection: &mut Connection,
    exchange: &mut Exchange,
    route: &PreparedRoute,
    given: Given,
) -> Next {
    let object = &*given.object;
    let read = exchange.skip_body();
    let next = if read { exchange.after(worker, plan, connection) } else { Next::Close(Close::Unread) };
    count(worker, route.slot, given.outcome, given.reason);
    let now = now_ms(worker);
    let told = status::Told {
        outcome: given.outcome,
        reason: given.reason,
        ttl: Some(object.freshness().left(now)),
        forwarded: given.forwarded,
        stored: false,
    };
    push_status(&mut exchange.fields, &told, given.debug.then(|| object.key()));
    let view = View {
        status: object.status(),
        fields: object.fields(),
        total: Some(object.total()),
        response_ms: object.freshness().response_ms,
    };
    let shown = present::show(&view, &exchange.head, &given.facts);
    let mut parts = Parts::new(&shown, &view, object.part().map_or(0, |part| part.start));
    let is_head = exchange.head.method == Method::Head;
    let mut out = std::mem::take(&mut exchange.to_client);
    let length = parts.length;
    write_head(worker, plan, route, exchange, &view, &shown, object.freshness(), &mut out);
    parts.write_fields(&shown, &view, &mut out);
    // RFC 9110 §15.4.5: a 304 that says how long the content is may be taken for one that has it.
    if shown != Shown::NotModified && view.status != 204 {
        push_number_field(&mut out, b"Content-Length", length);
    }
    write_connection(&mut out, exchange, next);
    out.extend_from_slice(b"\r\n");
    exchange.status = shown.status(view.status);
    if is_head || length == 0 {
        parts.list.clear();
    } else {
        exchange.bytes_sent += length;
    }
    if length <= COPIED {
        for (head, part) in parts.list.drain(..) {
            out.extend_from_slice(&head);
            object.pieces(part).for_each(|piece| out.extend_from_slice(piece));
        }
    }
    exchange.to_client = out;
    if parts.list.is_empty() {
        return answer::deliver(plan, connection, exchange, next).await;
    }
    deliver(plan, connection, exchange, object, &parts, next).await
}

/// What of the content is sent, each part behind its own head.
struct Parts {
    list: Vec<Part>,
    /// Bytes of all, with their heads.
    length: u64,
    boundary: String,
}

impl Parts {
    /// `start` is where what is kept begins in the whole.
    fn new(shown: &Shown, view: &View<'_>, start: u64) -> Self {
        let total = view.total.unwrap_or(0);
        let mut made = Self { list: Vec::new(), length: 0, boundary: String::new() };
        let shift = |part: &Range<u64>| part.start - start.min(part.start)..part.end - start.min(part.end);
        match shown {
            Shown::Whole => made.list.push((Vec::new(), 0..total)),
            Shown::Part(part) => made.list.push((Vec::new(), shift(part))),
            Shown::Parts(ranges) => {
                made.boundary = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
                let kind = view.fields.value(b"content-type");
                let (heads, end) = present::parts(ranges, total, kind, &made.boundary);
                made.list.extend(heads.into_iter().map(|(head, part)| (head, shift(&part))));
                made.list.push((end, 0..0));
            }
            Shown::NotModified | Shown::Unsatisfiable => {}
        }
        made.length = made.list.iter().map(|(head, part)| head.len() as u64 + part.end - part.start).sum();
        made
    }

    fn write_fields(&self, shown: &Shown, view: &View<'_>, out: &mut Vec<u8>) {
        let total = view.total.unwrap_or(0);
        match shown {
            Shown::Part(part) => {
                out.extend_from_slice(b"Content-Range: ");
                range::write_content_range(part, total, out);
                out.extend_from_slice(b"\r\n");
            }
            Shown::Parts(_) => {
                out.extend_from_slice(b"Content-Type: multipart/byteranges; boundary=");
                out.extend_from_slice(self.boundary.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            Shown::Unsatisfiable => {
                out.extend_from_slice(format!("Content-Range: bytes */{total}\r\n").as_bytes());
            }
            Shown::Whole | Shown::NotModified => {}
        }
    }
}

/// Appends the line that says what the cache did.
pub fn push_status(out: &mut Vec<u8>, told: &status::Told, key: Option<&[u8]>) {
    out.extend_from_slice(b"Cache-Status: ");
    status::write(told, key, out);
    out.extend_from_slice(b"\r\n");
}

/// Writes the head up to where framing begins: kept lines, then what only this moment knows.
#[allow(clippy::too_many_arguments)] // what a head depends on
pub fn write_head(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    exchange: &Exchange,
    view: &View<'_>,
    shown: &Shown,
    freshness: &Freshness,
    out: &mut Vec<u8>,
) {
    let server = &plan.shared.plan.server;
    let id_header = server.request_id.header.as_bytes();
    let tells_id = server.request_id.respond && !id_header.is_empty();
    let code = shown.status(view.status);
    let hsts = handshake::hsts(plan, exchange, Some(route));
    write_status(out, code, reason_phrase(code).as_bytes());
    write_kept(
        view.fields,
        shown,
        out,
        |name| {
            route.response_edits.removes(name)
                || (tells_id && name.eq_ignore_ascii_case(id_header))
                || (!hsts.is_empty() && name.eq_ignore_ascii_case(handshake::HSTS))
        },
        route.response_edits.is_empty() && !tells_id && hsts.is_empty(),
    );
    push_number_field(out, b"Age", u64::from(freshness.age(now_ms(worker))));
    out.extend_from_slice(&exchange.fields);
    if !hsts.is_empty() {
        push_field(out, handshake::HSTS, hsts.as_bytes());
    }
    if tells_id {
        push_field(out, id_header, exchange.request_id().as_bytes());
    }
    if server.via {
        out.extend_from_slice(b"Via: 1.1 tidegate\r\n");
    }
    route.response_edits.write(&Variables { worker, plan, exchange }, out);
}

/// The kept lines that go out; all of them at once where nothing is taken out.
fn write_kept(
    fields: Kept<'_>,
    shown: &Shown,
    out: &mut Vec<u8>,
    removed: impl Fn(&[u8]) -> bool,
    plain: bool,
) {
    if plain && matches!(shown, Shown::Whole | Shown::Part(_)) {
        out.extend_from_slice(fields.0);
        return;
    }
    for (name, value) in fields.lines() {
        if shown.takes(name) && !removed(name) {
            push_field(out, name, value);
        }
    }
}

/// Sends head and content together, as many pieces in one call as the system takes at ease.
async fn deliver(
    plan: &WorkerPlan,
    connection: &mut Connection,
    exchange: &mut Exchange,
    object: &Object,
    parts: &Parts,
    next: Next,
) -> Next {
    connection.deadline.set(plan.shared.plan.server.send_timeout_ms);
    let head = std::mem::take(&mut exchange.to_client);
    let total = head.len() as u64 + parts.length;
    let mut sent = 0_u64;
    let delivered = poll_fn(|cx| {
        loop {
            let mut pieces = [IoSlice::new(&[]); PIECES_MOST];
            let mut count = 0;
            let mut at = 0_u64;
            for piece in pieces_of(&head, object, parts) {
                let start = at;
                at += piece.len() as u64;
                if at <= sent {
                    continue;
                }
                if count == PIECES_MOST {
                    break;
                }
                pieces[count] = IoSlice::new(&piece[sent.saturating_sub(start) as usize..]);
                count += 1;
            }
            match connection.stream.poll_write(cx, &pieces[..count]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(())),
                Poll::Ready(Ok(more)) => {
                    sent += more as u64;
                    if sent >= total {
                        return Poll::Ready(Ok(()));
                    }
                    connection.deadline.set(plan.shared.plan.server.send_timeout_ms);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(())),
                Poll::Pending if connection.deadline.poll_passed(cx) => return Poll::Ready(Err(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
    let head_length = head.len() as u64;
    exchange.to_client = head;
    exchange.to_client.clear();
    match delivered {
        Ok(()) => next,
        Err(()) => {
            exchange.bytes_sent = sent.saturating_sub(head_length);
            Next::Close(Close::Broken)
        }
    }
}

fn pieces_of<'a>(head: &'a [u8], object: &'a Object, parts: &'a Parts) -> impl Iterator<Item = &'a [u8]> {
    let contents = parts.list.iter().flat_map(|(head, part)| {
        std::iter::once(&head[..]).chain(object.pieces(part.clone())).filter(|piece| !piece.is_empty())
    });
    std::iter::once(head).chain(contents)
}
