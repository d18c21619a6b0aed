//! What one exchange holds on to: kept from exchange to exchange, so that a request allocates nothing.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tidegate_auth::jwt::Claims;
use tidegate_http1::{BodyLength, Limits, Refusal, RequestFacts, parse_request, parse_request_after};
use tidegate_message::{Known, RequestHead, ResponseHead, Version};
use tidegate_plan::ForwardedStyle;
use tidegate_route::Captures;

use crate::{
    body::Body,
    cache::Cached,
    connection::{self, Connection},
    failure::Failure,
    io::tls::Facts,
    worker::{Worker, WorkerPlan},
};

/// Buffers that grew past this are given back between exchanges.
const KEPT_BYTES: usize = 64 * 1024;

/// The state of one exchange.
#[derive(Debug)]
pub struct Exchange {
    /// The request's head.
    pub head: RequestHead,
    /// The response's head.
    pub response: ResponseHead,
    /// What the client sent behind the head, not looked at yet.
    pub input: Vec<u8>,
    /// How much of it was looked at for a head and found to be a part of one, so that bytes that drip in are not
    /// read over and over.
    seen: usize,
    /// The request's body on its way.
    pub body: Body,
    /// What the upstream has not taken yet.
    pub to_upstream: Vec<u8>,
    /// What the client has not taken yet.
    pub to_client: Vec<u8>,
    /// The request's content so far, where it may be sent again.
    pub replay: Replay,
    /// A response head that has come in part.
    pub response_input: Vec<u8>,
    /// What an upstream sent behind its response.
    pub surplus: Vec<u8>,
    /// Lower case, without port.
    pub host: Vec<u8>,
    /// Normalised.
    pub path: Vec<u8>,
    /// What groups of the route's patterns matched.
    pub captures: Captures,
    /// Index of the route.
    pub route: Option<u32>,
    /// Bytes of the path that the route's prefix matched.
    pub prefix_len: usize,
    /// The client's address.
    pub client_ip: IpAddr,
    /// The same as text.
    pub client_text: String,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Whether its word on the client is taken.
    pub peer_trusted: bool,
    /// Index of the listener.
    pub listener: u32,
    /// What the connection's TLS handshake has settled; `None` on plain ones.
    pub tls: Option<Arc<Facts>>,
    /// Who came in by a key or a password.
    pub user: String,
    /// What the cache stage left for the way back.
    pub cached: Option<Box<Cached>>,
    /// What the token says that came in.
    pub claims: Option<Rc<Claims>>,
    /// Lines that tell the upstream who came.
    pub identity: Vec<u8>,
    /// Whether the client's side may go on after this.
    pub keep_alive: bool,
    /// Lines that are added to the response.
    pub fields: Vec<u8>,
    /// Fields that the hook takes out of what is forwarded.
    pub hook_remove: Vec<String>,
    /// Lines that the hook adds to what is forwarded.
    pub hook_set: Vec<u8>,
    /// Where the text of a problem is put together.
    pub problem: Vec<u8>,
    /// When its first byte was read, in nanoseconds since the engine started.
    pub started: u64,
    /// When the response's head came from the upstream, since the attempt's start.
    pub upstream_duration: Option<Duration>,
    /// Attempts at an upstream.
    pub attempts: u32,
    /// The endpoint of the last attempt.
    pub endpoint: Option<Rc<str>>,
    /// The name of the upstream.
    pub upstream: Option<Rc<str>>,
    /// 0 before there is one.
    pub status: u16,
    /// Bytes of the response's body that were sent.
    pub bytes_sent: u64,
    /// Why it did not end as it should; empty where it did.
    pub reason: &'static str,
    /// Why, in the words of the hook that answered; empty where it gave none.
    pub hook_reason: String,
    /// The trace that begins here; empty where none does, or the client brought one.
    pub traceparent: String,
    request_id: String,
}

/// The request's content as far as it was read, to be sent again.
#[derive(Debug, Default)]
pub struct Replay {
    /// The content.
    pub content: Vec<u8>,
    /// How much is kept at most; 0 keeps none.
    pub most: usize,
    /// There was more than is kept.
    pub lost: bool,
}

impl Replay {
    /// Takes note of content that passes by.
    pub fn note(&mut self, content: &[u8]) {
        if self.lost || content.is_empty() {
            return;
        }
        if self.content.len() + content.len() > self.most {
            self.lost = true;
            self.content.clear();
        } else {
            self.content.extend_from_slice(content);
        }
    }
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            head: RequestHead::default(),
            response: ResponseHead::default(),
            input: Vec::new(),
            seen: 0,
            body: Body::new(BodyLength::None, false),
            to_upstream: Vec::new(),
            to_client: Vec::new(),
            replay: Replay::default(),
            response_input: Vec::new(),
            surplus: Vec::new(),
            host: Vec::new(),
            path: Vec::new(),
            captures: Captures::default(),
            route: None,
            prefix_len: 0,
            client_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            client_text: "0.0.0.0".into(),
            peer: crate::io::listen::UNIX_PEER,
            peer_trusted: false,
            listener: 0,
            tls: None,
            user: String::new(),
            cached: None,
            claims: None,
            identity: Vec::new(),
            keep_alive: false,
            fields: Vec::new(),
            hook_remove: Vec::new(),
            hook_set: Vec::new(),
            problem: Vec::new(),
            started: 0,
            upstream_duration: None,
            attempts: 0,
            endpoint: None,
            upstream: None,
            status: 0,
            bytes_sent: 0,
            reason: "",
            hook_reason: String::new(),
            traceparent: String::new(),
            request_id: String::new(),
        }
    }
}

impl Exchange {
    /// Makes it ready for another request on the same connection; unread input stays.
    pub fn begin(&mut self) {
        self.head.clear();
        self.response.clear();
        self.seen = 0;
        self.body = Body::new(BodyLength::None, false);
        self.to_upstream.clear();
        self.to_client.clear();
        self.response_input.clear();
        self.replay.content.clear();
        self.replay.most = 0;
        self.replay.lost = false;
        self.route = None;
        self.user.clear();
        self.cached = None;
        self.claims = None;
        self.identity.clear();
        self.keep_alive = false;
        self.fields.clear();
        self.hook_remove.clear();
        self.hook_set.clear();
        self.hook_reason.clear();
        self.started = 0;
        self.upstream_duration = None;
        self.attempts = 0;
        self.endpoint = None;
        self.upstream = None;
        self.status = 0;
        self.bytes_sent = 0;
        self.reason = "";
    }

    /// Takes a head out of `bytes`, which have just been read. `false`: it is not whole yet.
    pub fn read_head(&mut self, bytes: &[u8], limits: &Limits, now: u64) -> Result<bool, Refusal> {
        if self.started == 0 {
            self.started = now;
        }
        if !self.input.is_empty() {
            self.input.extend_from_slice(bytes);
            return self.take_head(limits, now);
        }
        let head = parse_request(bytes, limits, &mut self.head)?;
        self.input.extend_from_slice(&bytes[head.unwrap_or(0)..]);
        if head.is_none() {
            self.seen = self.input.len();
        }
        Ok(head.is_some())
    }

    /// Takes a head out of the input that is there already.
    pub fn take_head(&mut self, limits: &Limits, now: u64) -> Result<bool, Refusal> {
        if self.started == 0 {
            self.started = now;
        }
        let head = parse_request_after(&self.input, self.seen, limits, &mut self.head)?;
        match head {
            Some(length) => drop(self.input.drain(..length)),
            None => self.seen = self.input.len(),
        }
        Ok(head.is_some())
    }

    /// The head was made out of an HTTP/2 stream: its line says so, as logs show it.
    pub fn came_by_http2(&mut self) {
        self.head.version = Version::Http2;
        let at = self.head.target.end as usize + 1;
        let text = Version::Http2.as_str().as_bytes();
        if let Some(written) = self.head.bytes.get_mut(at..at + text.len()) {
            written.copy_from_slice(text);
        }
    }

    /// Notes who is there, once the head has come.
    pub fn enter(&mut self, worker: &Worker, plan: &WorkerPlan, connection: &Connection) {
        let shared = &plan.shared;
        self.listener = connection.listening.index.get();
        self.tls.clone_from(&connection.tls);
        self.peer = connection.peer;
        let peer = connection::peer_ip(connection);
        self.peer_trusted = shared.trusted.contains(peer);
        let client = if self.peer_trusted {
            self.told_client(shared.plan.server.forwarded, peer, &shared.trusted)
        } else {
            peer
        };
        if client != self.client_ip {
            self.client_ip = client;
            self.client_text.clear();
            let _ = write!(self.client_text, "{client}");
        }
        self.choose_request_id(&shared.plan.server.request_id);
        self.traceparent.clear();
        if shared.plan.server.trace && self.head.known(Known::Traceparent).is_none() {
            begin_trace(&mut self.traceparent);
        }
        if self.started == 0 {
            self.started = worker.now();
        }
    }

    fn told_client(&self, style: ForwardedStyle, peer: IpAddr, trusted: &tidegate_auth::CidrSet) -> IpAddr {
        let by_rfc = style == ForwardedStyle::Forwarded;
        if by_rfc {
            tidegate_auth::client_address_forwarded(peer, self.head.all(Known::Forwarded), trusted)
        } else {
            tidegate_auth::client_address(peer, self.head.all(Known::XForwardedFor), trusted)
        }
    }

    fn choose_request_id(&mut self, config: &tidegate_plan::RequestId) {
        self.request_id.clear();
        if config.trust
            && !config.header.is_empty()
            && let Some(brought) = self.head.field(config.header.as_bytes())
            && (1..=128).contains(&brought.len())
            && brought.iter().all(|byte| is_plain(*byte))
        {
            self.request_id.extend(brought.iter().map(|byte| char::from(*byte)));
            return;
        }
        push_hex(fastrand::u64(..), &mut self.request_id);
        push_hex(fastrand::u64(..), &mut self.request_id);
    }

    /// Notes what the head says of the body and the connection.
    pub fn expect(&mut self, facts: &RequestFacts) {
        self.keep_alive = facts.keep_alive;
        self.body = Body::new(facts.body, facts.body == BodyLength::Chunked);
    }

    /// The id that logs, upstream and answers share.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Notes what went wrong.
    pub fn failed(&mut self, failure: Failure) {
        self.reason = failure.cause.as_str();
    }

    /// Passes over the body if all of it is there already. `false`: some is still to come.
    pub fn skip_body(&mut self) -> bool {
        while !self.body.is_received() && !self.input.is_empty() {
            match self.body.decode(&mut self.input) {
                Ok((_, used)) => drop(self.input.drain(..used)),
                Err(_) => return false,
            }
        }
        self.body.is_received()
    }

    /// Gives room back that an unusual exchange took.
    pub fn shrink(&mut self) {
        self.input.clear();
        for buffer in [&mut self.input, &mut self.to_upstream, &mut self.to_client, &mut self.replay.content]
        {
            if buffer.capacity() > KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
    }
}

/// Characters that an id may have so that no log or header is ever confused by it.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'+' | b'/' | b'=')
}

/// W3C Trace Context, level 1: version, trace id, parent id, flags (sampled). No id is all zeros.
fn begin_trace(out: &mut String) {
    out.push_str("00-");
    push_hex(fastrand::u64(..), out);
    push_hex(fastrand::u64(1..), out);
    out.push('-');
    push_hex(fastrand::u64(1..), out);
    out.push_str("-01");
}

/// Sixteen hexadecimal digits.
pub fn push_hex(number: u64, out: &mut String) {
    let mut text = [0; 16];
    text[..8].copy_from_slice(&hex_digits((number >> 32) as u32).to_be_bytes());
    text[8..].copy_from_slice(&hex_digits(number as u32).to_be_bytes());
    // Digits are ASCII; the check is a few instructions for all sixteen.
    out.push_str(std::str::from_utf8(&text).unwrap_or_default());
}

/// Eight digits at once, the first in the highest byte.
fn hex_digits(number: u32) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut word = u64::from(number);
    word = (word << 16 | word) & 0x0000_ffff_0000_ffff;
    word = (word << 8 | word) & 0x00ff_00ff_00ff_00ff;
    word = (word << 4 | word) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in each byte that is a letter.
    let letters = (word + 6 * EACH) >> 4 & EACH;
    word + u64::from(b'0') * EACH + letters * u64::from(b'a' - b'0' - 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_those_of_the_standard_library() {
        for number in [0, 1, 0xdead_beef, 0x0123_4567_89ab_cdef, u64::MAX, 0xa09f << 40] {
            let mut text = String::new();
            push_hex(number, &mut text);
            assert_eq!(text, format!("{number:016x}"));
        }
    }
}
