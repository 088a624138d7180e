//! HyStart++ (RFC 9406): leave slow start when the round-trip time rises, before packets are lost.

use core::time::Duration;

use crate::time::{Instant, micros};

/// Watches the least round-trip time of each round of slow start. Times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    /// A packet sent from here on ends the round when it is acknowledged.
    round_start: Option<Instant>,
    last_min: u32,
    current_min: u32,
    /// If the time falls below this again, the rise meant nothing. Set while growth is held back
    /// (conservative slow start, RFC 9406 section 4.2).
    baseline: Option<u32>,
    /// When the last sample was taken: an acknowledgement is one, however many packets it names.
    sampled_at: Option<Instant>,
    samples: u8,
    suspicious_rounds: u8,
}

/// How slow start may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// By every byte acknowledged.
    Full,
    /// By a quarter: the queue seems to grow.
    Cautious,
    /// No more: it grew for five rounds.
    Done,
}

impl HyStart {
    /// No round has begun.
    pub(super) const fn new() -> Self {
        Self {
            round_start: None,
            last_min: UNKNOWN,
            current_min: UNKNOWN,
            baseline: None,
            sampled_at: None,
            samples: 0,
            suspicious_rounds: 0,
        }
    }

    /// Takes the acknowledgement of a packet sent at `sent_at`.
    pub(super) fn on_ack(&mut self, now: Instant, sent_at: Instant, rtt: Duration) -> Growth {
        if self.round_start.is_none_or(|start| sent_at >= start) {
            self.next_round(now);
        }
        let rtt = u32::try_from(micros(rtt)).unwrap_or(UNKNOWN);
        self.current_min = self.current_min.min(rtt);
        if self.sampled_at.replace(now) != Some(now) {
            self.samples = self.samples.saturating_add(1);
        }
        if self.samples >= ENOUGH_SAMPLES {
            self.judge();
        }
        match self.baseline {
            None => Growth::Full,
            Some(_) if self.suspicious_rounds < MAX_SUSPICIOUS_ROUNDS => Growth::Cautious,
            Some(_) => Growth::Done,
        }
    }

    fn next_round(&mut self, now: Instant) {
        self.round_start = Some(now);
        self.last_min = self.current_min;
        self.current_min = UNKNOWN;
        self.samples = 0;
        if self.baseline.is_some() {
            self.suspicious_rounds = self.suspicious_rounds.saturating_add(1);
        }
    }

    fn judge(&mut self) {
        match self.baseline {
            Some(baseline) if self.current_min < baseline => {
                self.baseline = None;
                self.suspicious_rounds = 0;
            }
            Some(_) => {}
            None => {
                // `MIN_RTT_DIVISOR` is 8 (RFC 9406 section 4.3).
                let rise = (self.last_min / 8).clamp(MIN_RISE, MAX_RISE);
                let known = self.last_min != UNKNOWN && self.current_min != UNKNOWN;
                if known && self.current_min >= self.last_min.saturating_add(rise) {
                    self.baseline = Some(self.current_min);
                }
            }
        }
    }
}

const UNKNOWN: u32 = u32::MAX;
/// `N_RTT_SAMPLE` of RFC 9406 section 4.3.
const ENOUGH_SAMPLES: u8 = 8;
/// `CSS_ROUNDS` of RFC 9406 section 4.3.
const MAX_SUSPICIOUS_ROUNDS: u8 = 5;
/// `MIN_RTT_THRESH` and `MAX_RTT_THRESH` of RFC 9406 section 4.3, in microseconds.
const MIN_RISE: u32 = 4_000;
const MAX_RISE: u32 = 16_000;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// The verdict at the end of each round, when round `n` has the given time in milliseconds.
    fn verdicts(rounds: &[u64]) -> Vec<Growth> {
        let mut hystart = HyStart::new();
        let mut now = Instant::from_micros(1);
        let mut verdicts = Vec::new();
        for &millis in rounds {
            let sent_at = now;
            now += Duration::from_millis(millis);
            let rtt = Duration::from_millis(millis);
            let round = (0..10).map(|n| {
                let now = now + Duration::from_micros(n);
                hystart.on_ack(now, sent_at, rtt)
            });
            verdicts.extend(round.last());
            now += Duration::from_micros(10);
        }
        verdicts
    }

    #[test]
    fn a_rise_of_the_round_trip_slows_growth_and_then_ends_it() {
        use Growth::{Cautious, Done, Full};
        assert_eq!(verdicts(&[50, 52, 55, 57]), [Full; 4], "a jitter of less than an eighth");
        assert_eq!(verdicts(&[50, 60, 50, 50]), [Full, Cautious, Full, Full], "a fluke");
        assert_eq!(
            verdicts(&[50, 60, 61, 62, 63, 64, 65]),
            [Full, Cautious, Cautious, Cautious, Cautious, Cautious, Done]
        );
    }
}
