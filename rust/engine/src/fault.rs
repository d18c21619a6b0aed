//! Faults that a test asks for: bugs that the code is known not to have, so that what becomes of them can be tested.

use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

/// Where a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    /// In the journey of a request.
    Exchange = 1,
    /// Where a worker accepts.
    Accept = 2,
    /// In a worker's own task.
    Worker = 3,
    /// In a worker's own task, which then does nothing for a second.
    Stuck = 4,
}

static ARMED: AtomicU8 = AtomicU8::new(0);

/// The next one in this process to come to the place panics there.
pub fn arm(place: Place) {
    ARMED.store(place as u8, SeqCst);
}

/// A place; panics where that was asked for.
pub(crate) fn here(place: Place) {
    if ARMED.compare_exchange(place as u8, 0, SeqCst, SeqCst).is_ok() {
        match place {
            Place::Stuck => std::thread::sleep(std::time::Duration::from_secs(1)),
            _ => std::panic::panic_any("a test asked for it"),
        }
    }
}
