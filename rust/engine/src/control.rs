//! The handle that the control plane holds: start, apply, drain, stop.

use std::{
    fmt,
    os::fd::RawFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tidegate_plan::{Listener, Plan};
use tokio::{sync::mpsc::unbounded_channel, time::Instant};

use crate::{
    abuse, cache,
    gates::Gates,
    handover::{Held, Inherited, Serving},
    health::Health,
    hooks::Hooks,
    io::listen::{self, Bound, Opened},
    key_sets::KeyCell,
    life,
    metrics::{Expiry, Metrics},
    prepare::{PlanRejected, Prepared},
    pulse::{Health as Pulses, Pulse},
    resolve::Resolver,
    telemetry,
    worker::{Message, Shared},
};

/// A listener that was opened: its index in the plan, its sockets, and whether this engine has bound them.
type New = (u32, Opened, bool);

/// How long a worker may take to run a new plan, or to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running data plane.
pub struct Engine {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

struct State {
    threads: Vec<JoinHandle<()>>,
    inboxes: Vec<tokio::sync::mpsc::UnboundedReceiver<Message>>,
    current: Option<Arc<Prepared>>,
    /// Plans that requests may still run on. They are dropped here, not on a worker: a large one takes long.
    retired: Vec<Arc<Prepared>>,
    generation: u64,
    /// By listener of the current plan: where it is bound.
    addresses: Vec<String>,
}

/// Why the engine could not do what it was told.
#[derive(Debug)]
pub enum EngineError {
    /// The plan can't be run; what ran before runs on.
    Rejected(PlanRejected),
    /// A listener could not be bound.
    Bind {
        /// Its name.
        listener: String,
        /// Why not.
        why: std::io::Error,
    },
    /// The system does not give what the engine needs.
    System(std::io::Error),
    /// Started twice, or not at all.
    State(&'static str),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Bind { listener, why } if why.kind() == std::io::ErrorKind::AddrInUse => {
                write!(f, "can't listen on {listener}: the address is in use by another process")
            }
            Self::Bind { listener, why } => write!(f, "can't listen on {listener}: {why}"),
            Self::System(why) => why.fmt(f),
            Self::State(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for EngineError {}

impl From<PlanRejected> for EngineError {
    fn from(rejected: PlanRejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl Engine {
    /// An engine of `workers` threads that runs nothing yet.
    pub fn new(workers: usize) -> Result<Self, EngineError> {
        let workers = workers.clamp(1, 1024);
        let (inboxes, receivers) = (0..workers).map(|_| unbounded_channel()).unzip();
        let metrics = Metrics::new(workers);
        let shared = Shared {
            hooks: Hooks::new().map_err(EngineError::System)?,
            resolver: Resolver::start(),
            health: Health::start(),
            gates: Gates::default(),
            loads: (0..workers).map(|_| Default::default()).collect(),
            pulse: Pulse::new(workers),
            serving: Mutex::default(),
            admin_connections: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            held_bodies: AtomicU64::new(0),
            bounds: abuse::Bounds::new(),
            overload: abuse::Overload::default(),
            draining: AtomicBool::new(false),
            expiries: Mutex::default(),
            log: Mutex::new(None),
            cache: Mutex::new(None),
            key_sets: Mutex::default(),
            started_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            inboxes,
            started: Instant::now(),
            metrics,
        };
        let state = State {
            threads: Vec::new(),
            inboxes: receivers,
            current: None,
            retired: Vec::new(),
            generation: 0,
            addresses: Vec::new(),
        };
        Ok(Self { shared: Arc::new(shared), state: Mutex::new(state) })
    }

    /// Binds the plan's listeners and begins to serve. Returns where each listener is bound, in order.
    pub fn start(&self, plan: &[u8]) -> Result<Vec<String>, EngineError> {
        self.start_with(plan, Vec::new())
    }

    /// The same with sockets that came with the process. Whatever names them in the file system is not ours to remove, until
    /// [`Engine::own`] says so.
    pub fn start_with(&self, plan: &[u8], inherited: Vec<Inherited>) -> Result<Vec<String>, EngineError> {
        let mut state = self.lock();
        if state.current.is_some() {
            return Err(EngineError::State("the engine runs already"));
        }
        let plan = Plan::decode(plan).map_err(PlanRejected::from)?;
        let prepared = Arc::new(Prepared::new(plan, None, 1, &self.shared.metrics)?);
        let bound = self.bind(&prepared, &[], inherited)?;
        state.generation = 1;
        abuse::overload::watch(Arc::downgrade(&self.shared));
        for (index, inbox) in std::mem::take(&mut state.inboxes).into_iter().enumerate() {
            let (shared, prepared) = (self.shared.clone(), prepared.clone());
            let thread = std::thread::Builder::new()
                .name(format!("tidegate-w{index}"))
                .spawn(move || life::run(index, shared, prepared, inbox))
                .map_err(EngineError::System)?;
            state.threads.push(thread);
        }
        self.install(&mut state, prepared, bound)
    }

    /// An engine of one worker in the network in memory, serving `plan`, whose listeners take connections from
    /// `entrances` in their order. The caller runs the worker, on this thread and with a clock that it may move.
    #[cfg(feature = "memory")]
    pub fn in_memory(
        plan: &[u8],
        entrances: &[crate::io::memory::Entrance],
    ) -> Result<(Self, impl Future<Output = ()> + use<>), EngineError> {
        let engine = Self::new(1)?;
        let plan = Plan::decode(plan).map_err(PlanRejected::from)?;
        let prepared = Arc::new(Prepared::new(plan, None, 1, &engine.shared.metrics)?);
        let bound = (entrances.iter().enumerate())
            .map(|(index, entrance)| {
                let workers = vec![vec![Bound::Memory(entrance.acceptor())]];
                let opened = Opened { workers, held: Vec::new(), address: format!("memory:{index}") };
                (index as u32, opened, true)
            })
            .collect();
        let mut state = engine.lock();
        state.generation = 1;
        let Some(inbox) = state.inboxes.pop() else { return Err(EngineError::State("no worker")) };
        let (shared, first) = (engine.shared.clone(), prepared.clone());
        let worker = async move {
            let mut inbox = inbox;
            crate::worker::main(0, shared, first, &mut inbox, false).await;
        };
        engine.install(&mut state, prepared, bound)?;
        drop(state);
        Ok((engine, worker))
    }

    /// Runs another plan from now on. What can't be run is refused whole, and what ran before runs on.
    pub fn apply(&self, plan: &[u8]) -> Result<Vec<String>, EngineError> {
        let mut state = self.lock();
        let Some(current) = state.current.clone() else {
            return Err(EngineError::State("the engine does not run"));
        };
        let plan = Plan::decode(plan).map_err(PlanRejected::from)?;
        let prepared = Prepared::new(plan, Some(&current), state.generation + 1, &self.shared.metrics)?;
        let prepared = Arc::new(prepared);
        let bound = self.bind(&prepared, &current.plan.listeners, Vec::new())?;
        let addresses = self.install(&mut state, prepared, bound)?;
        state.generation += 1;
        state.retired.push(current);
        state.retired.retain(|plan| Arc::strong_count(plan) > 1);
        Ok(addresses)
    }

    /// Binds the listeners that are not open yet, or takes over what was inherited for them: all of them or none.
    fn bind(
        &self,
        prepared: &Prepared,
        open: &[Listener],
        mut inherited: Vec<Inherited>,
    ) -> Result<Vec<New>, EngineError> {
        let workers = self.shared.loads.len();
        let mut bound = Vec::new();
        for (index, listener) in prepared.plan.listeners.iter().enumerate() {
            if open.iter().any(|open| is_same(open, listener)) {
                continue;
            }
            let came = inherited.iter().position(|came| came.listener as usize == index);
            let opened = match came.map(|at| inherited.swap_remove(at)) {
                Some(came) => listen::adopt(&listener.address, came.sockets, workers),
                None => listen::bind(&listener.address, workers),
            };
            let opened = opened.map_err(|why| EngineError::Bind { listener: listener.name.clone(), why })?;
            bound.push((index as u32, opened, came.is_none()));
        }
        Ok(bound)
    }

    fn install(
        &self,
        state: &mut State,
        prepared: Arc<Prepared>,
        bound: Vec<New>,
    ) -> Result<Vec<String>, EngineError> {
        let workers = self.shared.inboxes.len();
        let (done, finished) = sync_channel(workers);
        let mut for_worker: Vec<Vec<(u32, Vec<Bound>)>> = (0..workers).map(|_| Vec::new()).collect();
        let mut addresses = vec![String::new(); prepared.plan.listeners.len()];
        let mut held: Vec<Held> = addresses.iter().map(|_| Held::default()).collect();
        if let Some(current) = &state.current {
            let before = state.addresses.iter().zip(std::mem::take(&mut self.shared.serving().held));
            for (old, (address, sockets)) in current.plan.listeners.iter().zip(before) {
                match prepared.plan.listeners.iter().position(|new| is_same(old, new)) {
                    Some(index) => {
                        addresses[index].clone_from(address);
                        held[index] = sockets;
                    }
                    None => sockets.forget(&old.address),
                }
            }
        }
        for (index, opened, ours) in bound {
            addresses[index as usize] = opened.address;
            held[index as usize] = Held { sockets: opened.held, ours };
            for (worker, sockets) in opened.workers.into_iter().enumerate() {
                for_worker[worker].push((index, sockets));
            }
        }
        *self.shared.serving() = Serving { prepared: Some(prepared.clone()), held };
        abuse::apply(&self.shared, &prepared);
        self.shared.health.watch(&prepared.plan, &prepared.upstream_tls, &self.shared.resolver);
        for (inbox, bound) in self.shared.inboxes.iter().zip(for_worker) {
            let message = Message::Plan { prepared: prepared.clone(), bound, done: done.clone() };
            inbox.send(message).map_err(|_| EngineError::State("a worker has ended"))?;
        }
        // In memory the worker runs on this very thread, and comes to it later.
        for _ in 0..state.threads.len() {
            finished.recv_timeout(PATIENCE).map_err(|_| EngineError::State("a worker does not answer"))?;
        }
        self.shared.generation.store(prepared.generation, Ordering::Relaxed);
        *self.shared.expiries.lock().unwrap_or_else(PoisonError::into_inner) = expiries(&prepared.plan);
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&prepared.log);
        self.shared.cache.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&prepared.cache);
        self.shared.key_sets.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&prepared.key_sets);
        state.current = Some(prepared);
        state.addresses.clone_from(&addresses);
        Ok(addresses)
    }

    /// Takes keys of the set called `name` that were fetched: how many can be used, and why others can't. `None`: the
    /// plan has no such set.
    pub fn set_keys(&self, name: &str, jwks: &[u8]) -> Result<Option<(usize, Vec<String>)>, String> {
        match self.key_set(name) {
            Some(cell) => cell.set(jwks).map(Some).map_err(|why| why.to_string()),
            None => Ok(None),
        }
    }

    /// Keys of the set called `name` could not be fetched; those that there are stay.
    pub fn keys_failed(&self, name: &str) {
        if let Some(cell) = self.key_set(name) {
            cell.fail();
        }
    }

    fn key_set(&self, name: &str) -> Option<Arc<KeyCell>> {
        self.lock().current.as_ref().and_then(|current| current.key_sets.get(name).cloned())
    }

    /// Accepts nothing more (but on admin listeners) and lets connections go as they become idle.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        let state = self.lock();
        if let Some(current) = &state.current {
            for (listener, held) in current.plan.listeners.iter().zip(&mut self.shared.serving().held) {
                if !listener.admin {
                    // Before the workers close theirs, so that nobody connects to a queue that nobody empties.
                    std::mem::take(held).forget(&listener.address);
                }
            }
        }
        self.tell(|| Message::Drain { handed_over: false });
    }

    /// By listener of the plan that runs: its sockets, which stay this engine's and are open until the next change of plan.
    pub fn sockets(&self) -> Vec<Vec<RawFd>> {
        self.shared.serving().held.iter().map(Held::descriptors).collect()
    }

    /// Listeners, by their index in the plan that runs, whose inherited sockets nobody else uses any more: what names them in the file
    /// system goes when they do.
    pub fn own(&self, listeners: &[u32]) {
        let mut serving = self.shared.serving();
        for index in listeners {
            if let Some(held) = serving.held.get_mut(*index as usize) {
                held.ours = true;
            }
        }
    }

    /// Another process accepts from the same sockets now: accepts nothing more, on admin listeners too, and lets connections go. What
    /// names the sockets in the file system stays.
    pub fn hand_over(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        for held in &mut self.shared.serving().held {
            *held = Held::default();
        }
        self.tell(|| Message::Drain { handed_over: true });
    }

    fn tell(&self, message: impl Fn() -> Message) {
        for inbox in &self.shared.inboxes {
            let _ = inbox.send(message());
        }
    }

    /// Whether the workers live.
    pub fn workers(&self) -> Pulses {
        self.shared.pulse.health(self.shared.now())
    }

    /// What the process takes of memory, as a test says.
    #[cfg(feature = "memory")]
    pub fn takes_memory(&self, bytes: u64) {
        self.shared.overload.observe(bytes);
    }

    /// Client connections that are open, but for those to admin listeners.
    pub fn connections(&self) -> usize {
        self.shared.traffic_connections()
    }

    /// Cuts what is left and waits for the threads to end.
    pub fn stop(&self) {
        let mut state = self.lock();
        self.tell(|| Message::Stop);
        for thread in state.threads.drain(..) {
            let _ = thread.join();
        }
        if let Some(current) = state.current.take() {
            let serving = std::mem::take(&mut *self.shared.serving());
            for (listener, held) in current.plan.listeners.iter().zip(serving.held) {
                held.forget(&listener.address);
            }
            if let Some(log) = &current.log {
                log.clone().flush_and_close();
            }
        }
        crate::log::flush_told(Duration::from_secs(1));
    }

    /// Opens log files anew, after they were moved away.
    pub fn reopen_logs(&self) {
        if let Some(log) = self.lock().current.as_ref().and_then(|plan| plan.log.as_ref()) {
            log.reopen();
        }
    }

    /// Makes answers invalid that are kept; see [`cache::purge`].
    pub fn cache_purge(&self, what: &str, value: &[u8], softly: bool) -> Option<bool> {
        cache::purge(&*self.shared.kept()?, what, value, softly)
    }

    /// What is kept under a key's text, as JSON; `None` where nothing is.
    pub fn cache_get(&self, text: &[u8]) -> Option<String> {
        cache::describe(
            &*self.shared.kept()?,
            text,
            self.shared.started_at * 1000 + self.shared.now() / 1_000_000,
        )
    }

    /// Books on accounts of the plan that runs what calls of another process have taken: name, moment (milliseconds since 1970), and
    /// how much. Names that no account has are passed over.
    pub fn book(&self, taken: &[(String, u64, u64)]) {
        let current = self.lock().current.clone();
        if let Some(ai) = current.as_ref().and_then(|plan| plan.ai.as_ref()) {
            ai.accounts.book(taken, crate::unix_milliseconds());
        }
    }

    /// Calls from workers to Python.
    pub fn hooks(&self) -> &Hooks {
        &self.shared.hooks
    }

    /// Everything that is counted, as Prometheus reads it.
    pub fn metrics(&self) -> Vec<u8> {
        let mut out = Vec::new();
        telemetry::metrics(&self.shared, &mut out);
        out
    }

    /// What `tidegate status` shows, as JSON.
    pub fn stats(&self) -> Vec<u8> {
        telemetry::stats(&self.shared)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until when the certificates of a plan are valid.
fn expiries(plan: &Plan) -> Vec<Expiry> {
    let listeners = plan.listeners.iter().filter_map(|listener| Some((listener, listener.tls.as_ref()?)));
    let certificates = listeners.flat_map(|(listener, tls)| {
        tls.certificates.iter().map(|certificate| Expiry {
            listener: listener.name.clone(),
            name: certificate.name.clone(),
            not_after: certificate.not_after_s,
        })
    });
    certificates.collect()
}

/// Whether a listener of one plan goes on as a listener of the next.
fn is_same(old: &Listener, new: &Listener) -> bool {
    old.name == new.name && old.address == new.address
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}
