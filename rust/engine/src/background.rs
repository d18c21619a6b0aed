//! A thread with a reactor of its own for what is no request: names and probes.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::LocalSet,
};

type Local = Pin<Box<dyn Future<Output = ()>>>;
type Make = Box<dyn FnOnce() -> Local + Send>;

struct Background {
    handle: Handle,
    local: UnboundedSender<Make>,
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub struct Task {
    /// What counts is that it is dropped.
    _alive: oneshot::Sender<()>,
    #[cfg_attr(not(test), allow(dead_code))] // tests tell tasks apart by it
    number: usize,
}

#[cfg(test)]
impl Task {
    /// Tells one task from another.
    pub fn number(&self) -> usize {
        self.number
    }
}

/// Where such tasks are spawned. The thread starts with the first that asks; `None` where the system gives no thread.
pub fn handle() -> Option<&'static Handle> {
    background().map(|background| &background.handle)
}

/// Runs the future that `make` makes, on that thread, which it never leaves; until the task is dropped.
pub fn spawn_local<F: Future<Output = ()> + 'static>(
    make: impl FnOnce() -> F + Send + 'static,
) -> Option<Task> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let (alive, dropped) = oneshot::channel();
    let make: Make = Box::new(move || {
        let future = make();
        Box::pin(async move {
            tokio::select! {
                _ = dropped => {}
                () = future => {}
            }
        })
    });
    background()?.local.send(make).ok()?;
    Some(Task { _alive: alive, number: NUMBER.fetch_add(1, Ordering::Relaxed) })
}

fn background() -> Option<&'static Background> {
    static BACKGROUND: OnceLock<Option<Background>> = OnceLock::new();
    BACKGROUND
        .get_or_init(|| {
            start()
                .inspect_err(|error| {
                    let text = format!(
                        "names can't be resolved and endpoints not probed: no thread for it: {error}"
                    );
                    crate::log::tell("error", "background", &text);
                })
                .ok()
        })
        .as_ref()
}

fn start() -> std::io::Result<Background> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let handle = runtime.handle().clone();
    let (local, made) = unbounded_channel();
    thread::Builder::new()
        .name("tidegate-background".into())
        .spawn(move || LocalSet::new().block_on(&runtime, spawn_all(made)))?;
    Ok(Background { handle, local })
}

/// Spawns what comes; there is always a sender.
async fn spawn_all(mut made: UnboundedReceiver<Make>) {
    while let Some(make) = made.recv().await {
        tokio::task::spawn_local(make());
    }
}
