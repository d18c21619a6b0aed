//! How fast somebody moves bytes while it is their turn: the arithmetic behind least rates.

/// The least rate, and how long somebody may be slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeastRate {
    bytes_per_second: u64,
    window_ns: u64,
}

impl LeastRate {
    /// `bytes_per_second` of 0 is met by everybody. Somebody is too slow after about `grace_ms` of being waited for.
    #[must_use]
    pub fn new(bytes_per_second: u32, grace_ms: u32) -> Self {
        // Two windows in a row make the grace: a link that stalls for a moment is slow in one of them, and somebody
        // who drips is slow in both.
        Self { bytes_per_second: bytes_per_second.into(), window_ns: u64::from(grace_ms) * 500_000 }
    }
}

/// One side of one transfer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// Since when it is waited for.
    since: Option<u64>,
    waited_ns: u64,
    bytes: u64,
    /// The window before was too slow.
    struck: bool,
}

impl Pace {
    /// Notes at `now` (nanoseconds) that `bytes` moved since the last note, and whether the side is waited for from
    /// here on. `true`: it is too slow.
    ///
    /// Only waiting counts: a side that has nothing to do, as the client of a quiet event stream, has no pace.
    #[must_use]
    pub fn note(&mut self, now: u64, bytes: u64, waited_for: bool, least: LeastRate) -> bool {
        if let Some(since) = self.since.take() {
            self.waited_ns = self.waited_ns.saturating_add(now.saturating_sub(since));
        }
        self.since = waited_for.then_some(now);
        self.bytes = self.bytes.saturating_add(bytes);
        if least.bytes_per_second == 0 || self.waited_ns < least.window_ns || self.waited_ns == 0 {
            return false;
        }
        let moved = u128::from(self.bytes) * 1_000_000_000;
        let slow = moved < u128::from(least.bytes_per_second) * u128::from(self.waited_ns);
        self.waited_ns = 0;
        self.bytes = 0;
        std::mem::replace(&mut self.struck, slow) && slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Whether somebody is too slow who sends `bytes` every `seconds`, as long as told; and after how many seconds.
    fn drips(bytes: u64, seconds: u64, least: LeastRate, total: u64) -> Option<u64> {
        let mut pace = Pace::default();
        assert!(!pace.note(0, 0, true, least));
        (1..=total / seconds).map(|step| step * seconds).find(|at| pace.note(at * SECOND, bytes, true, least))
    }

    #[test]
    fn who_drips_is_too_slow_once_the_grace_is_over() {
        let least = LeastRate::new(256, 10_000);
        assert_eq!(drips(1, 1, least, 1000), Some(10));
        assert_eq!(drips(255, 1, least, 1000), Some(10));
        assert_eq!(drips(1, 9, least, 1000), Some(18));
    }

    #[test]
    fn who_keeps_to_the_rate_may_take_as_long_as_it_takes() {
        let least = LeastRate::new(256, 10_000);
        assert_eq!(drips(256, 1, least, 100_000), None);
        assert_eq!(drips(2560, 10, least, 100_000), None);
    }

    #[test]
    fn a_stall_that_ends_is_forgiven() {
        let least = LeastRate::new(256, 10_000);
        let mut pace = Pace::default();
        assert!(!pace.note(0, 0, true, least));
        assert!(!pace.note(25 * SECOND, 1460, true, least));
        for second in 26..200 {
            assert!(!pace.note(second * SECOND, 1460, true, least));
        }
    }

    #[test]
    fn time_in_which_nobody_waits_for_it_does_not_count() {
        let least = LeastRate::new(256, 10_000);
        let mut pace = Pace::default();
        for minute in 0..60 {
            assert!(!pace.note(minute * 60 * SECOND, 10, false, least));
        }
    }

    #[test]
    fn a_burst_does_not_pay_for_a_drip_behind_it() {
        let least = LeastRate::new(256, 10_000);
        let mut pace = Pace::default();
        assert!(!pace.note(0, 0, true, least));
        assert!(!pace.note(5 * SECOND, 100 << 20, true, least));
        let late = (6..100).find(|second| pace.note(second * SECOND, 1, true, least));
        assert_eq!(late, Some(15));
    }

    #[test]
    fn no_rate_is_met_by_everybody() {
        assert_eq!(drips(0, 10, LeastRate::new(0, 10_000), 100_000), None);
        assert!(drips(0, 10, LeastRate::new(1, 0), 100).is_some());
    }
}
