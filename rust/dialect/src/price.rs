//! What a call costs: exact sums of picodollars (10⁻¹² USD), or unknown.

use tidegate_plan::{Price, Rates};

use crate::Usage;

/// The cost of a call in picodollars; `None` where it is not known: nothing was said of the call's tokens, or a bucket
/// with tokens has no rate by any rule. An unknown cost is never 0.
///
/// The rates of the highest tier hold whose bound the input in all is above, for all of the call. A rate that is not said
/// is another's: `cache_read`, `cache_write_5m` and `audio_in` are `input`, `cache_write_1h` is `cache_write_5m`,
/// `reasoning` and `audio_out` are `output`. Pictures have a rate of their own or none; a call itself costs
/// nothing where nothing is said. A tier that says nothing of pictures and calls leaves them as they were.
///
/// Buckets are disjoint ([`Usage`]), so no token is billed twice. Sums saturate.
pub fn cost(price: &Price, usage: &Usage) -> Option<u64> {
    let rates = rates(price, usage.input_total().unwrap_or(0));
    let five_minutes = rates.cache_write_5m.or(rates.input);
    let buckets = [
        (usage.input, rates.input),
        (usage.cache_read, rates.cache_read.or(rates.input)),
        (usage.cache_write_5m, five_minutes),
        (usage.cache_write_1h, rates.cache_write_1h.or(five_minutes)),
        (usage.audio_in, rates.audio_in.or(rates.input)),
        (usage.output, rates.output),
        (usage.reasoning, rates.reasoning.or(rates.output)),
        (usage.audio_out, rates.audio_out.or(rates.output)),
        (usage.images, rates.image.or(price.rates.image)),
    ];
    let request = rates.request.or(price.rates.request);
    if buckets.iter().all(|(count, _)| count.is_none()) {
        // Where only calls are charged for, nothing else need be known.
        return request.filter(|_| rates.input.is_none() && rates.output.is_none());
    }
    let mut sum = request.unwrap_or(0);
    for (count, rate) in buckets {
        match (count, rate) {
            (None | Some(0), _) => {}
            (Some(count), Some(rate)) => sum = sum.saturating_add(count.saturating_mul(rate)),
            (Some(_), None) => return None,
        }
    }
    Some(sum)
}

/// What a call would cost of which only sizes are estimated: no cache, no thought apart.
pub fn estimate_cost(price: &Price, input_tokens: u64, output_tokens: u64) -> Option<u64> {
    let usage = Usage { input: Some(input_tokens), output: Some(output_tokens), ..Usage::default() };
    cost(price, &usage)
}

fn rates(price: &Price, input_total: u64) -> &Rates {
    let tier = price.tiers.iter().rev().find(|(above, _)| input_total > *above);
    tier.map_or(&price.rates, |(_, rates)| rates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONE: Rates = Rates {
        input: None,
        cache_read: None,
        cache_write_5m: None,
        cache_write_1h: None,
        output: None,
        reasoning: None,
        audio_in: None,
        audio_out: None,
        image: None,
        request: None,
    };

    fn price(rates: Rates, tiers: Vec<(u64, Rates)>) -> Price {
        Price { version: "test".to_owned(), rates, tiers }
    }

    fn simple() -> Rates {
        Rates { input: Some(3_000_000), output: Some(15_000_000), ..NONE }
    }

    #[test]
    fn cached_input_is_billed_once_and_at_its_own_rate() {
        let rates = Rates { cache_read: Some(300_000), ..simple() };
        let usage = Usage { input: Some(100), cache_read: Some(900), output: Some(10), ..Usage::default() };
        assert_eq!(
            cost(&price(rates, vec![]), &usage),
            Some(100 * 3_000_000 + 900 * 300_000 + 10 * 15_000_000)
        );
    }

    #[test]
    fn rates_that_are_not_said_are_those_of_the_rules() {
        let every = Usage {
            input: Some(1),
            cache_read: Some(10),
            cache_write_5m: Some(100),
            cache_write_1h: Some(1_000),
            audio_in: Some(10_000),
            output: Some(1),
            reasoning: Some(10),
            audio_out: Some(100),
            ..Usage::default()
        };
        let rates = Rates { input: Some(1), output: Some(100_000), ..NONE };
        assert_eq!(cost(&price(rates, vec![]), &every), Some(11_111 + 11_100_000));
        let rates = Rates { input: Some(1), cache_write_5m: Some(2), output: Some(0), ..NONE };
        assert_eq!(cost(&price(rates, vec![]), &every), Some(1 + 10 + 200 + 2_000 + 10_000));
    }

    #[test]
    fn an_unknown_price_is_none_and_never_nothing() {
        let some = Usage { input: Some(1), output: Some(1), ..Usage::default() };
        assert_eq!(cost(&price(NONE, vec![]), &some), None);
        assert_eq!(cost(&price(Rates { input: Some(1), ..NONE }, vec![]), &some), None);
        assert_eq!(cost(&price(simple(), vec![]), &Usage::default()), None);
        let pictures = Usage { images: Some(1), ..some };
        assert_eq!(cost(&price(simple(), vec![]), &pictures), None);
        let embedding = Usage { input: Some(5), output: Some(0), ..Usage::default() };
        assert_eq!(cost(&price(Rates { input: Some(2), ..NONE }, vec![]), &embedding), Some(10));
    }

    #[test]
    fn a_price_by_the_call_alone_needs_no_tokens() {
        let rates = Rates { request: Some(7), ..NONE };
        assert_eq!(cost(&price(rates, vec![]), &Usage::default()), Some(7));
    }

    #[test]
    fn a_tier_holds_for_the_whole_call_above_its_bound() {
        let tier = |input| Rates { input: Some(input), output: Some(0), ..NONE };
        let price = price(Rates { request: Some(1), ..tier(1) }, vec![(100, tier(2)), (200, tier(3))]);
        let of = |input, cached| {
            cost(&price, &Usage { input: Some(input), cache_read: Some(cached), ..Usage::default() })
        };
        assert_eq!(of(100, 0), Some(101));
        assert_eq!(of(100, 1), Some(203));
        assert_eq!(of(150, 51), Some(604));
        assert_eq!(estimate_cost(&price, 201, 9), Some(604));
    }

    #[test]
    fn a_sum_that_is_too_large_saturates() {
        let rates = Rates { input: Some(u64::MAX), output: Some(1), ..NONE };
        let usage = Usage { input: Some(u64::MAX), output: Some(5), ..Usage::default() };
        assert_eq!(cost(&price(rates, vec![]), &usage), Some(u64::MAX));
    }

    fn any_rate() -> impl Strategy<Value = Option<u64>> {
        proptest::option::of(0u64..1_000)
    }

    prop_compose! {
        fn any_rates()(
            input in 1u64..1_000, output in 1u64..1_000,
            others in proptest::array::uniform6(any_rate()),
        ) -> Rates {
            let [cache_read, cache_write_5m, cache_write_1h, reasoning, audio_in, audio_out] = others;
            Rates {
                input: Some(input), output: Some(output), cache_read, cache_write_5m, cache_write_1h, reasoning,
                audio_in, audio_out, image: Some(5), request: None,
            }
        }
    }

    fn usage_of(counts: [u64; 9]) -> Usage {
        let [a, b, c, d, e, f, g, h, i] = counts.map(Some);
        Usage {
            input: a,
            cache_read: b,
            cache_write_5m: c,
            cache_write_1h: d,
            audio_in: e,
            output: f,
            reasoning: g,
            audio_out: h,
            images: i,
            ..Usage::default()
        }
    }

    proptest! {
        #[test]
        fn no_token_is_billed_twice(rates in any_rates(), counts in proptest::array::uniform9(0u64..1_000_000)) {
            // The whole is the sum of the buckets' costs, each asked for alone.
            let price = price(rates, vec![]);
            let alone: u64 = (0..9).map(|at| {
                let mut one = [0; 9];
                one[at] = counts[at];
                cost(&price, &usage_of(one)).unwrap()
            }).sum();
            prop_assert_eq!(cost(&price, &usage_of(counts)), Some(alone));
        }

        #[test]
        fn more_of_any_bucket_never_costs_less(
            low in any_rates(), counts in proptest::array::uniform9(0u64..1_000), at in 0usize..9, more in 0u64..1_000,
            above in 0u64..3_000,
        ) {
            let up = |rate: Option<u64>| rate.map(|rate| rate * 2);
            let high = Rates {
                input: up(low.input), cache_read: up(low.cache_read), cache_write_5m: up(low.cache_write_5m),
                cache_write_1h: up(low.cache_write_1h), output: up(low.output), reasoning: up(low.reasoning),
                audio_in: up(low.audio_in), audio_out: up(low.audio_out), image: None, request: None,
            };
            let price = price(low, vec![(above, high)]);
            let mut larger = counts;
            larger[at] += more;
            prop_assert!(cost(&price, &usage_of(larger)) >= cost(&price, &usage_of(counts)));
        }
    }
}
