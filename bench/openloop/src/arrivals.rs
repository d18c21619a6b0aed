//! When requests are due: a schedule fixed before the run, whatever the server does.

/// Instants in nanoseconds from the start of the run, without end.
pub struct Arrivals {
    gap: f64,
    at: f64,
    random: Option<u64>,
}

impl Arrivals {
    /// `rate` a second, evenly spaced.
    pub fn even(rate: f64) -> Self {
        Self { gap: 1e9 / rate, at: 0.0, random: None }
    }

    /// `rate` a second on average, as independent clients send them; the same `seed` gives the same instants.
    pub fn poisson(rate: f64, seed: u64) -> Self {
        Self { gap: 1e9 / rate, at: 0.0, random: Some(seed) }
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let step = match &mut self.random {
            None => self.gap,
            Some(state) => -self.gap * (1.0 - unit(state)).ln(),
        };
        self.at += step;
        Some(self.at as u64)
    }
}

/// SplitMix64, as a number in [0, 1).
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_arrivals_are_one_gap_apart() {
        let first: Vec<u64> = Arrivals::even(1000.0).take(3).collect();
        assert_eq!(first, [1_000_000, 2_000_000, 3_000_000]);
    }

    #[test]
    fn poisson_arrivals_keep_the_rate_and_never_go_back() {
        let instants: Vec<u64> = Arrivals::poisson(10_000.0, 7).take(100_000).collect();
        assert!(instants.windows(2).all(|pair| pair[0] <= pair[1]));
        let seconds = *instants.last().unwrap() as f64 / 1e9;
        assert!((9.8..10.2).contains(&seconds), "100000 arrivals at 10000/s took {seconds} s");
    }

    #[test]
    fn one_seed_gives_one_schedule() {
        let take = |seed| Arrivals::poisson(100.0, seed).take(10).collect::<Vec<_>>();
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
    }
}
