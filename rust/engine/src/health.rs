//! Active health checks: every address of every upstream that wants it is probed, and what follows is published.

mod probe;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use probe::{Found, ask};
use tidegate_plan::{ActiveHealth, Address, Plan, ProxyVersion, Upstream};
use tidegate_upstream::{Probe, Turned};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    background,
    io::{
        Target,
        tls::{Client, Secure},
    },
    log, proxy_header,
    resolve::{Name, Resolver},
};

/// What probes say of endpoints.
#[derive(Debug)]
pub struct Health {
    state: Arc<State>,
    watched: Mutex<Option<AbortHandle>>,
}

#[derive(Debug, Default)]
struct State {
    /// Endpoints that are down, by upstream; what is not listed is up.
    down: Mutex<HashMap<String, Vec<Target>>>,
    generation: AtomicU64,
    told: watch::Sender<u64>,
    probes: Mutex<Probes>,
}

#[derive(Debug, Default)]
struct Probes {
    /// Counts up with every plan, so that what an earlier one wanted is not heeded any more.
    plan: u64,
    running: HashMap<Subject, Running>,
}

/// What is probed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Subject {
    upstream: String,
    target: Target,
}

/// How it is probed.
#[derive(Debug, Clone, PartialEq)]
struct Manner {
    active: ActiveHealth,
    authority: String,
    secure: Option<Secure>,
    proxy_protocol: Option<ProxyVersion>,
}

#[derive(Debug)]
struct Running {
    manner: Manner,
    /// It ends with this.
    _task: Option<background::Task>,
}

#[cfg(test)]
impl Running {
    /// Tells one task from another.
    fn task(&self) -> Option<usize> {
        self._task.as_ref().map(background::Task::number)
    }
}

/// An endpoint of a plan, and where it is at present.
struct Member {
    upstream: String,
    manner: Manner,
    site: Site,
}

enum Site {
    Fixed(Target),
    Named(Name),
}

impl Health {
    /// Nothing is probed yet, and everything is up.
    pub fn start() -> Arc<Self> {
        Arc::new(Self { state: Arc::default(), watched: Mutex::default() })
    }

    /// Probes what this plan wants probed from now on, and nothing else. An endpoint that is probed as before goes on
    /// as before; one that is probed in another manner keeps its state.
    /// `tls` has the clients of `plan`'s upstreams.
    pub fn watch(&self, plan: &Plan, tls: &[Option<Arc<Client>>], resolver: &Resolver) {
        self.watch_upstreams(&plan.upstreams, tls, resolver);
    }

    fn watch_upstreams(&self, upstreams: &[Upstream], tls: &[Option<Arc<Client>>], resolver: &Resolver) {
        let members = members(upstreams, tls, resolver);
        let mut watched = lock(&self.watched);
        if let Some(before) = watched.take() {
            before.abort();
        }
        let number = {
            let mut probes = lock(&self.state.probes);
            probes.plan += 1;
            probes.plan
        };
        if members.is_empty() {
            self.state.settle(number, HashMap::new());
            return;
        }
        let Some(runtime) = background::handle() else { return };
        let follow = follow(Arc::downgrade(&self.state), number, members, resolver.changes());
        *watched = Some(runtime.spawn(follow).abort_handle());
    }

    /// Whether the endpoint may be chosen; one that is not probed, or not yet, may.
    pub fn is_up(&self, upstream: &str, target: &Target) -> bool {
        !lock(&self.state.down).get(upstream).is_some_and(|down| down.contains(target))
    }

    /// Moves whenever any endpoint has turned. One load.
    pub fn generation(&self) -> u64 {
        self.state.generation.load(Ordering::Acquire)
    }

    /// The same to wait for.
    #[cfg(test)]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.state.told.subscribe()
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        if let Some(watched) = lock(&self.watched).take() {
            watched.abort();
        }
        lock(&self.state.probes).running.clear();
    }
}

fn members(upstreams: &[Upstream], tls: &[Option<Arc<Client>>], resolver: &Resolver) -> Vec<Member> {
    let mut members = Vec::new();
    for (index, upstream) in upstreams.iter().enumerate() {
        let client = tls.get(index).and_then(Option::as_ref);
        let Some(active) = &upstream.active else { continue };
        for endpoint in &upstream.endpoints {
            let site = match &endpoint.address {
                Address::Unix { path } => Site::Fixed(Target::Unix(path.into())),
                Address::Ip { ip, port } => match ip.parse() {
                    Ok(ip) => Site::Fixed(Target::Ip(SocketAddr::new(ip, *port))),
                    Err(_) => Site::Named(resolver.subscribe(ip, *port)),
                },
                Address::Name { host, port } => Site::Named(resolver.subscribe(host, *port)),
            };
            let name = upstream.tls.as_ref().and_then(|tls| Client::name(tls, &endpoint.address).ok());
            let secure = client.zip(name).map(|(client, name)| Secure {
                client: client.clone(),
                name,
                label: format!("upstream {}: a probe of {}", upstream.name, endpoint.authority).into(),
            });
            let manner = Manner {
                active: active.clone(),
                authority: endpoint.authority.clone(),
                secure,
                proxy_protocol: upstream.proxy_protocol,
            };
            members.push(Member { upstream: upstream.name.clone(), manner, site });
        }
    }
    members
}

/// Keeps the probes in step with the addresses that the members have.
async fn follow(state: Weak<State>, plan: u64, members: Vec<Member>, mut changes: watch::Receiver<u64>) {
    loop {
        changes.mark_unchanged();
        let mut wanted = HashMap::new();
        for member in &members {
            let subject = |target| Subject { upstream: member.upstream.clone(), target };
            match &member.site {
                Site::Fixed(target) => drop(wanted.insert(subject(target.clone()), member.manner.clone())),
                Site::Named(name) => {
                    let targets = name.addresses();
                    let targets = targets.iter().map(|address| subject(Target::Ip(*address)));
                    wanted.extend(targets.map(|subject| (subject, member.manner.clone())));
                }
            }
        }
        match state.upgrade() {
            Some(state) => state.settle(plan, wanted),
            None => return,
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

impl State {
    /// Starts the probes that are wanted and do not run, ends those that run and are not wanted.
    fn settle(self: &Arc<Self>, plan: u64, wanted: HashMap<Subject, Manner>) {
        let mut probes = lock(&self.probes);
        if probes.plan != plan {
            return;
        }
        let running = &mut probes.running;
        running.retain(|subject, running| wanted.get(subject) == Some(&running.manner));
        let mut forgotten = false;
        lock(&self.down).retain(|upstream, down| {
            down.retain(|target| {
                let subject = Subject { upstream: upstream.clone(), target: target.clone() };
                let kept = wanted.contains_key(&subject);
                forgotten |= !kept;
                kept
            });
            !down.is_empty()
        });
        if forgotten {
            self.changed();
        }
        for (subject, manner) in wanted {
            running.entry(subject).or_insert_with_key(|subject| {
                let (state, subject, how) = (Arc::downgrade(self), subject.clone(), manner.clone());
                Running { manner, _task: background::spawn_local(move || check(state, subject, how)) }
            });
        }
    }

    fn turn(&self, subject: &Subject, turned: Turned) {
        {
            let probes = lock(&self.probes);
            if !probes.running.contains_key(subject) {
                return; // the last word of a probe that is no longer wanted
            }
            let mut down = lock(&self.down);
            let listed = down.entry(subject.upstream.clone()).or_default();
            listed.retain(|target| *target != subject.target);
            if turned == Turned::Down {
                listed.push(subject.target.clone());
            }
        }
        self.changed();
    }

    fn is_down(&self, subject: &Subject) -> bool {
        lock(&self.down).get(&subject.upstream).is_some_and(|down| down.contains(&subject.target))
    }

    fn changed(&self) {
        let generation = self.generation.fetch_add(1, Ordering::Release) + 1;
        self.told.send_replace(generation);
    }
}

/// Probes one endpoint for as long as it is wanted.
async fn check(state: Weak<State>, subject: Subject, manner: Manner) {
    let mut probe = Probe::from_plan(&manner.active, fastrand::u64(..));
    if state.upgrade().is_some_and(|state| state.is_down(&subject)) {
        // It was down when the manner of probing it changed, and is so until it has shown otherwise.
        while probe.observe(false).is_none() && probe.is_up() {}
    }
    let first = proxy_header::own(manner.proxy_protocol);
    let started = Instant::now();
    let mut due = probe.first_at(0);
    let most = Duration::from_millis(u64::from(manner.active.timeout_ms.max(1)));
    loop {
        sleep_until(started + Duration::from_nanos(due)).await;
        let asked =
            ask(&subject.target, &first, manner.secure.as_ref(), &manner.active.probe, &manner.authority);
        let found = timeout(most, asked).await.unwrap_or_else(|_| Found::Bad("no answer in time".into()));
        let Some(state) = state.upgrade() else { return };
        let (turned, why) = match found {
            Found::Good => (probe.observe(true), None),
            Found::Bad(why) => (probe.observe(false), Some(why)),
            // What we lack says nothing of the endpoint.
            Found::Nothing => (None, None),
        };
        if let Some(turned) = turned {
            state.turn(&subject, turned);
            tell(&subject, turned, why);
        }
        due = probe.next_at(started.elapsed().as_nanos() as u64);
    }
}

fn tell(subject: &Subject, turned: Turned, why: Option<String>) {
    let Subject { upstream, target } = subject;
    match turned {
        Turned::Up => {
            log::tell("info", "probe", &format!("upstream {upstream}: probes find {target} up again"))
        }
        Turned::Down => {
            let why = why.unwrap_or_default();
            log::tell("warn", "probe", &format!("upstream {upstream}: probes find {target} down: {why}"));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
