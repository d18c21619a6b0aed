//! The queue between the workers and Python: calls go out in batches, verdicts come back by value.
//!
//! A worker puts a call in and waits for its verdict without blocking; Python is told by a descriptor that
//! becomes readable. No engine thread ever runs Python.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::fd::{AsRawFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::io::tls::Facts;

/// Calls that may wait for Python; beyond it a route's `on_failure` decides at once.
const QUEUE: usize = 4096;

/// What a hook is told about a request.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// Names the call in its answer.
    pub id: u64,
    /// Index of the hook in the plan that the request runs on.
    pub hook: u32,
    /// The hook's name: `module:function`.
    pub hook_name: String,
    /// Which plan the request runs on: counts up with every plan.
    pub generation: u64,
    /// As sent.
    pub method: Vec<u8>,
    /// As sent.
    pub target: Vec<u8>,
    /// Normalised.
    pub path: Vec<u8>,
    /// Without `?`.
    pub query: Vec<u8>,
    /// Lower case, without port.
    pub host: Vec<u8>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// What the connection's TLS handshake has settled; `None` on plain ones.
    pub tls: Option<Arc<Facts>>,
    /// As trusted proxies tell it.
    pub client_ip: String,
    /// The request id.
    pub request_id: String,
    /// The route's name.
    pub route: String,
    /// The listener's name.
    pub listener: String,
    /// Who came in by a key or a password.
    pub user: String,
    /// All field lines in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// What the engine itself asks for, where it is not a hook of a route that is called: the name of a set of keys.
    pub about: String,
    /// The whole body, where the hook asked for it.
    pub body: Option<Vec<u8>>,
}

/// What a hook decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Fields that are set on what is forwarded.
    pub set_headers: Vec<(String, Vec<u8>)>,
    /// Fields that are taken out of what is forwarded.
    pub remove_headers: Vec<String>,
    /// Another upstream, by name.
    pub upstream: Option<String>,
    /// Answers with this status instead of going on.
    pub status: Option<u16>,
    /// Fields of that answer.
    pub response_headers: Vec<(String, Vec<u8>)>,
    /// The body of that answer.
    pub body: Vec<u8>,
    /// Why, as the log names it.
    pub reason: Option<String>,
}

/// What came of a call.
#[derive(Debug)]
pub enum Outcome {
    /// The hook has nothing to say.
    Pass,
    /// The hook's decision.
    Verdict(Box<Verdict>),
    /// The hook raised this.
    Failed(String),
}

/// The queue and those who wait.
#[derive(Debug)]
pub struct Hooks {
    state: Mutex<State>,
    reader: PipeReader,
    writer: PipeWriter,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    queue: VecDeque<Call>,
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
    /// A byte stands in the pipe. It does while the queue is not empty, and after a withdrawal until the next `take`.
    signalled: bool,
}

/// A call under way; dropping it withdraws the call.
#[derive(Debug)]
pub struct Waiting<'a> {
    hooks: &'a Hooks,
    id: u64,
    /// Becomes ready with the outcome.
    pub outcome: oneshot::Receiver<Outcome>,
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Hooks {
    /// An empty queue; fails where the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { state: Mutex::default(), reader, writer })
    }

    /// Readable while calls wait.
    pub fn descriptor(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// Puts a call in.
    pub fn call(&self, mut call: Call) -> Result<Waiting<'_>, Full> {
        let (sender, outcome) = oneshot::channel();
        let mut state = self.lock();
        if state.waiting.len() >= QUEUE {
            return Err(Full);
        }
        state.next += 1;
        let id = state.next;
        call.id = id;
        state.waiting.insert(id, sender);
        state.queue.push_back(call);
        if !state.signalled {
            state.signalled = true;
            // One byte at most ever stands in the pipe, so this can't block.
            let _ = (&self.writer).write(&[1]);
        }
        Ok(Waiting { hooks: self, id, outcome })
    }

    /// Takes up to `most` calls out, for Python.
    pub fn take(&self, most: usize) -> Vec<Call> {
        let mut state = self.lock();
        let count = state.queue.len().min(most);
        let taken = state.queue.drain(..count).collect();
        if state.queue.is_empty() && state.signalled {
            state.signalled = false;
            let _ = (&self.reader).read(&mut [0]);
        }
        taken
    }

    /// Hands outcomes back; one that nobody waits for any more is dropped.
    pub fn answer(&self, outcomes: impl IntoIterator<Item = (u64, Outcome)>) {
        for (id, outcome) in outcomes {
            let waiting = self.lock().waiting.remove(&id);
            if let Some(sender) = waiting {
                let _ = sender.send(outcome);
            }
        }
    }

    /// Calls that wait for an answer.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.hooks.lock();
        if state.waiting.remove(&self.id).is_some() {
            state.queue.retain(|call| call.id != self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_out_in_order_and_answers_find_their_way_back() {
        let hooks = Hooks::new().unwrap();
        let mut first = hooks.call(Call::default()).unwrap();
        let mut second = hooks.call(Call::default()).unwrap();
        let taken = hooks.take(10);
        assert_eq!(taken.len(), 2);
        hooks.answer([(taken[1].id, Outcome::Failed("late".into())), (taken[0].id, Outcome::Pass)]);
        assert!(matches!(first.outcome.try_recv(), Ok(Outcome::Pass)));
        assert!(matches!(second.outcome.try_recv(), Ok(Outcome::Failed(_))));
        assert_eq!(hooks.waiting(), 0);
    }

    #[test]
    fn a_call_that_nobody_waits_for_is_withdrawn() {
        let hooks = Hooks::new().unwrap();
        drop(hooks.call(Call::default()).unwrap());
        assert!(hooks.take(10).is_empty());
        hooks.answer([(1, Outcome::Pass)]);
    }

    #[test]
    fn a_full_queue_refuses() {
        let hooks = Hooks::new().unwrap();
        let waiting: Vec<_> = (0..QUEUE).map(|_| hooks.call(Call::default()).unwrap()).collect();
        assert_eq!(hooks.call(Call::default()).unwrap_err(), Full);
        drop(waiting);
        assert!(hooks.call(Call::default()).is_ok());
    }
}
