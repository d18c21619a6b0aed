//! The Prometheus text format, version 0.0.4.

use std::collections::BTreeMap;

use super::{
    Gauges, Metrics, OTHER, ai,
    blocks::{Blocks, Counter},
    cache,
    histogram::{BOUNDS, COARSE, Coarse},
    reasons::Reasons,
    slots::Name,
    tcp,
    worker::{CLASSES, Endpoint, Hook, Limit, Route, STATUSES, WorkerMetrics},
};
use crate::log::number::push_decimal;

/// Label names and values; names with an empty value are written as well.
type Labels<'a> = &'a [(&'static str, &'a str)];

pub(super) fn write(metrics: &Metrics, gauges: &Gauges, out: &mut Vec<u8>) {
    let mut page = Page { out };
    process(metrics, gauges, &mut page);
    requests(metrics, &mut page);
    connections(metrics, &mut page);
    handshakes(metrics, &mut page);
    upstreams(metrics, &mut page);
    limits(metrics, &mut page);
    hooks(metrics, gauges, &mut page);
    tcp::write(metrics, &mut page);
    ai::write(metrics, &mut page);
    cache::write(metrics, gauges.cache.as_ref(), &mut page);
}

/// The name of a slot as a label's value: nothing for what has none, `(other)` for those beyond the bound.
pub(super) fn label(names: &[Name], slot: usize, part: usize) -> &str {
    if slot == OTHER as usize {
        return "(other)";
    }
    names.get(slot).and_then(|name| name.get(part)).map_or("", String::as_str)
}

/// The slots in which any worker counted something, with a number from each worker's cell added up.
pub(super) fn by_slot<T: Default, const N: usize>(
    metrics: &Metrics,
    slots: usize,
    table: impl Fn(&WorkerMetrics) -> &Blocks<T>,
    numbers: impl Fn(&T) -> [&Counter; N],
) -> Vec<(usize, [u64; N])> {
    let mut rows = Vec::new();
    for slot in 0..slots {
        let mut sums = [0; N];
        for cell in metrics.workers.iter().filter_map(|worker| table(worker).seen(slot)) {
            for (sum, counter) in sums.iter_mut().zip(numbers(cell)) {
                *sum += counter.value();
            }
        }
        if sums.iter().any(|sum| *sum > 0) {
            rows.push((slot, sums));
        }
    }
    rows
}

pub(super) fn by_reason(
    metrics: &Metrics,
    table: impl Fn(&WorkerMetrics) -> &Reasons,
) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    metrics.workers.iter().for_each(|worker| table(worker).add_to(&mut sums));
    sums
}

/// Status codes that were sent, `None` for what is no status code.
pub(super) fn by_status(metrics: &Metrics) -> Vec<(Option<usize>, u64)> {
    let sums = (0..STATUSES).map(|place| (place, metrics.sum(|worker| worker.statuses[place].value())));
    let sent = sums.filter(|(_, sum)| *sum > 0);
    sent.map(|(place, sum)| ((place < STATUSES - 1).then_some(place + 100), sum)).collect()
}

pub(super) fn route_numbers(route: &Route) -> [&Counter; CLASSES.len() + 3] {
    let [one, two, three, four, five, other] = &route.classes;
    [one, two, three, four, five, other, &route.bytes_in, &route.bytes_out, &route.nanoseconds]
}

fn process(metrics: &Metrics, gauges: &Gauges, page: &mut Page<'_>) {
    page.gauge("tidegate_build_info", "Always 1; the version is a label.");
    page.sample("tidegate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let single = [
        ("tidegate_start_time_seconds", "When the engine started, since 1970.", gauges.started),
        ("tidegate_workers", "Worker threads.", metrics.workers.len() as u64),
        (
            "tidegate_plan_generation",
            "The number of the plan that runs; each reload adds one.",
            gauges.generation,
        ),
        ("tidegate_draining", "Whether connections are being let go.", u64::from(gauges.draining)),
    ];
    for (name, help, value) in single {
        page.gauge(name, help);
        page.sample(name, &[], value);
    }
    page.counter("tidegate_log_lines_dropped_total", "Lines that the access log lost.");
    page.sample("tidegate_log_lines_dropped_total", &[], gauges.log_lines_dropped);
    page.counter("tidegate_panics_total", "Exchanges that ended in a panic, each a bug in Tidegate.");
    page.sample("tidegate_panics_total", &[], metrics.sum(|worker| worker.panics.value()));
    page.counter(
        "tidegate_worker_restarts_total",
        "Workers that panicked outside of an exchange and began anew, each a bug in Tidegate.",
    );
    page.sample("tidegate_worker_restarts_total", &[], metrics.sum(|worker| worker.restarts.value()));
    page.gauge(
        "tidegate_overload_level",
        "What is given up for want of memory: 0 nothing, to 3 new requests.",
    );
    page.sample("tidegate_overload_level", &[], gauges.overload_level);
    page.gauge("tidegate_memory_bytes", "Resident memory at the last look; 0 where nobody looks.");
    page.sample("tidegate_memory_bytes", &[], gauges.memory.0);
    page.gauge("tidegate_memory_budget_bytes", "Memory that the process may take; 0 for no bound.");
    page.sample("tidegate_memory_budget_bytes", &[], gauges.memory.1);
}

fn requests(metrics: &Metrics, page: &mut Page<'_>) {
    let names = metrics.routes.names();
    let rows = by_slot(metrics, names.len(), |worker| &worker.routes, route_numbers);
    page.counter("tidegate_requests_total", "Requests by route and class of the status code.");
    for (slot, sums) in &rows {
        for (class, sum) in CLASSES.iter().zip(sums).filter(|(_, sum)| **sum > 0) {
            page.sample(
                "tidegate_requests_total",
                &[("route", label(&names, *slot, 0)), ("class", class)],
                *sum,
            );
        }
    }
    let bytes = [
        ("tidegate_request_bytes_total", "Bytes of request bodies by route.", CLASSES.len()),
        ("tidegate_response_bytes_total", "Bytes of response bodies by route.", CLASSES.len() + 1),
    ];
    for (name, help, at) in bytes {
        page.counter(name, help);
        for (slot, sums) in &rows {
            page.sample(name, &[("route", label(&names, *slot, 0))], sums[at]);
        }
    }
    page.counter("tidegate_route_seconds_total", "Time that requests took, by route.");
    for (slot, sums) in &rows {
        let labels = [("route", label(&names, *slot, 0))];
        page.seconds("tidegate_route_seconds_total", &labels, sums[CLASSES.len() + 2]);
    }
    page.counter("tidegate_responses_total", "Responses by status code.");
    for (status, sum) in by_status(metrics) {
        let code = status.map_or("other".into(), |status| status.to_string());
        page.sample("tidegate_responses_total", &[("code", &code)], sum);
    }
    let name = "tidegate_request_duration_seconds";
    page.head(name, "From a request's first byte to its record.", "histogram");
    page.histogram(name, &[], metrics.workers.iter().map(|worker| &worker.durations));
    page.counter("tidegate_worker_requests_total", "Requests by worker.");
    for (number, worker) in metrics.workers.iter().enumerate() {
        let labels = [("worker", number.to_string())];
        let labels = labels.each_ref().map(|(name, value)| (*name, value.as_str()));
        page.sample("tidegate_worker_requests_total", &labels, worker.requests.value());
    }
    page.reasons(
        "tidegate_refusals_total",
        "Requests that were refused or failed, by reason.",
        by_reason(metrics, |worker| &worker.refusals),
    );
}

fn connections(metrics: &Metrics, page: &mut Page<'_>) {
    // Closed ones are read first, so that the difference is never below zero.
    let closed = metrics.sum(|worker| worker.closed.value());
    let opened = metrics.sum(|worker| worker.opened.value());
    page.gauge("tidegate_connections", "Client connections that are open.");
    page.sample("tidegate_connections", &[], opened.saturating_sub(closed));
    page.counter("tidegate_connections_opened_total", "Client connections since the start.");
    page.sample("tidegate_connections_opened_total", &[], opened);
    page.counter("tidegate_accept_errors_total", "Connections that could not be accepted.");
    page.sample("tidegate_accept_errors_total", &[], metrics.sum(|worker| worker.accept_errors.value()));
    page.reasons(
        "tidegate_connection_closes_total",
        "Client connections that were closed, by reason.",
        by_reason(metrics, |worker| &worker.closes),
    );
}

fn handshakes(metrics: &Metrics, page: &mut Page<'_>) {
    page.counter("tidegate_tls_handshakes_total", "TLS handshakes with clients, by kind.");
    for (at, kind) in ["full", "resumed"].into_iter().enumerate() {
        let sum = metrics.sum(|worker| worker.handshakes[at].value());
        page.sample("tidegate_tls_handshakes_total", &[("kind", kind)], sum);
    }
    page.reasons(
        "tidegate_tls_handshake_failures_total",
        "TLS handshakes with clients that failed, by reason.",
        by_reason(metrics, |worker| &worker.handshake_failures),
    );
}

fn upstreams(metrics: &Metrics, page: &mut Page<'_>) {
    let names = metrics.endpoints.names();
    let rows = |numbers: fn(&Endpoint) -> [&Counter; 2]| {
        by_slot(metrics, names.len(), |worker| &worker.endpoints, numbers)
    };
    let place = |slot: usize| [("upstream", label(&names, slot, 0)), ("endpoint", label(&names, slot, 1))];

    page.counter("tidegate_upstream_attempts_total", "Attempts at an endpoint by outcome.");
    let attempts = rows(|endpoint| [&endpoint.good, &endpoint.failed]);
    for (slot, sums) in &attempts {
        let [upstream, endpoint] = place(*slot);
        for (outcome, sum) in ["ok", "failed"].into_iter().zip(sums) {
            page.sample(
                "tidegate_upstream_attempts_total",
                &[upstream, endpoint, ("outcome", outcome)],
                *sum,
            );
        }
    }
    let name = "tidegate_upstream_latency_seconds";
    page.head(name, "From an attempt's start to the response's head.", "histogram");
    for (slot, _) in &attempts {
        let cells = metrics.workers.iter().filter_map(|worker| worker.endpoints.seen(*slot));
        page.histogram(name, &place(*slot), cells.map(|cell| &cell.latency));
    }
    page.gauge("tidegate_upstream_endpoint_up", "The share of workers that choose the endpoint, 0 to 1.");
    page_states(metrics, &names, page);
    page.gauge("tidegate_upstream_in_flight", "Attempts under way.");
    for (slot, [_, in_flight]) in rows(|endpoint| [&endpoint.state, &endpoint.in_flight]) {
        page.sample("tidegate_upstream_in_flight", &place(slot), in_flight);
    }
    let pools = rows(|endpoint| [&endpoint.hits, &endpoint.misses]);
    let pool = [
        ("tidegate_upstream_pool_hits_total", "Attempts that found an idle connection."),
        ("tidegate_upstream_pool_misses_total", "Attempts that found no idle connection."),
    ];
    for (at, (name, help)) in pool.into_iter().enumerate() {
        page.counter(name, help);
        for (slot, sums) in &pools {
            page.sample(name, &place(*slot)[..1], sums[at]);
        }
    }
    page.gauge("tidegate_upstream_idle_connections", "Connections that are kept for the next request.");
    for (slot, _) in &pools {
        let cells = metrics.workers.iter().filter_map(|worker| worker.endpoints.seen(*slot));
        let idle = cells.map(|cell| cell.idle.value()).sum();
        page.sample("tidegate_upstream_idle_connections", &place(*slot)[..1], idle);
    }
    page.reasons(
        "tidegate_retries_total",
        "Attempts that were followed by another, by reason.",
        by_reason(metrics, |worker| &worker.retries),
    );
}

fn page_states(metrics: &Metrics, names: &[Name], page: &mut Page<'_>) {
    for slot in 0..names.len() {
        let cells = metrics.workers.iter().filter_map(|worker| worker.endpoints.seen(slot));
        let states: Vec<u64> = cells.map(|cell| cell.state.value()).filter(|state| *state > 0).collect();
        if states.is_empty() {
            continue;
        }
        let chosen = states.iter().filter(|state| **state == 2).count();
        let share = chosen as f64 / states.len() as f64;
        let labels = [("upstream", label(names, slot, 0)), ("endpoint", label(names, slot, 1))];
        page.text("tidegate_upstream_endpoint_up", &labels, &share.to_string());
    }
}

fn limits(metrics: &Metrics, page: &mut Page<'_>) {
    let names = metrics.limits.names();
    page.counter("tidegate_limit_decisions_total", "What limits decided.");
    let numbers: fn(&Limit) -> [&Counter; 3] = |limit| [&limit.allowed, &limit.delayed, &limit.refused];
    let rows = by_slot(metrics, names.len(), |worker| &worker.limits, numbers);
    for (slot, sums) in rows {
        for (decision, sum) in ["allowed", "delayed", "refused"].into_iter().zip(sums) {
            let labels = [("limit", label(&names, slot, 0)), ("decision", decision)];
            page.sample("tidegate_limit_decisions_total", &labels, sum);
        }
    }
}

fn hooks(metrics: &Metrics, gauges: &Gauges, page: &mut Page<'_>) {
    let names = metrics.hooks.names();
    let numbers: fn(&Hook) -> [&Counter; 3] = |hook| [&hook.answered, &hook.failed, &hook.nanoseconds];
    let rows = by_slot(metrics, names.len(), |worker| &worker.hooks, numbers);
    page.counter("tidegate_hook_calls_total", "Calls to hooks by outcome.");
    for (slot, [answered, failed, _]) in &rows {
        for (outcome, sum) in [("ok", answered), ("failed", failed)] {
            let labels = [("hook", label(&names, *slot, 0)), ("outcome", outcome)];
            page.sample("tidegate_hook_calls_total", &labels, *sum);
        }
    }
    page.counter("tidegate_hook_seconds_total", "Time that requests waited for hooks.");
    for (slot, [_, _, nanoseconds]) in &rows {
        page.seconds("tidegate_hook_seconds_total", &[("hook", label(&names, *slot, 0))], *nanoseconds);
    }
    page.gauge("tidegate_hook_calls_waiting", "Calls that wait for Python.");
    page.sample("tidegate_hook_calls_waiting", &[], gauges.hook_calls_waiting);
}

/// Keys that are fetched: name, fetches that succeeded, fetches that failed, keys that can be used.
pub(super) fn key_sets(rows: &[(String, u64, u64, usize)], out: &mut Vec<u8>) {
    let mut page = Page { out };
    page.counter(
        "tidegate_key_set_fetches_total",
        "Fetches of keys that tokens are checked with, by outcome.",
    );
    for (name, fetched, failed, _) in rows {
        for (outcome, sum) in [("ok", fetched), ("failed", failed)] {
            page.sample("tidegate_key_set_fetches_total", &[("key_set", name), ("outcome", outcome)], *sum);
        }
    }
    page.gauge("tidegate_key_set_keys", "Keys that can be used.");
    for (name, _, _, keys) in rows {
        page.sample("tidegate_key_set_keys", &[("key_set", name)], *keys as u64);
    }
}

/// The text as it grows.
pub(super) struct Page<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Page<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }
}

impl Page<'_> {
    pub(super) fn counter(&mut self, name: &str, help: &str) {
        self.head(name, help, "counter");
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) {
        self.head(name, help, "gauge");
    }

    pub(super) fn head(&mut self, name: &str, help: &str, kind: &str) {
        for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"] {
            self.out.extend_from_slice(part.as_bytes());
        }
    }

    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: u64) {
        self.start(name, "", labels, None);
        push_decimal(value, self.out);
        self.out.push(b'\n');
    }

    fn seconds(&mut self, name: &str, labels: Labels<'_>, nanoseconds: u64) {
        self.start(name, "", labels, None);
        push_seconds(nanoseconds, self.out);
        self.out.push(b'\n');
    }

    fn text(&mut self, name: &str, labels: Labels<'_>, value: &str) {
        self.start(name, "", labels, None);
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'\n');
    }

    pub(super) fn reasons(&mut self, name: &str, help: &str, sums: BTreeMap<&'static str, u64>) {
        self.counter(name, help);
        for (reason, sum) in sums {
            self.sample(name, &[("reason", reason)], sum);
        }
    }

    pub(super) fn histogram<'a>(
        &mut self,
        name: &str,
        labels: Labels<'_>,
        cells: impl Iterator<Item = &'a Coarse>,
    ) {
        let (mut sums, mut nanoseconds) = ([0; COARSE], 0);
        cells.for_each(|cell| cell.add_to(&mut sums, &mut nanoseconds));
        let mut count = 0;
        for (bound, sum) in BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]).zip(sums) {
            count += sum;
            self.start(name, "_bucket", labels, Some(bound));
            push_decimal(count, self.out);
            self.out.push(b'\n');
        }
        self.start(name, "_sum", labels, None);
        push_seconds(nanoseconds, self.out);
        self.out.push(b'\n');
        // The count is that of the buckets, so that the two agree whatever is counted meanwhile.
        self.start(name, "_count", labels, None);
        push_decimal(count, self.out);
        self.out.push(b'\n');
    }

    /// `name{labels} `.
    fn start(&mut self, name: &str, suffix: &str, labels: Labels<'_>, bound: Option<&str>) {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(suffix.as_bytes());
        let mut open = b'{';
        for (name, value) in labels.iter().copied().chain(bound.map(|bound| ("le", bound))) {
            self.out.push(open);
            open = b',';
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"=\"");
            push_label(value, self.out);
            self.out.push(b'"');
        }
        if open == b',' {
            self.out.push(b'}');
        }
        self.out.push(b' ');
    }
}

fn push_label(value: &str, out: &mut Vec<u8>) {
    for byte in value.bytes() {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => out.push(byte),
        }
    }
}

fn push_seconds(nanoseconds: u64, out: &mut Vec<u8>) {
    push_decimal(nanoseconds / 1_000_000_000, out);
    let mut fraction = [b'0'; 10];
    fraction[0] = b'.';
    let mut rest = nanoseconds % 1_000_000_000;
    for digit in fraction[1..].iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&fraction);
}
