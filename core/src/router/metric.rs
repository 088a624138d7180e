//! What a link costs, and what a metric tells.

use core::time::Duration;

use crate::time::micros;

/// No route (RFC 8966 section 2.1).
pub(crate) const INFINITE: u16 = u16::MAX;
/// What every hop costs at least. It is not zero, or a circle could cost nothing (RFC 8966 section 3.5.2).
const HOP: u16 = 16;
/// A round trip up to this one is free, and what comes above `SLOW` costs no more (RFC 9616 section 3.3).
const FAST: u64 = 10_000;
const SLOW: u64 = 120_000;
const SLOWEST_COST: u64 = 150;
/// What is reckoned with before the first measurement.
const UNKNOWN: Duration = Duration::from_millis(60);
const DEAREST_LOSS: u32 = 1024;

/// What a link costs whose packets take `rtt` there and back, and of which so many of 1,000 are lost.
pub(crate) fn link_cost(rtt: Option<Duration>, lost: u16) -> u16 {
    let beyond = micros(rtt.unwrap_or(UNKNOWN)).clamp(FAST, SLOW) - FAST;
    let slow = beyond * SLOWEST_COST / (SLOW - FAST);
    let (lost, arrived) = (u32::from(lost.min(999)), 1000 - u32::from(lost.min(999)));
    let lossy = (256 * lost / arrived).min(DEAREST_LOSS);
    HOP + u16::try_from(slow + u64::from(lossy)).unwrap_or(INFINITE - HOP)
}

/// The metric by way of a neighbour that tells `metric`.
pub(super) const fn sum(metric: u16, cost: u16) -> u16 {
    metric.saturating_add(cost)
}

/// Whether a route is so much better than the present one that it is worth a change: by a tenth, and by ten.
pub(super) fn is_worth_changing(to: u16, from: u16) -> bool {
    let (to, from) = (u32::from(to), u32::from(from));
    to * 10 <= from * 9 && to + 10 <= from
}

/// Whether others are to hear of a change: by more than a fifth.
pub(super) fn is_news(now: u16, told: u16) -> bool {
    u32::from(now.abs_diff(told)) * 5 > u32::from(told)
}

/// The longest round trip that goes with a metric; `None` if the metric does not tell. Fewer hops of the same metric
/// are slower, so one is reckoned with.
pub(crate) fn longest_rtt(metric: u16) -> Option<Duration> {
    let slow = u64::from(metric.saturating_sub(HOP));
    (slow < SLOWEST_COST).then(|| {
        let beyond = (slow + 1) * (SLOW - FAST) / SLOWEST_COST;
        Duration::from_micros(FAST + beyond)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_hop_costs_something_and_a_chain_is_no_slower_than_its_metric_allows(
            links in prop::collection::vec((0_u64..200_000, 0_u16..=1000), 1..12),
        ) {
            let (mut metric, mut rtt) = (0, 0);
            for (micros, lost) in links {
                let cost = link_cost(Some(Duration::from_micros(micros)), lost);
                prop_assert!((HOP..INFINITE).contains(&cost));
                let next = sum(metric, cost);
                prop_assert!(next > metric);
                (metric, rtt) = (next, rtt + micros);
            }
            if let Some(longest) = longest_rtt(metric) {
                prop_assert!(Duration::from_micros(rtt) <= longest, "{rtt} us at {metric}");
            }
        }
    }

    #[test]
    fn slow_and_lossy_links_cost_more() {
        let cost = |ms, lost| link_cost(Some(Duration::from_millis(ms)), lost);
        assert_eq!([cost(0, 0), cost(10, 0), cost(120, 0), cost(900, 0)], [16, 16, 166, 166]);
        assert_eq!([cost(0, 100), cost(0, 500), cost(0, 1000)], [44, 272, 1040]);
        assert_eq!(sum(INFINITE - 3, 16), INFINITE);
    }
}
