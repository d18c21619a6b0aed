//! Counts latencies with a bounded relative error, in constant memory.

/// Each power of two is divided into this many equal buckets: a value is known to 1 part in 256.
const STEPS: u64 = 128;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// A histogram of nanoseconds.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u128,
    max: u64,
}

impl Histogram {
    /// An empty one.
    pub fn new() -> Self {
        Self { counts: vec![0; index(u64::MAX) + 1], total: 0, sum: 0, max: 0 }
    }

    /// Counts one value.
    pub fn record(&mut self, nanos: u64) {
        self.counts[index(nanos)] += 1;
        self.total += 1;
        self.sum += u128::from(nanos);
        self.max = self.max.max(nanos);
    }

    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest value, exact.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean, exact; 0 where nothing was counted.
    pub fn mean(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.sum as f64 / self.total as f64 }
    }

    /// The value that `share` (0 to 1) of all values do not exceed; 0 where nothing was counted.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(at).min(self.max);
            }
        }
        0
    }
}

/// The bucket of a value: linear below `STEPS`, then `STEPS` buckets for each power of two.
fn index(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let power = value.ilog2() - STEP_BITS;
    let step = (value >> power) - STEPS;
    (u64::from(power + 1) * STEPS + step) as usize
}

/// The largest value of a bucket.
fn upper(at: usize) -> u64 {
    let at = at as u64;
    if at < STEPS {
        return at;
    }
    let power = at / STEPS - 1;
    let next = u128::from(STEPS + at % STEPS + 1) << power;
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_ends_at_most_one_128th_above_it() {
        for power in 0..64 {
            for offset in [0_u64, 1, 3, 77] {
                let value = (1_u64 << power).saturating_add(offset.min(1 << power));
                let end = upper(index(value));
                assert!(end >= value, "{value} is above its bucket's end {end}");
                assert!(end - value <= value / STEPS, "{value} is told as {end}");
            }
        }
    }

    #[test]
    fn quantiles_of_one_to_a_thousand_are_what_they_say() {
        let mut all = Histogram::new();
        (1..=1000).for_each(|value| all.record(value * 1000));
        assert_eq!(all.total(), 1000);
        assert!((all.mean() - 500_500.0).abs() < 0.1);
        for (share, exact) in [(0.5, 500_000), (0.99, 990_000), (1.0, 1_000_000)] {
            let told = all.quantile(share);
            assert!((exact..=exact + exact / STEPS).contains(&told), "{share}: {told}");
        }
    }

    #[test]
    fn an_empty_histogram_tells_zero() {
        assert_eq!(Histogram::new().quantile(0.99), 0);
        assert_eq!(Histogram::new().mean(), 0.0);
    }
}
