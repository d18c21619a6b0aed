//! Bounds on connections to endpoints, shared by all workers and kept over reloads.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tidegate_upstream::{Gate, GateLimits};
use tokio::sync::Notify;

use crate::io::Target;

/// The gate of one endpoint, and how those who wait at it are woken.
#[derive(Debug)]
pub struct Door {
    /// Counts.
    pub gate: Gate,
    /// Woken when there is room.
    pub room: Notify,
}

/// All gates, by upstream and address.
#[derive(Debug, Default)]
pub struct Gates(Mutex<HashMap<(String, Target), Weak<Door>>>);

impl Gates {
    /// The gate of an endpoint, or `None` where nothing is bounded.
    pub fn door(&self, upstream: &str, target: &Target, limits: GateLimits) -> Option<Arc<Door>> {
        if limits.max == 0 {
            return None;
        }
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doors.retain(|_, door| door.strong_count() > 0);
        let key = (upstream.to_owned(), target.clone());
        if let Some(door) = doors.get(&key).and_then(Weak::upgrade)
            && door.gate.set_limits(limits)
        {
            return Some(door);
        }
        let door = Arc::new(Door { gate: Gate::new(limits), room: Notify::new() });
        doors.insert(key, Arc::downgrade(&door));
        Some(door)
    }
}

/// One connection that counts; dropping it makes room.
#[derive(Debug)]
pub struct Permit(Arc<Door>);

impl Permit {
    /// For a connection that the gate has let in already.
    pub fn new(door: Arc<Door>) -> Self {
        Self(door)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.0.gate.close() {
            self.0.room.notify_one();
        }
    }
}

/// A place in the queue; dropping it gives it up.
#[derive(Debug)]
pub struct Place<'a>(pub &'a Door, pub bool);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.1 && self.0.gate.leave() {
            self.0.room.notify_one();
        }
    }
}
