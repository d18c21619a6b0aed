//! How long things took: fine for quantiles, coarse for Prometheus.

use super::blocks::Counter;

/// The bounds of the coarse buckets in nanoseconds, and as Prometheus writes them in seconds.
pub(super) const BOUNDS: [(u64, &str); 19] = [
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5"),
    (10_000_000_000, "10"),
    (15_000_000_000, "15"),
    (20_000_000_000, "20"),
    (30_000_000_000, "30"),
    (60_000_000_000, "60"),
];

/// Buckets of the coarse kind; the last has no bound.
pub(super) const COARSE: usize = BOUNDS.len() + 1;

/// Fine buckets: 16 to each doubling, from about a microsecond to a day. A quantile is off by 3 % at most.
const FINE: usize = 16 * 34;

/// Durations by coarse bucket, and their sum.
#[derive(Debug, Default)]
pub(super) struct Coarse {
    buckets: [Counter; COARSE],
    nanoseconds: Counter,
}

/// Durations by fine bucket.
#[derive(Debug)]
pub(super) struct Fine(Box<[Counter]>);

impl Coarse {
    pub(super) fn count(&self, nanoseconds: u64) {
        self.buckets[bucket(nanoseconds)].add(1);
        self.nanoseconds.add(nanoseconds);
    }

    /// Adds this one's buckets and its sum to those given.
    pub(super) fn add_to(&self, sums: &mut [u64; COARSE], nanoseconds: &mut u64) {
        for (sum, bucket) in sums.iter_mut().zip(&self.buckets) {
            *sum += bucket.value();
        }
        *nanoseconds += self.nanoseconds.value();
    }
}

impl Fine {
    pub(super) fn new() -> Self {
        Self((0..FINE).map(|_| Counter::default()).collect())
    }

    pub(super) fn count(&self, nanoseconds: u64) {
        self.0[fine_bucket(nanoseconds)].add(1);
    }
}

/// The durations below which these shares of all stay, in nanoseconds; 0 where there are none.
pub(super) fn quantiles<'a, const N: usize>(
    all: impl Iterator<Item = &'a Fine>,
    shares: [f64; N],
) -> [u64; N] {
    let mut sums = vec![0; FINE];
    for fine in all {
        for (sum, bucket) in sums.iter_mut().zip(&fine.0) {
            *sum += bucket.value();
        }
    }
    let total: u64 = sums.iter().sum();
    shares.map(|share| {
        let rank = (share * total as f64).ceil().max(1.0) as u64;
        let mut passed = 0;
        let bucket = sums.iter().position(|sum| {
            passed += sum;
            passed >= rank
        });
        bucket.map_or(0, middle)
    })
}

/// The coarse bucket: the first whose bound is not exceeded.
fn bucket(nanoseconds: u64) -> usize {
    // Bounds are at least a fine bucket apart, so that one comparison decides.
    let low = LOWEST[fine_bucket(nanoseconds)] as usize;
    low + usize::from(low < BOUNDS.len() && nanoseconds > BOUNDS[low].0)
}

/// By fine bucket: the coarse bucket of its shortest duration.
const LOWEST: [u8; FINE] = {
    let mut table = [0; FINE];
    let mut fine = 0;
    while fine < FINE {
        let start = start(fine);
        let mut coarse = 0;
        while coarse < BOUNDS.len() && start > BOUNDS[coarse].0 {
            coarse += 1;
        }
        table[fine] = coarse as u8;
        fine += 1;
    }
    table
};

/// Units of 1024 ns: the first 16 buckets are one unit wide, then each 16 are twice as wide as those before.
const fn fine_bucket(nanoseconds: u64) -> usize {
    let units = nanoseconds >> 10;
    if units < 16 {
        return units as usize;
    }
    let doubling = units.ilog2() as usize;
    let bucket = (doubling - 3) * 16 + ((units >> (doubling - 4)) & 15) as usize;
    if bucket < FINE { bucket } else { FINE - 1 }
}

/// The shortest duration of a fine bucket, in nanoseconds.
const fn start(fine: usize) -> u64 {
    let (doubling, part) = (fine / 16, (fine % 16) as u64);
    if doubling == 0 { part << 10 } else { (16 + part) << (doubling - 1 + 10) }
}

fn middle(fine: usize) -> u64 {
    start(fine).midpoint(start(fine + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_coarse_bucket_whose_bound_it_does_not_exceed() {
        let mut random = fastrand::Rng::with_seed(3);
        let near = BOUNDS.iter().flat_map(|(bound, _)| [bound - 1, *bound, bound + 1]);
        let any = std::iter::repeat_with(|| random.u64(..) >> random.u32(20..64)).take(100_000);
        for nanoseconds in near.chain(any).chain([0, u64::MAX]) {
            let slow = BOUNDS.iter().position(|(bound, _)| nanoseconds <= *bound).unwrap_or(BOUNDS.len());
            assert_eq!(bucket(nanoseconds), slow, "{nanoseconds}");
        }
    }

    #[test]
    fn fine_buckets_follow_one_another_without_gaps() {
        for fine in 0..FINE - 1 {
            assert_eq!(fine_bucket(start(fine)), fine);
            assert_eq!(fine_bucket(start(fine + 1) - 1), fine);
        }
        assert_eq!(fine_bucket(u64::MAX), FINE - 1);
    }

    #[test]
    fn bounds_as_written_are_the_bounds_that_count() {
        for (nanoseconds, text) in BOUNDS {
            let seconds: f64 = text.parse().unwrap();
            assert_eq!((seconds * 1e9).round() as u64, nanoseconds);
        }
    }

    #[test]
    fn quantiles_are_off_by_three_percent_at_most() {
        let fine = Fine::new();
        for microseconds in 1..=100_000 {
            fine.count(microseconds * 1000);
        }
        let [half, most] = quantiles([&fine].into_iter(), [0.5, 0.99]);
        assert!((half as f64 / 50e6 - 1.0).abs() < 0.03, "{half}");
        assert!((most as f64 / 99e6 - 1.0).abs() < 0.03, "{most}");
        assert_eq!(quantiles([&Fine::new()].into_iter(), [0.5]), [0]);
    }
}
