//! How much a driver does before it lets others run.

use std::time::{Duration, Instant};

/// One turn of a driver: it is over after so many datagrams, in and out, or so much time.
#[derive(Debug)]
pub(super) struct Turn {
    datagrams: u64,
    /// By the system's clock, whatever the driver's clock says: others wait in real time.
    ends: Instant,
}

impl Turn {
    pub(super) fn begin() -> Self {
        Self { datagrams: 0, ends: Instant::now() + LONGEST }
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
/// A datagram, or a batch on its way out, that begins within this time is finished.
const LONGEST: Duration = Duration::from_micros(50);
