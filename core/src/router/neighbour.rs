//! Who routes are told to and heard from.

use alloc::collections::BTreeSet;

use crate::PeerId;
use crate::bucket::{Limit, TokenBucket};
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
    /// Packets sent to it and lost when that was last counted, and how many of 1,000 get lost.
    counted: (u64, u64),
    lost: u16,
    serial: u32,
    requests: TokenBucket,
    checks: TokenBucket,
}

impl Neighbour {
    pub(super) const fn new(link: Link, cost: u16, now: Instant) -> Self {
        Self {
            link,
            cost,
            measured_at: now,
            urgent: BTreeSet::new(),
            due: BTreeSet::new(),
            counted: (0, 0),
            lost: 0,
            serial: 0,
            requests: TokenBucket::FULL,
            checks: TokenBucket::FULL,
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

    /// The number of the next statement to it.
    pub(super) const fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.saturating_add(1);
        self.serial
    }

    /// Whether it may ask us for something now.
    pub(super) fn may_ask(&mut self, now: Instant) -> bool {
        self.requests.take(now, &Limit::every(REQUEST, REQUESTS_AT_ONCE), 0)
    }

    /// Whether a signature may be checked for it now.
    pub(super) fn may_be_checked(&mut self, now: Instant) -> bool {
        let most = if self.link.transit { CHECKS_AT_ONCE } else { CHECKS_OF_LEAF };
        let each = if self.link.transit { CHECK } else { CHECK_OF_LEAF };
        self.checks.take(now, &Limit::every(each, most), 0)
    }
}

/// So many packets show how many get lost.
const ENOUGH: u64 = 32;
/// 50 requests a second, in microseconds.
const REQUEST: u64 = 20_000;
const REQUESTS_AT_ONCE: u64 = 500;
/// 1,500 signatures a second of a neighbour that routes, one a second of any other.
const CHECK: u64 = 667;
const CHECKS_AT_ONCE: u64 = 4096;
const CHECK_OF_LEAF: u64 = 1_000_000;
const CHECKS_OF_LEAF: u64 = 8;
