//! When data that left the direct path may take it again.
//!
//! Somebody on the way may let through all that shows that the peer is there, and swallow what is said. So a path that
//! data had to leave is not good because it answers challenges: something as large as data must arrive there first. Data
//! waits longer each time that it has to leave again soon, whatever the path showed in between.

use alloc::vec::Vec;
use core::time::Duration;

use crate::pack::{Pack, Packer, Unpacker, pack};
use crate::time::Instant;
use crate::wire::AckFrame;

/// What keeps data from the direct path.
#[derive(Debug, Default)]
pub(super) struct Away {
    /// It does not come back before then; `None`: it never left.
    until: Option<Instant>,
    /// How often in a row it had to leave soon, or a trial failed.
    flaps: u8,
    trial: Trial,
}

pack!(Away: until, flaps, trial);

/// Whether the path still has to show that what is as large as data arrives.
#[derive(Debug, Default)]
enum Trial {
    #[default]
    None,
    /// Yes, but not now.
    Waits,
    /// A packet is to be sent.
    Wanted,
    /// By one of these packets, given by their counters.
    Sent(Vec<u64>),
}

/// A trial under way is work.
impl Pack for Trial {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        match self {
            Self::None => false.pack(into),
            Self::Waits => true.pack(into),
            Self::Wanted | Self::Sent(_) => None,
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(if bool::unpack(from)? { Self::Waits } else { Self::None })
    }

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        if matches!((self, like), (Self::None, Self::None) | (Self::Waits, Self::Waits)) {
            into.same();
            return Some(());
        }
        into.own(self)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        match (from.is_same(), like) {
            (true, Self::Waits) => Some(Self::Waits),
            (true, _) => Some(Self::None),
            (false, _) => from.own(Self::unpack),
        }
    }
}

/// What may be done with a direct path that answers challenges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Return {
    /// Data may take it.
    Free,
    /// Nothing before then.
    NotBefore(Instant),
    /// A trial is to begin.
    Try,
    /// A trial is under way.
    Tried,
}

impl Away {
    /// Data leaves the direct path, which does not answer.
    pub(super) fn leave(&mut self, now: Instant) {
        let is_again = self.until.is_some_and(|until| now < until + CALM);
        self.flaps = if is_again { (self.flaps + 1).min(MOST_FLAPS) } else { 0 };
        self.until = Some(now + SHORTEST_AWAY * (1 << self.flaps));
        self.trial = Trial::Waits;
    }

    /// Data takes the direct path again, or has no other.
    pub(super) fn come_back(&mut self) {
        self.trial = Trial::None;
    }

    /// What may be done, now that the direct path answers challenges.
    pub(super) fn on_answer(&mut self, now: Instant) -> Return {
        if let Some(until) = self.until.filter(|until| now < *until) {
            return Return::NotBefore(until);
        }
        match self.trial {
            Trial::None => Return::Free,
            Trial::Waits => {
                self.trial = Trial::Wanted;
                Return::Try
            }
            Trial::Wanted | Trial::Sent(_) => Return::Tried,
        }
    }

    /// The direct path leads elsewhere, or nowhere: a trial that is under way says nothing.
    pub(super) fn interrupt(&mut self) {
        if !matches!(self.trial, Trial::None) {
            self.trial = Trial::Waits;
        }
    }

    /// Whether what probes the direct path is to be as large as data.
    pub(super) fn is_trying(&self) -> bool {
        match &self.trial {
            Trial::None | Trial::Waits => false,
            Trial::Wanted => true,
            Trial::Sent(counters) => counters.len() < MOST_SENT,
        }
    }

    /// Whether the acknowledgement of such a packet is awaited.
    pub(super) const fn is_sent(&self) -> bool {
        matches!(self.trial, Trial::Sent(_))
    }

    /// A packet as large as data left on the direct path.
    pub(super) fn on_sent(&mut self, counter: u64) {
        match &mut self.trial {
            Trial::None | Trial::Waits => {}
            Trial::Wanted => self.trial = Trial::Sent([counter].into()),
            Trial::Sent(counters) => counters.push(counter),
        }
    }

    /// Packets of the direct path are acknowledged. True if the trial was one of them.
    pub(super) fn on_ack(&mut self, frame: &AckFrame<'_>) -> bool {
        let Trial::Sent(counters) = &self.trial else { return false };
        let is_acked = |counter| frame.ranges().any(|range| range.contains(counter));
        let passed = counters.iter().any(is_acked);
        if passed {
            self.come_back();
        }
        passed
    }

    /// Nothing that was sent on the direct path while data was away was acknowledged.
    pub(super) fn on_unanswered(&mut self, now: Instant) {
        if matches!(self.trial, Trial::Sent(_)) {
            self.flaps = self.flaps.max((self.flaps + 1).min(MOST_FAILURES));
            self.until = Some(now + SHORTEST_AWAY * (1 << self.flaps));
            self.trial = Trial::Waits;
        }
    }
}

/// Data that left the direct path stays away for so long at least, doubled each time if it leaves soon again, or if a
/// trial fails.
const SHORTEST_AWAY: Duration = Duration::from_secs(1);
/// It leaves soon if it does so this long after it might come back, or earlier.
const CALM: Duration = Duration::from_secs(60);
const MOST_FLAPS: u8 = 6;
/// Trials that fail cost nothing that was said: one is made each 16 seconds.
const MOST_FAILURES: u8 = 4;
/// The most packets of a trial: the first may be lost.
const MOST_SENT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(1_000_000 + ms * 1000)
    }

    /// How long data stays away that leaves at `ms`.
    fn pause(away: &mut Away, ms: u64) -> u64 {
        away.leave(at(ms));
        let Return::NotBefore(until) = away.on_answer(at(ms)) else { panic!("{away:?}") };
        until.saturating_since(at(ms)).as_millis() as u64
    }

    fn is_acked(away: &mut Away, counters: core::ops::RangeInclusive<u64>) -> bool {
        let mut buffer = [0; 64];
        let mut writer = crate::wire::Writer::new(&mut buffer);
        let ranges = core::iter::once(counters);
        assert_eq!(crate::wire::encode_ack(&mut writer, 0, 0, None, ranges), 1);
        let written = writer.position();
        let frame = crate::wire::Frames::new(&buffer[..written]).next();
        let Some(Ok(crate::wire::Frame::Ack(ack))) = frame else { panic!("an acknowledgement") };
        away.on_ack(&ack)
    }

    #[test]
    fn data_stays_away_longer_each_time_that_it_leaves_again_within_a_minute() {
        let mut away = Away::default();
        assert_eq!(away.on_answer(at(0)), Return::Free, "it never left");
        let mut now = 0;
        for expected in [1, 2, 4, 8, 16, 32, 64, 64] {
            let pause = pause(&mut away, now);
            assert_eq!(pause, expected * 1000);
            now += pause + 59_999;
        }
        assert_eq!(pause(&mut away, now + 120_000), 1000, "there was calm");
    }

    #[test]
    fn only_a_packet_of_the_trial_brings_data_back() {
        let mut away = Away::default();
        away.leave(at(0));
        assert!(!away.is_trying(), "not yet");
        assert_eq!(away.on_answer(at(1000)), Return::Try);
        assert_eq!((away.on_answer(at(1000)), away.is_trying()), (Return::Tried, true));
        away.on_sent(7);
        assert!(!is_acked(&mut away, 0..=6) && !is_acked(&mut away, 8..=9));
        assert_eq!(away.on_answer(at(1100)), Return::Tried);
        away.on_sent(10);
        assert!(is_acked(&mut away, 9..=10));
        assert_eq!(away.on_answer(at(1200)), Return::Free);
    }

    #[test]
    fn trials_that_fail_are_made_ever_more_rarely_but_each_sixteen_seconds() {
        let mut away = Away::default();
        let mut now = 0;
        away.leave(at(now));
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let Return::NotBefore(until) = away.on_answer(at(now)) else { panic!("{away:?}") };
            pauses.push(until.saturating_since(at(now)).as_secs());
            now = until.saturating_since(at(0)).as_millis() as u64;
            assert_eq!(away.on_answer(at(now)), Return::Try);
            away.on_unanswered(at(now));
            assert_eq!(away.on_answer(at(now)), Return::Tried, "nothing was sent");
            away.on_sent(now);
            away.on_unanswered(at(now));
            assert!(!is_acked(&mut away, now..=now));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 16]);
        // What was sent elsewhere shows nothing.
        assert_eq!(away.on_answer(at(now + 16_000)), Return::Try);
        away.on_sent(1);
        away.interrupt();
        assert!(!is_acked(&mut away, 1..=1));
        assert_eq!(away.on_answer(at(now + 16_000)), Return::Try);
    }

    #[test]
    fn a_trial_has_few_packets() {
        let mut away = Away::default();
        away.leave(at(0));
        assert_eq!(away.on_answer(at(1000)), Return::Try);
        let sent = (0..100).filter(|counter| {
            let trying = away.is_trying();
            if trying {
                away.on_sent(*counter);
            }
            trying
        });
        assert_eq!(sent.count(), MOST_SENT);
    }
}
