//! One worker: a thread with a reactor of its own that shares nothing with the others on a plain request.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::SyncSender,
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{
        Notify,
        mpsc::{UnboundedReceiver, UnboundedSender},
    },
    time::Instant,
};

use crate::{
    abuse::{self, ClientPlace},
    accept::{Listeners, Serve},
    ai::batch::Batches,
    answer,
    balance::Load,
    connection::{self, Connection},
    drain::{self, LetGo},
    exchange::Exchange,
    gates::Gates,
    handover::Serving,
    handshake::Turns,
    health::Health,
    hooks::Hooks,
    io::listen::{Accepted, Bound, Detached},
    key_sets::KeySets,
    life::{Alarm, End},
    log::Log,
    metrics::{Expiry, Metrics, WorkerMetrics},
    prepare::Prepared,
    pulse::Pulse,
    resolve::Resolver,
    stage::auth::Judged,
    tcp,
    timer::{TICK, Timers},
};

pub use crate::{accept::Listening, worker_plan::WorkerPlan};

/// Bytes that one read takes at most. A 64 KiB body in two reads instead of one costs half as much again.
pub const SCRATCH: usize = 128 * 1024;

/// Exchanges whose memory is kept for the next ones.
const EXCHANGES_KEPT: usize = 1024;

/// What all workers share.
pub struct Shared {
    /// Calls to Python.
    pub hooks: Hooks,
    /// Everything that is counted.
    pub metrics: Arc<Metrics>,
    /// Names of endpoints.
    pub resolver: Arc<Resolver>,
    /// What probes say of endpoints.
    pub health: Arc<Health>,
    /// Bounds on connections to endpoints.
    pub gates: Gates,
    /// Client connections of each worker, each on a cache line of its own.
    pub loads: Vec<Load>,
    /// How the workers' threads are.
    pub pulse: Pulse,
    /// What is served, for a worker that begins anew.
    pub serving: Mutex<Serving>,
    /// Those among them that came to admin listeners.
    pub admin_connections: AtomicUsize,
    /// The number of the plan that runs.
    pub generation: AtomicU64,
    /// Bytes of large request bodies that are held in memory.
    pub held_bodies: AtomicU64,
    /// What bounds clients.
    pub bounds: abuse::Bounds,
    /// How full memory is.
    pub overload: abuse::Overload,
    /// Whether connections are being let go.
    pub draining: AtomicBool,
    /// Until when the certificates of the plan that runs are valid.
    pub expiries: Mutex<Vec<Expiry>>,
    /// The access log of the plan that runs.
    pub log: Mutex<Option<Log>>,
    /// What the plan that runs keeps of answers.
    pub cache: Mutex<Option<Arc<crate::cache::Shared>>>,
    /// Keys that tokens are checked with, of the plan that runs.
    pub key_sets: Mutex<KeySets>,
    /// When the engine started, in seconds since 1970.
    pub started_at: u64,
    /// How workers are told things.
    pub inboxes: Vec<UnboundedSender<Message>>,
    /// When the engine started: the zero of all times that leaf crates are given.
    pub started: Instant,
}

impl Shared {
    /// Nanoseconds since the engine started.
    pub fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// What the plan that runs keeps of answers.
    pub fn kept(&self) -> Option<Arc<crate::cache::Shared>> {
        self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Client connections of all workers.
    pub fn connections(&self) -> usize {
        self.loads.iter().map(|load| load.0.load(Ordering::Relaxed)).sum()
    }

    /// What is served.
    pub fn serving(&self) -> MutexGuard<'_, Serving> {
        // Nothing under the lock can panic between two stores that belong together.
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those among them that are traffic.
    pub fn traffic_connections(&self) -> usize {
        self.connections().saturating_sub(self.admin_connections.load(Ordering::Relaxed))
    }
}

/// What a worker is told.
pub enum Message {
    /// Runs this plan from now on.
    Plan {
        /// The plan.
        prepared: Arc<Prepared>,
        /// New listening sockets, by index of their listener in the plan.
        bound: Vec<(u32, Vec<Bound>)>,
        /// Told once it is done.
        done: SyncSender<()>,
    },
    /// Serves this connection, which another worker accepted.
    Serve {
        /// The listener's name.
        listener: Arc<str>,
        /// The connection.
        accepted: Detached,
        /// How it counts.
        place: ClientPlace,
    },
    /// Accepts nothing more and lets connections go as they become idle.
    Drain {
        /// To another process, which accepts from the same sockets. Admin listeners are left to it too.
        handed_over: bool,
    },
    /// Ends at once.
    Stop,
}

/// One worker's state. Everything in it belongs to one thread.
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// What it counts.
    pub metrics: Arc<WorkerMetrics>,
    /// Deadlines.
    pub timers: Rc<Timers>,
    /// Where bytes are read to; what must live longer is copied out before anything is awaited.
    pub scratch: RefCell<Vec<u8>>,
    /// Where small things are put together: keys, values.
    pub small: RefCell<Vec<u8>>,
    /// Where the texts of cache keys are put together.
    pub key_text: RefCell<Vec<u8>>,
    /// Credentials that were judged a moment ago.
    pub judged: Judged,
    /// Embedding calls that wait for others like them.
    pub batches: Batches,
    /// When handshakes may begin.
    pub handshakes: Turns,
    /// Whether connections are let go as they become idle.
    /// Whether connections are let go after their request, and as they become idle.
    pub draining: Cell<bool>,
    /// Which idle connections are closed meanwhile.
    pub let_go: Cell<LetGo>,
    /// What is given up for want of memory, as of the last tick.
    pub level: Cell<abuse::Level>,
    now: Cell<u64>,
    plan: RefCell<Rc<WorkerPlan>>,
    myself: Weak<Self>,
    /// How a stream's task is started.
    serve_stream: RefCell<Option<ServeStream>>,
    #[allow(clippy::vec_box)] // they move between here and connections' futures as one pointer
    exchanges: RefCell<Vec<Box<Exchange>>>,
    date: RefCell<Date>,
    /// A task that all of the worker needs has panicked.
    pub broken: Notify,
}

type ServeStream = Box<dyn Fn(Connection)>;

#[derive(Default)]
struct Date {
    second: u64,
    text: [u8; 29],
}

impl Worker {
    /// The plan that a request which starts now runs on, to its end.
    pub fn plan(&self) -> Rc<WorkerPlan> {
        self.plan.borrow().clone()
    }

    /// Nanoseconds since the engine started, as of the last look at the clock. A look is taken whenever something has
    /// been waited for, so that the many places that ask for the time of one step agree and cost nothing.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Looks at the clock.
    pub fn look_at_clock(&self) -> u64 {
        self.now.set(self.shared.now());
        self.now.get()
    }

    /// Memory for an exchange.
    pub fn borrow_exchange(&self) -> Box<Exchange> {
        self.exchanges.borrow_mut().pop().unwrap_or_default()
    }

    /// Gives it back.
    pub fn return_exchange(&self, mut exchange: Box<Exchange>) {
        let mut kept = self.exchanges.borrow_mut();
        if kept.len() < EXCHANGES_KEPT {
            exchange.shrink();
            kept.push(exchange);
        }
    }

    /// Gives memory and connections back that are only kept for later requests.
    pub fn give_back(&self) {
        self.exchanges.take();
        for upstream in &self.plan().upstreams {
            upstream.drop_idle();
        }
    }

    /// The value of `Date` (RFC 9110 §6.6.1), made anew once a second.
    pub fn date(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.date.borrow().text);
    }

    /// Seconds since 1970, as of the last tick.
    pub fn unix_seconds(&self) -> u64 {
        self.date.borrow().second
    }

    /// Client connections of this worker.
    pub fn connections(&self) -> usize {
        self.shared.loads[self.index].0.load(Ordering::Relaxed)
    }

    /// A connection has gone, or could not be started.
    pub fn uncount(&self, admin: bool) {
        self.shared.loads[self.index].0.fetch_sub(1, Ordering::Relaxed);
        if admin {
            self.shared.admin_connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The worker, for tasks of their own.
    ///
    /// # Panics
    /// Never: whoever borrows a worker borrows it from an `Rc`.
    pub fn rc(&self) -> Rc<Self> {
        self.myself.upgrade().expect("a worker lives in an Rc")
    }

    /// Serves one stream of a connection that carries many, in a task of its own.
    pub fn serve_stream(&self, stream: Connection) {
        if let Some(serve) = &*self.serve_stream.borrow() {
            serve(stream);
        }
    }

    /// An exchange panicked.
    pub fn panicked(&self) {
        self.metrics.panicked();
        crate::log::tell(
            "error",
            "panicked",
            "an exchange panicked and was ended; this is a bug in Tidegate",
        );
    }

    fn set_date(&self) {
        let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut date = self.date.borrow_mut();
        if date.second != second {
            *date = Date { second, text: answer::imf_fixdate(second) };
        }
    }
}

/// A worker's own task: what it is told, and the ticks of its wheel.
pub async fn main(
    index: usize,
    shared: Arc<Shared>,
    prepared: Arc<Prepared>,
    inbox: &mut UnboundedReceiver<Message>,
    again: bool,
) -> End {
    let metrics = shared.metrics.worker(index);
    let worker = Rc::new_cyclic(|myself| Worker {
        myself: myself.clone(),
        index,
        metrics,
        timers: Rc::new(Timers::new()),
        scratch: RefCell::new(vec![0; SCRATCH]),
        small: RefCell::default(),
        key_text: RefCell::default(),
        judged: Judged::default(),
        batches: Batches::default(),
        handshakes: Turns::default(),
        draining: Cell::new(false),
        let_go: Cell::new(LetGo::None),
        level: Cell::default(),
        now: Cell::new(shared.now()),
        plan: RefCell::new(Rc::new(WorkerPlan::new(prepared, None, &shared, index))),
        exchanges: RefCell::default(),
        serve_stream: RefCell::default(),
        date: RefCell::default(),
        broken: Notify::new(),
        shared,
    });
    worker.set_date();
    let serve = spawner(worker.clone());
    let mut listeners = Listeners::new(worker.clone(), serve.clone());
    let turns = worker.clone();
    tokio::task::spawn_local(async move {
        let _alarm = Alarm::new(&turns.broken);
        turns.handshakes.keep().await;
    });
    if again {
        listeners.reopen();
        if worker.shared.draining.load(Ordering::Relaxed) {
            drain::begin(&worker, false);
        }
    }
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            message = inbox.recv() => match message {
                Some(Message::Plan { prepared, bound, done }) => {
                    if listeners.change(&prepared, bound) {
                        worker.timers.wake_all();
                    }
                    let next = WorkerPlan::new(prepared, Some(&worker.plan()), &worker.shared, index);
                    worker.plan.replace(Rc::new(next));
                    let _ = done.send(());
                }
                Some(Message::Serve { listener, accepted, place }) => {
                    match (listeners.listening(listener), accepted.attach()) {
                        (Some(listening), Ok(accepted)) => serve(accepted, listening, place),
                        _ => worker.uncount(false),
                    }
                }
                Some(Message::Drain { handed_over }) => {
                    listeners.drain(handed_over);
                    drain::begin(&worker, handed_over);
                }
                Some(Message::Stop) | None => break,
            },
            _ = ticks.tick() => tick(&worker),
            () = worker.broken.notified() => return End::Broken,
        }
    }
    drain::cut(&worker).await;
    if let Some(lines) = &mut *worker.plan().lines.borrow_mut() {
        lines.flush();
    }
    End::Stopped
}

fn tick(worker: &Worker) {
    #[cfg(feature = "memory")]
    {
        crate::fault::here(crate::fault::Place::Worker);
        crate::fault::here(crate::fault::Place::Stuck);
    }
    worker.shared.pulse.beat(worker.index, worker.shared.now());
    worker.timers.advance(worker.shared.started.elapsed());
    worker.set_date();
    abuse::follow(worker);
    let plan = worker.plan();
    let now = worker.look_at_clock();
    for cluster in &plan.upstreams {
        cluster.tick(now, &worker.metrics);
    }
    if let Some(lines) = &mut *plan.lines.borrow_mut() {
        lines.flush();
    }
}

/// How a connection's task is started.
fn spawner(worker: Rc<Worker>) -> Serve {
    let slots = connection::Slots::default();
    let (streams, weak) = (slots.clone(), worker.myself.clone());
    let serve_stream = move |connection| {
        if let Some(worker) = weak.upgrade() {
            let task = connection::Task::new(worker, connection, streams.clone(), connection::serve);
            tokio::task::spawn_local(task);
        }
    };
    worker.serve_stream.replace(Some(Box::new(serve_stream)));
    Rc::new(move |accepted, listening, place| {
        let plan = worker.plan();
        let listener = plan.shared.plan.listeners.get(listening.index.get() as usize);
        let Some(listener) = listener else {
            worker.uncount(false);
            return;
        };
        let Accepted { stream, peer } = accepted;
        if listener.admin {
            worker.shared.admin_connections.fetch_add(1, Ordering::Relaxed);
        }
        worker.metrics.connection_opened();
        if let Some(Some(tcp)) = plan.shared.tcp.get(listening.index.get() as usize) {
            tcp::spawn(&worker, tcp, stream, peer, listening, place);
            return;
        }
        let deadline = worker.timers.deadline();
        deadline.set(connection::first_wait_ms(&plan.shared.plan.server));
        let connection = Connection {
            stream,
            peer,
            listening,
            exchanges: 0,
            expects_proxy: listener.proxy_protocol,
            expects_http2: listener.http2,
            expects_tls: listener.tls.is_some(),
            tls: None,
            admin: listener.admin,
            deadline,
            place,
        };
        let task = connection::Task::new(worker.clone(), connection, slots.clone(), connection::serve);
        tokio::task::spawn_local(task);
    })
}
