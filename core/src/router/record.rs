//! What is known about one destination.

use core::cmp::Reverse;
use core::time::Duration;

use smallvec::SmallVec;

use super::metric::{INFINITE, sum};
use super::origin::{Claim, Pair, Signature};
use crate::PeerId;
use crate::time::Instant;

/// A claim of the destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    pub(super) claim: Claim,
    pub(super) signature: Signature,
    /// Counted from when it was first received here: nobody makes it younger.
    pub(super) expires: Instant,
}

/// What a neighbour told last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) neighbour: u32,
    pub(super) pair: Pair,
    /// `INFINITE` once it was retracted.
    pub(super) metric: u16,
    /// Which of its statements this was: older ones come too late.
    pub(super) serial: u32,
    pub(super) distrust: Distrust,
}

/// A route of a neighbour that was worse than the neighbour said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Distrust {
    added: u16,
    since: Option<Instant>,
}

/// The route that is used, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selected {
    pub(super) neighbour: u32,
    pub(super) since: Instant,
}

/// What others were told last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) pair: Pair,
    pub(super) metric: u16,
    pub(super) at: Instant,
}

/// There is no route that may be used, and the destination is asked for a greater pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct Starving {
    pub(super) again: Instant,
    pub(super) tries: u8,
}

#[derive(Debug)]
pub(super) struct Record {
    /// Claims, greatest pair first: the second serves while not all neighbours have heard the first.
    versions: SmallVec<[Version; 2]>,
    /// The feasibility distance (RFC 8966 section 3.2.5): the best that was ever told to others.
    distance: Option<(Pair, u16)>,
    pub(super) entries: SmallVec<[Entry; MAX_ENTRIES]>,
    pub(super) selected: Option<Selected>,
    pub(super) told: Option<Told>,
    pub(super) starving: Option<Starving>,
    /// The neighbour that told of it first.
    pub(super) introducer: PeerId,
    /// The next hop that was reported last.
    pub(super) reported: Option<PeerId>,
    /// When it is looked at again.
    pub(super) wake: Instant,
}

impl Record {
    pub(super) fn new(introducer: PeerId) -> Self {
        Self {
            versions: SmallVec::new(),
            distance: None,
            entries: SmallVec::new(),
            selected: None,
            told: None,
            starving: None,
            introducer,
            reported: None,
            wake: Instant::MAX,
        }
    }

    /// The greatest pair known.
    pub(super) fn newest(&self) -> Option<&Version> {
        self.versions.first()
    }

    /// The claim with this pair.
    pub(super) fn version(&self, pair: Pair) -> Option<&Version> {
        self.versions.iter().find(|version| version.claim.pair == pair)
    }

    /// A greater pair was received for the first time.
    pub(super) fn push_version(&mut self, version: Version) {
        self.versions.insert(0, version);
        self.versions.truncate(2);
    }

    /// What a neighbour told.
    pub(super) fn entry(&self, neighbour: u32) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.neighbour == neighbour)
    }

    pub(super) fn entry_mut(&mut self, neighbour: u32) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.neighbour == neighbour)
    }

    /// Takes what a neighbour told for the first time. With too many entries the worst gives way, or the new one
    /// is not taken.
    pub(super) fn push_entry(&mut self, entry: Entry) {
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry);
            return;
        }
        let selected = self.selected.map(|selected| selected.neighbour);
        // What may be used is worth more than what is near and may not.
        let worth = |entry: &Entry| {
            let is_usable = entry.metric < INFINITE && self.is_feasible(entry.pair, entry.metric);
            (is_usable, Reverse(entry.metric))
        };
        let others = self.entries.iter().enumerate();
        let others = others.filter(|(_, other)| Some(other.neighbour) != selected);
        let worst = others.min_by_key(|(_, other)| worth(other));
        let gives_way = worst.filter(|(_, worst)| worth(worst) < worth(&entry)).map(|(at, _)| at);
        if let Some(at) = gives_way {
            self.entries[at] = entry;
        }
    }

    /// The neighbour is gone.
    pub(super) fn remove_entry(&mut self, neighbour: u32) {
        self.entries.retain(|entry| entry.neighbour != neighbour);
    }

    /// Whether a route may be used: its metric is strictly smaller than the best that we ever told, or its pair is
    /// greater (RFC 8966 section 3.5.1).
    pub(super) fn is_feasible(&self, pair: Pair, metric: u16) -> bool {
        self.distance
            .is_none_or(|(newest, least)| pair > newest || (pair == newest && metric < least))
    }

    /// Others are told of this route: from now on no worse one of this pair is feasible (RFC 8966 section 3.7.3).
    pub(super) fn lower_distance(&mut self, pair: Pair, metric: u16) {
        if self.is_feasible(pair, metric) {
            self.distance = Some((pair, metric));
        }
    }

    /// The pair that makes any route feasible again.
    pub(super) fn wanted(&self) -> Option<Pair> {
        self.distance?.0.next()
    }

    /// The metric of a route by this neighbour, if it may be used. `cost` is what it costs to reach the neighbour.
    pub(super) fn total(
        &self,
        now: Instant,
        entry: &Entry,
        cost: u16,
        strict: bool,
    ) -> Option<u16> {
        let lives = self.version(entry.pair).is_some_and(|version| now < version.expires);
        let feasible = !strict || self.is_feasible(entry.pair, entry.metric);
        let total = sum(sum(entry.metric, cost), entry.distrust.at(now));
        (lives && feasible && total < INFINITE).then_some(total)
    }

    /// Whether the route of a neighbour other than this one was found to be worse than it said, a short while ago.
    pub(super) fn distrusted_lately(&self, now: Instant, neighbour: u32) -> bool {
        let mut others = self.entries.iter().filter(|entry| entry.neighbour != neighbour);
        others.any(|entry| entry.distrust.since.is_some_and(|since| now < since + LATELY))
    }

    /// When the newest claim is forgotten: so long as an older one may still be about.
    pub(super) fn forget_at(&self) -> Instant {
        self.newest().map_or(Instant::MAX, |newest| newest.expires + MAX_LIFE)
    }

    /// The end of the life of what is used, or else of what could be.
    pub(super) fn next_expiry(&self, now: Instant) -> Option<Instant> {
        self.versions.iter().map(|version| version.expires).filter(|at| *at > now).min()
    }
}

impl Distrust {
    /// What is added to the metric: half as much every five minutes.
    pub(super) fn at(&self, now: Instant) -> u16 {
        let Some(since) = self.since else { return 0 };
        let halvings = now.saturating_since(since).as_secs() / HALVING.as_secs();
        u32::try_from(halvings).ok().and_then(|n| self.added.checked_shr(n)).unwrap_or(0)
    }

    /// Twice as much as before, or as much as the route costs.
    pub(super) fn grow(&mut self, now: Instant, metric: u16) {
        let before = self.at(now).saturating_mul(2);
        self.added = before.max(metric).clamp(LEAST_DISTRUST, MOST_DISTRUST);
        self.since = Some(now);
    }
}

/// The most routes kept to one destination.
pub(super) const MAX_ENTRIES: usize = 4;
/// The longest life that a claim may have.
pub(crate) const MAX_LIFE: Duration = Duration::from_secs(3600);
/// So long after a route was left the peer may not have left it yet.
const LATELY: Duration = Duration::from_secs(60);
const HALVING: Duration = Duration::from_secs(300);
const LEAST_DISTRUST: u16 = 256;
/// Of no use while there is another route, and better than none.
const MOST_DISTRUST: u16 = 16_384;
