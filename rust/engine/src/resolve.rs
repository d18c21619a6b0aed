//! Names of endpoints, kept resolved: looked up again when their time is over, and the old answer stands meanwhile.

mod lookup;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, task::AbortHandle};

use lookup::{Answer, Lookups};

use crate::{background, log};

const HOSTS: &str = "/etc/hosts";

/// An answer is used for at least this long, whatever its TTL.
const TTL_LEAST: Duration = Duration::from_secs(1);

/// An answer is asked for again after this time at the latest.
const TTL_MOST: Duration = Duration::from_secs(300);

/// Addresses of one name that are used; a server must not make us hold more.
const ADDRESSES_MOST: usize = 256;

/// How soon a failed or empty lookup is repeated; doubled each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// How late a failed or empty lookup is repeated.
const RETRY_MOST: Duration = Duration::from_secs(30);

/// Answers in a row that there is no such name, after which its addresses are given up: a name server that has just
/// started may know a name too late.
const DENIALS: u32 = 3;

/// Keeps names resolved.
#[derive(Debug)]
pub struct Resolver {
    lookups: Arc<Lookups>,
    names: Mutex<HashMap<(String, u16), Weak<Entry>>>,
    changes: Arc<Changes>,
    pace: Pace,
}

/// Where answers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// They are asked over UDP; none for those of `/etc/resolv.conf`, which is read anew when it changes.
    pub servers: Vec<SocketAddr>,
    /// In the format of `/etc/hosts`; read anew when it changes, and it need not be there.
    pub hosts: PathBuf,
}

/// How often names are looked up. Only tests have another than the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// An answer is used for at least this long.
    pub ttl_least: Duration,
    /// An answer is used for at most this long.
    pub ttl_most: Duration,
    /// The first pause after a failure.
    pub retry_first: Duration,
    /// The longest pause after failures.
    pub retry_most: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { ttl_least: TTL_LEAST, ttl_most: TTL_MOST, retry_first: RETRY_FIRST, retry_most: RETRY_MOST }
    }
}

/// A name that is kept resolved as long as one of its handles is there.
#[derive(Debug, Clone)]
pub struct Name(Arc<Entry>);

#[derive(Debug)]
struct Entry {
    host: String,
    port: u16,
    addresses: Mutex<Arc<[SocketAddr]>>,
    changes: Arc<Changes>,
    task: Mutex<Option<AbortHandle>>,
    /// Whether anything was found out about it, be it that there is nothing.
    answered: AtomicBool,
}

/// How it is told that any name has changed.
#[derive(Debug)]
struct Changes {
    generation: AtomicU64,
    told: watch::Sender<u64>,
    /// How it is told that any name was answered for, the first time.
    answers: watch::Sender<()>,
}

impl Resolver {
    /// Answers come from the system's configuration.
    pub fn start() -> Arc<Self> {
        Self::with(Source { servers: Vec::new(), hosts: HOSTS.into() }, Pace::default())
    }

    /// Answers come from `source`.
    pub fn with(source: Source, pace: Pace) -> Arc<Self> {
        let changes = Changes {
            generation: AtomicU64::new(0),
            told: watch::Sender::new(0),
            answers: watch::Sender::new(()),
        };
        Arc::new(Self {
            lookups: Arc::new(Lookups::new(source)),
            names: Mutex::default(),
            changes: Arc::new(changes),
            pace,
        })
    }

    /// Keeps `host` resolved from now on. Does not wait: there are no addresses until the first answer. A literal
    /// address is its own answer.
    pub fn subscribe(&self, host: &str, port: u16) -> Name {
        // Names are case-insensitive (RFC 4343).
        let key = (host.to_ascii_lowercase(), port);
        let mut names = lock(&self.names);
        if let Some(entry) = names.get(&key).and_then(Weak::upgrade) {
            return Name(entry);
        }
        names.retain(|_, entry| entry.strong_count() > 0);
        let literal: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let entry = Arc::new(Entry {
            host: key.0.clone(),
            port,
            addresses: Mutex::new(literal.map(|ip| SocketAddr::new(ip, port)).into_iter().collect()),
            changes: self.changes.clone(),
            task: Mutex::default(),
            answered: AtomicBool::new(literal.is_some()),
        });
        names.insert(key, Arc::downgrade(&entry));
        drop(names);
        if literal.is_none() {
            match background::handle() {
                Some(runtime) => {
                    let kept = keep(Arc::downgrade(&entry), self.lookups.clone(), self.pace);
                    *lock(&entry.task) = Some(runtime.spawn(kept).abort_handle());
                }
                // Nobody will ever find out.
                None => entry.answered.store(true, Ordering::Release),
            }
        }
        Name(entry)
    }

    /// Moves whenever the addresses of any name have changed. One load.
    pub fn generation(&self) -> u64 {
        self.changes.generation.load(Ordering::Acquire)
    }

    /// The same to wait for.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.told.subscribe()
    }
}

impl Resolver {
    /// Moves whenever a name was answered for the first time, whatever the answer.
    pub fn answers(&self) -> watch::Receiver<()> {
        self.changes.answers.subscribe()
    }
}

impl Name {
    /// Whether it was looked up, with or without success.
    pub fn is_answered(&self) -> bool {
        self.0.answered.load(Ordering::Acquire)
    }

    /// All addresses, v4 and v6, in a stable order; none before the first answer.
    pub fn addresses(&self) -> Arc<[SocketAddr]> {
        lock(&self.0.addresses).clone()
    }
}

impl Entry {
    fn publish(&self, mut ips: Vec<IpAddr>) {
        // Servers rotate their answers; an order that only this changes is no change.
        ips.sort_unstable();
        ips.dedup();
        ips.truncate(ADDRESSES_MOST);
        let addresses: Arc<[SocketAddr]> = ips.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect();
        {
            let mut known = lock(&self.addresses);
            if *known == addresses {
                return;
            }
            *known = addresses;
        }
        let generation = self.changes.generation.fetch_add(1, Ordering::Release) + 1;
        self.changes.told.send_replace(generation);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

/// What is known of a name from one lookup to the next.
#[derive(Debug, Default)]
struct Course {
    failures: u32,
    denials: u32,
    known: lookup::Families,
    told: bool,
}

/// Looks a name up for as long as somebody wants it.
async fn keep(entry: Weak<Entry>, lookups: Arc<Lookups>, pace: Pace) {
    let mut course = Course::default();
    let Some(host) = entry.upgrade().map(|entry| entry.host.clone()) else { return };
    loop {
        let answer = lookups.ask(&host, &course.known).await;
        let Some(entry) = entry.upgrade() else { return };
        let pause = course.follow(&entry, answer, &pace);
        if !entry.answered.swap(true, Ordering::AcqRel) {
            entry.changes.answers.send_replace(());
        }
        drop(entry);
        // A tenth more or less, so that names do not fall in step.
        tokio::time::sleep(pause.mul_f64(fastrand::f64().mul_add(0.2, 0.9))).await;
    }
}

impl Course {
    /// Publishes what follows from an answer, and says how long it is good.
    fn follow(&mut self, entry: &Entry, answer: Answer, pace: &Pace) -> Duration {
        match answer {
            Answer::Found { families, ttl, failed } => {
                self.known = families;
                self.denials = 0;
                entry.publish(self.known.all());
                let Some(why) = failed else {
                    self.failures = 0;
                    self.recovered(&entry.host);
                    return ttl.clamp(pace.ttl_least, pace.ttl_most);
                };
                // One of the two families is the old one.
                self.told(&entry.host, &why);
            }
            Answer::None => {
                self.denials += 1;
                if self.denials >= DENIALS || self.known.is_empty() {
                    self.known = lookup::Families::default();
                    entry.publish(Vec::new());
                }
                self.told(&entry.host, "there is no such name, or it has no address");
            }
            Answer::Failed(why) => self.told(&entry.host, &why),
        }
        let pause = pace.retry_first.saturating_mul(1 << self.failures.min(16)).min(pace.retry_most);
        self.failures += 1;
        pause
    }

    /// Tells it once.
    fn told(&mut self, host: &str, why: &str) {
        if !std::mem::replace(&mut self.told, true) {
            let old = if self.known.is_empty() { "it has no address" } else { "the old addresses are used" };
            log::tell("warn", "resolve", &format!("{host} can't be resolved, {old}: {why}"));
        }
    }

    fn recovered(&mut self, host: &str) {
        if std::mem::take(&mut self.told) {
            log::tell("info", "resolve", &format!("{host} is resolved again"));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
