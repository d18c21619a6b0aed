//! What is counted, put together for whoever asks: Prometheus, and `tidegate status`.

use std::sync::{PoisonError, atomic::Ordering};

use crate::{
    log::Log,
    metrics::{Gauges, Metrics},
    worker::Shared,
};

/// Prometheus text.
pub fn metrics(shared: &Shared, out: &mut Vec<u8>) {
    shared.metrics.render(&gauges(shared), out);
    let expiries = shared.expiries.lock().unwrap_or_else(PoisonError::into_inner);
    crate::metrics::render_expiries(&expiries, out);
    let sets = shared.key_sets.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rows: Vec<_> = sets.values().filter_map(|cell| cell.figures()).collect();
    if !rows.is_empty() {
        rows.sort();
        Metrics::render_key_sets(&rows, out);
    }
}

/// One JSON object.
pub fn stats(shared: &Shared) -> Vec<u8> {
    shared.metrics.stats_json(&gauges(shared))
}

fn gauges(shared: &Shared) -> Gauges {
    let log = shared.log.lock().unwrap_or_else(PoisonError::into_inner);
    Gauges {
        started: shared.started_at,
        generation: shared.generation.load(Ordering::Relaxed),
        draining: shared.draining.load(Ordering::Relaxed),
        log_lines_dropped: log.as_ref().map_or(0, Log::dropped),
        hook_calls_waiting: shared.hooks.waiting() as u64,
        cache: shared
            .kept()
            .map(|cache| (cache.store.figures(), cache.fills.count() as u64, cache.fills.bytes())),
        overload_level: shared.overload.level().number().into(),
        memory: (shared.overload.used(), shared.overload.budget()),
    }
}
