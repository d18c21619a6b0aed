//! What must hold of listeners that pass connections on.

use crate::{
    KeyPart, Listener, Plan, PlanError,
    check::{indices, require},
};

/// The bounds of a ClientHello's size: the smallest one that says anything, and far more than any real one has.
const HELLO_BYTES: std::ops::RangeInclusive<u32> = 512..=65_536;

pub(crate) fn check(plan: &Plan, listener: &Listener, path: &str) -> Result<(), PlanError> {
    let Some(tcp) = &listener.tcp else { return Ok(()) };
    let here = |part: &str| format!("{path}.tcp.{part}");
    require(!listener.admin, &here("default"), || "the admin listener speaks HTTP".into())?;
    require(tcp.default.is_some() || !tcp.sni.is_empty(), &here("default"), || {
        "there is nowhere to pass a connection on to".into()
    })?;
    require(HELLO_BYTES.contains(&tcp.hello_bytes), &here("hello_bytes"), || {
        format!("must be {} to {}", HELLO_BYTES.start(), HELLO_BYTES.end())
    })?;
    for (part, target) in tcp.targets() {
        indices(&[target.upstream], plan.upstreams.len(), &here(&format!("{part}.upstream")))?;
        require((1..=16).contains(&target.retry.attempts), &here(&format!("{part}.retry.attempts")), || {
            "must be 1 to 16".into()
        })?;
    }
    indices(&tcp.limits, plan.limits.len(), &here("limits"))?;
    indices(&tcp.concurrency, plan.concurrency.len(), &here("concurrency"))?;
    let limits = tcp.limits.iter().map(|at| &plan.limits[*at as usize].key);
    let caps = tcp.concurrency.iter().map(|at| &plan.concurrency[*at as usize].key);
    let known = |part: &KeyPart| matches!(part, KeyPart::ClientIp | KeyPart::Host | KeyPart::Route);
    require(limits.chain(caps).flatten().all(known), &here("limits"), || {
        "a connection has a client's address, a host and a listener to count by, and nothing else".into()
    })
}
