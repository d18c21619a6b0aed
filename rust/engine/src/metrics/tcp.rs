//! Connections that were passed on, counted by listener.

use super::{
    Metrics,
    blocks::Counter,
    histogram::Coarse,
    render::{Page, by_reason, by_slot, label},
    worker::WorkerMetrics,
};

/// The connections of one listener.
#[derive(Debug, Default)]
pub(super) struct Tcp {
    opened: Counter,
    closed: Counter,
    up: Counter,
    down: Counter,
    durations: Coarse,
}

impl WorkerMetrics {
    /// A connection that is to be passed on has come.
    pub fn tcp_opened(&self, listener: u32) {
        self.tcp.at(listener).opened.add(1);
    }

    /// It has gone.
    pub fn tcp_closed(&self, listener: u32) {
        self.tcp.at(listener).closed.add(1);
    }

    /// Bytes went by, from clients and to them.
    pub fn tcp_bytes(&self, listener: u32, up: u64, down: u64) {
        let cell = self.tcp.at(listener);
        cell.up.add(up);
        cell.down.add(down);
    }

    /// A connection ended for this reason, so long after it came.
    pub fn tcp_ended(&self, listener: u32, reason: &'static str, nanoseconds: u64) {
        self.tcp.at(listener).durations.count(nanoseconds);
        self.tcp_ends.count(reason);
    }
}

pub(super) fn write(metrics: &Metrics, page: &mut Page<'_>) {
    let names = metrics.tcp.names();
    let numbers: fn(&Tcp) -> [&Counter; 4] = |tcp| [&tcp.closed, &tcp.opened, &tcp.up, &tcp.down];
    let rows = by_slot(metrics, names.len(), |worker| &worker.tcp, numbers);
    let listener = |slot: usize| ("listener", label(&names, slot, 0));
    page.gauge("tidegate_tcp_connections", "Connections that are passed on, by listener.");
    for (slot, [closed, opened, ..]) in &rows {
        page.sample("tidegate_tcp_connections", &[listener(*slot)], opened.saturating_sub(*closed));
    }
    page.counter("tidegate_tcp_connections_total", "Connections that came to be passed on, by listener.");
    for (slot, [_, opened, ..]) in &rows {
        page.sample("tidegate_tcp_connections_total", &[listener(*slot)], *opened);
    }
    let name = "tidegate_tcp_bytes_total";
    page.counter(name, "Bytes that were passed on: up from clients, down to them.");
    for (slot, [_, _, up, down]) in &rows {
        page.sample(name, &[listener(*slot), ("direction", "up")], *up);
        page.sample(name, &[listener(*slot), ("direction", "down")], *down);
    }
    let name = "tidegate_tcp_duration_seconds";
    page.head(name, "From a connection's coming to its record.", "histogram");
    for (slot, _) in &rows {
        let cells = metrics.workers.iter().filter_map(|worker| worker.tcp.seen(*slot));
        page.histogram(name, &[listener(*slot)], cells.map(|cell| &cell.durations));
    }
    page.reasons(
        "tidegate_tcp_ends_total",
        "Connections that were passed on, or were to be, by how they ended.",
        by_reason(metrics, |worker| &worker.tcp_ends),
    );
}
