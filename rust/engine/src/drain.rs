//! Letting connections go: after their next answer where clients ask, and as they become idle.

use std::{rc::Rc, time::Duration};

use crate::{
    connection::Close,
    exchange::Exchange,
    failure::{Cause, Failure},
    worker::Worker,
};

/// How long connections that are handed over to no one may stay idle before they are closed. A client that asks more often than this
/// is told `Connection: close` with its next answer, and never meets a connection that was closed while it asked.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// Which idle connections are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetGo {
    /// None: nothing drains, or the grace is not over.
    None,
    /// All but those to admin listeners.
    Traffic,
    /// All.
    All,
}

impl LetGo {
    /// Whether a connection is closed once it is idle.
    pub fn takes(self, admin: bool) -> bool {
        match self {
            Self::None => false,
            Self::Traffic => !admin,
            Self::All => true,
        }
    }
}

/// Begins to let the connections of a worker go. Where another process goes on with the same sockets there is time to be kind:
/// idle ones are closed when the grace is over.
pub fn begin(worker: &Rc<Worker>, handed_over: bool) {
    worker.draining.set(true);
    if !handed_over {
        worker.let_go.set(LetGo::Traffic);
        worker.timers.wake_all();
        return;
    }
    let worker = worker.clone();
    tokio::task::spawn_local(async move {
        tokio::time::sleep(IDLE_GRACE).await;
        worker.let_go.set(LetGo::All);
        worker.timers.wake_all();
    });
}

/// How long a worker that ends goes on, so that what is cut is told and recorded. It is microseconds, but for crowds.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Turns of the scheduler in that time, where the clock stands still.
const LAST_TURNS: usize = 10_000;

/// Cuts what is under way: every wait ends now, so every exchange comes to its record, with the reason `shutdown`.
pub async fn cut(worker: &Rc<Worker>) {
    worker.draining.set(true);
    worker.let_go.set(LetGo::All);
    worker.timers.cut();
    let began = tokio::time::Instant::now();
    for _ in 0..LAST_TURNS {
        if worker.connections() == 0 || began.elapsed() > LAST_WORDS {
            break;
        }
        tokio::task::yield_now().await;
    }
}

/// What really ended a wait: no time-out, where all of them were called off.
pub fn failure(worker: &Worker, failure: Failure) -> Failure {
    let late = matches!(
        failure.cause,
        Cause::BodyTimeout
            | Cause::HeadTimeout
            | Cause::SendTimeout
            | Cause::HookTimeout
            | Cause::ConnectTimeout
            | Cause::QueueTimeout
            | Cause::UpstreamTimeout
            | Cause::TotalTimeout
            | Cause::UpstreamStalled
    );
    if late && worker.timers.is_cut() { Failure::gateway(Cause::Shutdown) } else { failure }
}

/// The same for the record of an exchange, whoever named its failure.
pub fn name(worker: &Worker, exchange: &mut Exchange) {
    if worker.timers.is_cut() && !exchange.reason.is_empty() && exchange.reason != Cause::ClientGone.as_str()
    {
        exchange.failed(Failure::gateway(Cause::Shutdown));
    }
}

/// The same for the end of a connection.
pub fn close(worker: &Worker, close: Close) -> Close {
    let whole = matches!(close, Close::ByClient | Close::Broken | Close::Panicked);
    if worker.timers.is_cut() && !whole { Close::Shutdown } else { close }
}
