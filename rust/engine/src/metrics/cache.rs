//! What caches did, by route: how requests were met, why not from the store, what the store holds.

use tidegate_cache::{Figures, Outcome, Reason};

use super::{
    Metrics,
    render::{Page, by_slot, label},
    worker::Cache,
};

const OUTCOMES: usize = Outcome::ALL.len();
const REASONS: usize = Reason::ALL.len();

pub(super) fn write(metrics: &Metrics, figures: Option<&(Figures, u64, u64)>, page: &mut Page<'_>) {
    let names = metrics.routes.names();
    let outcomes = by_slot(metrics, names.len(), |worker| &worker.caches, outcomes);
    page.counter(
        "tidegate_cache_requests_total",
        "Requests on cached routes by route and how they were met.",
    );
    for (slot, sums) in &outcomes {
        for (outcome, sum) in Outcome::ALL.iter().zip(sums).filter(|(_, sum)| **sum > 0) {
            let labels = [("route", label(&names, *slot, 0)), ("outcome", outcome.as_str())];
            page.sample("tidegate_cache_requests_total", &labels, *sum);
        }
    }
    let reasons = by_slot(metrics, names.len(), |worker| &worker.caches, reasons);
    page.counter(
        "tidegate_cache_reasons_total",
        "Why requests went to the origin or answers were not kept, by route and reason.",
    );
    for (slot, sums) in &reasons {
        for (reason, sum) in Reason::ALL.iter().zip(sums).filter(|(_, sum)| **sum > 0) {
            let labels = [("route", label(&names, *slot, 0)), ("reason", reason.as_str())];
            page.sample("tidegate_cache_reasons_total", &labels, *sum);
        }
    }
    let Some((store, fills, fill_bytes)) = figures else { return };
    let gauges = [
        ("tidegate_cache_bytes", "Bytes of the store that are taken.", store.bytes),
        ("tidegate_cache_capacity_bytes", "Bytes of the store.", store.capacity),
        ("tidegate_cache_entries", "Entries of the store.", store.entries),
        ("tidegate_cache_fills", "Answers that are being fetched.", *fills),
        ("tidegate_cache_fill_bytes", "Bytes of answers that are being fetched.", *fill_bytes),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help);
        page.sample(name, &[], value);
    }
}

fn outcomes(cache: &Cache) -> [&super::blocks::Counter; OUTCOMES] {
    cache.outcomes.each_ref()
}

fn reasons(cache: &Cache) -> [&super::blocks::Counter; REASONS] {
    cache.reasons.each_ref()
}
