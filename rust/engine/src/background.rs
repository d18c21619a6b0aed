//! A thread with a reactor of its own for what is no request: names and probes.

use std::{sync::OnceLock, thread};

use tokio::runtime::{Builder, Handle};

/// Where such tasks are spawned. The thread starts with the first that asks; `None` where the system gives no thread.
pub fn handle() -> Option<&'static Handle> {
    static HANDLE: OnceLock<Option<Handle>> = OnceLock::new();
    HANDLE
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

fn start() -> std::io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("tidegate-background".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
