//! The round-trip time of one path, estimated as in RFC 9002 section 5.

use core::time::Duration;

use crate::pack::pack;
use crate::time::{Instant, micros};

/// Smoothed round-trip time and its variation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtt {
    /// All in microseconds; `least` is zero until the first sample.
    latest: u64,
    smoothed: u64,
    variation: u64,
    least: u64,
    /// When the last sample that [`measure`](Self::measure) took was taken.
    measured_at: Option<Instant>,
}

pack!(Rtt: latest, smoothed, variation, least, measured_at);

impl Rtt {
    /// Nothing measured yet: 333 ms is assumed (RFC 9002 section 6.2.2). It is also the first
    /// probe's whole wait, where the RFC has three times that: a probe too many costs one packet.
    pub(crate) const fn new() -> Self {
        Self {
            latest: INITIAL,
            smoothed: INITIAL,
            variation: INITIAL / 2,
            least: 0,
            measured_at: None,
        }
    }

    /// Takes a sample, as [`update`](Self::update) does. If the one before is old, this one counts as the first did: in
    /// a path that is hardly used, one late packet would count for minutes.
    pub(crate) fn measure(
        &mut self,
        now: Instant,
        sample: Duration,
        ack_delay: Duration,
        max_ack_delay: Duration,
    ) {
        let is_stale = self.measured_at.is_some_and(|at| now > at + STALE);
        self.measured_at = Some(now);
        self.update(sample, ack_delay, max_ack_delay);
        if is_stale {
            self.smoothed = self.corrected(micros(ack_delay.min(max_ack_delay)));
            self.variation = self.smoothed / 2;
        }
    }

    /// Takes a sample (RFC 9002 section 5.3). `ack_delay` is how long the peer says it waited. It is
    /// believed up to the peer's `max_ack_delay`, and never so far that the sample falls below the least.
    /// A handshake's round trip is a sample like any other, with no delay.
    pub(crate) fn update(
        &mut self,
        sample: Duration,
        ack_delay: Duration,
        max_ack_delay: Duration,
    ) {
        // Below a microsecond nothing is known; above a year nothing is meant.
        let sample = micros(sample).clamp(1, LONGEST);
        self.latest = sample;
        if !self.is_sampled() {
            self.smoothed = sample;
            self.variation = sample / 2;
            self.least = sample;
            return;
        }
        self.least = self.least.min(sample);
        let adjusted = self.corrected(micros(ack_delay.min(max_ack_delay)));
        self.variation = (3 * self.variation + self.smoothed.abs_diff(adjusted)) / 4;
        self.smoothed = (7 * self.smoothed + adjusted) / 8;
    }

    /// The latest sample without the delay of its acknowledgement, as far as that is plausible: the least sample at least.
    fn corrected(&self, ack_delay: u64) -> u64 {
        self.latest.saturating_sub(ack_delay).max(self.least)
    }

    /// Whether anything was measured.
    pub(crate) const fn is_sampled(&self) -> bool {
        self.least > 0
    }

    /// The last sample.
    pub(crate) const fn latest(&self) -> Duration {
        Duration::from_micros(self.latest)
    }

    /// The smoothed round-trip time. Never zero.
    pub(crate) const fn smoothed(&self) -> Duration {
        Duration::from_micros(self.smoothed)
    }

    #[cfg(test)]
    /// The mean deviation of samples.
    pub(crate) const fn variation(&self) -> Duration {
        Duration::from_micros(self.variation)
    }

    /// The least sample.
    pub(crate) fn min(&self) -> Option<Duration> {
        self.is_sampled().then(|| Duration::from_micros(self.least))
    }

    /// How long to wait for an acknowledgement before probing (RFC 9002 section 6.2.1), without
    /// backoff. `max_ack_delay` is the peer's; zero if it was asked to answer at once.
    pub(crate) fn pto(&self, max_ack_delay: Duration) -> Duration {
        Duration::from_micros(self.patience()).saturating_add(max_ack_delay)
    }

    /// The same in microseconds.
    pub(super) fn pto_micros(&self, max_ack_delay: Duration) -> u64 {
        self.patience().saturating_add(micros(max_ack_delay))
    }

    fn patience(&self) -> u64 {
        let spread = (4 * self.variation).max(micros(GRANULARITY));
        if self.is_sampled() { self.smoothed + spread } else { INITIAL }
    }
}

impl Default for Rtt {
    fn default() -> Self {
        Self::new()
    }
}

/// The finest time that timers are trusted to keep (`kGranularity` of RFC 9002 section 6.1.2).
pub(crate) const GRANULARITY: Duration = Duration::from_millis(1);

/// A sample that is older says little about a path.
const STALE: Duration = Duration::from_secs(10);
/// In microseconds. `INITIAL` is `kInitialRtt` of RFC 9002 section 6.2.2.
const INITIAL: u64 = 333_000;
const LONGEST: u64 = 1 << 45;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_sample_replaces_the_assumption() {
        let mut rtt = Rtt::new();
        assert_eq!((rtt.smoothed(), rtt.pto(NONE), rtt.min()), (ms(333), ms(333), None));
        rtt.update(ms(40), ms(30), ms(25));
        assert_eq!((rtt.smoothed(), rtt.variation(), rtt.min()), (ms(40), ms(20), Some(ms(40))));
        assert_eq!(rtt.pto(ms(25)), ms(40 + 80 + 25));
    }

    #[test]
    fn the_ack_delay_is_believed_within_its_limits() {
        let measure = |delay, max| {
            let mut rtt = Rtt::new();
            rtt.update(ms(80), NONE, NONE);
            rtt.update(ms(160), ms(delay), ms(max));
            rtt.smoothed()
        };
        assert_eq!(measure(0, 25), ms(90));
        assert_eq!(measure(16, 25), ms(88));
        assert_eq!(measure(5000, 16), ms(88), "no more than the peer promised");
        assert_eq!(measure(100, 200), ms(80), "no less than the least sample");
    }

    #[test]
    fn a_sample_long_after_the_last_one_counts_as_the_first_but_for_the_least() {
        let at = |secs: u64| Instant::from_micros(1 + secs * 1_000_000);
        let measure = |second: u64, sample| {
            let mut rtt = Rtt::new();
            rtt.measure(at(0), ms(100), NONE, NONE);
            rtt.measure(at(second), ms(sample), ms(10), ms(25));
            (rtt.smoothed(), rtt.variation(), rtt.min())
        };
        let expected = |smoothed, variation, least| (ms(smoothed), ms(variation), Some(ms(least)));
        assert_eq!(measure(9, 20).0, ms(90), "an eighth of it");
        assert_eq!(measure(11, 20), expected(20, 10, 20));
        assert_eq!(measure(11, 170), expected(160, 80, 100), "slower ones as well");
    }

    proptest! {
        #[test]
        fn no_sample_overflows_and_the_estimate_stays_among_the_samples(
            samples in prop::collection::vec((any::<u64>(), any::<u64>()), 1..50),
        ) {
            let mut rtt = Rtt::new();
            for &(sample, delay) in &samples {
                rtt.update(Duration::from_micros(sample), Duration::from_micros(delay), ms(25));
                prop_assert!(rtt.smoothed() >= Duration::from_micros(1));
                prop_assert!(rtt.pto(Duration::MAX) == Duration::MAX);
            }
            let samples = samples.iter().map(|(sample, _)| (*sample).clamp(1, LONGEST));
            prop_assert!(rtt.smoothed <= samples.clone().max().unwrap_or(0));
            prop_assert_eq!(rtt.least, samples.min().unwrap_or(0));
            prop_assert!(rtt.smoothed + 8 >= rtt.least, "rounding down loses less than 8 us");
        }
    }
}
