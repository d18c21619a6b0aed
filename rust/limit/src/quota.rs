//! The arithmetic of a token bucket in GCRA form: one moment per key says everything.
//!
//! The moment is the theoretical arrival time (ITU-T I.371 annex A): when the bucket will be full again. A
//! bucket whose moment is past is full, so a key may be forgotten then and nothing is lost.
//!
//! Moments are counted in ticks of 1/32 nanosecond. The time of one token is rounded up to a tick once, when the
//! quota is made, and everything after is exact: a quota never admits more than its rate, and less by at most
//! 1/32 ns per token (3 in 100,000 at a million tokens a second, 3 in 10^11 at one).

/// How many tokens a key has and how fast they come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    tokens: u32,
    per_ms: u64,
    burst: u32,
    /// Ticks until one token is back.
    interval: u64,
    /// Ticks until an empty bucket is full: `burst` intervals.
    tolerance: u64,
    /// Ticks that a request may be held back.
    delay: u64,
}

/// What a key gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Goes on at once.
    Allow {
        /// Whole tokens that are left.
        remaining: u32,
        /// Nanoseconds until the bucket is full.
        reset: u64,
    },
    /// Goes on after `wait`; its tokens are already taken, and later requests wait longer.
    Delay {
        /// Nanoseconds.
        wait: u64,
        /// Nanoseconds until the bucket is full.
        reset: u64,
    },
    /// Goes no further, and has taken nothing.
    Refuse {
        /// Nanoseconds after which the same request passes if no other comes between; a request that costs more
        /// than the bucket holds never passes, and is told when the bucket will be full.
        retry_after: u64,
        /// Nanoseconds until the bucket is full.
        reset: u64,
    },
}

impl Quota {
    /// `tokens` come back every `per_ms` milliseconds, evenly; a full bucket holds `burst`, so exactly `burst`
    /// requests of one token pass at once (nginx's `burst=5` is `burst: 6` here: it counts the first apart).
    /// A request that comes too early is held back up to `delay_ms` instead of refused.
    ///
    /// `None` where `tokens`, `per_ms` or `burst` is 0, or where an empty bucket and the delay take more
    /// than 2^57 ns (4.5 years) together. Rates above 32 tokens a nanosecond count as that.
    pub fn new(tokens: u32, per_ms: u64, burst: u32, delay_ms: u32) -> Option<Self> {
        if tokens == 0 || per_ms == 0 || burst == 0 {
            return None;
        }
        let per = u128::from(per_ms) * u128::from(TICKS_PER_MS);
        let interval = u64::try_from(per.div_ceil(u128::from(tokens))).ok()?;
        let tolerance = interval.checked_mul(u64::from(burst))?;
        let delay = u64::from(delay_ms) * TICKS_PER_MS;
        if tolerance.checked_add(delay)? > LONGEST {
            return None;
        }
        Some(Self { tokens, per_ms, burst, interval, tolerance, delay })
    }

    /// Tokens in a full bucket.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Tokens that come back, and within how many milliseconds.
    pub fn rate(&self) -> (u32, u64) {
        (self.tokens, self.per_ms)
    }

    /// Takes `cost` tokens from a bucket that is full at the tick `full_at`. Answers with the decision and, where
    /// tokens were taken, the tick at which the bucket is full again.
    #[inline]
    pub(crate) fn charge(&self, full_at: u64, cost: u32, now: u64) -> (Decision, Option<u64>) {
        let start = full_at.max(now);
        if cost > self.burst {
            let reset = nanoseconds(start - now);
            return (Decision::Refuse { retry_after: reset, reset }, None);
        }
        // No overflow: cost <= burst, and `burst` intervals fit in LONGEST.
        let after = start.saturating_add(self.interval * u64::from(cost));
        let debt = after - now;
        if debt <= self.tolerance {
            let remaining = (self.tolerance - debt) / self.interval;
            let decision = Decision::Allow { remaining: remaining as u32, reset: nanoseconds(debt) };
            return (decision, Some(after));
        }
        let early = debt - self.tolerance;
        if early <= self.delay {
            return (Decision::Delay { wait: nanoseconds(early), reset: nanoseconds(debt) }, Some(after));
        }
        let retry_after = nanoseconds(early - self.delay);
        (Decision::Refuse { retry_after, reset: nanoseconds(start - now) }, None)
    }
}

/// The tick of a nanosecond. Time stands still after 2^58 ns (9.1 years), so that no later sum overflows.
#[inline]
pub(crate) fn ticks(now: u64) -> u64 {
    now.min(LAST_NANOSECOND) * TICKS_PER_NS
}

/// Rounded up, so that whoever waits that long is not early.
#[inline]
fn nanoseconds(ticks: u64) -> u64 {
    ticks.div_ceil(TICKS_PER_NS)
}

const TICKS_PER_NS: u64 = 32;
const TICKS_PER_MS: u64 = TICKS_PER_NS * 1_000_000;
/// A moment is at most this far ahead of the time at which it is stored.
const LONGEST: u64 = 1 << 62;
const LAST_NANOSECOND: u64 = 1 << 58;

#[cfg(test)]
mod tests {
    use super::*;

    /// One bucket without a table.
    struct Bucket {
        quota: Quota,
        full_at: u64,
    }

    impl Bucket {
        fn new(tokens: u32, per_ms: u64, burst: u32, delay_ms: u32) -> Self {
            Self { quota: Quota::new(tokens, per_ms, burst, delay_ms).unwrap(), full_at: 0 }
        }

        fn take(&mut self, cost: u32, now: u64) -> Decision {
            let (decision, full_at) = self.quota.charge(self.full_at, cost, ticks(now));
            self.full_at = full_at.unwrap_or(self.full_at);
            decision
        }

        fn admitted(&mut self, requests: usize, now: u64) -> usize {
            (0..requests).filter(|_| !matches!(self.take(1, now), Decision::Refuse { .. })).count()
        }
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_full_bucket_admits_exactly_its_burst_at_once() {
        for burst in [1, 2, 5, 6, 100] {
            assert_eq!(Bucket::new(1, 1000, burst, 0).admitted(1000, 7), burst as usize);
        }
    }

    #[test]
    fn six_of_a_hundred_pass_where_nginx_says_burst_5() {
        assert_eq!(Bucket::new(1, 1000, 5 + 1, 0).admitted(100, 0), 6);
    }

    #[test]
    fn tokens_come_back_one_by_one() {
        let mut bucket = Bucket::new(10, 1000, 3, 0);
        assert_eq!(bucket.admitted(10, SECOND), 3);
        assert_eq!(bucket.admitted(10, SECOND + 99_999_999), 0);
        assert_eq!(bucket.admitted(10, SECOND + 100_000_000), 1);
        assert_eq!(bucket.admitted(10, SECOND + 300_000_000), 2);
        assert_eq!(bucket.admitted(10, 3600 * SECOND), 3, "a bucket never holds more than its burst");
    }

    #[test]
    fn a_decision_tells_what_is_left_and_when() {
        let mut bucket = Bucket::new(10, 1000, 3, 0);
        assert_eq!(bucket.take(1, 0), Decision::Allow { remaining: 2, reset: 100_000_000 });
        assert_eq!(bucket.take(2, 0), Decision::Allow { remaining: 0, reset: 300_000_000 });
        assert_eq!(bucket.take(1, 0), Decision::Refuse { retry_after: 100_000_000, reset: 300_000_000 });
        assert_eq!(
            bucket.take(2, 40_000_000),
            Decision::Refuse { retry_after: 160_000_000, reset: 260_000_000 }
        );
        assert_eq!(bucket.take(2, 200_000_000), Decision::Allow { remaining: 0, reset: 300_000_000 });
    }

    #[test]
    fn whoever_waits_for_retry_after_passes_and_a_nanosecond_earlier_does_not() {
        for (tokens, per_ms) in [(3, 1000), (7, 1), (1, 1), (1_000_000, 1000), (13, 86_400_000)] {
            let mut bucket = Bucket::new(tokens, per_ms, 2, 0);
            assert_eq!(bucket.admitted(10, 5), 2);
            let Decision::Refuse { retry_after, .. } = bucket.take(1, 5) else { panic!("not refused") };
            assert!(matches!(bucket.take(1, 5 + retry_after - 1), Decision::Refuse { .. }));
            assert!(matches!(bucket.take(1, 5 + retry_after), Decision::Allow { .. }));
        }
    }

    #[test]
    fn a_request_dearer_than_the_bucket_never_passes() {
        let mut bucket = Bucket::new(10, 1000, 3, 60_000);
        assert_eq!(bucket.take(4, SECOND), Decision::Refuse { retry_after: 0, reset: 0 });
        assert!(matches!(bucket.take(u32::MAX, SECOND), Decision::Refuse { .. }));
        assert_eq!(bucket.admitted(3, SECOND), 3, "and takes nothing");
    }

    #[test]
    fn delayed_requests_wait_in_order_one_interval_apart() {
        let mut bucket = Bucket::new(10, 1000, 1, 250);
        assert!(matches!(bucket.take(1, 0), Decision::Allow { remaining: 0, .. }));
        assert_eq!(bucket.take(1, 0), Decision::Delay { wait: 100_000_000, reset: 200_000_000 });
        assert_eq!(bucket.take(1, 0), Decision::Delay { wait: 200_000_000, reset: 300_000_000 });
        assert_eq!(bucket.take(1, 0), Decision::Refuse { retry_after: 50_000_000, reset: 300_000_000 });
        assert_eq!(bucket.take(1, 50_000_000), Decision::Delay { wait: 250_000_000, reset: 350_000_000 });
    }

    #[test]
    fn high_and_odd_rates_keep_their_rate() {
        for (tokens, per_ms) in
            [(3u32, 1000u64), (7, 1000), (999_983, 1000), (1_000_000, 1000), (3_000_000, 1000)]
        {
            let mut bucket = Bucket::new(tokens, per_ms, 1, 0);
            // Greedy: every token is taken at the first whole nanosecond at which it is there.
            let mut now = 0;
            let mut passed = 0u64;
            while passed < 100_000 {
                match bucket.take(1, now) {
                    Decision::Refuse { retry_after, .. } => now += retry_after,
                    _ => passed += 1,
                }
            }
            let ideal = 99_999.0 * per_ms as f64 * 1e6 / f64::from(tokens);
            assert!(now as f64 >= ideal - 1.0, "{tokens}/{per_ms}: too fast");
        }
        let interval = Quota::new(3, 1000, 1, 0).unwrap().interval;
        assert!((interval as f64 / 32.0 - 1e9 / 3.0).abs() <= 1.0 / 32.0);
    }

    #[test]
    fn a_clock_that_goes_backwards_gives_nobody_more() {
        let mut bucket = Bucket::new(1, 1000, 2, 0);
        assert_eq!(bucket.admitted(5, 100 * SECOND), 2);
        assert_eq!(bucket.admitted(5, 0), 0);
        assert!(matches!(bucket.take(1, 0), Decision::Refuse { .. }));
        assert_eq!(bucket.admitted(5, 101 * SECOND), 1);
    }

    #[test]
    fn the_end_of_time_overflows_nothing() {
        let mut bucket = Bucket::new(1, 86_400_000, 1000, u32::MAX);
        for now in [0, u64::MAX, 1 << 58, u64::MAX - 1, 0] {
            bucket.take(1000, now);
        }
        assert_eq!(bucket.admitted(1, u64::MAX), 1);
    }

    #[test]
    fn impossible_quotas_are_refused() {
        assert_eq!(Quota::new(0, 1, 1, 0), None);
        assert_eq!(Quota::new(1, 0, 1, 0), None);
        assert_eq!(Quota::new(1, 1, 0, 0), None);
        assert_eq!(Quota::new(1, u64::MAX, 1, 0), None);
        assert_eq!(Quota::new(1, 86_400_000, 2000, 0), None, "5.5 years until full");
        assert!(Quota::new(1, 86_400_000, 1000, u32::MAX).is_some());
        assert!(Quota::new(u32::MAX, 1, u32::MAX, 0).is_some());
    }
}
