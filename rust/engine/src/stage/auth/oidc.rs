//! Who has logged in at an OpenID provider: a sealed cookie is opened here, everything else is a hook's.

use std::rc::Rc;

use tidegate_auth::{COOKIES_MOST, Sealer, Session, join_cookies};
use tidegate_plan as plan;

use super::{Tried, jwt::enter};
use crate::{
    connection::Connection,
    exchange::Exchange,
    failure::{Cause, Failure},
    hooks::{Outcome, Verdict},
    prepare::{PlanRejected, PreparedRoute},
    stage::{self, respond::Made},
    worker::{Worker, WorkerPlan},
};

/// A login as a route asks for it.
#[derive(Debug)]
pub struct Oidc {
    config: plan::Oidc,
    sealer: Sealer,
}

impl Oidc {
    /// Made ready; `path` is where the plan has it.
    pub fn new(config: &plan::Oidc, path: &str) -> Result<Self, PlanRejected> {
        let sealer = Sealer::new(config.secret.expose().as_bytes(), config.name.as_bytes());
        let sealer = sealer
            .ok_or_else(|| PlanRejected { path: format!("{path}.secret"), why: "makes no key".into() })?;
        Ok(Self { config: config.clone(), sealer })
    }

    /// The cookies of a session, which are not forwarded.
    pub fn cookies(&self) -> Vec<String> {
        let name = &self.config.cookie;
        let more = (1..COOKIES_MOST).map(|number| format!("{name}.{number}"));
        std::iter::once(name.clone()).chain(more).collect()
    }

    /// Whether the field is one that the upstream learns a claim from.
    pub fn tells(&self, name: &[u8]) -> bool {
        self.config.headers.iter().any(|header| name.eq_ignore_ascii_case(header.name.as_bytes()))
    }

    /// Lets in who has a session; all others are the hook's.
    pub fn check(&self, worker: &Worker, exchange: &mut Exchange) -> Tried {
        let path = exchange.path();
        let own = path == self.config.redirect_path.as_bytes()
            || self.config.logout_path.as_ref().is_some_and(|logout| path == logout.as_bytes());
        if own {
            return Tried::Ask;
        }
        let now = worker.unix_seconds();
        match self.session(exchange, now) {
            Some(session) if !session.is_due(now) => self.enter(session, exchange),
            _ => Tried::Ask,
        }
    }

    /// Asks the hook: to send people to the provider, to take them back, to refresh or to end a session.
    pub async fn ask(
        &self,
        worker: &Worker,
        plan: &WorkerPlan,
        route: &PreparedRoute,
        connection: &Connection,
        exchange: &mut Exchange,
    ) -> Tried {
        let name = self.config.name.clone();
        let asked =
            stage::hook::call(worker, plan, route, connection, exchange, self.config.hook, name).await;
        worker.look_at_clock();
        let now = worker.unix_seconds();
        let failure = match asked {
            Ok(Outcome::Verdict(verdict)) if verdict.status.is_some() => {
                return Tried::Answer(answer(*verdict));
            }
            // A new session, and the cookies that the client is to keep it in.
            Ok(Outcome::Verdict(verdict)) => {
                for (name, value) in &verdict.response_headers {
                    stage::hook::push_checked(&mut exchange.fields, name, value);
                }
                match Session::open(&self.sealer, &verdict.body, now) {
                    Some(session) => return self.enter(session, exchange),
                    None => Failure::gateway(Cause::HookFailed),
                }
            }
            Ok(Outcome::Pass) => Failure::client(Cause::Unauthorized),
            Ok(Outcome::Failed(_)) => Failure::gateway(Cause::HookFailed),
            Err(Cause::ClientGone) => return Tried::No(Failure::client(Cause::ClientGone)),
            Err(cause) => Failure::gateway(cause),
        };
        // A session that is only due to be refreshed goes on for as long as nobody can be asked.
        match self.session(exchange, now) {
            Some(session) => self.enter(session, exchange),
            None => Tried::No(failure),
        }
    }

    fn session(&self, exchange: &mut Exchange, now: u64) -> Option<Session> {
        let Exchange { head, problem: room, .. } = exchange;
        join_cookies(|name| head.cookie(name), &self.config.cookie, room);
        if room.is_empty() { None } else { Session::open(&self.sealer, room, now) }
    }

    fn enter(&self, session: Session, exchange: &mut Exchange) -> Tried {
        enter(Rc::new(session.claims), &self.config.user, &self.config.headers, exchange)
    }
}

/// The hook's answer; Python has checked its fields.
fn answer(verdict: Verdict) -> Made {
    let mut made = Made::empty(verdict.status.unwrap_or(500).clamp(200, 599));
    for (name, value) in &verdict.response_headers {
        stage::hook::push_checked(&mut made.fields, name, value);
    }
    made.body = verdict.body;
    made
}
