//! May a failed attempt be followed by another? One decision, from what is known about the attempt.

use tidegate_plan::{Retry, RetryReason};

use crate::{MS, RetryBudget};

/// The wait before the third attempt; it doubles with each further one.
const BACKOFF_NS: u64 = 25 * MS;
/// The longest wait.
const BACKOFF_MAX_NS: u64 = 250 * MS;

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No connection: refused, unreachable, too late, no TLS.
    Connect,
    /// The connection ended, or could not be written to, before the response's first byte.
    Reset,
    /// The response's head took too long.
    Timeout,
    /// A response came, and this is its status.
    Status(u16),
    /// Something that another attempt would not change: an answer that is no HTTP, a limit, a client that left.
    Other,
}

/// A failed attempt, as far as the next one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempted {
    /// Why it failed.
    pub cause: Cause,
    /// Whether the method is idempotent (RFC 9110 §9.2.2).
    pub method_idempotent: bool,
    /// Whether any byte of the request went out on this attempt's connection.
    pub sent_any_byte: bool,
    /// Whether any byte of a response was relayed to the client or, unless the cause is a status, was read.
    pub response_started: bool,
    /// Whether the whole body can be sent again from its first byte (there is none, or it is kept).
    pub body_replayable: bool,
    /// Attempts so far with this one, at least 1.
    pub attempts_made: u32,
    /// Whether the connection had served a request before.
    pub reused_connection: bool,
}

impl Attempted {
    /// Whether a kept connection had gone stale: the endpoint closed it while the request was on its way (RFC 9112
    /// §9.3.1, §9.5). That is no failure of the endpoint: finish the attempt with [`crate::Outcome::Cancelled`], and
    /// let the next one open a new connection, to the same endpoint if it likes.
    #[must_use]
    pub fn stale(&self) -> bool {
        self.reused_connection && self.cause == Cause::Reset && !self.response_started
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum RetryVerdict {
    /// Another attempt.
    Retry {
        /// Not before this many nanoseconds from now.
        delay_ns: u64,
    },
    /// None; the failure is the answer.
    Stop(StopReason),
}

/// Why no other attempt follows. Where several hold, the first in this order is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// A part of a response is out: another attempt could contradict it.
    ResponseStarted,
    /// The route does not retry after this cause.
    NotConfigured,
    /// The request may have been acted upon, and its method is not idempotent (RFC 9110 §9.2.2).
    NotIdempotent,
    /// A part of the body was sent and is not kept.
    BodyGone,
    /// There were as many attempts as the route allows.
    AttemptsExhausted,
    /// Too large a share of the last ten seconds' requests were retried already.
    BudgetSpent,
}

impl StopReason {
    /// As logs and metrics write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ResponseStarted => "response_started",
            Self::NotConfigured => "not_configured",
            Self::NotIdempotent => "not_idempotent",
            Self::BodyGone => "body_gone",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::BudgetSpent => "budget_spent",
        }
    }
}

/// When a failed attempt is followed by another, on one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts: u32,
    /// One bit a reason.
    on: u8,
    non_idempotent: bool,
    budget_percent: u32,
}

impl From<&Retry> for RetryPolicy {
    fn from(plan: &Retry) -> Self {
        Self {
            attempts: plan.attempts,
            on: plan.on.iter().fold(0, |on, reason| on | bit(*reason)),
            non_idempotent: plan.non_idempotent,
            budget_percent: plan.budget_percent,
        }
    }
}

impl RetryPolicy {
    /// Whether answers of this status may be tried again at all, so that one that may not is relayed at once.
    #[must_use]
    pub fn considers(&self, status: u16) -> bool {
        self.attempts > 1 && self.covers(Cause::Status(status))
    }

    /// What follows a failed attempt; a retry is taken out of the budget.
    ///
    /// Never after a byte of the response. A request of which no byte was sent is safe whatever its method and
    /// body. A stale connection ([`Attempted::stale`]) says nothing about the endpoint or about load: it needs no
    /// mention in the plan and nothing of the budget, and one more attempt than the plan allows makes up for it.
    /// The second attempt comes at once, as it goes elsewhere or on a new connection; later ones wait, with jitter.
    pub fn decide(&self, failure: &Attempted, budget: &mut RetryBudget, now: u64) -> RetryVerdict {
        let stale = failure.stale();
        if let Some(reason) = self.refuses(failure, stale) {
            return RetryVerdict::Stop(reason);
        }
        if !stale && !budget.withdraw(self.budget_percent, now) {
            return RetryVerdict::Stop(StopReason::BudgetSpent);
        }
        let delay_ns = if stale { 0 } else { backoff(failure.attempts_made, budget) };
        RetryVerdict::Retry { delay_ns }
    }

    fn refuses(&self, failure: &Attempted, stale: bool) -> Option<StopReason> {
        if failure.response_started {
            return Some(StopReason::ResponseStarted);
        }
        if !stale && !self.covers(failure.cause) {
            return Some(StopReason::NotConfigured);
        }
        // A status is an answer: whatever was counted as sent, somebody has seen the request.
        if failure.sent_any_byte || matches!(failure.cause, Cause::Status(_)) {
            if !failure.method_idempotent && !self.non_idempotent {
                return Some(StopReason::NotIdempotent);
            }
            if !failure.body_replayable {
                return Some(StopReason::BodyGone);
            }
        }
        let allowed = self.attempts.saturating_add(u32::from(stale));
        (failure.attempts_made >= allowed).then_some(StopReason::AttemptsExhausted)
    }

    fn covers(&self, cause: Cause) -> bool {
        let reason = match cause {
            Cause::Connect => RetryReason::Connect,
            Cause::Reset => RetryReason::Reset,
            Cause::Timeout => RetryReason::Timeout,
            Cause::Status(500) => RetryReason::Status500,
            Cause::Status(502) => RetryReason::Status502,
            Cause::Status(503) => RetryReason::Status503,
            Cause::Status(504) => RetryReason::Status504,
            Cause::Status(429) => RetryReason::Status429,
            Cause::Status(_) | Cause::Other => return false,
        };
        self.on & bit(reason) != 0
    }
}

fn bit(reason: RetryReason) -> u8 {
    match reason {
        RetryReason::Connect => 1,
        RetryReason::Reset => 2,
        RetryReason::Timeout => 4,
        RetryReason::Status500 => 8,
        RetryReason::Status502 => 16,
        RetryReason::Status503 => 32,
        RetryReason::Status504 => 64,
        RetryReason::Status429 => 128,
    }
}

/// Nothing before the second attempt, then doubling; half of it is random, so that requests that failed together
/// do not come back together.
fn backoff(attempts_made: u32, budget: &mut RetryBudget) -> u64 {
    match attempts_made.checked_sub(2) {
        None => 0,
        Some(earlier) => budget.jitter((BACKOFF_NS << earlier.min(10)).min(BACKOFF_MAX_NS)),
    }
}
