//! The counters as one JSON object, for people.

use super::{
    Gauges, Metrics,
    blocks::Counter,
    histogram::quantiles,
    render::{by_reason, by_slot, by_status, label, route_numbers},
    worker::{CLASSES, Endpoint, Hook, Limit},
};
use crate::log::{escape, number::push_decimal};

/// Routes that are listed, the busiest first.
const ROUTES_LISTED: usize = 20;

pub(super) fn object(metrics: &Metrics, gauges: &Gauges) -> Vec<u8> {
    let mut json = Json { out: Vec::with_capacity(4096), first: true };
    json.open(b'{');
    json.field("started", gauges.started);
    json.field("generation", gauges.generation);
    json.key("draining");
    json.raw(if gauges.draining { "true" } else { "false" });
    json.field("log_lines_dropped", gauges.log_lines_dropped);
    json.field("hook_calls_waiting", gauges.hook_calls_waiting);
    json.field("overload_level", gauges.overload_level);
    json.field("memory_bytes", gauges.memory.0);
    json.field("memory_budget_bytes", gauges.memory.1);
    json.field("requests", metrics.sum(|worker| worker.requests.value()));
    json.field("panics", metrics.sum(|worker| worker.panics.value()));
    json.field("worker_restarts", metrics.sum(|worker| worker.restarts.value()));
    json.field("accept_errors", metrics.sum(|worker| worker.accept_errors.value()));
    let closed = metrics.sum(|worker| worker.closed.value());
    let opened = metrics.sum(|worker| worker.opened.value());
    json.field("connections", opened.saturating_sub(closed));
    json.field("connections_opened", opened);
    let shares = quantiles(metrics.workers.iter().map(|worker| &worker.fine), [0.5, 0.9, 0.99, 0.999]);
    json.key("duration_us");
    json.open(b'{');
    for (name, nanoseconds) in ["p50", "p90", "p99", "p999"].into_iter().zip(shares) {
        json.field(name, nanoseconds / 1000);
    }
    json.close(b'}');
    json.key("statuses");
    json.open(b'{');
    for (status, sum) in by_status(metrics) {
        json.field(&status.map_or("other".into(), |status| status.to_string()), sum);
    }
    json.close(b'}');
    let reasons = [
        ("refusals", by_reason(metrics, |worker| &worker.refusals)),
        ("closes", by_reason(metrics, |worker| &worker.closes)),
        ("retries", by_reason(metrics, |worker| &worker.retries)),
    ];
    for (name, sums) in reasons {
        json.key(name);
        json.open(b'{');
        sums.into_iter().for_each(|(reason, sum)| json.field(reason, sum));
        json.close(b'}');
    }
    routes(metrics, &mut json);
    upstreams(metrics, &mut json);
    limits(metrics, &mut json);
    hooks(metrics, &mut json);
    json.key("workers");
    json.open(b'[');
    for worker in &metrics.workers {
        json.item();
        json.open(b'{');
        json.field("requests", worker.requests.value());
        let closed = worker.closed.value();
        json.field("connections", worker.opened.value().saturating_sub(closed));
        json.close(b'}');
    }
    json.close(b']');
    json.close(b'}');
    json.out
}

fn routes(metrics: &Metrics, json: &mut Json) {
    let names = metrics.routes.names();
    let mut rows = by_slot(metrics, names.len(), |worker| &worker.routes, route_numbers);
    let requests = |sums: &[u64; CLASSES.len() + 3]| sums[..CLASSES.len()].iter().sum::<u64>();
    rows.sort_by_key(|(slot, sums)| (std::cmp::Reverse(requests(sums)), *slot));
    json.field("routes_used", rows.len() as u64);
    json.key("routes");
    json.open(b'[');
    for (slot, sums) in rows.iter().take(ROUTES_LISTED) {
        json.item();
        json.open(b'{');
        json.name("route", label(&names, *slot, 0));
        json.field("requests", requests(sums));
        for (class, sum) in CLASSES.iter().zip(sums).filter(|(_, sum)| **sum > 0) {
            json.field(class, *sum);
        }
        let [.., bytes_in, bytes_out, nanoseconds] = sums;
        json.field("bytes_in", *bytes_in);
        json.field("bytes_out", *bytes_out);
        json.field("mean_us", nanoseconds / requests(sums).max(1) / 1000);
        json.close(b'}');
    }
    json.close(b']');
}

fn upstreams(metrics: &Metrics, json: &mut Json) {
    let names = metrics.endpoints.names();
    let numbers: fn(&Endpoint) -> [&Counter; 7] =
        |cell| [&cell.good, &cell.failed, &cell.hits, &cell.misses, &cell.idle, &cell.in_flight, &cell.state];
    json.key("upstreams");
    json.open(b'[');
    for (slot, sums) in by_slot(metrics, names.len(), |worker| &worker.endpoints, numbers) {
        let [good, failed, hits, misses, idle, in_flight, _] = sums;
        json.item();
        json.open(b'{');
        json.name("upstream", label(&names, slot, 0));
        let endpoint = label(&names, slot, 1);
        if endpoint.is_empty() {
            json.field("pool_hits", hits);
            json.field("pool_misses", misses);
            json.field("idle", idle);
        } else {
            json.name("endpoint", endpoint);
            json.field("ok", good);
            json.field("failed", failed);
            json.field("in_flight", in_flight);
            let cells = metrics.workers.iter().filter_map(|worker| worker.endpoints.seen(slot));
            let states: Vec<u64> = cells.map(|cell| cell.state.value()).filter(|state| *state > 0).collect();
            json.field("workers_choosing", states.iter().filter(|state| **state == 2).count() as u64);
            json.field("workers_knowing", states.len() as u64);
        }
        json.close(b'}');
    }
    json.close(b']');
}

fn limits(metrics: &Metrics, json: &mut Json) {
    let names = metrics.limits.names();
    let numbers: fn(&Limit) -> [&Counter; 3] = |cell| [&cell.allowed, &cell.delayed, &cell.refused];
    json.key("limits");
    json.open(b'[');
    for (slot, [allowed, delayed, refused]) in by_slot(metrics, names.len(), |worker| &worker.limits, numbers)
    {
        json.item();
        json.open(b'{');
        json.name("limit", label(&names, slot, 0));
        json.field("allowed", allowed);
        json.field("delayed", delayed);
        json.field("refused", refused);
        json.close(b'}');
    }
    json.close(b']');
}

fn hooks(metrics: &Metrics, json: &mut Json) {
    let names = metrics.hooks.names();
    let numbers: fn(&Hook) -> [&Counter; 3] = |cell| [&cell.answered, &cell.failed, &cell.nanoseconds];
    json.key("hooks");
    json.open(b'[');
    for (slot, [answered, failed, nanoseconds]) in
        by_slot(metrics, names.len(), |worker| &worker.hooks, numbers)
    {
        json.item();
        json.open(b'{');
        json.name("hook", label(&names, slot, 0));
        json.field("ok", answered);
        json.field("failed", failed);
        json.field("mean_us", nanoseconds / (answered + failed).max(1) / 1000);
        json.close(b'}');
    }
    json.close(b']');
}

/// A JSON text as it grows: commas stand where they belong.
struct Json {
    out: Vec<u8>,
    /// Nothing stands in the innermost object or list yet.
    first: bool,
}

impl Json {
    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.first = true;
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.first = false;
    }

    fn item(&mut self) {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
    }

    fn key(&mut self, name: &str) {
        self.item();
        self.text(name);
        self.out.push(b':');
    }

    fn field(&mut self, name: &str, value: u64) {
        self.key(name);
        push_decimal(value, &mut self.out);
    }

    fn name(&mut self, key: &str, value: &str) {
        self.key(key);
        self.text(value);
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, text: &str) {
        self.out.push(b'"');
        escape::json(text.as_bytes(), &mut self.out);
        self.out.push(b'"');
    }
}
