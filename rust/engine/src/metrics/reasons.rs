//! Counts by reason, where reasons are names written in the code.

use std::sync::OnceLock;

use super::blocks::Counter;

/// Places of a table; twice the reasons there are at most, so that a search ends soon.
const PLACES: usize = 256;

/// Counts by reason. A reason is found by where its text stands in memory; the same text at two addresses takes two
/// places, which the reader adds up.
#[derive(Debug)]
pub(super) struct Reasons {
    places: Box<[(OnceLock<&'static str>, Counter)]>,
    /// Those for which there was no place.
    others: Counter,
}

impl Reasons {
    pub(super) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| Default::default()).collect(), others: Counter::default() }
    }

    pub(super) fn count(&self, reason: &'static str) {
        // Texts stand one after the other in memory: the odd multiplier spreads neighbours.
        let start = (reason.as_ptr() as usize).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        for step in 0..PLACES {
            let (name, count) = &self.places[(start + step) % PLACES];
            if std::ptr::eq(*name.get_or_init(|| reason), reason) {
                count.add(1);
                return;
            }
        }
        self.others.add(1);
    }

    /// Adds each reason's count to those in `sums`.
    pub(super) fn add_to(&self, sums: &mut std::collections::BTreeMap<&'static str, u64>) {
        for (name, count) in &self.places {
            if let Some(name) = name.get() {
                *sums.entry(name).or_default() += count.value();
            }
        }
        if self.others.value() > 0 {
            *sums.entry("other").or_default() += self.others.value();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sums(reasons: &Reasons) -> BTreeMap<&'static str, u64> {
        let mut sums = BTreeMap::new();
        reasons.add_to(&mut sums);
        sums
    }

    #[test]
    fn reasons_are_counted_apart() {
        let reasons = Reasons::new();
        reasons.count("bare_lf");
        reasons.count("bare_cr");
        reasons.count("bare_lf");
        assert_eq!(sums(&reasons), BTreeMap::from([("bare_cr", 1), ("bare_lf", 2)]));
    }

    #[test]
    fn the_same_text_at_two_addresses_is_one_reason() {
        let reasons = Reasons::new();
        let twin: &'static str = Box::leak("bare_lf".to_owned().into_boxed_str());
        reasons.count("bare_lf");
        reasons.count(twin);
        assert_eq!(sums(&reasons), BTreeMap::from([("bare_lf", 2)]));
    }

    #[test]
    fn more_reasons_than_places_are_counted_together() {
        let reasons = Reasons::new();
        for number in 0..PLACES + 10 {
            reasons.count(Box::leak(format!("reason_{number}").into_boxed_str()));
        }
        assert_eq!(sums(&reasons)["other"], 10);
    }
}
