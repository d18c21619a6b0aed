//! Decides which endpoint a request goes to, on which idle connection, and whether it may be tried again.
//!
//! Knows: endpoint ids and keys, instants, weights, limits, what became of earlier attempts.
//! Never: sockets, tasks, clocks, DNS, addresses, configuration files.
//!
//! Every instant is nanoseconds since an arbitrary start that the caller passes in as `now`; it must not go
//! backwards. State belongs to one worker, except [`Gate`], which all workers share and which writes to memory
//! only where a bound is configured. A [`Cluster`] is asked for an endpoint ([`Cluster::pick`]), told that an
//! attempt begins ([`Cluster::started`]) and what became of it ([`Cluster::finished`]). An [`IdlePool`] keeps
//! connections between attempts, a [`RetryPolicy`] says whether another one follows, a [`Probe`] turns
//! single health checks into a state.

mod budget;
mod cluster;
mod endpoint;
mod gate;
mod health;
mod latency;
mod live;
mod pool;
mod probe;
mod retry;
mod ring;
mod ticket;
mod turns;

pub use budget::RetryBudget;
pub use cluster::{Balance, Cluster, Picked};
pub use endpoint::{EndpointId, EndpointSpec, EndpointState, EndpointView};
pub use gate::{Admission, Gate, GateLimits};
pub use health::{Change, Outcome, Passive};
pub use pool::{Idle, IdlePool, PoolLimits};
pub use probe::{Probe, Turned};
pub use retry::{Attempted, Cause, RetryPolicy, RetryVerdict, StopReason};
pub use ticket::{Ticket, Tried};

/// Nanoseconds in a millisecond, the plan's unit of time.
const MS: u64 = 1_000_000;
