//! How much of the window a sender uses. A window that is not used is not known to be borne by the path
//! (RFC 9002 section 7.8).

use crate::time::Instant;

/// The most that was in flight, by round trips. A round ends when a packet that was sent in it is
/// acknowledged.
///
/// A packet by itself shows nothing: in a burst, each finds more in flight than the one before, and only the
/// last finds all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    round_start: Option<Instant>,
    /// Bytes in flight at most, in the present round and in the one before.
    present: u64,
    last: u64,
}

impl Usage {
    /// Nothing was sent.
    pub(super) const fn new() -> Self {
        Self { round_start: None, present: 0, last: 0 }
    }

    /// A packet left; `in_flight` includes it.
    pub(super) const fn on_sent(&mut self, in_flight: u64) {
        if in_flight > self.present {
            self.present = in_flight;
        }
    }

    /// A packet that was sent at `sent_at` was acknowledged.
    pub(super) fn on_ack(&mut self, now: Instant, sent_at: Instant) {
        if self.round_start.is_none_or(|start| sent_at >= start) {
            self.round_start = Some(now);
            self.last = core::mem::take(&mut self.present);
        }
    }

    /// Whether at least half of the window was in flight lately: slow start doubles it in a round trip, and
    /// RFC 7661 takes as much for proof.
    pub(super) fn fills(&self, window: u64) -> bool {
        self.present.max(self.last) >= window / 2
    }
}
