//! Token buckets, eight bytes each.

use crate::config::Budget;
use crate::pack::pack;
use crate::time::Instant;

/// A budget, ready to be reckoned with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// How long one token takes to come back, in microseconds, rounded up.
    interval: u64,
    burst: u64,
}

impl Limit {
    pub(crate) fn new(budget: Budget) -> Self {
        let rate = u64::from(budget.per_second);
        // A rate of zero, which `Config::validate` refuses, gives next to nothing.
        let interval = if rate == 0 { u64::MAX } else { 1_000_000_u64.div_ceil(rate) };
        Self { interval, burst: budget.burst.into() }
    }

    /// One in every so many microseconds, `burst` after a pause.
    pub(crate) const fn every(interval: u64, burst: u64) -> Self {
        Self { interval, burst }
    }

    /// This part of the burst, in tokens.
    pub(crate) const fn part(&self, of: u64) -> u64 {
        self.burst / of
    }
}

/// A token bucket (RFC 2697 without colours), known by when it will be full: it has as many tokens
/// less than its burst as come back until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenBucket {
    full_at: u64,
}

pack!(TokenBucket: full_at);

impl TokenBucket {
    pub(crate) const FULL: Self = Self { full_at: 0 };

    /// Whether there is a token besides `kept`, which are left for others.
    pub(crate) fn has(&self, now: Instant, limit: &Limit, kept: u64) -> bool {
        let spent = self.full_at.saturating_sub(now.as_micros());
        let most = limit.interval.saturating_mul(limit.burst.saturating_sub(kept));
        spent.checked_add(limit.interval).is_some_and(|spent| spent <= most)
    }

    /// Takes a token, if there is one besides `kept`.
    pub(crate) fn take(&mut self, now: Instant, limit: &Limit, kept: u64) -> bool {
        let from = self.full_at.max(now.as_micros());
        // Nothing is given at the end of time, as nothing could come back after it.
        let full_at = from.checked_add(limit.interval).filter(|_| self.has(now, limit, kept));
        self.full_at = full_at.unwrap_or(self.full_at);
        full_at.is_some()
    }

    /// Whether it was full for at least so many microseconds, or always.
    pub(crate) const fn is_rested(&self, now: Instant, micros: u64) -> bool {
        self.full_at == 0 || self.full_at.saturating_add(micros) <= now.as_micros()
    }

    /// Less is sooner full: what loses least when it is forgotten.
    pub(crate) const fn rank(&self) -> u64 {
        self.full_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::time::Duration;
    use proptest::prelude::*;

    /// The same in exact tokens, millionths each.
    struct Model {
        level: u128,
        last: u64,
    }

    impl Model {
        fn refill(&mut self, now: u64, interval: u64, burst: u64) {
            let unit = u128::from(interval);
            self.level = (self.level + u128::from(now - self.last)).min(unit * u128::from(burst));
            self.last = now;
        }
    }

    fn start() -> impl Strategy<Value = u64> {
        prop_oneof![Just(1), any::<u32>().prop_map(u64::from), u64::MAX - 20_000_000..=u64::MAX]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn no_window_of_time_ever_gives_more_than_the_burst_and_what_came_back_in_it(
            rate in 1..=100_000_u32,
            burst in 1..50_u32,
            start in start(),
            pauses in prop::collection::vec(
                prop_oneof![4 => 0..200_u64, 2 => 0..200_000_u64, 1 => 0..5_000_000_u64], 1..200),
        ) {
            let limit = Limit::new(Budget::new(rate, burst));
            let mut bucket = TokenBucket::FULL;
            let (mut now, mut given) = (start, Vec::new());
            for pause in pauses {
                now = now.saturating_add(pause);
                if bucket.take(Instant::from_micros(now), &limit, 0) {
                    given.push(now);
                }
            }
            for (i, first) in given.iter().enumerate() {
                for (j, last) in given.iter().enumerate().skip(i) {
                    let back = u128::from(last - first) * u128::from(rate) / 1_000_000;
                    let most = u128::from(burst) + back;
                    prop_assert!((j - i + 1) as u128 <= most, "{} in {} us", j - i + 1, last - first);
                }
            }
        }

        #[test]
        fn it_gives_whenever_a_bucket_that_counts_tokens_would(
            rate in 1..=100_000_u32,
            burst in 1..50_u32,
            kept in 0..50_u64,
            pauses in prop::collection::vec(
                prop_oneof![4 => 0..200_u64, 2 => 0..200_000_u64, 1 => 0..5_000_000_u64], 1..200),
        ) {
            let limit = Limit::new(Budget::new(rate, burst));
            let unit = u128::from(limit.interval);
            let mut bucket = TokenBucket::FULL;
            let mut model = Model { level: unit * u128::from(burst), last: 7 };
            let mut now = 7;
            for pause in pauses {
                now += pause;
                model.refill(now, limit.interval, limit.burst);
                let expected = model.level >= unit * u128::from(kept + 1);
                let at = Instant::from_micros(now);
                prop_assert_eq!(bucket.has(at, &limit, kept), expected);
                prop_assert_eq!(bucket.take(at, &limit, kept), expected);
                model.level -= if expected { unit } else { 0 };
            }
        }
    }

    #[test]
    fn the_end_of_time_and_budgets_of_nothing_neither_overflow_nor_give() {
        for budget in [Budget::new(0, 5), Budget::new(5, 0), Budget::new(1, u32::MAX)] {
            let limit = Limit::new(budget);
            let mut bucket = TokenBucket::FULL;
            assert!(!bucket.take(Instant::MAX, &limit, 0), "{budget:?}");
            assert!(!bucket.take(Instant::MAX, &limit, u64::MAX), "{budget:?}");
        }
        let limit = Limit::new(Budget::new(100_000, 1_000_000));
        let mut bucket = TokenBucket::FULL;
        let last = Instant::MAX.saturating_sub(Duration::from_micros(95));
        let given = (0..100).filter(|_| bucket.take(last, &limit, 0)).count();
        assert_eq!(given, 9);
    }
}
