//! A plan as one worker runs it: what all share, and what of it is this worker's.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use crate::{
    log::{Lines, Log},
    prepare::Prepared,
    upstream::Upstream,
    worker::Shared,
};

/// A plan as one worker runs it.
pub struct WorkerPlan {
    /// The part that all workers share.
    pub shared: Arc<Prepared>,
    /// This worker's state of each upstream, by index.
    pub upstreams: Vec<Rc<Upstream>>,
    /// Lines for the access log.
    pub lines: RefCell<Option<Lines>>,
    /// Where this worker writes usage records.
    pub usage: Option<Rc<RefCell<tidegate_journal::Writer>>>,
}

impl WorkerPlan {
    /// What `before` has that did not change is taken over.
    pub fn new(
        prepared: Arc<Prepared>,
        before: Option<&WorkerPlan>,
        shared: &Arc<Shared>,
        worker: usize,
    ) -> Self {
        let journal = prepared.ai.as_ref().and_then(|ai| ai.journal.as_ref());
        let usage = journal.map(|journal| {
            let kept = before.filter(|before| {
                let old = before.shared.ai.as_ref().and_then(|ai| ai.journal.as_ref());
                old.is_some_and(|old| Arc::ptr_eq(old, journal))
            });
            let kept = kept.and_then(|before| before.usage.clone());
            kept.unwrap_or_else(|| Rc::new(RefCell::new(journal.writer(worker))))
        });
        let before = before.map_or(&[][..], |plan| &plan.upstreams);
        let before: HashMap<&str, &Rc<Upstream>> = before.iter().map(|kept| (&*kept.name, kept)).collect();
        let upstreams = (prepared.plan.upstreams.iter().zip(&prepared.upstream_tls))
            .map(|(upstream, tls)| {
                let same = |kept: &&&Rc<Upstream>| {
                    kept.plan == *upstream
                        && kept.tls.as_ref().map(Arc::as_ptr) == tls.as_ref().map(Arc::as_ptr)
                };
                let kept = before.get(upstream.name.as_str()).filter(same);
                kept.map(|kept| (*kept).clone())
                    .unwrap_or_else(|| Rc::new(Upstream::new(upstream, tls.clone(), shared, worker)))
            })
            .collect();
        let lines = RefCell::new(prepared.log.as_ref().map(Log::lines));
        Self { shared: prepared, upstreams, lines, usage }
    }

    /// The index of the upstream called `name`.
    pub fn upstream_named(&self, name: &str) -> Option<u32> {
        self.upstreams.iter().position(|cluster| *cluster.name == *name).map(|index| index as u32)
    }
}
