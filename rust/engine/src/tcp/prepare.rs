//! A listener that passes connections on, made ready.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tidegate_auth::{AccessList, CidrSet};
use tidegate_plan::{self as plan, KeyPart, Listener, Plan};
use tidegate_sni::Names;
use tidegate_upstream::RetryPolicy;

use crate::{
    metrics::Metrics,
    prepare::{PlanRejected, Prepared},
};

/// A listener that passes connections on, made ready.
pub struct PreparedTcp {
    /// As it was decoded.
    pub plan: plan::Tcp,
    /// Where connections go: the default first, where there is one, then those by name.
    pub targets: Vec<PreparedTarget>,
    /// Index of the target for clients that no name matches.
    pub default: Option<u32>,
    /// Indices of targets by name.
    pub names: Names,
    /// Who may come by address.
    pub access: Option<AccessList>,
    /// Whether something is counted by the name that the client asks for, so that limits wait until it is known.
    pub counts_by_name: bool,
    /// Connections that are open, kept over reloads.
    pub open: Arc<AtomicU32>,
    /// Its place in the counters.
    pub slot: u32,
}

/// Where connections go.
pub struct PreparedTarget {
    /// As it was decoded.
    pub plan: plan::TcpTarget,
    /// Whether another endpoint is tried.
    pub retry: RetryPolicy,
}

/// One connection among those that a listener may have; dropping it makes room.
pub struct Opened(Arc<AtomicU32>);

impl PreparedTcp {
    /// By index of the listener; `None` for those that speak HTTP.
    pub fn all(
        plan: &Plan,
        before: Option<&Prepared>,
        metrics: &Metrics,
    ) -> Result<Vec<Option<Self>>, PlanRejected> {
        let listeners = plan.listeners.iter().enumerate();
        listeners.map(|(index, listener)| Self::one(plan, index, listener, before, metrics)).collect()
    }

    fn one(
        plan: &Plan,
        index: usize,
        listener: &Listener,
        before: Option<&Prepared>,
        metrics: &Metrics,
    ) -> Result<Option<Self>, PlanRejected> {
        let Some(tcp) = &listener.tcp else { return Ok(None) };
        let access = match &tcp.access {
            None => None,
            Some(access) => {
                let parse = |list: &[String], name: &str| {
                    CidrSet::parse(list).map_err(|error| PlanRejected {
                        path: format!("listeners[{index}].tcp.access.{name}[{}]", error.index),
                        why: error.why.to_string(),
                    })
                };
                Some(AccessList::new(parse(&access.allow, "allow")?, parse(&access.deny, "deny")?))
            }
        };
        let target = |target: &plan::TcpTarget| PreparedTarget {
            retry: RetryPolicy::from(&target.retry),
            plan: target.clone(),
        };
        let mut targets: Vec<_> = tcp.default.iter().map(target).collect();
        let first = targets.len();
        targets.extend(tcp.sni.iter().map(|route| target(&route.target)));
        let named = tcp.sni.iter().enumerate();
        let keys = (tcp.limits.iter().filter_map(|at| plan.limits.get(*at as usize)).map(|limit| &limit.key))
            .chain(
                tcp.concurrency
                    .iter()
                    .filter_map(|at| plan.concurrency.get(*at as usize))
                    .map(|cap| &cap.key),
            );
        let kept = before.and_then(|before| {
            let at = before.plan.listeners.iter().position(|kept| kept.name == listener.name)?;
            before.tcp.get(at)?.as_ref().map(|tcp| tcp.open.clone())
        });
        Ok(Some(Self {
            default: tcp.default.as_ref().map(|_| 0),
            names: Names::new(named.map(|(at, route)| (route.host.as_str(), (first + at) as u32))),
            counts_by_name: keys.flatten().any(|part| *part == KeyPart::Host),
            targets,
            access,
            open: kept.unwrap_or_default(),
            slot: metrics.tcp_slot(&listener.name),
            plan: tcp.clone(),
        }))
    }

    /// Counts one more connection, unless the listener has as many as it may.
    pub fn enter(&self) -> Option<Opened> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let opened = Opened(self.open.clone());
        let most = self.plan.max_connections;
        (most == 0 || before < most).then_some(opened)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
