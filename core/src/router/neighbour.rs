//! Who routes are told to and heard from.

use alloc::collections::BTreeSet;

use super::ledger::Ledger;
use crate::PeerId;
use crate::time::Instant;

/// What a neighbour is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) id: PeerId,
    /// Routes are exchanged with it. Any other may tell of itself alone.
    pub(crate) transit: bool,
    /// It takes what we tell of ourselves.
    pub(crate) listens: bool,
    /// Which of its lives this is: what an earlier one told is void.
    pub(crate) incarnation: u64,
}

#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) link: Link,
    /// What it costs to reach it.
    pub(super) cost: u16,
    /// When that was last measured.
    pub(super) measured_at: Instant,
    /// Destinations that it is told about, at once and soon.
    pub(super) urgent: BTreeSet<PeerId>,
    pub(super) due: BTreeSet<PeerId>,
    /// Too much waits for it already: what it is to be told waits here.
    pub(super) is_held: bool,
    /// Packets sent to it and lost when that was last counted, and how many of 1,000 get lost.
    counted: (u64, u64),
    lost: u16,
    pub(super) ledger: Ledger,
}

impl Neighbour {
    pub(super) const fn new(link: Link, cost: u16, ledger: Ledger, now: Instant) -> Self {
        Self {
            link,
            cost,
            measured_at: now,
            urgent: BTreeSet::new(),
            due: BTreeSet::new(),
            is_held: false,
            counted: (0, 0),
            lost: 0,
            ledger,
        }
    }

    /// How many of 1,000 packets get lost, smoothed, when so many were sent and lost so far.
    pub(super) fn loss(&mut self, now: Instant, (sent, lost): (u64, u64)) -> u16 {
        self.measured_at = now;
        let (since, of_these) =
            (sent.saturating_sub(self.counted.0), lost.saturating_sub(self.counted.1));
        if since >= ENOUGH {
            let share = u16::try_from((of_these * 1000 / since).min(1000)).unwrap_or(1000);
            self.lost = (3 * self.lost + share) / 4;
            self.counted = (sent, lost);
        }
        self.lost
    }

    /// Whether a signature may be checked for it now.
    pub(super) fn may_be_checked(&mut self, now: Instant) -> bool {
        self.ledger.may_be_checked(now, self.link.transit)
    }
}

/// So many packets show how many get lost.
const ENOUGH: u64 = 32;
