//! The life of a worker's thread: it begins anew where it panics, and gives up where that does not help.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tokio::{
    sync::{Notify, mpsc::UnboundedReceiver},
    task::LocalSet,
};

use crate::{
    prepare::Prepared,
    pulse::Deaths,
    worker::{self, Message, Shared},
};

/// Runs a worker until it is told to stop. One that panics loses its connections and begins anew, on the same sockets: what waits in
/// their queues waits for it. One that does so again and again gives up, and the process ends.
pub fn run(
    index: usize,
    shared: Arc<Shared>,
    prepared: Arc<Prepared>,
    mut inbox: UnboundedReceiver<Message>,
) {
    let mut deaths = Deaths::default();
    let mut prepared = prepared;
    loop {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                crate::log::tell("error", "worker", &format!("worker {index} can't start: {error}"));
                shared.pulse.give_up();
                return;
            }
        };
        let local = LocalSet::new();
        let again = deaths.any();
        let life = worker::main(index, shared.clone(), prepared.clone(), &mut inbox, again);
        let ended = catch_unwind(AssertUnwindSafe(|| local.block_on(&runtime, life)));
        // Whatever is still open is cut when the local set goes.
        drop(local);
        if matches!(ended, Ok(End::Stopped)) {
            return;
        }
        shared.metrics.worker(index).restarted();
        if deaths.too_many() {
            let text = format!("worker {index} panics again and again: the process ends");
            crate::log::tell("error", "worker_lost", &text);
            shared.pulse.give_up();
            return;
        }
        let text = format!("worker {index} panicked and begins anew; this is a bug in Tidegate");
        crate::log::tell("error", "worker_restarted", &text);
        prepared = shared.serving().prepared.clone().unwrap_or(prepared);
    }
}

/// How a worker's own task ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// As it was told to.
    Stopped,
    /// A task that all of it needs has panicked.
    Broken,
}

/// Ends the worker where the task panics that it stands in: a listener that nobody accepts from is worse than connections that are cut.
pub struct Alarm<'a>(&'a Notify);

impl<'a> Alarm<'a> {
    /// Rings `broken`.
    pub fn new(broken: &'a Notify) -> Self {
        Self(broken)
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.notify_one();
        }
    }
}
