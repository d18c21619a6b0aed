//! What runs beside a call: a second attempt that may be faster, and a copy for another model.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use tidegate_dialect::{Source, Usage};
use tidegate_plan::{Hedge, Model};

use super::{
    Desk,
    call::Call,
    choose::{self, Choice, Tried},
    compose,
    errors::Lost,
    prepare::Named,
    record::{self, Facts, Outcome},
    serve::{Opened, Served, one, targets},
};
use crate::{exchange::Exchange, io::Stream};

/// An attempt, and a second one at another target when the first has not begun to answer in time: whoever does first. Returns
/// the second choice, where one was made.
#[allow(clippy::too_many_arguments)] // the call, its first attempt, and what the second is made with
pub async fn hedged<'a>(
    desk: &Desk<'a>,
    client: Option<&Stream>,
    exchange: &Exchange,
    call: &Call,
    body: &[u8],
    model: &Model,
    hedge: &Hedge,
    first: impl Future<Output = Result<Served<'a>, Lost>>,
    wanted: &choose::Wanted,
    tried: Tried,
    due: u64,
) -> (Result<Served<'a>, Lost>, Option<Choice>) {
    let Desk { worker, ai, .. } = desk;
    let prepared = &ai.models[call.model as usize];
    let begun = Cell::new(None);
    let second = async {
        tokio::time::sleep(Duration::from_millis(u64::from(hedge.after_ms))).await;
        worker.look_at_clock();
        let wanted = choose::Wanted { now: worker.now(), preferred: None, ..*wanted };
        let choice = choose::next(&ai.plan, model, prepared, &wanted, tried)?;
        let provider = ai.plan.providers[model.targets[choice.target].provider as usize].dialect;
        // The first attempt made the chat form if any target of its kind needs it.
        let ready = compose::is_same(call.dialect, call.surface, provider) || call.chat.is_some();
        if !ready || !prepared.hedged.hedge(hedge.budget_percent) {
            return None;
        }
        begun.set(Some(choice));
        let endpoints = Cell::default();
        Some(one(desk, client, exchange, call, body, model, choice, due, None, &endpoints).await)
    };
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut first_lost, mut second_over) = (None, false);
    let served = poll_fn(|cx| {
        if first_lost.is_none()
            && let Poll::Ready(result) = first.as_mut().poll(cx)
        {
            match result {
                Err(lost) if begun.get().is_some() && !second_over => first_lost = Some(lost),
                decided => return Poll::Ready(decided),
            }
        }
        if !second_over && let Poll::Ready(result) = second.as_mut().poll(cx) {
            second_over = true;
            match (result, first_lost.take()) {
                (Some(Ok(served)), _) => return Poll::Ready(Ok(served)),
                // Both have failed: the first one's word counts, for it was the better choice.
                (_, Some(lost)) => return Poll::Ready(Err(lost)),
                _ => {}
            }
        }
        Poll::Pending
    })
    .await;
    (served, begun.get())
}

/// Books an attempt that was given up because another was faster: the provider has read the prompt, and is paid for that.
pub fn lose(desk: &Desk<'_>, exchange: &Exchange, call: &mut Call, loser: Choice) {
    let usage = Usage { source: Source::Estimated, input: Some(call.input_estimate), ..Usage::default() };
    let facts = Facts {
        served: Some((call.model, loser.target)),
        credential: loser.credential,
        usage,
        outcome: Outcome::Cut,
        reason: "hedge_lost",
        attempts: 1,
        ..Facts::default()
    };
    call.aside_usd += record::aside(desk.worker, desk.plan, desk.ai, call, exchange, "loser", facts);
}

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
