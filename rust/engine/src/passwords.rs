//! Passwords with slow hashes, checked by threads of their own: a check takes milliseconds, and a worker has none to spare.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use tidegate_auth::{Hashed, Keyed, PasswordHashes, Until, Verified};
use tokio::sync::oneshot;

/// Checks that wait; a check that is asked for beyond it is refused at once. With 50 ms each they are done within the
/// time that a client waits.
const QUEUE: usize = 128;

/// Threads at most. Each takes what its hashes take: argon2id as much memory as the hash says.
const THREADS_MOST: usize = 4;

/// Credentials that a worker, and the threads together, remember.
pub const REMEMBERED: usize = 4096;

/// Seconds for which a password that is right is not checked again.
const RIGHT_S: u64 = 300;

/// Seconds for which one that is wrong is not: a client that goes on with it costs one check.
const WRONG_S: u64 = 10;

/// What is remembered of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Whether it was right.
    pub right: bool,
    until: u64,
}

impl Until for Judged {
    fn until(&self) -> u64 {
        self.until
    }
}

/// A credential to be checked.
pub struct Job {
    /// By which hashes.
    pub hashes: Arc<PasswordHashes>,
    /// Tells these hashes from others.
    pub judge: u64,
    /// What it is remembered by.
    pub hashed: Hashed,
    /// Name, colon, password.
    pub pair: Vec<u8>,
    /// Seconds since 1970.
    pub now: u64,
}

/// There is no room.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

type Work = (Job, oneshot::Sender<Judged>);

/// Has a credential checked; the answer comes in its time, or never where the thread ended.
pub fn check(job: Job) -> Result<oneshot::Receiver<Judged>, Full> {
    static QUEUED: OnceLock<Option<SyncSender<Work>>> = OnceLock::new();
    let (sender, answer) = oneshot::channel();
    match QUEUED.get_or_init(start) {
        None => Err(Full),
        Some(queue) => match queue.try_send((job, sender)) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Full),
        },
    }
}

/// What a credential is remembered by; `None` where the system has no randomness, and then nothing is remembered.
pub fn hash(pair: &[u8]) -> Option<Hashed> {
    static KEY: OnceLock<Option<Keyed>> = OnceLock::new();
    KEY.get_or_init(Keyed::new).as_ref().map(|key| key.hash(pair))
}

fn start() -> Option<SyncSender<Work>> {
    let (sender, receiver) = sync_channel(QUEUE);
    let receiver = Arc::new(Mutex::new(receiver));
    let known = Arc::new(Mutex::new(Verified::new(REMEMBERED)));
    let threads = thread::available_parallelism().map_or(1, usize::from).div_ceil(2).clamp(1, THREADS_MOST);
    let mut started = 0;
    for number in 0..threads {
        let (receiver, known) = (receiver.clone(), known.clone());
        let thread = thread::Builder::new().name(format!("tidegate-pw{number}"));
        match thread.spawn(move || work(&receiver, &known)) {
            Ok(_) => started += 1,
            Err(error) => {
                crate::log::tell("error", "passwords", &format!("no thread to check passwords: {error}"));
            }
        }
    }
    (started > 0).then_some(sender)
}

fn work(queue: &Mutex<Receiver<Work>>, known: &Mutex<Verified<Judged>>) {
    loop {
        let taken = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, sender)) = taken else { return };
        // Whoever asked has gone.
        if sender.is_closed() {
            continue;
        }
        // Several requests of one client ask at once; the first of them answers for all.
        let before =
            known.lock().unwrap_or_else(PoisonError::into_inner).find(job.hashed, job.judge, job.now);
        let judged = before.unwrap_or_else(|| {
            let right = job.hashes.verify(&job.pair);
            Judged { right, until: job.now.saturating_add(if right { RIGHT_S } else { WRONG_S }) }
        });
        known.lock().unwrap_or_else(PoisonError::into_inner).remember(job.hashed, job.judge, judged);
        let _ = sender.send(judged);
    }
}
