//! Forwarding: attempts at an upstream until one answers, then its response on the way back.

mod fill;
mod relay;

use std::{future::poll_fn, net::SocketAddr, rc::Rc, task::Poll, time::Duration};

use tidegate_http1::{RequestFacts, parse_response, proxy_header::Spoken};
use tidegate_limit::Pace;
use tidegate_message::{Known, ResponseHead};
use tidegate_plan::RetryReason;
use tidegate_upstream::{Attempted, Outcome, RetryVerdict, Tried};

use crate::{
    answer,
    body::{Body, BodyFault, poll_relay},
    cache, compose,
    connection::{Close, Connection, Next},
    exchange::Exchange,
    failure::{Cause, Failure},
    grpc,
    io::tls::HTTP2,
    prepare::PreparedRoute,
    proxy_header, tunnel,
    upstream::{Attempt, Link, Upstream, Wait},
    worker::{Worker, WorkerPlan},
};

/// Informational responses that one request may bring; more are an upstream that does not end.
const INFORMATIONAL_MOST: u32 = 32;

/// What the whole of a request's attempts share.
struct Forward<'a> {
    worker: &'a Worker,
    plan: &'a Rc<WorkerPlan>,
    route: &'a PreparedRoute,
    facts: &'a RequestFacts,
    upstream: &'a Upstream,
    /// Whether it is a gRPC call, either side of which may be silent as long as a tunnel's.
    call: bool,
    /// When all attempts together are over, in nanoseconds since the engine started.
    due: Option<u64>,
}

/// Where an attempt stands that has failed.
struct Fault {
    failure: Failure,
    /// What may be tried again for it; `None`: nothing may.
    cause: Option<tidegate_upstream::Cause>,
    /// Whether a byte of the request went out.
    sent: bool,
    reused: bool,
    /// Another attempt follows after this long; already decided, and paid for.
    again: Option<Duration>,
}

impl Fault {
    /// Whether the endpoint answered, and what it answered is no response: no other attempt would change
    /// that, but it says something of the endpoint.
    fn is_nonsense(&self) -> bool {
        matches!(
            self.failure.cause,
            Cause::BadResponse(_)
                | Cause::UpstreamCut
                | Cause::EndlessInformational
                | Cause::UnexpectedUpgrade
        )
    }

    /// As logs and metrics name what another attempt follows.
    fn name(&self) -> &'static str {
        match self.cause {
            Some(tidegate_upstream::Cause::Status(429)) => "status_429",
            Some(tidegate_upstream::Cause::Status(500)) => "status_500",
            Some(tidegate_upstream::Cause::Status(502)) => "status_502",
            Some(tidegate_upstream::Cause::Status(503)) => "status_503",
            Some(tidegate_upstream::Cause::Status(504)) => "status_504",
            _ => self.failure.cause.as_str(),
        }
    }
}

/// Forwards the request and relays the response.
pub async fn run(
    worker: &Worker,
    plan: &Rc<WorkerPlan>,
    connection: &mut Connection,
    exchange: &mut Exchange,
    route: &PreparedRoute,
    facts: &RequestFacts,
    upstream: &Upstream,
) -> Next {
    let timeouts = &route.plan.timeouts;
    let total = (timeouts.total_ms > 0).then(|| u64::from(timeouts.total_ms) * 1_000_000);
    let call = grpc::is_call(&exchange.head);
    let asked = if call { grpc::timeout(&exchange.head) } else { None };
    let due = total.into_iter().chain(asked).min().map(|most| worker.now().saturating_add(most));
    let forward = Forward { worker, plan, route, facts, upstream, call, due };
    exchange.upstream = Some(upstream.name.clone());
    if route.plan.retry.attempts > 1 && !exchange.body.is_received() {
        exchange.replay.most = exchange.replay.most.max(route.plan.retry.replay_bytes as usize);
    }
    upstream.budget.borrow_mut().request(worker.now());
    let hash = upstream.hash_key(worker, plan, exchange);
    let mut tried = Tried::NONE;
    let mut fresh = false;
    loop {
        exchange.attempts += 1;
        let mut attempt = upstream.attempt(worker.now(), hash, &mut tried);
        if attempt.is_none() {
            let wait = Wait { deadline: &connection.deadline, client: Some(&connection.stream) };
            upstream.resolve(worker, wait, forward.bounded(timeouts.connect_ms)).await;
            attempt = upstream.attempt(worker.now(), hash, &mut tried);
        }
        let Some(mut attempt) = attempt else {
            let failure = Failure::upstream(Cause::NoEndpoint);
            return forward.give_up(connection, exchange, failure).await;
        };
        exchange.endpoint = Some(attempt.endpoint.text.clone());
        let fault = match forward.attempt(connection, exchange, &mut attempt, fresh).await {
            Ok(next) => return next,
            Err(fault) => fault,
        };
        // A kept connection that had ended says nothing of its endpoint; the next attempt opens a new one.
        fresh = forward.attempted(exchange, &fault).is_some_and(|attempted| attempted.stale());
        let failed = match fault.cause {
            Some(tidegate_upstream::Cause::Status(status)) => upstream.counts_as_failure(status),
            Some(_) => !fresh,
            None => fault.is_nonsense(),
        };
        let outcome = if failed { Outcome::Failed } else { Outcome::Cancelled };
        attempt.finish(worker, outcome, None, fault.name());
        match fault.again.or_else(|| forward.again(exchange, &fault)) {
            Some(delay) => {
                worker.metrics.retry(fault.name());
                if !delay.is_zero()
                    && let Err(failure) = connection.pause(worker, delay).await
                {
                    return forward.give_up(connection, exchange, failure).await;
                }
            }
            None => return forward.give_up(connection, exchange, fault.failure).await,
        }
    }
}

impl Forward<'_> {
    /// Whether another attempt follows, and after how long.
    fn again(&self, exchange: &Exchange, fault: &Fault) -> Option<Duration> {
        let attempted = self.attempted(exchange, fault)?;
        if self.is_due() {
            return None;
        }
        let now = self.worker.now();
        match self.route.retry.decide(&attempted, &mut self.upstream.budget.borrow_mut(), now) {
            RetryVerdict::Retry { delay_ns } => Some(Duration::from_nanos(delay_ns)),
            RetryVerdict::Stop(_) => None,
        }
    }

    fn attempted(&self, exchange: &Exchange, fault: &Fault) -> Option<Attempted> {
        Some(Attempted {
            cause: fault.cause?,
            method_idempotent: exchange.head.method.is_idempotent(),
            sent_any_byte: fault.sent,
            response_started: false,
            body_replayable: !exchange.replay.lost,
            attempts_made: exchange.attempts,
            reused_connection: fault.reused,
        })
    }

    /// Tells the client. One that is still sending its body is told and let go.
    async fn give_up(&self, connection: &mut Connection, exchange: &mut Exchange, failure: Failure) -> Next {
        if let Some(given) = cache::instead_of_failure(self.worker, exchange, failure) {
            return cache::give(self.worker, self.plan, connection, exchange, self.route, given).await;
        }
        answer::fail(self.worker, self.plan, connection, exchange, Some(self.route), failure).await
    }

    async fn attempt(
        &self,
        connection: &mut Connection,
        exchange: &mut Exchange,
        attempt: &mut Attempt<'_>,
        fresh: bool,
    ) -> Result<Next, Fault> {
        let fault = |failure, cause, sent, reused| Fault { failure, cause, sent, reused, again: None };
        let timeouts = &self.route.plan.timeouts;

        // pool
        let waits = |milliseconds| self.bounded(milliseconds);
        // What others wait for as well is fetched though its first client goes.
        let client = cache::is_for_one(exchange).then_some(&connection.stream);
        let wait = Wait { deadline: &connection.deadline, client };
        let first = self.first_bytes(connection, exchange);
        let connecting = attempt.connect(self.worker, wait, timeouts.connect_ms, waits, fresh, &first);
        let mut link = match connecting.await {
            Ok(link) => link,
            Err(failure) => {
                let retried = match failure.cause {
                    Cause::ConnectFailed
                    | Cause::ConnectTimeout
                    | Cause::TlsHandshakeFailed
                    | Cause::TlsCertificateRefused => Some(tidegate_upstream::Cause::Connect),
                    _ => None,
                };
                let late = matches!(failure.cause, Cause::ConnectTimeout | Cause::QueueTimeout);
                let failure =
                    if late && self.is_due() { Failure::upstream(Cause::TotalTimeout) } else { failure };
                return Err(fault(failure, retried, false, false));
            }
        };
        let reused = link.reused;

        // send
        let mut out = std::mem::take(&mut exchange.to_upstream);
        out.clear();
        let (route, endpoint) = (self.route, &*attempt.endpoint);
        let composed =
            compose::request(self.worker, self.plan, route, exchange, self.facts, endpoint, &mut out);
        exchange.to_upstream = out;
        composed.map_err(|failure| fault(failure, None, false, reused))?;
        exchange.resume_body().map_err(|failure| fault(failure, None, false, reused))?;

        let mut upload = Upload::default();
        let mut informational = 0;
        connection.deadline.set(self.bounded(if exchange.body.is_received() {
            timeouts.head_ms
        } else {
            self.body_ms()
        }));
        loop {
            // receive
            let received = self.await_response(connection, exchange, &mut link, &mut upload).await;
            self.worker.look_at_clock();
            let lost = |failure, cause| fault(failure, cause, true, reused);
            let read = match received {
                Received::Bytes(read) => read,
                Received::End if exchange.response_input.is_empty() => {
                    let failure = Failure::upstream(Cause::UpstreamReset);
                    return Err(lost(failure, Some(tidegate_upstream::Cause::Reset)));
                }
                Received::End => return Err(lost(Failure::upstream(Cause::UpstreamCut), None)),
                // Nothing was done with it (RFC 9113 §8.7): as if it had never been sent.
                Received::Refused => {
                    let failure = Failure::upstream(Cause::UpstreamReset);
                    return Err(fault(failure, Some(tidegate_upstream::Cause::Connect), false, reused));
                }
                Received::Timeout(failure) => {
                    let slow = failure.cause == Cause::UpstreamTimeout;
                    return Err(lost(failure, slow.then_some(tidegate_upstream::Cause::Timeout)));
                }
                Received::ClientFault(failure) => return Err(lost(failure, None)),
            };
            match self
                .take_heads(exchange, read, &mut informational)
                .map_err(|failure| lost(failure, None))?
            {
                Heads::Partial => self.flush_informational(connection, exchange).await,
                Heads::Switching(early) => {
                    let switched = self.switch(connection, exchange, attempt, link, early).await;
                    return switched.map_err(|failure| lost(failure, None));
                }
                Heads::Final(rest) => {
                    if cache::is_mistaken(exchange) {
                        let mut failed = lost(Failure::upstream(Cause::UpstreamReset), None);
                        failed.again = Some(Duration::ZERO);
                        return Err(failed);
                    }
                    if let Some(cause) = self.retried_status(exchange.response.status) {
                        // Only where another attempt really follows; else this answer is the client's.
                        let mut failed = lost(Failure::upstream(Cause::UpstreamReset), Some(cause));
                        failed.again = self.again(exchange, &failed);
                        if failed.again.is_some() {
                            return Err(failed);
                        }
                    }
                    return Ok(self.relay(connection, exchange, attempt, link, upload, rest).await);
                }
            }
        }
    }

    /// What a connection to the upstream opens with: a PROXY header where it wants one. A client that a trusted proxy
    /// tells of has no port that is known.
    fn first_bytes(&self, connection: &Connection, exchange: &Exchange) -> Vec<u8> {
        let mut first = Vec::new();
        if let Some(version) = self.upstream.plan.proxy_protocol {
            let own = exchange.client_ip == exchange.peer.ip().to_canonical();
            let port = if own { exchange.peer.port() } else { 0 };
            let client = SocketAddr::new(exchange.client_ip, port);
            let stream = &connection.stream;
            let name = exchange.tls.as_ref().map(|facts| &*facts.sni).filter(|name| !name.is_empty());
            let http2 = (stream.is_single() && stream.is_secure()).then_some(HTTP2);
            let spoken = Spoken {
                addresses: proxy_header::addresses(client, stream.local_address()),
                authority: name,
                protocol: stream.alpn().or(http2),
            };
            proxy_header::write(version, &spoken, &mut first);
        }
        first
    }

    /// Looks at what has come: the last `read` bytes stand in the scratch buffer, those of earlier reads in
    /// `response_input`. Informational heads are passed on; there may be several, and the final one, in one read.
    fn take_heads(
        &self,
        exchange: &mut Exchange,
        read: usize,
        informational: &mut u32,
    ) -> Result<Heads, Failure> {
        let scratch = self.worker.scratch.borrow();
        let mut at = 0;
        if !exchange.response_input.is_empty() {
            exchange.response_input.extend_from_slice(&scratch[..read]);
            at = read;
        }
        loop {
            let kept = at == read;
            let input = if kept { &exchange.response_input } else { &scratch[at..read] };
            if input.is_empty() {
                return Ok(Heads::Partial);
            }
            let parsed = parse_response(input, &self.plan.shared.response_limits, &mut exchange.response);
            let Some(length) = parsed.map_err(|bad| Failure::upstream(Cause::BadResponse(bad)))? else {
                exchange.response_input.extend_from_slice(&scratch[at..read]);
                return Ok(Heads::Partial);
            };
            if kept {
                exchange.response_input.drain(..length);
            } else {
                at += length;
            }
            match exchange.response.status {
                101 => return Ok(Heads::Switching(at..read)),
                100..=199 => {
                    *informational += 1;
                    if *informational > INFORMATIONAL_MOST {
                        return Err(Failure::upstream(Cause::EndlessInformational));
                    }
                    self.relay_informational(exchange);
                }
                _ => return Ok(Heads::Final(at..read)),
            }
        }
    }

    fn retried_status(&self, status: u16) -> Option<tidegate_upstream::Cause> {
        let reason = match status {
            429 => RetryReason::Status429,
            500 => RetryReason::Status500,
            502 => RetryReason::Status502,
            503 => RetryReason::Status503,
            504 => RetryReason::Status504,
            _ => return None,
        };
        self.route.plan.retry.on.contains(&reason).then_some(tidegate_upstream::Cause::Status(status))
    }

    /// Whether all attempts together have taken their time.
    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| self.worker.now() >= due)
    }

    /// A waiting time, cut to what is left of the total.
    fn bounded(&self, milliseconds: u32) -> u32 {
        let Some(due) = self.due else { return milliseconds };
        let left = (due.saturating_sub(self.worker.now()) / 1_000_000).clamp(1, u64::from(u32::MAX)) as u32;
        if milliseconds == 0 { left } else { milliseconds.min(left) }
    }

    /// Sends what is left of the request until the upstream says something.
    async fn await_response(
        &self,
        connection: &mut Connection,
        exchange: &mut Exchange,
        link: &mut Link,
        upload: &mut Upload,
    ) -> Received {
        poll_fn(|cx| {
            let mut scratch = self.worker.scratch.borrow_mut();
            if !upload.over {
                match self.poll_upload(cx, connection, exchange, link, upload, &mut scratch) {
                    Poll::Ready(Err(failure)) => return Poll::Ready(Received::ClientFault(failure)),
                    Poll::Ready(Ok(())) => {
                        connection.deadline.set(self.bounded(self.route.plan.timeouts.head_ms))
                    }
                    Poll::Pending => {}
                }
            }
            match link.stream.poll_read(cx, &mut scratch) {
                Poll::Ready(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    Poll::Ready(Received::Refused)
                }
                Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Received::End),
                Poll::Ready(Ok(read)) => Poll::Ready(Received::Bytes(read)),
                Poll::Pending if connection.deadline.poll_passed(cx) => {
                    Poll::Ready(Received::Timeout(self.late(exchange)))
                }
                Poll::Pending if cache::is_for_one(exchange) && connection.stream.poll_broken(cx) => {
                    Poll::Ready(Received::ClientFault(Failure::client(Cause::ClientGone)))
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Who was waited for.
    fn late(&self, exchange: &Exchange) -> Failure {
        if self.is_due() {
            Failure::upstream(Cause::TotalTimeout)
        } else if !exchange.body.is_received()
            && exchange.to_upstream.is_empty()
            && !self.holds_back(&exchange.body, &exchange.response)
        {
            Failure::client(Cause::BodyTimeout)
        } else {
            Failure::upstream(Cause::UpstreamTimeout)
        }
    }

    /// Whether the client waits for the upstream's `100 Continue` before it sends its body.
    fn holds_back(&self, body: &Body, response: &ResponseHead) -> bool {
        self.facts.expect_continue && body.bytes == 0 && response.status != 100
    }

    /// How long the client's body may make one wait.
    fn body_ms(&self) -> u32 {
        let timeouts = &self.route.plan.timeouts;
        if self.call { timeouts.tunnel_idle_ms } else { self.plan.shared.plan.server.body_timeout_ms }
    }

    /// How long the upstream may be silent in the middle of a body.
    fn idle_ms(&self) -> u32 {
        let timeouts = &self.route.plan.timeouts;
        if self.call { timeouts.tunnel_idle_ms } else { timeouts.idle_ms }
    }

    /// Moves the request's body on. Ready once it is over, one way or the other.
    fn poll_upload(
        &self,
        cx: &mut std::task::Context<'_>,
        connection: &mut Connection,
        exchange: &mut Exchange,
        link: &mut Link,
        upload: &mut Upload,
        scratch: &mut [u8],
    ) -> Poll<Result<(), Failure>> {
        let Exchange { body, to_upstream, input, replay, response, .. } = exchange;
        let Connection { stream, deadline, .. } = connection;
        let mut moved = false;
        let before = body.bytes;
        let relayed =
            poll_relay(cx, body, stream, &mut link.stream, to_upstream, scratch, input, |content| {
                moved = true;
                replay.note(content);
            });
        let over = match relayed {
            Poll::Pending => {
                let timeouts = &self.route.plan.timeouts;
                let clients = to_upstream.is_empty() && !self.holds_back(body, response);
                let least = self.plan.shared.least_body_rate;
                // The clock was looked at before this exchange first waited; from then on, here.
                let now = self.worker.look_at_clock();
                if upload.pace.note(now, body.bytes - before, clients && !self.call, least) {
                    return Poll::Ready(Err(Failure::client(Cause::BodyTooSlow)));
                }
                let (upstream, milliseconds) = if !to_upstream.is_empty() {
                    (true, self.idle_ms())
                } else if self.holds_back(body, response) {
                    (true, timeouts.head_ms)
                } else {
                    (false, self.body_ms())
                };
                if upload.waits.begins(upstream, moved) {
                    deadline.set(self.bounded(milliseconds));
                }
                return Poll::Pending;
            }
            Poll::Ready(over) => over,
        };
        upload.over = true;
        match over {
            Ok(()) => Poll::Ready(Ok(())),
            // The upstream takes no more; it may have said why before it stopped.
            Err(BodyFault::Send) => {
                upload.broken = true;
                to_upstream.clear();
                Poll::Ready(Ok(()))
            }
            Err(BodyFault::Receive | BodyFault::Cut) => Poll::Ready(Err(Failure::client(Cause::ClientGone))),
            Err(BodyFault::Chunk(fault)) => {
                Poll::Ready(Err(Failure::client(Cause::BadChunk(fault.as_str()))))
            }
            Err(BodyFault::TooLarge) => Poll::Ready(Err(Failure::client(Cause::BodyTooLarge))),
        }
    }

    /// The upstream speaks another protocol from here on, if the client asked for one.
    async fn switch(
        &self,
        connection: &mut Connection,
        exchange: &mut Exchange,
        attempt: &mut Attempt<'_>,
        mut link: Link,
        early: std::ops::Range<usize>,
    ) -> Result<Next, Failure> {
        if self.facts.upgrade.is_none() || exchange.response.known(Known::Upgrade).is_none() {
            return Err(Failure::upstream(Cause::UnexpectedUpgrade));
        }
        let latency = attempt.latency(self.worker.now());
        exchange.upstream_duration = Some(Duration::from_nanos(latency));
        attempt.finish(self.worker, Outcome::Ok, Some(latency), "");
        exchange.status = 101;
        let mut out = std::mem::take(&mut exchange.to_client);
        compose::switching(self.worker, self.plan, self.route, exchange, &mut out);
        out.extend_from_slice(&self.worker.scratch.borrow()[early]);
        out.append(&mut exchange.response_input);
        exchange.to_client = out;
        let idle_ms = self.route.plan.timeouts.tunnel_idle_ms;
        tunnel::run(self.worker, self.plan, connection, exchange, &mut link.stream, idle_ms).await;
        Ok(Next::Close(Close::Tunnel))
    }
}

/// How far the request is.
#[derive(Default)]
struct Upload {
    /// Nothing more is sent.
    over: bool,
    /// Not all of it could be sent.
    broken: bool,
    waits: Waits,
    /// Of the client.
    pace: Pace,
}

/// Whom a body waits for: each side has a time of its own, which begins anew with every byte.
#[derive(Default)]
pub struct Waits(Option<bool>);

impl Waits {
    /// Whether a wait begins: for another side (`receiver` or not) than the one before, or because something moved.
    pub fn begins(&mut self, receiver: bool, moved: bool) -> bool {
        self.0.replace(receiver) != Some(receiver) || moved
    }
}

/// What the heads that have come amount to. The range is what stands behind them in the scratch buffer; where it
/// is empty, more may stand in `response_input`.
enum Heads {
    Partial,
    Switching(std::ops::Range<usize>),
    Final(std::ops::Range<usize>),
}

enum Received {
    Bytes(usize),
    End,
    Refused,
    Timeout(Failure),
    ClientFault(Failure),
}

impl Exchange {
    /// Puts what is there of the body behind the head: what earlier attempts sent, then what the client sent
    /// along with its head. Most requests go out whole by this, in one call.
    fn resume_body(&mut self) -> Result<(), Failure> {
        let Self { body, to_upstream, replay, input, .. } = self;
        body.restart();
        if !replay.content.is_empty() || body.is_received() {
            body.frame(&replay.content, to_upstream);
        }
        while !body.is_received() && !input.is_empty() {
            let (content, used) = body.decode(input).map_err(|fault| match fault {
                BodyFault::Chunk(fault) => Failure::client(Cause::BadChunk(fault.as_str())),
                _ => Failure::client(Cause::BodyTooLarge),
            })?;
            replay.note(&input[content.clone()]);
            body.frame(&input[content], to_upstream);
            input.drain(..used);
        }
        Ok(())
    }
}
