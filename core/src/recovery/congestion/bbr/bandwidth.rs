//! The rate that the path delivers: the most that was measured in the present cycle of probing or in the one
//! before, and what losses showed since (draft-ietf-ccwg-bbr section 5.5.4 to 5.5.6). In bytes per second.

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
}

impl Bandwidth {
    /// Nothing was measured.
    pub(super) const fn new() -> Self {
        Self { present: 0, last: 0, low: u64::MAX, round: 0, last_round: 0 }
    }

    /// Takes a measurement. One of a sender that had too little to send shows only that it is no less.
    pub(super) fn take(&mut self, sample: &Sample) {
        let Some(rate) = sample.rate else { return };
        self.round = self.round.max(rate);
        if !sample.is_limited || rate > self.most() {
            self.present = self.present.max(rate);
        }
    }

    /// A round began.
    pub(super) const fn begin_round(&mut self) {
        self.last_round = core::mem::replace(&mut self.round, 0);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rate: u64, is_limited: bool) -> Sample {
        let (delivered, prior, in_flight, acked) = (0, 0, 0, 0);
        Sample { rate: Some(rate), delivered, prior, in_flight, is_limited, acked }
    }

    #[test]
    fn the_most_of_two_cycles_counts_and_a_sender_with_little_to_send_lowers_nothing() {
        let mut bandwidth = Bandwidth::new();
        bandwidth.take(&sample(1000, false));
        bandwidth.take(&sample(1500, true));
        bandwidth.take(&sample(700, false));
        assert_eq!(bandwidth.most(), 1500);
        bandwidth.begin_cycle();
        bandwidth.take(&sample(800, true));
        bandwidth.begin_cycle();
        assert_eq!(bandwidth.most(), 1500, "nothing was measured in that cycle");
        bandwidth.take(&sample(900, false));
        bandwidth.begin_cycle();
        assert_eq!(bandwidth.most(), 900);
    }

    #[test]
    fn losses_lower_it_to_what_arrives_by_halves() {
        let mut bandwidth = Bandwidth::new();
        bandwidth.take(&sample(1000, false));
        bandwidth.begin_round();
        bandwidth.begin_round();
        bandwidth.take(&sample(300, false));
        bandwidth.begin_round();
        assert!(!bandwidth.lower());
        assert_eq!(bandwidth.usable(), 500);
        assert!(bandwidth.lower());
        assert_eq!(bandwidth.usable(), 300);
        bandwidth.restore();
        assert_eq!(bandwidth.usable(), 1000);
    }
}
