//! The one record that every exchange ends in: counted, and written where the route is logged.

use std::time::{Duration, SystemTime};

use tidegate_message::Known;

use crate::{
    connection::Connection,
    exchange::Exchange,
    log::Record,
    variables::Variables,
    worker::{Worker, WorkerPlan},
};

/// Counts the exchange and writes its line.
pub fn write(worker: &Worker, plan: &WorkerPlan, connection: &Connection, exchange: &Exchange) {
    let shared = &plan.shared;
    let route = exchange.route.map(|index| &shared.routes[index as usize]);
    let taken = worker.now().saturating_sub(exchange.started);
    if !connection.admin {
        let slot = route.map_or(0, |route| route.slot);
        worker.metrics.request(slot, exchange.status, taken, exchange.body.bytes, exchange.bytes_sent);
        if !exchange.reason.is_empty() {
            worker.metrics.refusal(exchange.reason);
        }
    }
    let logged = !connection.admin && route.is_none_or(|route| route.plan.access_log);
    let mut lines = plan.lines.borrow_mut();
    let (Some(lines), Some(format), true) = (&mut *lines, &shared.log_format, logged) else { return };
    let record = Record {
        head: (!exchange.head.bytes.is_empty()).then_some(&exchange.head),
        protocol: "",
        client_ip: exchange.client_ip,
        user: &exchange.user,
        time: SystemTime::now(),
        duration: Duration::from_nanos(taken),
        status: exchange.status,
        bytes_sent: exchange.bytes_sent,
        bytes_received: exchange.body.bytes,
        route: route.map_or("", |route| &route.plan.name),
        upstream: exchange.upstream.as_deref().unwrap_or(""),
        endpoint: exchange.endpoint.as_deref().unwrap_or(""),
        upstream_duration: exchange.upstream_duration,
        attempts: exchange.attempts,
        reason: if exchange.hook_reason.is_empty() { exchange.reason } else { &exchange.hook_reason },
        request_id: exchange.request_id(),
        traceparent: exchange.head.known(Known::Traceparent).unwrap_or(exchange.traceparent.as_bytes()),
        host: &exchange.host,
        listener: shared.plan.listeners.get(exchange.listener as usize).map_or("", |listener| &listener.name),
    };
    lines.line(|out| format.write(&record, &Variables { worker, plan, exchange }, out));
}
