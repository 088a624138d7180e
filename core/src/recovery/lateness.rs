//! How late packets come that later ones have overtaken.

use core::time::Duration;

use super::rtt::Rtt;
use crate::pack::pack;
use crate::time::{Instant, micros};

/// What the late packets of one path taught about the next: how long a packet may be missed before it is
/// taken for lost. All is forgotten after ten seconds without one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lateness {
    /// When the path was last seen to reorder.
    seen_at: Option<Instant>,
    /// When the present period began.
    since: Option<Instant>,
    /// The most that a packet was later than a round trip, in microseconds, in the present period and in the
    /// one before.
    present: u64,
    last: u64,
}

pack!(Lateness: seen_at, since, present, last);

impl Lateness {
    /// A packet sent at `sent_at` was acknowledged now, after one that was sent later.
    pub(super) fn note(&mut self, sent_at: Instant, rtt: &Rtt, now: Instant) {
        let beyond = now.saturating_since(sent_at).saturating_sub(rtt.smoothed());
        self.seen_at = Some(now);
        self.since.get_or_insert(now);
        self.present = self.present.max(micros(beyond));
    }

    /// The path reorders, as far as is known: the order of packets shows nothing.
    pub(super) const fn is_known(&self) -> bool {
        self.seen_at.is_some()
    }

    /// Time passed.
    pub(super) fn review(&mut self, now: Instant) {
        if self.seen_at.is_some_and(|at| at + MEMORY <= now) {
            *self = Self::default();
        } else if self.since.is_some_and(|at| at + MEMORY / 2 <= now) {
            self.since = Some(now);
            self.last = core::mem::take(&mut self.present);
        }
    }

    /// How long after it was sent a packet is lost, once a later one has arrived: 9/8 of the round-trip
    /// time (RFC 9002 section 6.1.2), or more if packets came later than that. RFC 8985 section 6.2 allows
    /// twice the round-trip time; so late they are where one in many is held back on a short path, too.
    pub(super) fn patience(&self, rtt: &Rtt) -> Duration {
        let round_trip = rtt.smoothed().max(rtt.latest());
        let learned = self.present.max(self.last);
        let learned = Duration::from_micros(learned.saturating_add(learned / 8));
        let most = rtt.smoothed().saturating_mul(2).max(LEAST_BOUND);
        round_trip.saturating_add(learned.min(most).max(round_trip / 8))
    }
}

/// How long a path counts as one that reorders after it was seen to.
const MEMORY: Duration = Duration::from_secs(10);
/// What is learned is bounded by two round trips, or by this if they take less.
const LEAST_BOUND: Duration = Duration::from_millis(20);
