//! Which route takes the request: by host, normalised path, method, fields, query.

use tidegate_route::{Asked, normalise_host, normalise_path};

use crate::{
    exchange::Exchange,
    failure::{Cause, Failure},
    worker::WorkerPlan,
};

/// Index of the route; what matched is noted in the exchange.
pub fn find(plan: &WorkerPlan, exchange: &mut Exchange) -> Result<u32, Failure> {
    let Exchange { head, host, path, captures, .. } = exchange;
    let raw = match head.slice(head.path) {
        b"" => b"/",
        path => path,
    };
    let mut room = std::mem::take(path);
    let normalised = match normalise_path(raw, plan.shared.plan.server.merge_slashes, &mut room) {
        Ok(normalised) if std::ptr::eq(normalised, raw) => {
            room.clear();
            room.extend_from_slice(raw);
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(refusal) => Err(Failure::client(Cause::BadPath(refusal.as_str()))),
    };
    *path = room;
    normalised?;

    let authority = head.slice(head.authority);
    let mut room = std::mem::take(host);
    let lowered = normalise_host(authority, &mut room);
    if std::ptr::eq(lowered.as_ptr(), authority.as_ptr()) {
        let length = lowered.len();
        room.clear();
        room.extend_from_slice(&authority[..length]);
    }
    *host = room;

    captures.clear();
    let asked =
        Asked { head, host, path, method_name: head.slice(head.method_name), query: head.slice(head.query) };
    let router = &plan.shared.routers[exchange.listener as usize];
    match router.find(&asked, captures) {
        Some(found) => {
            exchange.route = Some(found.route);
            exchange.prefix_len = found.prefix_len;
            Ok(found.route)
        }
        None => Err(Failure::client(Cause::NoRoute)),
    }
}

impl Exchange {
    /// The normalised path.
    pub fn path(&self) -> &[u8] {
        &self.path
    }
}
