//! Which losses need no answer: a path that loses packets although no queue stands is not congested.
//!
//! Radio links and bad cables lose packets at any rate, and to send less does not help them. A queue that
//! overflows is full before, and that shows in the round-trip time. But a short one on a fast path does not
//! show there, nor does a policer, which has none. So losses are answered, whatever the time says, when they
//! are more than a small part of what is sent, over several round trips: a radio link loses all that it
//! carries for a moment, a queue that overflows goes on to.

use super::Signs;
use super::delays::{Delays, LEAST_RISE};
use crate::recovery::Rtt;
use crate::time::{Instant, micros};

/// Watches what arrives and what is lost, by round trips, and how the round-trip time varies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    round_start: Option<Instant>,
    present: Tally,
    last: Tally,
    /// The part that was lost of what was sent, smoothed over round trips, in 1/1024.
    share: u16,
    delays: Delays,
}

/// What happened in a round trip, in bytes.
#[derive(Clone, Copy, Debug)]
struct Tally {
    acked: u32,
    lost: u32,
}

/// How the window grew before packets were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// By little in a round trip.
    Slow,
    /// Twofold.
    Fast,
}

/// What losses are a sign of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Of nothing: the path loses as many anyway.
    Excused,
    /// A queue overflows.
    Queue,
    /// No queue is seen, but so many are lost that there must be too much under way.
    Overrun,
}

impl Tolerance {
    /// Nothing was sent.
    pub(super) const fn new() -> Self {
        let (present, last, delays) = (Tally::NEW, Tally::NEW, Delays::NEW);
        Self { round_start: None, present, last, share: 0, delays }
    }

    /// A packet of `bytes` that was sent at `sent_at` was acknowledged.
    pub(super) fn on_ack(&mut self, now: Instant, sent_at: Instant, bytes: u64, rtt: &Rtt) {
        if self.round_start.is_none_or(|start| sent_at >= start) {
            self.round_start = Some(now);
            self.share = self.smoothed_share();
            self.last = core::mem::replace(&mut self.present, Tally::NEW);
        }
        self.present.acked = add(self.present.acked, bytes);
        self.delays.take(now, rtt);
    }

    /// Packets were lost.
    pub(super) fn on_loss(
        &mut self,
        signs: &Signs,
        rtt: &Rtt,
        growth: Growth,
        mtu: u16,
    ) -> Verdict {
        self.present.lost = add(self.present.lost, signs.bytes);
        if !self.is_free(rtt, growth) {
            return Verdict::Queue;
        }
        let (lost, sent) = self.lost_of_sent();
        let slack = SLACK * u64::from(mtu);
        let is_excused = match growth {
            // Twice as much in the next round would be lost in the same way.
            Growth::Fast => lost <= sent / MOST + slack,
            Growth::Slow => lost <= slack || u64::from(self.smoothed_share()) <= UNIT / MOST,
        };
        if is_excused { Verdict::Excused } else { Verdict::Overrun }
    }

    /// The window is another from here on: what was lost shows nothing about it.
    pub(super) const fn begin(&mut self, now: Instant) {
        *self = Self { round_start: Some(now), delays: self.delays, ..Self::new() };
    }

    /// Whether the round-trip time shows that no queue stands on the path: it is near the least, or differs
    /// from it by no more than it varied just now. What varies so fast is jitter: a queue that overflows stays
    /// full for longer, unless it was filled just now by a window that doubled.
    fn is_free(&self, rtt: &Rtt, growth: Growth) -> bool {
        let Some(least) = rtt.min().map(micros) else { return false };
        let margin = (least / 16).max(LEAST_RISE);
        let rise = |micros: u64| micros.saturating_sub(least);
        let is_near = rise(micros(rtt.smoothed()).max(micros(rtt.latest()))) <= margin;
        let (quiet, spread) = self.delays.least_and_spread();
        is_near || (growth == Growth::Slow && rise(quiet) <= margin + spread)
    }

    /// With the present round trip. One of them counts for little: what loses all for a moment is no queue.
    fn smoothed_share(&self) -> u16 {
        let sent = u64::from(self.present.lost) + u64::from(self.present.acked);
        let share = (u64::from(self.present.lost) * UNIT / sent.max(1)).min(MOST_OF_ROUND);
        ((u64::from(self.share) * 3 + share) / 4) as u16
    }

    /// The part of `window` that arrived.
    pub(super) fn borne(&self, window: u64) -> u64 {
        let (lost, sent) = self.lost_of_sent();
        window - (u128::from(window) * u128::from(lost) / u128::from(sent.max(1))) as u64
    }

    fn lost_of_sent(&self) -> (u64, u64) {
        let lost = u64::from(self.present.lost) + u64::from(self.last.lost);
        (lost, lost + u64::from(self.present.acked) + u64::from(self.last.acked))
    }
}

impl Tally {
    const NEW: Self = Self { acked: 0, lost: 0 };
}

fn add(sum: u32, bytes: u64) -> u32 {
    sum.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX))
}

/// Losses of more than a tenth are answered.
const MOST: u64 = 10;
/// Of `Tolerance::share`.
const UNIT: u64 = 1024;
/// A round trip counts as one that lost no more than this: three of them are answered, two are not.
const MOST_OF_ROUND: u64 = UNIT / 5;
/// So many packets more are no sign of anything, when few are sent.
const SLACK: u64 = 3;
