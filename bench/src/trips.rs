//! Round trips, and what is told of them.

use std::time::Duration;

/// The median and the 99th percentile of round trips, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Trips {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Trips {
    /// `None` if there is none.
    pub(crate) fn of(mut list: Vec<Duration>) -> Option<Self> {
        list.sort();
        let last = list.len().checked_sub(1)?;
        let [p50, p99] = [last / 2, last * 99 / 100].map(|at| list[at].as_secs_f64() * 1e6);
        Some(Self { p50, p99 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_round_trips() {
        let list = (1..=101).rev().map(Duration::from_micros).collect();
        let trips = Trips::of(list).expect("some");
        assert!((trips.p50 - 51.0).abs() < 1e-9 && (trips.p99 - 100.0).abs() < 1e-9, "{trips:?}");
        assert_eq!(Trips::of(Vec::new()), None);
    }
}
