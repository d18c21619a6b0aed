//! One worker's side of an upstream: its endpoints' addresses, the choice among them, its idle connections.

mod names;

mod joining;

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use rustls::pki_types::ServerName;
use tidegate_plan::{Address, Balance};
use tidegate_upstream::{
    Admission, Change, Cluster, EndpointSpec, EndpointState, IdlePool, Outcome, Passive, PoolLimits,
    RetryBudget, Ticket, Tried,
};
use tokio::sync::Notify;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use self::joining::Joined;
use crate::{
    abuse::descriptors::is_ours,
    exchange::Exchange,
    failure::{Cause, Failure},
    gates::{Door, Permit, Place},
    io::{
        self, ConnectFault, Stream, Target,
        tls::{Client, Fault, Secure},
    },
    metrics::WorkerMetrics,
    resolve::Name,
    sessions::Sessions,
    stage,
    timer::Deadline,
    worker::{Shared, Worker, WorkerPlan},
};

/// How often idle connections are looked at for those that have ended or are past their time.
const SWEEP_NS: u64 = 1_000_000_000;

/// One worker's side of an upstream.
pub struct Upstream {
    /// Its name.
    pub name: Rc<str>,
    /// What it was made from.
    pub plan: tidegate_plan::Upstream,
    /// How its connections are secured.
    pub tls: Option<Arc<Client>>,
    /// Its place in the counters.
    pub slot: u32,
    /// What retries it may still have.
    pub budget: RefCell<RetryBudget>,
    passive: Option<Passive>,
    cluster: RefCell<Cluster>,
    endpoints: RefCell<Vec<Rc<Endpoint>>>,
    idle: RefCell<IdlePool<Idle>>,
    members: Vec<Member>,
    shared: Arc<Shared>,
    /// Which state of names and of health the cluster was last told.
    seen: Cell<(u64, u64)>,
    swept: Cell<u64>,
}

/// An endpoint as the plan has it.
struct Member {
    place: Site,
    weight: u32,
    authority: Rc<str>,
    /// The name that its certificate must bear.
    name: Option<ServerName<'static>>,
}

enum Site {
    Fixed(Target),
    Named(Name),
}

/// One address that answers.
#[derive(Debug)]
pub struct Endpoint {
    /// Where.
    pub target: Target,
    /// The same as text, for logs.
    pub text: Rc<str>,
    /// The Host field where the request has none.
    pub authority: Rc<str>,
    /// Names the address in pools and clusters.
    pub key: u64,
    /// Its place in the counters.
    pub slot: u32,
    secure: Option<Secure>,
    door: Option<Arc<Door>>,
    /// HTTP/2 connections, where it may speak that.
    sessions: Rc<Sessions>,
    /// Requests of this worker that wait at the door, and how they are told of an idle connection.
    waiting: Cell<u32>,
    returned: Notify,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    permit: Option<Permit>,
}

/// A connection to an endpoint, and what is known of it.
#[derive(Debug)]
pub struct Link {
    /// The connection.
    pub stream: Stream,
    /// Whether requests were sent on it before.
    pub reused: bool,
    /// Where it is kept: with its endpoint's, or with those that were opened in the name of the same client.
    shelf: u64,
    born: u64,
    permit: Option<Permit>,
}

/// Whoever waits for a connection: until when, and whether there still is somebody.
#[derive(Debug, Clone, Copy)]
pub struct Wait<'a> {
    /// When the waiting is over; set by what waits.
    pub deadline: &'a Deadline,
    /// The connection for whose sake it is waited; `None`: it is waited in any case.
    pub client: Option<&'a Stream>,
}

impl Wait<'_> {
    fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        self.client.is_some_and(|client| client.poll_broken(cx))
    }
}

/// An attempt under way. Dropped before its end it counts as cancelled.
pub struct Attempt<'a> {
    /// Where it goes.
    pub endpoint: Rc<Endpoint>,
    upstream: &'a Upstream,
    ticket: Ticket,
    started: u64,
    open: bool,
}

impl Upstream {
    /// An upstream whose named endpoints are still being looked up.
    pub fn new(
        plan: &tidegate_plan::Upstream,
        tls: Option<Arc<Client>>,
        shared: &Arc<Shared>,
        worker: usize,
    ) -> Self {
        let passive = plan.passive.as_ref().map(Passive::from);
        let seed = xxh3_64(plan.name.as_bytes()) ^ fastrand::u64(..) ^ worker as u64;
        let slow_start = u64::from(plan.slow_start_ms) * 1_000_000;
        let members = plan.endpoints.iter().map(|endpoint| {
            let place = match &endpoint.address {
                Address::Ip { ip, port } => match ip.parse() {
                    Ok(ip) => Site::Fixed(Target::Ip(std::net::SocketAddr::new(ip, *port))),
                    Err(_) => Site::Named(shared.resolver.subscribe(ip, *port)),
                },
                Address::Unix { path } => Site::Fixed(Target::Unix(path.into())),
                Address::Name { host, port } => Site::Named(shared.resolver.subscribe(host, *port)),
            };
            // Names were checked when the plan was prepared.
            let name = plan.tls.as_ref().and_then(|tls| Client::name(tls, &endpoint.address).ok());
            Member { place, weight: endpoint.weight, authority: endpoint.authority.as_str().into(), name }
        });
        let made = Self {
            name: plan.name.as_str().into(),
            tls,
            slot: shared.metrics.upstream_slot(&plan.name, ""),
            budget: RefCell::new(RetryBudget::new(seed)),
            passive,
            cluster: RefCell::new(Cluster::new((&plan.balance).into(), passive, slow_start, seed)),
            endpoints: RefCell::default(),
            idle: RefCell::new(IdlePool::new(PoolLimits::from(&plan.pool))),
            members: members.collect(),
            shared: shared.clone(),
            seen: Cell::new((u64::MAX, u64::MAX)),
            swept: Cell::new(0),
            plan: plan.clone(),
        };
        made.refresh(shared.now(), &shared.metrics.worker(worker));
        made
    }

    /// Whether a response of this status counts against its endpoint.
    pub fn counts_as_failure(&self, status: u16) -> bool {
        self.passive.is_some_and(|passive| passive.counts(status))
    }

    /// The hash that chooses the endpoint, where the balance goes by a key.
    pub fn hash_key(&self, worker: &Worker, plan: &WorkerPlan, exchange: &Exchange) -> Option<u64> {
        let Balance::Hash { key } = &self.plan.balance else { return None };
        Some(stage::limit::hash_key(worker, plan, key, 0, exchange))
    }

    /// Chooses an endpoint; `None` where there is none.
    pub fn attempt(&self, now: u64, hash: Option<u64>, tried: &mut Tried) -> Option<Attempt<'_>> {
        let mut cluster = self.cluster.borrow_mut();
        let picked = cluster.pick(now, hash, tried)?;
        let endpoint = self.endpoints.borrow().get(picked.id as usize)?.clone();
        let ticket = cluster.started(picked.id);
        tried.insert(ticket);
        Some(Attempt { endpoint, upstream: self, ticket, started: now, open: true })
    }

    /// Whether there is an endpoint that is well and was not tried.
    pub fn has_untried(&self, tried: &Tried) -> bool {
        self.cluster.borrow().has_untried(tried)
    }

    /// The endpoint with that key (its low half), if it is well and has not clearly more to do than its share.
    pub fn attempt_near(&self, now: u64, key: u32, tried: &mut Tried) -> Option<Attempt<'_>> {
        /// Calls above the mean that a warm cache is worth.
        const MORE: u32 = 4;
        let mut cluster = self.cluster.borrow_mut();
        let endpoints = self.endpoints.borrow();
        let at = endpoints.iter().position(|endpoint| endpoint.key as u32 == key)?;
        let mean = cluster.in_flight() / cluster.len().max(1) as u32;
        let view = cluster.view(now).nth(at)?;
        let well = matches!(view.state, EndpointState::Healthy | EndpointState::SlowStart);
        if !well || view.in_flight > mean + mean / 4 + MORE {
            return None;
        }
        let endpoint = endpoints[at].clone();
        let ticket = cluster.started(at as u32);
        tried.insert(ticket);
        Some(Attempt { endpoint, upstream: self, ticket, started: now, open: true })
    }

    /// Keeps a connection for the next request.
    pub fn check_in(&self, link: Link, endpoint: &Endpoint, now: u64) {
        let Link { stream, shelf, born, permit, .. } = link;
        let own = shelf != endpoint.key;
        // One that speaks for a client is of no use to others: it must not take room that somebody waits for, and
        // all of them together are not more than are kept for one endpoint.
        let too_many =
            own && (permit.is_some() || self.idle.borrow().len() >= self.plan.pool.idle_max as usize);
        if stream.is_single() || too_many {
            return;
        }
        // Somebody on another worker waits for room, and nobody here could use this connection.
        let wanted_elsewhere =
            endpoint.waiting.get() == 0 && endpoint.door.as_ref().is_some_and(|door| door.gate.waiting() > 0);
        if wanted_elsewhere {
            return;
        }
        self.idle.borrow_mut().checkin(shelf, Idle { stream, permit }, born, now);
        if endpoint.waiting.get() > 0 {
            endpoint.returned.notify_one();
        }
    }

    /// Closes the connections that are kept for later requests.
    pub fn drop_idle(&self) {
        self.idle.borrow_mut().retain(|_, _| false);
    }

    /// Looks after names, health and idle connections.
    pub fn tick(&self, now: u64, metrics: &WorkerMetrics) {
        let state = (self.shared.resolver.generation(), self.shared.health.generation());
        if state != self.seen.get() {
            self.refresh(now, metrics);
        }
        if now.saturating_sub(self.swept.get()) >= SWEEP_NS {
            self.swept.set(now);
            let mut expired = Vec::new();
            let mut idle = self.idle.borrow_mut();
            idle.sweep(now, &mut expired);
            // One that is readable was closed by its upstream, or says what nobody asked for.
            let mut cx = Context::from_waker(Waker::noop());
            idle.retain(|_, kept| kept.stream.poll_read_ready(&mut cx).is_pending());
            metrics.pool_idle(self.slot, idle.len() as u64);
            drop(idle);
            self.tell_states(now, metrics);
        }
    }

    fn tell_states(&self, now: u64, metrics: &WorkerMetrics) {
        for (endpoint, view) in self.endpoints.borrow().iter().zip(self.cluster.borrow().view(now)) {
            let chosen = matches!(view.state, EndpointState::Healthy | EndpointState::SlowStart);
            metrics.endpoint_state(endpoint.slot, chosen, view.in_flight);
        }
    }

    fn refresh(&self, now: u64, metrics: &WorkerMetrics) {
        self.seen.set((self.shared.resolver.generation(), self.shared.health.generation()));
        let before = self.endpoints.take();
        let mut endpoints = Vec::new();
        let mut specs = Vec::new();
        for member in &self.members {
            let mut add = |target: Target| {
                let text = target.to_string();
                let mut key = xxh3_64(text.as_bytes());
                if let Some(name) = &member.name {
                    // A connection that was made for one name is not used for another at the same address.
                    key = xxh3_64_with_seed(name.to_str().as_bytes(), key);
                }
                specs.push(EndpointSpec { key, weight: member.weight });
                let kept = before.iter().find(|kept| kept.key == key && kept.authority == member.authority);
                endpoints
                    .push(kept.cloned().unwrap_or_else(|| Rc::new(self.endpoint(target, text, key, member))));
            };
            match &member.place {
                Site::Fixed(target) => add(target.clone()),
                Site::Named(name) => name.addresses().iter().for_each(|address| add(Target::Ip(*address))),
            }
        }
        let mut cluster = self.cluster.borrow_mut();
        cluster.update(&specs, now);
        if self.plan.active.is_some() {
            for (id, endpoint) in endpoints.iter().enumerate() {
                let up = self.shared.health.is_up(&self.name, &endpoint.target);
                cluster.set_active_health(id as u32, up, now);
            }
        }
        for gone in before.iter().filter(|gone| !specs.iter().any(|spec| spec.key == gone.key)) {
            metrics.endpoint_gone(gone.slot);
        }
        self.idle.borrow_mut().retain(|key, _| specs.iter().any(|spec| spec.key == key));
        drop(cluster);
        self.endpoints.replace(endpoints);
        self.tell_states(now, metrics);
    }

    fn endpoint(&self, target: Target, text: String, key: u64, member: &Member) -> Endpoint {
        let label = || format!("upstream {}: {text}", self.name).into();
        let secure = self.tls.as_ref().zip(member.name.as_ref());
        Endpoint {
            secure: secure.map(|(client, name)| Secure {
                client: client.clone(),
                name: name.clone(),
                label: label(),
            }),
            slot: self.shared.metrics.upstream_slot(&self.name, &text),
            door: self.shared.gates.door(&self.name, &target, (&self.plan.pool).into()),
            text: text.into(),
            authority: member.authority.clone(),
            target,
            key,
            sessions: Rc::default(),
            waiting: Cell::new(0),
            returned: Notify::new(),
        }
    }

    /// An idle connection that has not ended meanwhile. Idle ones stay registered, so this costs no system call.
    fn check_out(&self, shelf: u64, now: u64) -> Option<Link> {
        let mut idle = self.idle.borrow_mut();
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let mut kept = idle.checkout(shelf, now)?;
            if kept.connection.stream.poll_read_ready(&mut cx).is_pending() {
                let Idle { stream, permit } = kept.connection;
                return Some(Link { stream, reused: true, shelf, born: kept.born, permit });
            }
        }
    }
}

impl Endpoint {
    /// Where connections are kept that open with `first`: a PROXY header is true for one client only.
    fn shelf(&self, first: &[u8]) -> u64 {
        if first.is_empty() { self.key } else { xxh3_64_with_seed(first, self.key) }
    }
}

impl Attempt<'_> {
    /// A connection to the endpoint: an idle one, or a new one within `connect_ms`. `fresh` takes no idle one.
    /// `bounded` cuts a waiting time to what the request has left. Ends when the client breaks off. What stands in
    /// `first` opens a new connection, before TLS; an idle one has it behind it.
    pub async fn connect(
        &self,
        worker: &Worker,
        wait: Wait<'_>,
        connect_ms: u32,
        bounded: impl Fn(u32) -> u32,
        fresh: bool,
        first: &[u8],
    ) -> Result<Link, Failure> {
        let shelf = self.endpoint.shelf(first);
        if !fresh && let Some(link) = self.upstream.check_out(shelf, self.started) {
            worker.metrics.pool_hit(self.upstream.slot);
            return Ok(link);
        }
        let opening = match self.join(worker, wait, bounded(connect_ms)).await? {
            Joined::Link(link) => return Ok(link),
            Joined::Opening(opening) => Some(opening),
            Joined::Not => None,
        };
        worker.metrics.pool_miss(self.upstream.slot);
        let mut permit = None;
        if let Some(door) = &self.endpoint.door {
            match self.enter(worker, door, shelf, wait, bounded(self.upstream.plan.pool.queue_ms)).await? {
                Entered::Idle(link) => return Ok(link),
                Entered::Room => permit = Some(Permit::new(door.clone())),
            }
        }
        wait.deadline.set(bounded(connect_ms));
        let mut connecting =
            pin!(io::connect_secure(&self.endpoint.target, first, self.endpoint.secure.as_ref()));
        let connected = poll_fn(|cx| match connecting.as_mut().poll(cx) {
            Poll::Pending if wait.deadline.poll_passed(cx) => {
                Poll::Ready(Err((Cause::ConnectTimeout, format!("no answer in {connect_ms} ms"))))
            }
            Poll::Pending if wait.is_gone(cx) => Poll::Ready(Err((Cause::ClientGone, String::new()))),
            Poll::Pending => Poll::Pending,
            Poll::Ready(connected) => {
                Poll::Ready(connected.map_err(|fault| (fault.cause(), fault.to_string())))
            }
        })
        .await;
        worker.look_at_clock();
        let stream = connected.map_err(|(cause, why)| {
            if cause == Cause::ClientGone {
                return Failure::client(cause);
            }
            if cause == Cause::OutOfDescriptors {
                crate::log::tell("error", "no_descriptors", &format!("can't connect to upstreams: {why}"));
                return Failure::gateway(cause);
            }
            let (upstream, endpoint) = (&self.upstream.name, &self.endpoint.text);
            crate::log::tell(
                "warn",
                "connect",
                &format!("upstream {upstream}: no connection to {endpoint}: {why}"),
            );
            Failure::upstream(cause)
        })?;
        let born = worker.now();
        let Some(_opening) = opening else { return Ok(Link { stream, reused: false, shelf, born, permit }) };
        let sessions = &self.endpoint.sessions;
        if !self.upstream.speaks_http2(&stream) {
            sessions.found_old();
            return Ok(Link { stream, reused: false, shelf, born, permit });
        }
        sessions.add(&worker.rc(), stream, self.upstream.plan.pool.idle_ms, permit);
        let stream = sessions.stream().ok_or(Failure::upstream(Cause::ConnectFailed))?;
        Ok(Link { stream: Stream::H2(stream), reused: false, shelf, born, permit: None })
    }

    /// Waits for room at the endpoint's door, or for a connection that comes back.
    async fn enter(
        &self,
        worker: &Worker,
        door: &Arc<Door>,
        shelf: u64,
        wait: Wait<'_>,
        queue_ms: u32,
    ) -> Result<Entered, Failure> {
        match door.gate.try_open() {
            Admission::Open => return Ok(Entered::Room),
            Admission::Full => return Err(Failure::gateway(Cause::UpstreamFull)),
            Admission::Wait => {}
        }
        let mut place = Place(door, true);
        let endpoint = &self.endpoint;
        endpoint.waiting.set(endpoint.waiting.get() + 1);
        let _here = Waiting(endpoint);
        wait.deadline.set(queue_ms);
        loop {
            if let Some(link) = self.upstream.check_out(shelf, worker.now()) {
                return Ok(Entered::Idle(link));
            }
            if door.gate.try_enter() {
                place.1 = false;
                return Ok(Entered::Room);
            }
            let mut room = pin!(door.room.notified());
            let mut returned = pin!(endpoint.returned.notified());
            let woken = poll_fn(|cx| {
                if room.as_mut().poll(cx).is_ready() || returned.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                if wait.deadline.poll_passed(cx) {
                    return Poll::Ready(Err(Failure::gateway(Cause::QueueTimeout)));
                }
                if wait.is_gone(cx) {
                    return Poll::Ready(Err(Failure::client(Cause::ClientGone)));
                }
                Poll::Pending
            })
            .await;
            worker.look_at_clock();
            woken?;
        }
    }

    /// Stays in flight after it was settled, for as long as a connection is passed on; ends when it is dropped.
    pub fn stays(&mut self) {
        let mut cluster = self.upstream.cluster.borrow_mut();
        if let Some(id) = cluster.locate(self.ticket)
            && !std::mem::replace(&mut self.open, true)
        {
            self.ticket = cluster.started(id);
        }
    }

    /// Nanoseconds since the attempt began.
    pub fn latency(&self, now: u64) -> u64 {
        now.saturating_sub(self.started)
    }

    /// Settles the attempt; only the first call counts.
    pub fn finish(&mut self, worker: &Worker, outcome: Outcome, latency: Option<u64>, why: &'static str) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        let now = worker.now();
        let change = self.upstream.cluster.borrow_mut().finished(self.ticket, outcome, latency, now);
        worker.metrics.upstream_attempt(self.endpoint.slot, outcome == Outcome::Ok, latency.unwrap_or(0));
        match change {
            Some(Change::Ejected { until }) => {
                let seconds = until.saturating_sub(now) / 1_000_000_000;
                let text = format!(
                    "upstream {}: {} is left out for {seconds} s after failures in a row, the last: {why}",
                    self.upstream.name, self.endpoint.text
                );
                crate::log::tell("warn", "ejected", &text);
            }
            Some(Change::Restored) => {
                let text = format!("upstream {}: {} answers again", self.upstream.name, self.endpoint.text);
                crate::log::tell("info", "restored", &text);
            }
            _ => {}
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.open {
            let mut cluster = self.upstream.cluster.borrow_mut();
            let _ = cluster.finished(self.ticket, Outcome::Cancelled, None, self.started);
        }
    }
}

impl ConnectFault {
    fn cause(&self) -> Cause {
        match self {
            Self::Connect(error) if is_ours(error) => Cause::OutOfDescriptors,
            Self::Connect(_) => Cause::ConnectFailed,
            Self::Tls(Fault::Certificate(_)) => Cause::TlsCertificateRefused,
            Self::Tls(Fault::Failed(_)) => Cause::TlsHandshakeFailed,
        }
    }
}

enum Entered {
    Room,
    Idle(Link),
}

struct Waiting<'a>(&'a Endpoint);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}
