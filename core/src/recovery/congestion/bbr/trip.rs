//! How long the path takes when nothing waits in it.

use core::time::Duration;

use super::super::delays::Delays;
use crate::recovery::Rtt;
use crate::time::{Instant, micros};

/// The least round-trip time of the last ten seconds, and that of the present round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trip {
    least: Option<Duration>,
    /// When a sample was last near it.
    seen_at: Option<Instant>,
    /// The least sample since it was last looked for.
    recent: Duration,
    /// The least sample of the present round, and of the one before.
    present: Duration,
    last: Duration,
    /// The least of the round in which more began to be sent.
    level: Duration,
    delays: Delays,
}

impl Trip {
    /// Nothing was measured.
    pub(super) const fn new() -> Self {
        let [recent, present, last, level] = [Duration::MAX; 4];
        Self { least: None, seen_at: None, recent, present, last, level, delays: Delays::NEW }
    }

    /// Takes a sample.
    pub(super) fn take(&mut self, now: Instant, rtt: &Rtt) {
        let sample = rtt.latest();
        self.delays.take(now, rtt);
        self.recent = self.recent.min(sample);
        self.present = self.present.min(sample);
        let least = *self.least.get_or_insert(sample);
        if sample <= least + least / NEARLY || self.seen_at.is_none() {
            self.least = Some(least.min(sample));
            self.seen_at = Some(now);
        } else if self.seen_at.is_some_and(|at| at + MEMORY <= now) {
            self.least = Some(self.recent);
            self.seen_at = Some(now);
        }
    }

    /// A round began.
    pub(super) const fn begin_round(&mut self) {
        self.last = core::mem::replace(&mut self.present, Duration::MAX);
    }

    /// None if nothing was measured.
    pub(super) const fn least(&self) -> Option<Duration> {
        self.least
    }

    /// The least of the present round, or of the last one if there is none yet.
    pub(super) fn present(&self) -> Option<Duration> {
        let quiet = if self.present < Duration::MAX { self.present } else { self.last };
        (quiet < Duration::MAX).then_some(quiet)
    }

    /// Whether it was not seen for so long that the path is to be emptied for a look.
    pub(super) fn is_old(&self, now: Instant) -> bool {
        self.seen_at.is_some_and(|at| at + MEMORY / 2 <= now)
    }

    /// The path is emptied now: what is measured from here on is the least if nothing below it is.
    pub(super) const fn look(&mut self) {
        self.recent = Duration::MAX;
    }

    /// The look is over.
    pub(super) fn end_look(&mut self, now: Instant) {
        // A path that became longer shows here: nothing of ours waits in it.
        if self.recent < Duration::MAX {
            self.least = Some(self.recent);
        }
        self.seen_at = Some(now);
    }

    /// Time passed in which nothing was measured.
    pub(super) fn skip(&mut self, span: Duration) {
        self.seen_at = self.seen_at.map(|at| at + span);
    }

    /// Whether the last samples show a queue that is long enough to overflow: they are all longer than the least,
    /// by more than they differ from each other.
    pub(super) fn has_queue(&self, rtt: &Rtt) -> bool {
        let Some(least) = self.least.map(micros) else { return false };
        let margin = (least / 16).max(micros(LEAST_RISE));
        let (quiet, spread) = self.delays.least_and_spread();
        let shown = rtt.smoothed().max(rtt.latest());
        micros(shown) > least + margin && quiet > least + margin + spread
    }

    /// Whether the last samples differ so much that a measurement of a round trip is not to be trusted by itself.
    pub(super) fn jitters(&self) -> bool {
        let least = self.least.unwrap_or_default();
        let (_, spread) = self.delays.least_and_spread();
        spread > micros((least / NEARLY).max(LEAST_RISE))
    }

    /// More is sent from here on.
    pub(super) fn set_level(&mut self) {
        self.level = self.present().unwrap_or(Duration::MAX);
    }

    /// Whether the samples of the present round, or the last of them, are longer than those before more was sent,
    /// by more than that part of the least, and the former by more than samples fell again, the latter by more than they
    /// differ. Where a path jitters in order, all are the longer the more is sent: each packet waits for the slowest before it.
    pub(super) fn has_risen(&self, part: u32) -> bool {
        let margin = (self.least.unwrap_or(Duration::MAX) / part).max(LEAST_RISE);
        let (quiet, spread) = self.delays.least_and_spread();
        let bound = micros(self.level.saturating_add(margin));
        let present = self.present().map_or(0, micros);
        quiet > bound.saturating_add(spread) || present > bound.saturating_add(self.delays.fall())
    }

    /// Whether some sample of the present round, or of the last one if there is none yet, says that nothing waits
    /// in the path.
    pub(super) fn is_clear(&self) -> bool {
        let least = self.least.unwrap_or(Duration::ZERO);
        self.present().is_some_and(|quiet| quiet <= least + LEAST_RISE)
    }

    /// Whether all samples of the present round, or of the last one if there is none yet, say that something
    /// waits in the path.
    pub(super) fn is_queued(&self) -> bool {
        let least = self.least.unwrap_or(Duration::MAX);
        let margin = (least / 16).max(LEAST_RISE);
        self.present().is_some_and(|quiet| quiet > least.saturating_add(margin))
    }
}

/// A sample that is longer by this part shows that the least still holds.
const NEARLY: u32 = 32;
/// `MinRTTFilterLen` of draft-ietf-ccwg-bbr. `ProbeRTTInterval` is half of it.
const MEMORY: Duration = Duration::from_secs(10);
/// Rises that mean nothing: timers, and who shares the processor.
const LEAST_RISE: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(millis: u64) -> Instant {
        Instant::from_micros(1 + millis * 1000)
    }

    fn rtt(sample: Duration) -> Rtt {
        let mut rtt = Rtt::new();
        rtt.update(sample, Duration::ZERO, Duration::ZERO);
        rtt
    }

    #[test]
    fn the_least_holds_while_it_is_nearly_seen_and_is_looked_for_else() {
        let mut trip = Trip::new();
        trip.take(at(0), &rtt(MS * 100));
        trip.take(at(4_000), &rtt(MS * 103));
        assert_eq!((trip.least(), trip.is_old(at(8_999))), (Some(MS * 100), false));
        assert!(trip.is_old(at(9_000)));
        trip.look();
        trip.take(at(9_100), &rtt(MS * 150));
        trip.take(at(9_200), &rtt(MS * 140));
        assert_eq!(trip.least(), Some(MS * 100), "not yet");
        trip.end_look(at(9_300));
        assert_eq!((trip.least(), trip.is_old(at(14_000))), (Some(MS * 140), false));
        trip.take(at(14_100), &rtt(MS * 60));
        assert_eq!(trip.least(), Some(MS * 60));
    }

    #[test]
    fn a_queue_shows_in_all_samples_of_a_round() {
        let mut trip = Trip::new();
        trip.take(at(0), &rtt(MS * 64));
        trip.begin_round();
        assert!(!trip.is_queued(), "the last round had none");
        trip.take(at(70), &rtt(MS * 69));
        assert!(trip.is_queued());
        trip.take(at(71), &rtt(MS * 68));
        assert!(!trip.is_queued());
        trip.begin_round();
        trip.take(at(140), &rtt(MS * 80));
        trip.begin_round();
        assert!(trip.is_queued(), "nothing newer is known");
    }

    #[test]
    fn where_delays_differ_a_rise_is_one_only_if_it_is_more_than_that() {
        let mut trip = Trip::new();
        let mut take_all = |from: u64, trips: [u32; 16]| {
            trip.begin_round();
            for (n, millis) in (0..).zip(trips) {
                trip.take(at(from + n), &rtt(MS * millis));
            }
            let has_risen = trip.has_risen(16);
            trip.set_level();
            has_risen
        };
        let jitter =
            [100, 160, 130, 110, 150, 120, 140, 105, 155, 125, 135, 115, 145, 101, 159, 128];
        assert!(!take_all(0, jitter));
        // More packets, each of which waits for the slowest before it.
        assert!(!take_all(200, jitter.map(|millis| 60 + millis / 2)));
        // All that comes is the same, and longer.
        assert!(take_all(400, [180; 16]));
    }

    #[test]
    fn a_queue_that_grows_within_a_round_is_no_jitter() {
        let mut trip = Trip::new();
        (0..16).for_each(|n| trip.take(at(n), &rtt(MS * 100)));
        trip.set_level();
        trip.begin_round();
        (110..126).for_each(|millis| trip.take(at(u64::from(millis)), &rtt(MS * millis)));
        assert!(trip.has_risen(16));
    }
}
