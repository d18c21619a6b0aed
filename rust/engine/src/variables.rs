//! What templates may ask of an exchange.

use std::{
    io::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use tidegate_message::Known;
use tidegate_plan::Variable;

use crate::{
    exchange::Exchange,
    worker::{Worker, WorkerPlan},
};

/// An exchange as templates see it.
pub struct Variables<'a> {
    /// For the time.
    pub worker: &'a Worker,
    /// For names.
    pub plan: &'a WorkerPlan,
    /// For everything else.
    pub exchange: &'a Exchange,
}

impl Variables<'_> {
    /// The address at the other end of the connection.
    pub fn peer_ip(&self, out: &mut Vec<u8>) {
        let peer = self.exchange.peer.ip().to_canonical();
        if peer == self.exchange.client_ip {
            out.extend_from_slice(self.exchange.client_text.as_bytes());
        } else {
            let _ = write!(out, "{peer}");
        }
    }

    /// `https` within TLS, else `http`; or what a trusted proxy says.
    pub fn scheme(&self) -> &'static [u8] {
        match self.exchange.head.known(Known::XForwardedProto) {
            Some(told) if self.exchange.peer_trusted && told.eq_ignore_ascii_case(b"https") => b"https",
            Some(told) if self.exchange.peer_trusted && told.eq_ignore_ascii_case(b"http") => b"http",
            _ if self.exchange.tls.is_some() => b"https",
            _ => b"http",
        }
    }

    /// What the TLS handshake has settled; empty on plain connections.
    fn tls(&self, variable: Variable) -> &str {
        let Some(facts) = &self.exchange.tls else { return "" };
        match variable {
            Variable::TlsVersion => facts.version,
            Variable::TlsCipher => facts.cipher,
            Variable::TlsClientSubject => facts.subject(),
            Variable::TlsClientSan => facts.san(),
            Variable::TlsClientVerified => facts.verified(),
            _ => &facts.sni,
        }
    }
}

impl tidegate_route::Variables for Variables<'_> {
    fn write(&self, variable: Variable, out: &mut Vec<u8>) {
        let Self { worker, plan, exchange } = self;
        let head = &exchange.head;
        let shared = &plan.shared.plan;
        match variable {
            Variable::ClientIp => out.extend_from_slice(exchange.client_text.as_bytes()),
            Variable::PeerIp => self.peer_ip(out),
            Variable::PeerPort => drop(write!(out, "{}", exchange.peer.port())),
            Variable::Host => out.extend_from_slice(&exchange.host),
            Variable::Authority => out.extend_from_slice(head.slice(head.authority)),
            Variable::Scheme => out.extend_from_slice(self.scheme()),
            Variable::Method => out.extend_from_slice(head.slice(head.method_name)),
            Variable::Path => out.extend_from_slice(exchange.path()),
            Variable::Query => out.extend_from_slice(head.slice(head.query)),
            Variable::RequestUri => out.extend_from_slice(head.slice(head.target)),
            Variable::RequestId => out.extend_from_slice(exchange.request_id().as_bytes()),
            Variable::Route => {
                let route = exchange.route.and_then(|index| shared.routes.get(index as usize));
                out.extend_from_slice(route.map_or("", |route| &route.name).as_bytes());
            }
            Variable::Upstream => {
                out.extend_from_slice(exchange.upstream.as_deref().unwrap_or("").as_bytes())
            }
            Variable::User => out.extend_from_slice(exchange.user.as_bytes()),
            Variable::Listener => {
                let listener = shared.listeners.get(exchange.listener as usize);
                out.extend_from_slice(listener.map_or("", |listener| &listener.name).as_bytes());
            }
            Variable::Status if exchange.status == 0 => {}
            Variable::Status => drop(write!(out, "{}", exchange.status)),
            Variable::Duration => {
                let taken = worker.now().saturating_sub(exchange.started);
                drop(write!(out, "{}.{:03}", taken / 1_000_000, taken / 1000 % 1000));
            }
            Variable::Time => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                drop(write!(out, "{}.{:03}", since.as_secs(), since.subsec_millis()));
            }
            Variable::Protocol => out.extend_from_slice(head.version.as_str().as_bytes()),
            Variable::TlsVersion
            | Variable::TlsCipher
            | Variable::TlsClientSubject
            | Variable::TlsClientSan
            | Variable::TlsClientVerified
            | Variable::Sni => out.extend_from_slice(self.tls(variable).as_bytes()),
            Variable::Dollar => out.push(b'$'),
        }
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.exchange.head.field(name.as_bytes())
    }

    fn query(&self, name: &str, out: &mut Vec<u8>) {
        let head = &self.exchange.head;
        tidegate_route::query_parameter(head.slice(head.query), name.as_bytes(), out);
    }

    fn claim(&self, name: &str, out: &mut Vec<u8>) {
        let claims = self.exchange.claims.as_deref();
        out.extend_from_slice(claims.and_then(|claims| claims.text(name)).unwrap_or_default().as_bytes());
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.exchange.head.cookie(name.as_bytes())
    }

    fn capture(&self, name: &str) -> Option<&[u8]> {
        self.exchange.captures.get(name)
    }
}
