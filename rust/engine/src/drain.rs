//! Letting connections go: after their next answer where clients ask, and as they become idle.

use std::{rc::Rc, time::Duration};

use crate::worker::Worker;

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
