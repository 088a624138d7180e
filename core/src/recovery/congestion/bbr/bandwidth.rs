//! The rate that the path delivers: the most that a round showed in the present cycle of probing or in the one
//! before, and what losses showed since (draft-ietf-ccwg-bbr section 5.5.4 to 5.5.6). In bytes per second.
//!
//! In the draft, the largest sample counts. An acknowledgement that comes early makes one too large, as jitter
//! does each time; so where delays differ it is the mean of a round, once Startup is over.

use super::marks::Sample;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bandwidth {
    present: u64,
    last: u64,
    /// Losses showed that it is no more for now.
    low: u64,
    /// The most in the present round, and in the one before.
    round: u64,
    last_round: u64,
    mean: Mean,
}

/// The mean of what was measured in a round. Delays that vary make one measurement as much too large as another
/// too small, so the most of many is always too large.
#[derive(Clone, Copy, Debug)]
struct Mean {
    sum: u128,
    bytes: u64,
    is_limited: bool,
}

impl Mean {
    const NEW: Self = Self { sum: 0, bytes: 0, is_limited: false };

    fn take(&mut self, rate: u64, sample: &Sample) {
        self.sum += u128::from(rate) * u128::from(sample.acked);
        self.bytes += sample.acked;
        self.is_limited |= sample.is_limited;
    }

    /// What was measured, and whether the sender had too little to send.
    fn rate(self) -> Option<(u64, bool)> {
        let rate = self.sum.checked_div(self.bytes.into())?;
        Some((u64::try_from(rate).unwrap_or(u64::MAX), self.is_limited))
    }
}

impl Bandwidth {
    /// Nothing was measured.
    pub(super) const fn new() -> Self {
        Self { present: 0, last: 0, low: u64::MAX, round: 0, last_round: 0, mean: Mean::NEW }
    }

    /// Takes a measurement of a path that jitters: it counts with the others of its round. One of a sender that had too little to send
    /// shows only that it is no less.
    pub(super) fn take(&mut self, sample: &Sample) {
        let Some(rate) = sample.rate else { return };
        self.round = self.round.max(rate);
        self.mean.take(rate, sample);
        if rate > self.most().saturating_add(self.most() / 100 * GROWTH) {
            self.present = rate;
        }
    }

    /// Takes a measurement that counts at once, by the same rule.
    pub(super) fn take_at_once(&mut self, sample: &Sample) {
        let Some(rate) = sample.rate else { return };
        self.round = self.round.max(rate);
        if !sample.is_limited || rate > self.most() {
            self.present = self.present.max(rate);
        }
    }

    /// A round began.
    pub(super) fn begin_round(&mut self) {
        self.last_round = core::mem::replace(&mut self.round, 0);
        let mean = core::mem::replace(&mut self.mean, Mean::NEW);
        if let Some((rate, is_limited)) = mean.rate()
            && (!is_limited || rate > self.most())
        {
            self.present = self.present.max(rate);
        }
    }

    /// A cycle of probing began: what was measured before the last one is forgotten, if anything was since.
    pub(super) const fn begin_cycle(&mut self) {
        if self.present > 0 {
            self.last = core::mem::replace(&mut self.present, 0);
        }
    }

    /// The most that was measured.
    pub(super) fn most(&self) -> u64 {
        self.present.max(self.last)
    }

    /// What is to be used.
    pub(super) fn usable(&self) -> u64 {
        self.most().min(self.low)
    }

    /// What arrived lately is all that does, but no less than half of what was thought: a moment without any is
    /// no measurement. Returns whether it was as much.
    pub(super) fn lower(&mut self) -> bool {
        let (arrived, half) = (self.last_round.max(self.round), self.usable() / 2);
        self.low = arrived.max(half).min(self.usable());
        arrived >= half
    }

    /// Losses are forgotten.
    pub(super) const fn restore(&mut self) {
        self.low = u64::MAX;
    }
}

/// By so many percent a measurement is larger than all before that counts at once: no jitter explains it.
const GROWTH: u64 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: u64, is_limited: bool) -> Sample {
        let (delivered, prior, in_flight, acked) = (0, 0, 0, 1000);
        Sample { rate: Some(rate), delivered, prior, in_flight, is_limited, acked }
    }

    /// A round of so many measurements.
    fn round(bandwidth: &mut Bandwidth, rates: &[u64], is_limited: bool) {
        rates.iter().for_each(|rate| bandwidth.take(&sample(*rate, is_limited)));
        bandwidth.begin_round();
    }

    #[test]
    fn the_most_of_two_cycles_counts_and_a_sender_with_little_to_send_lowers_nothing() {
        let mut bandwidth = Bandwidth::new();
        bandwidth.take_at_once(&sample(1000, false));
        bandwidth.take_at_once(&sample(1500, true));
        round(&mut bandwidth, &[700], false);
        assert_eq!(bandwidth.most(), 1500);
        bandwidth.begin_cycle();
        round(&mut bandwidth, &[800], true);
        bandwidth.begin_cycle();
        assert_eq!(bandwidth.most(), 1500, "nothing was measured in that cycle");
        round(&mut bandwidth, &[900], false);
        bandwidth.begin_cycle();
        assert_eq!(bandwidth.most(), 900);
    }

    #[test]
    fn what_jitter_adds_to_one_measurement_it_takes_from_another() {
        let mut bandwidth = Bandwidth::new();
        bandwidth.take_at_once(&sample(1000, false));
        bandwidth.begin_cycle();
        for _ in 0..20 {
            round(&mut bandwidth, &[900, 1100, 950, 1050], false);
        }
        bandwidth.begin_cycle();
        assert_eq!(bandwidth.most(), 1000);
        // Much more is no jitter.
        bandwidth.take(&sample(1250, false));
        assert_eq!(bandwidth.most(), 1250);
    }

    #[test]
    fn losses_lower_it_to_what_arrives_by_halves() {
        let mut bandwidth = Bandwidth::new();
        bandwidth.take_at_once(&sample(1000, false));
        bandwidth.begin_round();
        bandwidth.begin_round();
        round(&mut bandwidth, &[300], false);
        assert!(!bandwidth.lower());
        assert_eq!(bandwidth.usable(), 500);
        assert!(bandwidth.lower());
        assert_eq!(bandwidth.usable(), 300);
        bandwidth.restore();
        assert_eq!(bandwidth.usable(), 1000);
    }
}
