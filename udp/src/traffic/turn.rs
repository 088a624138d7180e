//! How much a driver does before it lets others run.

use std::time::Duration;

use handfast_core::Instant;

/// One turn of a driver: it is over after so many datagrams, in and out, or so much time.
#[derive(Debug)]
pub(super) struct Turn {
    datagrams: u64,
    longest: Duration,
    /// By the driver's clock. One that is held ends no turn: the datagrams do.
    ends: Instant,
}

impl Turn {
    /// A turn that lasts so long at most. A datagram, or a batch on its way out, that begins before is
    /// finished.
    pub(super) fn begin(now: Instant, longest: Duration) -> Self {
        Self { datagrams: 0, longest, ends: now + longest }
    }

    /// The next one.
    pub(super) fn next(&self, now: Instant) -> Self {
        Self::begin(now, self.longest)
    }

    /// Others had their turn meanwhile: the time begins anew.
    pub(super) fn resume(&mut self, now: Instant) {
        self.ends = now + self.longest;
    }

    /// Counts datagrams that were handled.
    pub(super) const fn count(&mut self, datagrams: u64) {
        self.datagrams += datagrams;
    }

    /// Whether others should have their turn.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.datagrams >= MOST_DATAGRAMS || now >= self.ends
    }
}

/// The most datagrams of a turn.
pub(super) const MOST_DATAGRAMS: u64 = 64;
