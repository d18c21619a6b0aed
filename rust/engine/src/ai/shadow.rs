//! Calls that are asked of another model too, to see what it would cost and how fast it is; nobody gets that answer.

use std::{future::poll_fn, time::Duration};

use super::{
    Desk,
    call::Call,
    prepare::Named,
    record::{self, Facts, Outcome},
    serve::{Opened, Served, targets},
};
use crate::exchange::Exchange;

/// Asks another model the same, for a share of calls, and throws its answer away; what it cost is recorded apart.
pub fn shadow(desk: &Desk<'_>, call: &Call, body: &[u8]) {
    /// A copy of a call is given up after this long.
    const SHADOW_MOST: Duration = Duration::from_secs(300);
    let model = &desk.ai.plan.models[call.model as usize];
    let Some(shadow) = &model.shadow else { return };
    if fastrand::u32(..100) >= shadow.percent || !call.surface.is_chat() {
        return;
    }
    let (worker, plan) = (desk.worker.clone(), desk.plan.clone());
    let (mut apart, body, index) = (call.apart(), body.to_vec(), shadow.model);
    apart.scan = call.scan.clone();
    let route = call.route;
    tokio::task::spawn_local(async move {
        let (Some(ai), Some(route)) = (&plan.shared.ai, plan.shared.routes.get(route)) else { return };
        let tidegate_plan::Action::Ai(on) = &route.plan.action else { return };
        let desk = Desk { worker: &worker, plan: &plan, ai, route, on };
        let mut exchange = Exchange::default();
        let star = apart.star.clone();
        apart.turn_to(ai, Named { model: index, star: &star });
        let work = async {
            let Ok(Served::Opened(opened)) =
                targets(&desk, None, &mut exchange, &mut apart, &body, false).await
            else {
                return;
            };
            let Opened { mut open, upstream, .. } = *opened;
            loop {
                let more = poll_fn(|cx| open.poll_more(cx, &mut worker.scratch.borrow_mut())).await;
                open.tap.out.clear();
                if !matches!(more, Ok(true)) {
                    break;
                }
            }
            let _ = open.tap.finish();
            let usage = open.tap.usage(apart.input_estimate);
            let facts =
                Facts { usage, outcome: Outcome::Ok, finish: open.tap.finished(), ..apart.facts.clone() };
            open.settle(&worker, upstream);
            record::aside(&worker, &plan, ai, &apart, &exchange, "shadow", facts);
        };
        let _ = tokio::time::timeout(SHADOW_MOST, work).await;
    });
}
