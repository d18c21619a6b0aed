//! Answers that need no upstream: redirects, fixed responses, and what the engine itself knows.

use std::io::Write as _;

use tidegate_plan::{Action, Builtin};

use crate::{
    answer::push_field,
    exchange::Exchange,
    failure::{Cause, Failure},
    prepare::PreparedRoute,
    variables::Variables,
    worker::{Worker, WorkerPlan},
};

/// An answer that was made here.
#[derive(Debug, Default)]
pub struct Made {
    /// 200 to 599.
    pub status: u16,
    /// Empty for none.
    pub content_type: String,
    /// Whole lines.
    pub fields: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl Made {
    /// A status and nothing more.
    pub fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// Makes the answer of an action that is not forwarding.
pub fn make(
    worker: &Worker,
    plan: &WorkerPlan,
    route: &PreparedRoute,
    exchange: &Exchange,
    action: &Action,
) -> Result<Made, Failure> {
    let variables = Variables { worker, plan, exchange };
    let mut made = Made::default();
    match action {
        Action::Redirect(redirect) => {
            made.status = redirect.status;
            let mut location = Vec::new();
            if let Some(template) = &route.template {
                template.render_location(&variables, &mut location);
            }
            push_field(&mut made.fields, b"Location", &location);
        }
        Action::Respond(respond) => {
            made.status = respond.status;
            made.content_type.push_str(&respond.content_type);
            if let Some(template) = &route.template {
                template.render(&variables, &mut made.body);
            }
        }
        Action::Https { port } => {
            made.status = 308;
            let mut location = Vec::new();
            https_location(exchange, *port, &mut location)?;
            push_field(&mut made.fields, b"Location", &location);
        }
        Action::Builtin { name } => builtin(worker, *name, &mut made)?,
        // The journey asks the hook and forwards; neither comes here.
        Action::Hook | Action::Ai(_) | Action::Forward { .. } => {
            return Err(Failure::gateway(Cause::HookFailed));
        }
    }
    Ok(made)
}

/// The same over TLS. The host is the one that was asked for, which has been checked by then; without one there is
/// nowhere to go.
fn https_location(exchange: &Exchange, port: u16, out: &mut Vec<u8>) -> Result<(), Failure> {
    let head = &exchange.head;
    if exchange.host.is_empty() {
        return Err(Failure::client(Cause::NoRoute));
    }
    out.extend_from_slice(b"https://");
    out.extend_from_slice(&exchange.host);
    if port != 443 {
        let _ = write!(out, ":{port}");
    }
    match head.slice(head.path) {
        b"" => out.push(b'/'),
        path => out.extend_from_slice(path),
    }
    if head.has_query {
        out.push(b'?');
        out.extend_from_slice(head.slice(head.query));
    }
    Ok(())
}

fn builtin(worker: &Worker, name: Builtin, made: &mut Made) -> Result<(), Failure> {
    made.status = 200;
    made.content_type.push_str("text/plain; charset=utf-8");
    match name {
        Builtin::Healthz => made.body.extend_from_slice(b"ok\n"),
        Builtin::Readyz if worker.draining.get() => {
            made.status = 503;
            made.body.extend_from_slice(b"draining\n");
        }
        Builtin::Readyz => made.body.extend_from_slice(b"ready\n"),
        Builtin::Metrics => {
            made.content_type = "text/plain; version=0.0.4; charset=utf-8".into();
            crate::telemetry::metrics(&worker.shared, &mut made.body);
        }
        Builtin::NotFound => return Err(Failure::client(Cause::NoRoute)),
    }
    Ok(())
}
