//! The journey of a connection that is passed on, in order. What is said on it stays between its two ends.

mod admit;
mod end;
mod hello;
mod prepare;
mod record;
mod relay;

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tidegate_http1::proxy_header::Spoken;
use tidegate_plan::Balance;
use tidegate_upstream::{Attempted, Outcome, RetryVerdict, Tried};

pub use end::End;
pub use prepare::PreparedTcp;

use crate::{
    abuse::clients::ClientPlace,
    failure::Cause,
    io::Stream,
    proxy_header,
    timer::Deadline,
    upstream::{Attempt, Link, Upstream, Wait},
    worker::{Listening, Worker, WorkerPlan},
};
use admit::{Caller, Permits};
use prepare::PreparedTarget;

/// A connection on its way, and what its record will say.
struct Passage {
    /// To the client.
    stream: Stream,
    /// The address at the other end.
    peer: SocketAddr,
    /// The same, or the one that a PROXY header told.
    client: SocketAddr,
    /// Where the client connected to, as a PROXY header told.
    destination: Option<SocketAddr>,
    listening: Rc<Listening>,
    listener: Arc<str>,
    /// The one deadline of the connection, whatever it waits for.
    deadline: Deadline,
    /// What was read and is still to be passed on.
    input: Vec<u8>,
    is_tls: bool,
    server_name: Option<String>,
    /// The application protocol, where the client offers just one.
    protocol: Option<Vec<u8>>,
    /// In nanoseconds since the engine started.
    started: u64,
    connected_after: Option<Duration>,
    attempts: u32,
    upstream: Option<Rc<str>>,
    endpoint: Option<Rc<str>>,
    /// Bytes from the client and to it.
    bytes: (u64, u64),
    /// Its listener's place in the counters.
    slot: u32,
    access_log: bool,
    /// Counts among those of its address.
    place: ClientPlace,
}

/// Serves a connection that a listener for passing on has accepted, in a task of its own.
pub fn spawn(
    worker: &Rc<Worker>,
    tcp: &PreparedTcp,
    stream: Stream,
    peer: SocketAddr,
    listening: Rc<Listening>,
    place: ClientPlace,
) {
    let passage = Passage {
        stream,
        peer,
        client: peer,
        destination: None,
        listener: listening.name().clone(),
        listening,
        deadline: worker.timers.deadline(),
        input: Vec::new(),
        is_tls: false,
        server_name: None,
        protocol: None,
        started: worker.look_at_clock(),
        connected_after: None,
        attempts: 0,
        upstream: None,
        endpoint: None,
        bytes: (0, 0),
        slot: tcp.slot,
        access_log: tcp.plan.access_log,
        place,
    };
    worker.metrics.tcp_opened(tcp.slot);
    let counted = Counted { worker: worker.clone(), slot: tcp.slot };
    tokio::task::spawn_local(guarded(counted, serve(worker.clone(), passage)));
}

/// Counts a connection as gone, whatever became of it.
struct Counted {
    worker: Rc<Worker>,
    slot: u32,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.worker.uncount(false);
        self.worker.metrics.connection_closed();
        self.worker.metrics.tcp_closed(self.slot);
    }
}

/// A panic ends this connection and no other.
async fn guarded(counted: Counted, serving: impl Future<Output = ()>) {
    let mut serving = pin!(serving);
    poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| serving.as_mut().poll(cx))).unwrap_or_else(|_| {
            counted.worker.panicked();
            Poll::Ready(())
        })
    })
    .await;
}

async fn serve(worker: Rc<Worker>, mut passage: Passage) {
    let end = journey(&worker, &mut passage).await;
    if end == End::UnknownServerName {
        refuse_name(&mut passage).await;
    }
    if end.is_cut() {
        passage.stream.break_off();
    }
    worker.look_at_clock();
    record::write(&worker, &passage, end);
}

async fn journey(worker: &Worker, passage: &mut Passage) -> End {
    let plan = worker.plan();
    let index = passage.listening.index.get() as usize;
    let Some(tcp) = plan.shared.tcp.get(index).and_then(Option::as_ref) else { return End::DrainDeadline };

    // who
    if plan.shared.plan.listeners[index].proxy_protocol
        && let Err(end) = hello::proxy_header(worker, &plan, passage).await
    {
        return end;
    }
    let ip = passage.client.ip().to_canonical();
    if tcp.access.as_ref().is_some_and(|access| !access.admits(ip)) {
        return End::Failed(Cause::AddressDenied);
    }

    // how much
    let Some(_opened) = tcp.enter() else { return End::ListenerFull };
    let mut permits = Permits::default();
    if !tcp.counts_by_name
        && let Err(end) = admitted(worker, &plan, tcp, passage, &mut permits).await
    {
        return end;
    }

    // where to
    let target = match hello::target(worker, tcp, passage).await {
        Ok(target) => &tcp.targets[target as usize],
        Err(end) => return end,
    };
    worker.look_at_clock();
    if tcp.counts_by_name
        && let Err(end) = admitted(worker, &plan, tcp, passage, &mut permits).await
    {
        return end;
    }

    // pick, connect; another endpoint where one takes no connection
    let upstream = plan.upstreams[target.plan.upstream as usize].clone();
    let (mut link, attempt) = match connect(worker, &upstream, target, passage).await {
        Ok(connected) => connected,
        Err(end) => return end,
    };

    // pass on; whoever is there for hours does not hold on to the plan of that day
    let times = relay::Times { idle_ms: tcp.plan.idle_ms, drain_ms: plan.shared.plan.server.drain_ms };
    drop(plan);
    let end = relay::run(worker, passage, &mut link.stream, times).await;
    if end.is_cut() {
        link.stream.break_off();
    }
    drop(attempt);
    end
}

async fn admitted(
    worker: &Worker,
    plan: &WorkerPlan,
    tcp: &PreparedTcp,
    passage: &Passage,
    permits: &mut Permits,
) -> Result<(), End> {
    if let Some(wait) = admit::admit(worker, plan, tcp, caller(passage), permits)? {
        pause(worker, passage, wait).await?;
    }
    Ok(())
}

/// Lets time pass, unless the client breaks off meanwhile.
async fn pause(worker: &Worker, passage: &Passage, time: Duration) -> Result<(), End> {
    let mut over = pin!(tokio::time::sleep(time));
    let paused = poll_fn(|cx| match over.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(Ok(())),
        Poll::Pending if worker.timers.is_cut() => Poll::Ready(Err(End::Shutdown)),
        Poll::Pending if passage.stream.poll_broken(cx) => Poll::Ready(Err(End::ClientReset)),
        Poll::Pending => Poll::Pending,
    })
    .await;
    worker.look_at_clock();
    paused
}

fn caller(passage: &Passage) -> Caller<'_> {
    Caller {
        ip: passage.client.ip().to_canonical(),
        host: passage.server_name.as_deref().unwrap_or_default(),
        listener: &passage.listener,
    }
}

async fn connect<'a>(
    worker: &Worker,
    upstream: &'a Upstream,
    target: &PreparedTarget,
    passage: &mut Passage,
) -> Result<(Link, Attempt<'a>), End> {
    passage.upstream = Some(upstream.name.clone());
    upstream.budget.borrow_mut().request(worker.now());
    let hash = match &upstream.plan.balance {
        Balance::Hash { key } => Some(admit::hash(key, 0, caller(passage))),
        _ => None,
    };
    let mut first = Vec::new();
    if let Some(version) = upstream.plan.proxy_protocol {
        let destination = passage.destination.or_else(|| passage.stream.local_address());
        let spoken = Spoken {
            addresses: proxy_header::addresses(passage.client, destination),
            authority: passage.server_name.as_deref(),
            protocol: passage.protocol.as_deref(),
        };
        proxy_header::write(version, &spoken, &mut first);
    }
    let mut tried = Tried::NONE;
    loop {
        passage.attempts += 1;
        let mut attempt = upstream.attempt(worker.now(), hash, &mut tried);
        if attempt.is_none() {
            // Names may still be looked up.
            let wait = Wait { deadline: &passage.deadline, client: Some(&passage.stream) };
            upstream.resolve(worker, wait, target.plan.connect_ms).await;
            attempt = upstream.attempt(worker.now(), hash, &mut tried);
        }
        let Some(mut attempt) = attempt else { return Err(End::Failed(Cause::NoEndpoint)) };
        passage.endpoint = Some(attempt.endpoint.text.clone());
        let wait = Wait { deadline: &passage.deadline, client: Some(&passage.stream) };
        let connected = attempt.connect(worker, wait, target.plan.connect_ms, |ms| ms, true, &first).await;
        let cause = match connected {
            Ok(link) => {
                let latency = attempt.latency(worker.now());
                attempt.finish(worker, Outcome::Ok, Some(latency), "");
                attempt.stays();
                passage.connected_after = Some(Duration::from_nanos(latency));
                return Ok((link, attempt));
            }
            Err(failure) => failure.cause,
        };
        let failed = matches!(
            cause,
            Cause::ConnectFailed
                | Cause::ConnectTimeout
                | Cause::TlsHandshakeFailed
                | Cause::TlsCertificateRefused
        );
        let outcome = if failed { Outcome::Failed } else { Outcome::Cancelled };
        attempt.finish(worker, outcome, None, cause.as_str());
        // Nothing was sent, so nothing speaks against another endpoint but the policy and its budget.
        let attempted = Attempted {
            cause: tidegate_upstream::Cause::Connect,
            method_idempotent: true,
            sent_any_byte: false,
            response_started: false,
            body_replayable: true,
            attempts_made: passage.attempts,
            reused_connection: false,
        };
        let verdict = target.retry.decide(&attempted, &mut upstream.budget.borrow_mut(), worker.now());
        match verdict {
            RetryVerdict::Retry { delay_ns } if failed => {
                worker.metrics.retry(cause.as_str());
                if delay_ns > 0 {
                    pause(worker, passage, Duration::from_nanos(delay_ns)).await?;
                }
            }
            _ => return Err(End::Failed(cause)),
        }
    }
}

/// Tells a TLS client that its name is not known, as far as that costs no waiting.
async fn refuse_name(passage: &mut Passage) {
    poll_fn(|cx| {
        let _ = passage.stream.poll_write(cx, &[std::io::IoSlice::new(tidegate_sni::UNRECOGNIZED_NAME)]);
        let _ = passage.stream.poll_shutdown(cx);
        Poll::Ready(())
    })
    .await;
}
