//! Which losses need no answer: a path that loses packets although no queue stands is not congested.
//!
//! Radio links and bad cables lose packets at any rate, and to send less does not help them. A queue that
//! overflows is full before, and that shows in the round-trip time. But a short one on a fast path does not
//! show there, nor does a policer, which has none. So losses are answered, whatever the time says, when they
//! are more than a small part of what is sent.

use super::Signs;
use crate::recovery::Rtt;
use crate::time::{Instant, micros};

/// Compares what arrived and what was lost in the present round trip and in the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    round_start: Option<Instant>,
    present: Tally,
    last: Tally,
}

/// What happened in a round trip.
#[derive(Clone, Copy, Debug)]
struct Tally {
    /// In bytes.
    acked: u32,
    lost: u32,
    /// The least round-trip time, in microseconds.
    least: u32,
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
        Self { round_start: None, present: Tally::NEW, last: Tally::NEW }
    }

    /// A packet of `bytes` that was sent at `sent_at` was acknowledged.
    pub(super) fn on_ack(&mut self, now: Instant, sent_at: Instant, bytes: u64, rtt: &Rtt) {
        if self.round_start.is_none_or(|start| sent_at >= start) {
            self.round_start = Some(now);
            self.last = core::mem::replace(&mut self.present, Tally::NEW);
        }
        self.present.acked = add(self.present.acked, bytes);
        self.present.least = self.present.least.min(add(0, micros(rtt.latest())));
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
        let most = sent / MOST + SLACK * u64::from(mtu);
        if lost > most { Verdict::Overrun } else { Verdict::Excused }
    }

    /// The window is another from here on: what was lost shows nothing about it.
    pub(super) const fn begin(&mut self, now: Instant) {
        *self = Self { round_start: Some(now), ..Self::new() };
    }

    /// Whether the round-trip time shows that no queue stands on the path: it is near the least, or was at
    /// some time in this round trip. What varies faster is jitter: a queue that overflows stays full for
    /// longer, unless it was filled just now by a window that doubled.
    fn is_free(&self, rtt: &Rtt, growth: Growth) -> bool {
        let Some(least) = rtt.min().map(micros) else { return false };
        let margin = (least / 16).max(LEAST_RISE);
        let rise = |micros: u64| micros.saturating_sub(least);
        let present = Some(self.present.least).filter(|_| self.present.acked > self.last.acked / 4);
        let quiet = u64::from(present.unwrap_or(self.last.least));
        let is_near = rise(micros(rtt.smoothed()).max(micros(rtt.latest()))) <= margin;
        is_near || (growth == Growth::Slow && rise(quiet) <= margin / 2)
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
    const NEW: Self = Self { acked: 0, lost: 0, least: u32::MAX };
}

fn add(sum: u32, bytes: u64) -> u32 {
    sum.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX))
}

/// Losses of more than a tenth are answered.
const MOST: u64 = 10;
/// So many packets more are no sign of anything, when few are sent.
const SLACK: u64 = 3;
/// Rises of the round-trip time that mean nothing, in microseconds: timers, and who shares the processor.
const LEAST_RISE: u64 = 2_000;
