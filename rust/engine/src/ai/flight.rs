//! Calls in flight that identical calls join: one is asked, all are answered, late ones from the beginning.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tidegate_dialect::Dialect;

/// All calls in flight that may be joined, of all workers.
#[derive(Debug, Default)]
pub struct Flights(Mutex<HashMap<u128, Arc<Flight>>>);

/// One of them: what the provider has sent so far.
#[derive(Debug, Default)]
pub struct Flight(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    begun: Option<Begun>,
    bytes: Vec<u8>,
    end: Option<bool>,
    followers: usize,
    waiting: Vec<Waker>,
}

/// What is known once the answer has begun.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    /// Whose words.
    pub provider: Dialect,
    /// Whether it comes as a stream.
    pub is_stream: bool,
    /// Index of the model that serves, and of its target.
    pub served: Option<(u32, usize)>,
}

/// What one who asks becomes.
pub enum Joined {
    /// It asks the provider, for all who come while it does.
    Lead(Lead),
    /// It gets what another one asks for.
    Follow(Follower),
}

/// Whoever asks the provider. Dropped before its end, those who joined are told.
#[derive(Debug)]
pub struct Lead {
    flights: Arc<Flights>,
    key: u128,
    flight: Arc<Flight>,
    pushed: usize,
}

/// Whoever joined.
#[derive(Debug)]
pub struct Follower {
    flight: Arc<Flight>,
    at: usize,
}

/// What there is for one who joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// Bytes were handed over.
    Bytes,
    /// That was all.
    End,
    /// The one who asked has failed.
    Failed,
}

impl Flights {
    /// Joins the call with that key, or begins it.
    pub fn join(self: &Arc<Self>, key: u128) -> Joined {
        let mut flights = lock(&self.0);
        if let Some(flight) = flights.get(&key) {
            lock(&flight.0).followers += 1;
            return Joined::Follow(Follower { flight: flight.clone(), at: 0 });
        }
        let flight = Arc::new(Flight::default());
        flights.insert(key, flight.clone());
        Joined::Lead(Lead { flights: self.clone(), key, flight, pushed: 0 })
    }
}

impl Lead {
    /// The answer begins.
    pub fn begin(&self, begun: Begun) {
        let mut state = lock(&self.flight.0);
        state.begun = Some(begun);
        wake(state);
    }

    /// All that the provider sent so far; what is new of it is handed on.
    pub fn push(&mut self, all: &[u8]) {
        let Some(new) = all.get(self.pushed..).filter(|new| !new.is_empty()) else { return };
        self.pushed = all.len();
        let mut state = lock(&self.flight.0);
        state.bytes.extend_from_slice(new);
        wake(state);
    }

    /// The answer is whole.
    pub fn end(self) {
        lock(&self.flight.0).end = Some(true);
        // Dropping tells those who wait.
    }

    /// Whether anybody else waits for the answer.
    pub fn is_followed(&self) -> bool {
        lock(&self.flight.0).followers > 0
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        lock(&self.flights.0).remove(&self.key);
        let mut state = lock(&self.flight.0);
        state.end.get_or_insert(false);
        wake(state);
    }
}

impl Follower {
    /// Waits until the answer begins; `None`: it failed before it did.
    pub fn poll_begun(&self, cx: &mut Context<'_>) -> Poll<Option<Begun>> {
        let mut state = lock(&self.flight.0);
        match (state.begun, state.end) {
            (Some(begun), _) => Poll::Ready(Some(begun)),
            (None, Some(_)) => Poll::Ready(None),
            (None, None) => wait(&mut state, cx),
        }
    }

    /// Hands over what came since the last time.
    pub fn poll_more(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<More> {
        let mut state = lock(&self.flight.0);
        if self.at < state.bytes.len() {
            out.extend_from_slice(&state.bytes[self.at..]);
            self.at = state.bytes.len();
            return Poll::Ready(More::Bytes);
        }
        match state.end {
            Some(true) => Poll::Ready(More::End),
            Some(false) => Poll::Ready(More::Failed),
            None => wait(&mut state, cx),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        lock(&self.flight.0).followers -= 1;
    }
}

fn wait<T>(state: &mut State, cx: &Context<'_>) -> Poll<T> {
    if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
        state.waiting.push(cx.waker().clone());
    }
    Poll::Pending
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_iter().for_each(Waker::wake);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Begun {
        Begun { provider: Dialect::OpenAi, is_stream: true, served: None }
    }

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn the_first_leads_and_those_behind_it_follow_from_the_beginning() {
        let flights = Arc::new(Flights::default());
        let Joined::Lead(mut lead) = flights.join(7) else { panic!("nobody leads") };
        lead.begin(begun());
        lead.push(b"one");
        let Joined::Follow(mut follower) = flights.join(7) else { panic!("two lead") };
        assert!(lead.is_followed());
        let mut out = Vec::new();
        assert_eq!(follower.poll_more(&mut context(), &mut out), Poll::Ready(More::Bytes));
        lead.push(b"one two");
        assert_eq!(follower.poll_more(&mut context(), &mut out), Poll::Ready(More::Bytes));
        assert_eq!(out, b"one two");
        assert_eq!(follower.poll_more(&mut context(), &mut out), Poll::Pending);
        lead.end();
        assert_eq!(follower.poll_more(&mut context(), &mut out), Poll::Ready(More::End));
        assert!(matches!(flights.join(7), Joined::Lead(_)), "what is over is not joined");
    }

    #[test]
    fn those_who_joined_are_told_when_the_leader_fails() {
        let flights = Arc::new(Flights::default());
        let Joined::Lead(lead) = flights.join(7) else { panic!("nobody leads") };
        let Joined::Follow(mut follower) = flights.join(7) else { panic!("two lead") };
        assert!(follower.poll_begun(&mut context()).is_pending());
        drop(lead);
        assert!(matches!(follower.poll_begun(&mut context()), Poll::Ready(None)));
        assert_eq!(follower.poll_more(&mut context(), &mut Vec::new()), Poll::Ready(More::Failed));
    }
}
