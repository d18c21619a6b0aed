//! The one record that every connection that was to be passed on ends in: counted, and written where that is wanted.

use std::{
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tidegate_plan::Variable;

use super::{Passage, end::End};
use crate::{log::Record, worker::Worker};

/// Counts the connection and writes its line.
pub fn write(worker: &Worker, passage: &Passage, end: End) {
    let taken = worker.now().saturating_sub(passage.started);
    worker.metrics.close(end.as_str());
    worker.metrics.tcp_ended(passage.slot, end.as_str(), taken);
    if end.is_refusal() {
        worker.metrics.refusal(end.as_str());
    }
    // The plan of today: the connection may have come long before it, and its log file may be gone.
    let plan = worker.plan();
    let mut lines = plan.lines.borrow_mut();
    let format = plan.shared.log_format.as_ref().filter(|_| passage.access_log);
    let (Some(lines), Some(format)) = (&mut *lines, format) else { return };
    let record = Record {
        head: None,
        protocol: if passage.is_tls { "TLS" } else { "TCP" },
        client_ip: passage.client.ip().to_canonical(),
        user: "",
        time: SystemTime::now(),
        duration: Duration::from_nanos(taken),
        status: end.status(),
        bytes_sent: passage.bytes.1,
        bytes_received: passage.bytes.0,
        route: "",
        upstream: passage.upstream.as_deref().unwrap_or(""),
        endpoint: passage.endpoint.as_deref().unwrap_or(""),
        upstream_duration: passage.connected_after,
        attempts: passage.attempts,
        reason: end.as_str(),
        request_id: "",
        traceparent: b"",
        host: passage.server_name.as_deref().unwrap_or("").as_bytes(),
        listener: &passage.listener,
    };
    lines.line(|out| format.write(&record, &Known { passage, end, taken }, out));
}

/// What templates may ask of a connection; what only requests have is empty.
struct Known<'a> {
    passage: &'a Passage,
    end: End,
    taken: u64,
}

impl tidegate_route::Variables for Known<'_> {
    fn write(&self, variable: Variable, out: &mut Vec<u8>) {
        let Self { passage, end, taken } = self;
        match variable {
            Variable::ClientIp => drop(write!(out, "{}", passage.client.ip().to_canonical())),
            Variable::PeerIp => drop(write!(out, "{}", passage.peer.ip().to_canonical())),
            Variable::PeerPort => drop(write!(out, "{}", passage.peer.port())),
            Variable::Host | Variable::Authority => {
                out.extend_from_slice(passage.server_name.as_deref().unwrap_or("").as_bytes());
            }
            Variable::Upstream => out.extend_from_slice(passage.upstream.as_deref().unwrap_or("").as_bytes()),
            Variable::Listener => out.extend_from_slice(passage.listener.as_bytes()),
            Variable::Protocol => out.extend_from_slice(if passage.is_tls { b"TLS" } else { b"TCP" }),
            Variable::Status => drop(write!(out, "{}", end.status())),
            Variable::Duration => drop(write!(out, "{}.{:03}", taken / 1_000_000, taken / 1000 % 1000)),
            Variable::Time => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                drop(write!(out, "{}.{:03}", since.as_secs(), since.subsec_millis()));
            }
            Variable::Dollar => out.push(b'$'),
            _ => {}
        }
    }

    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn query(&self, _: &str, _: &mut Vec<u8>) {}

    fn claim(&self, _: &str, _: &mut Vec<u8>) {}

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn capture(&self, _: &str) -> Option<&[u8]> {
        None
    }
}
