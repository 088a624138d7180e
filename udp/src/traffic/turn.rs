//! How much a driver does before it lets others run.

use std::time::Duration;

use handfast_core::Instant;

/// One turn of a driver: it is over after so many datagrams either way, or so much time.
#[derive(Debug)]
pub(super) struct Turn {
    taken_in: u64,
    sent: u64,
    longest: Duration,
    /// By the driver's clock. One that is held ends no turn: the datagrams do.
    ends: Instant,
}

impl Turn {
    /// A turn that lasts so long at most. A datagram, or a batch on its way out, that begins before is
    /// finished.
    pub(super) fn begin(now: Instant, longest: Duration) -> Self {
        Self { taken_in: 0, sent: 0, longest, ends: now + longest }
    }

    /// The next one.
    pub(super) fn next(&self, now: Instant) -> Self {
        Self::begin(now, self.longest)
    }

    /// Others had their turn meanwhile: the time begins anew.
    pub(super) fn resume(&mut self, now: Instant) {
        self.ends = now + self.longest;
    }

    /// Counts datagrams that the core was given.
    pub(super) const fn count_in(&mut self, datagrams: u64) {
        self.taken_in += datagrams;
    }

    /// Counts datagrams that the core gave.
    pub(super) const fn count_out(&mut self, datagrams: u64) {
        self.sent += datagrams;
    }

    /// Whether the rest of what came waits for the next turn.
    pub(super) fn has_enough(&self, now: Instant) -> bool {
        self.taken_in >= MOST_DATAGRAMS || now >= self.ends
    }

    /// Whether others should have their turn. Not before as many datagrams left as came, however long that takes: what answers
    /// them would pile up.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.sent >= self.taken_in && (self.sent >= MOST_DATAGRAMS || now >= self.ends)
    }

    /// Whether what is not urgent waits for the next turn.
    pub(super) fn is_long(&self, now: Instant) -> bool {
        self.has_enough(now) || self.is_over(now)
    }
}

/// The most datagrams of a turn, in and out.
pub(super) const MOST_DATAGRAMS: u64 = 64;
