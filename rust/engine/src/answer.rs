//! Answers of Tidegate's own: short, typed, with their reason and the request id.

use std::task::Poll;

use tidegate_message::Method;

use crate::{
    abuse::Crowd,
    ai,
    body::poll_flush,
    connection::{Close, Connection, Next},
    drain,
    exchange::Exchange,
    failure::{Cause, Failure},
    grpc, handshake,
    io::listen::{Accepted, Detached},
    log::number::push_decimal,
    prepare::PreparedRoute,
    worker::{Worker, WorkerPlan},
};

/// How long a client that was refused has to read the answer and stop sending.
pub const LINGER_MS: u32 = 2000;

/// One answer.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// 200 to 599.
    pub status: u16,
    /// Empty for none.
    pub content_type: &'a [u8],
    /// Whole lines with their ends.
    pub fields: &'a [u8],
    /// Left out on HEAD, 204 and 304.
    pub body: &'a [u8],
}

/// Sends an answer to the request at hand and says what becomes of the connection.
pub async fn send(
    worker: &Worker,
    plan: &WorkerPlan,
    connection: &mut Connection,
    exchange: &mut Exchange,
    route: Option<&PreparedRoute>,
    answer: Answer<'_>,
) -> Next {
    let read = exchange.skip_body();
    let next = if read { exchange.after(worker, plan, connection) } else { Next::Close(Close::Unread) };
    write(worker, plan, exchange, route, answer, next);
    deliver(plan, connection, exchange, next).await
}

/// Tells the client what went wrong. A request that was refused for its framing is never followed by another.
pub async fn fail(
    worker: &Worker,
    plan: &WorkerPlan,
    connection: &mut Connection,
    exchange: &mut Exchange,
    route: Option<&PreparedRoute>,
    failure: Failure,
) -> Next {
    let failure = drain::failure(worker, failure);
    exchange.failed(failure);
    let cause = failure.cause;
    let closes = matches!(
        cause,
        Cause::Refused(_)
            | Cause::BadChunk(_)
            | Cause::BodyTooLarge
            | Cause::BodyTimeout
            | Cause::BodyTooSlow
            | Cause::HeadTimeout
            | Cause::ClientGone
            | Cause::BadPath(_)
    );
    let next = if closes {
        Next::Close(Close::Refused)
    } else if exchange.skip_body() {
        exchange.after(worker, plan, connection)
    } else {
        Next::Close(Close::Unread)
    };
    let mut body = std::mem::take(&mut exchange.problem);
    let speaks = route.and_then(|route| ai::dialect(route, exchange));
    let mut status = cause.status();
    let content_type: &[u8] = match speaks {
        None if grpc::is_call(&exchange.head) => {
            body.clear();
            status = 200;
            grpc::write_failure(failure, &mut exchange.fields);
            b"application/grpc"
        }
        None => {
            problem(&mut body, cause.status(), cause.as_str(), cause.detail(), exchange.request_id());
            b"application/problem+json"
        }
        Some(dialect) => {
            let error = ai::errors::from_failure(failure, exchange.request_id());
            body = ai::errors::body(dialect, &error);
            let mut fields = std::mem::take(&mut exchange.fields);
            ai::name_request(
                &plan.shared.plan.server.request_id,
                dialect,
                exchange.request_id(),
                &mut fields,
            );
            ai::name_error(dialect, error.kind, &mut fields);
            exchange.fields = fields;
            b"application/json"
        }
    };
    let fields = std::mem::take(&mut exchange.fields);
    let answer = Answer { status, content_type, fields: &fields, body: &body };
    write(worker, plan, exchange, route, answer, next);
    exchange.problem = body;
    exchange.fields = fields;
    deliver(plan, connection, exchange, next).await
}

/// Writes RFC 9457's form of a problem.
fn problem(out: &mut Vec<u8>, status: u16, reason: &str, detail: &str, request_id: &str) {
    out.clear();
    // Every text here is of our own making and needs no escape.
    for part in [r#"{"type":"about:blank","title":""#, reason_phrase(status), r#"","status":"#] {
        out.extend_from_slice(part.as_bytes());
    }
    push_decimal(u64::from(status), out);
    for part in
        [r#","reason":""#, reason, r#"","detail":""#, detail, r#"","request_id":""#, request_id, "\"}\n"]
    {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Puts the whole answer into `exchange.to_client`.
fn write(
    worker: &Worker,
    plan: &WorkerPlan,
    exchange: &mut Exchange,
    route: Option<&PreparedRoute>,
    answer: Answer<'_>,
    next: Next,
) {
    exchange.status = answer.status;
    // Behind what may still have to go out of an informational response.
    let mut out = std::mem::take(&mut exchange.to_client);
    write_status(&mut out, answer.status, reason_phrase(answer.status).as_bytes());
    out.extend_from_slice(b"Date: ");
    worker.date(&mut out);
    out.extend_from_slice(b"\r\n");
    let server = &plan.shared.plan.server;
    if !server.server_name.is_empty() {
        push_field(&mut out, b"Server", server.server_name.as_bytes());
    }
    let bodiless = matches!(answer.status, 204 | 304);
    if !answer.content_type.is_empty() && !bodiless {
        push_field(&mut out, b"Content-Type", answer.content_type);
    }
    if !bodiless {
        push_number_field(&mut out, b"Content-Length", answer.body.len() as u64);
    }
    out.extend_from_slice(answer.fields);
    if server.request_id.respond && !server.request_id.header.is_empty() {
        push_field(&mut out, server.request_id.header.as_bytes(), exchange.request_id().as_bytes());
    }
    handshake::write_hsts(plan, exchange, route, &mut out);
    if let Some(route) = route {
        route.write_response_edits(worker, plan, exchange, &mut out);
    }
    write_connection(&mut out, exchange, next);
    out.extend_from_slice(b"\r\n");
    if !bodiless && exchange.head.method != Method::Head {
        out.extend_from_slice(answer.body);
        exchange.bytes_sent += answer.body.len() as u64;
    }
    exchange.to_client = out;
}

/// The status line.
pub fn write_status(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    let digit = |number: u16| b'0' + (number % 10) as u8;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// What the client is told about the connection: nothing where HTTP/1.1's default holds (RFC 9112 §9.3).
pub fn write_connection(out: &mut Vec<u8>, exchange: &Exchange, next: Next) {
    match next {
        Next::Close(_) => out.extend_from_slice(b"Connection: close\r\n"),
        Next::KeepAlive if exchange.head.version == tidegate_message::Version::Http10 => {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        Next::KeepAlive => {}
    }
}

/// One field line.
pub fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Sends what stands in `exchange.to_client`.
pub async fn deliver(
    plan: &WorkerPlan,
    connection: &mut Connection,
    exchange: &mut Exchange,
    next: Next,
) -> Next {
    connection.deadline.set(plan.shared.plan.server.send_timeout_ms);
    let delivered = std::future::poll_fn(|cx| {
        let flushed = poll_flush(cx, &mut connection.stream, &mut exchange.to_client);
        if flushed.is_pending() && connection.deadline.poll_passed(cx) {
            return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
        }
        flushed
    })
    .await;
    match delivered {
        Ok(()) => next,
        Err(_) => {
            exchange.to_client.clear();
            Next::Close(Close::Broken)
        }
    }
}

/// What a connection that there is no room for is told: the same every time, for it has no request yet.
fn turned_away(crowd: Crowd) -> Vec<u8> {
    let (status, detail) = match crowd {
        Crowd::Client => (429, "No more connections are taken from this address at present."),
        _ => (503, "No more connections are taken at present."),
    };
    let (mut out, mut body) = (Vec::new(), Vec::new());
    problem(&mut body, status, crowd.as_str(), detail, "");
    write_status(&mut out, status, reason_phrase(status).as_bytes());
    push_field(&mut out, b"Content-Type", b"application/problem+json");
    push_number_field(&mut out, b"Content-Length", body.len() as u64);
    out.extend_from_slice(b"Retry-After: 1\r\nConnection: close\r\n\r\n");
    out.append(&mut body);
    out
}

/// Answers a connection that there is no room for, as far as it takes it at once, and drops it.
pub fn turn_away(accepted: Accepted, crowd: Crowd) {
    use std::io::Write as _;
    match accepted.detach() {
        Ok(Detached::Tcp(mut stream, _)) => drop(stream.write(&turned_away(crowd))),
        Ok(Detached::Unix(mut stream)) => drop(stream.write(&turned_away(crowd))),
        _ => {}
    }
}

/// One field line with a number.
pub fn push_number_field(out: &mut Vec<u8>, name: &[u8], number: u64) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    push_decimal(number, out);
    out.extend_from_slice(b"\r\n");
}

/// RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`, from seconds since 1970.
pub fn imf_fixdate(second: u64) -> [u8; 29] {
    const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let days = second / 86_400;
    // Days to a civil date, counted in eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 2 } else { shifted_month - 10 } as usize;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let weekday = (days % 7) as usize * 3;
    text[..3].copy_from_slice(&DAYS[weekday..weekday + 3]);
    text[8..11].copy_from_slice(&MONTHS[month * 3..month * 3 + 3]);
    let two = |number: u64| [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
    text[5..7].copy_from_slice(&two(day));
    text[12..14].copy_from_slice(&two(year / 100));
    text[14..16].copy_from_slice(&two(year));
    text[17..19].copy_from_slice(&two(second / 3600 % 24));
    text[20..22].copy_from_slice(&two(second / 60 % 60));
    text[23..25].copy_from_slice(&two(second % 60));
    text
}

/// The registered phrase of a status code; empty for one that is not registered (RFC 9110 §15).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_turned_away_is_told_a_whole_response() {
        for (crowd, status) in [(Crowd::All, "503"), (Crowd::Client, "429"), (Crowd::Descriptors, "503")] {
            let text = String::from_utf8(turned_away(crowd)).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")));
            assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{}", body.len());
            assert!(body.contains(&format!("\"reason\":\"{}\"", crowd.as_str())));
            assert!(body.starts_with('{') && body.ends_with("}\n"));
        }
    }

    #[test]
    fn dates_are_written_as_rfc_9110_has_them() {
        assert_eq!(&imf_fixdate(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&imf_fixdate(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(&imf_fixdate(951_782_400), b"Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(&imf_fixdate(4_102_444_799), b"Thu, 31 Dec 2099 23:59:59 GMT");
    }
}
