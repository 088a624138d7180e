//! How much more is acknowledged at once than the rate explains: acknowledgements come together, and so much
//! more must be under way that the path is not idle in between.

use core::time::Duration;

use crate::time::{Instant, micros};

/// The most of the last five to ten rounds (`ExtraACKedFilter` of draft-ietf-ccwg-bbr section 5.5.9).
#[derive(Clone, Copy, Debug)]
pub(super) struct Surplus {
    since: Option<Instant>,
    /// Acknowledged since then.
    acked: u64,
    present: u64,
    last: u64,
    rounds: u8,
}

impl Surplus {
    /// Nothing was acknowledged.
    pub(super) const fn new() -> Self {
        Self { since: None, acked: 0, present: 0, last: 0, rounds: 0 }
    }

    /// `bytes` were acknowledged, where `rate` bytes per second are expected. `window` is how much may be in
    /// flight.
    pub(super) fn on_ack(&mut self, now: Instant, bytes: u64, rate: u64, window: u64) {
        let since = *self.since.get_or_insert(now);
        let expected = bytes_in(rate, now.saturating_since(since));
        if self.acked <= expected {
            // As fast as expected, or slower: the count begins anew.
            (self.since, self.acked) = (Some(now), bytes);
            self.present = self.present.max(bytes.min(window));
            return;
        }
        self.acked += bytes;
        self.present = self.present.max((self.acked - expected).min(window));
    }

    /// A round began.
    pub(super) const fn begin_round(&mut self) {
        self.rounds += 1;
        if self.rounds == ROUNDS {
            self.rounds = 0;
            self.last = core::mem::replace(&mut self.present, 0);
        }
    }

    /// In bytes.
    pub(super) fn most(&self) -> u64 {
        self.present.max(self.last)
    }

    /// Nobody looked for a while.
    pub(super) const fn restart(&mut self) {
        (self.since, self.acked) = (None, 0);
    }
}

/// What a rate in bytes per second carries in a time.
pub(super) fn bytes_in(rate: u64, time: Duration) -> u64 {
    let bytes = u128::from(rate) * u128::from(micros(time)) / 1_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// In each half of what is remembered.
const ROUNDS: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(1 + millis * 1000)
    }

    #[test]
    fn what_comes_together_counts_and_is_forgotten_after_ten_rounds() {
        let mut surplus = Surplus::new();
        for now in 0..100 {
            surplus.on_ack(at(now), 1000, 1_000_000, 50_000);
        }
        assert!(surplus.most() <= 2000, "{surplus:?}");
        // Nothing for 20 ms, then all at once.
        surplus.on_ack(at(120), 20_000, 1_000_000, 50_000);
        assert!((19_000..=21_000).contains(&surplus.most()), "{surplus:?}");
        surplus.on_ack(at(121), 90_000, 1_000_000, 50_000);
        assert_eq!(surplus.most(), 50_000, "no more than may be in flight");
        (0..10).for_each(|_| surplus.begin_round());
        assert_eq!(surplus.most(), 0);
    }
}
