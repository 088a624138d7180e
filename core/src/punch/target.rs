//! An address that is tried.

use core::net::SocketAddr;
use core::time::Duration;

use super::filter::is_local;
use crate::net::FourTuple;
use crate::pack::{pack, pack_enum};
use crate::time::Instant;

/// How long after the last probe of a target the next one leaves; the last of them goes on.
const PAUSES: [u64; 7] = [0, 50, 50, 100, 200, 400, 1000];
/// The most probes of one target in a round.
const MAX_PROBES: u8 = 12;
/// A way that shows to be faster than the one that was found is so by at least this, and a fifth.
const GAIN: Duration = Duration::from_millis(10);

/// How good a way is; the least is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    Lan,
    Ipv6,
    Ipv4,
}

pack_enum!(Tier: Lan, Ipv6, Ipv4);

/// A direct way that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) tier: Tier,
    pub(super) round_trip: Duration,
    /// When, and how long after the round began.
    pub(super) at: Instant,
    pub(super) after: Duration,
}

pack!(Found: tier, round_trip, at, after);

impl Found {
    /// Whether it is so much better that it is worth another change: of a better tier, or much faster.
    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        let faster = self.round_trip + GAIN <= other.round_trip
            && self.round_trip * 5 <= other.round_trip * 4;
        self.tier < other.tier || (self.tier == other.tier && faster)
    }
}

/// An address that is tried in a round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) way: FourTuple,
    /// A packet with few hops went there in this round, or need not.
    pub(super) is_opened: bool,
    /// A probe of the peer came from there: nothing is left to be spoilt.
    is_heard: bool,
    /// Names our probes.
    token: Option<[u8; 8]>,
    sent: u8,
    /// When the first probe of the round left.
    asked_at: Option<Instant>,
    next: Option<Instant>,
}

pack!(Target: way, is_opened, is_heard, token, sent, asked_at, next);

impl Target {
    pub(super) fn new(way: FourTuple) -> Self {
        let gated = way.remote.is_ipv4() && !is_local(way.remote.ip());
        Self {
            way,
            is_opened: !gated,
            is_heard: false,
            token: None,
            sent: 0,
            asked_at: None,
            next: None,
        }
    }

    pub(super) fn tier(&self) -> Tier {
        match self.way.remote {
            remote if is_local(remote.ip()) => Tier::Lan,
            SocketAddr::V6(_) => Tier::Ipv6,
            SocketAddr::V4(_) => Tier::Ipv4,
        }
    }

    /// Whether a probe from the other end before a packet of ours may do harm in a NAT.
    pub(super) fn is_gated(&self) -> bool {
        self.tier() == Tier::Ipv4
    }

    /// A probe came from there.
    pub(super) fn on_heard(&mut self, now: Instant) {
        (self.is_opened, self.is_heard) = (true, true);
        self.start(now);
    }

    /// The peer has to open its NAT anew before more probes go there.
    pub(super) fn wait(&mut self) {
        if self.is_gated() && !self.is_heard {
            self.next = None;
        }
    }

    /// Probes go there from now on.
    pub(super) fn start(&mut self, now: Instant) {
        self.next.get_or_insert(now);
    }

    /// When the next probe is due; `None` if none is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next.filter(|_| self.sent < MAX_PROBES)
    }

    /// A probe leaves now. Returns its token, which `fresh` is if there was none.
    pub(super) fn on_probe(&mut self, now: Instant, fresh: [u8; 8]) -> [u8; 8] {
        self.sent += 1;
        self.asked_at.get_or_insert(now);
        let pause = PAUSES.get(usize::from(self.sent)).or(PAUSES.last()).copied().unwrap_or(1000);
        self.next = Some(now + Duration::from_millis(pause));
        *self.token.get_or_insert(fresh)
    }

    /// The budget does not allow for a probe now.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.next = Some(now + Duration::from_millis(200));
    }

    /// No more probes go there; those that did may be answered.
    pub(super) const fn stop(&mut self) {
        (self.sent, self.is_opened) = (MAX_PROBES, true);
    }

    /// Whether a probe went there.
    pub(super) const fn is_asked(&self) -> bool {
        self.asked_at.is_some()
    }

    /// How long a round trip takes at most, if a probe is answered now: which one is not known.
    pub(super) fn round_trip(&self, now: Instant) -> Duration {
        self.asked_at.map_or(Duration::MAX, |at| now.saturating_since(at))
    }

    pub(super) fn is_answered_by(&self, token: [u8; 8]) -> bool {
        self.token == Some(token)
    }
}
