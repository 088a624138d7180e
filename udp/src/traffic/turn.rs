//! How much a driver does before it lets others run.

use std::time::{Duration, Instant};

/// One turn of a driver: it is over after so many datagrams, in and out, or so much time.
#[derive(Debug)]
pub(super) struct Turn {
    datagrams: u64,
    longest: Duration,
    /// By the system's clock, whatever the driver's clock says: others wait in real time.
    ends: Instant,
}

impl Turn {
    /// A turn that lasts so long at most. A datagram, or a batch on its way out, that begins before is
    /// finished.
    pub(super) fn begin(longest: Duration) -> Self {
        Self { datagrams: 0, longest, ends: Instant::now() + longest }
    }

    /// The next one.
    pub(super) fn next(&self) -> Self {
        Self::begin(self.longest)
    }

    /// Counts datagrams that were handled.
    pub(super) const fn count(&mut self, datagrams: u64) {
        self.datagrams += datagrams;
    }

    /// Whether others should have their turn.
    pub(super) fn is_over(&self) -> bool {
        self.datagrams >= MOST_DATAGRAMS || Instant::now() >= self.ends
    }
}

/// The most datagrams of a turn.
pub(super) const MOST_DATAGRAMS: u64 = 64;
