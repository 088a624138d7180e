//! A newcomer when all places are taken: whose place it may have.
//!
//! Under attack every handshake comes here, so an attempt is cheap and attempts are few: what the
//! [`Census`](super::census) says is asked first; then at most 4,096 peers are looked at, 100 times a second,
//! which costs a core some percent. In a larger table each attempt goes on where the last one stopped.
//! A newcomer costs two attempts: one when it asks, so that it is refused at once if nobody gives way, and
//! one when its handshake is complete.

use alloc::collections::BTreeSet;
use core::cmp::Reverse;

use super::Endpoint;
use super::census::Relief;
use super::table::PeerTable;
use crate::admission::Source;
use crate::bucket::{Limit, TokenBucket};
use crate::context::Context;

/// Peers that give way to newcomers.
#[derive(Debug)]
pub(super) struct Evictions {
    budget: TokenBucket,
    /// The slot that the next attempt looks at first.
    next: u32,
    /// The slots of those that were told to go and are not gone. They are beyond the limit of peers.
    going: BTreeSet<u32>,
}

impl Evictions {
    /// Nobody had to go.
    pub(super) const fn new() -> Self {
        Self { budget: TokenBucket::FULL, next: 0, going: BTreeSet::new() }
    }

    /// How many peers are counted that have no place any more.
    pub(super) fn going(&self) -> usize {
        self.going.len()
    }

    /// The peer in this slot is gone.
    pub(super) fn on_gone(&mut self, slot: u32) {
        self.going.remove(&slot);
    }

    /// Whether it may be worth looking for somebody who gives way to a newcomer at this source.
    pub(super) fn may_help(&self, cx: &Context, peers: &PeerTable, to: &Source) -> bool {
        let kept = self.kept(peers, to);
        kept.is_some_and(|kept| self.budget.has(cx.now, &BUDGET, kept))
    }

    /// What an attempt leaves of the budget; `None` if there is none to be made. Somebody with a network to
    /// himself could move his own peers about in it for ever: half is for those from elsewhere.
    fn kept(&self, peers: &PeerTable, to: &Source) -> Option<u64> {
        let relief = peers.census().relief(to).filter(|_| self.going.len() < MOST_GOING)?;
        Some(if relief == Relief::Elsewhere { 0 } else { BUDGET.part(2) })
    }

    /// The slot of the peer that gives way to a newcomer at this source.
    pub(super) fn choose(&mut self, cx: &Context, peers: &PeerTable, to: &Source) -> Option<u32> {
        let kept = self.kept(peers, to)?;
        if !self.budget.take(cx.now, &BUDGET, kept) {
            return None;
        }
        let from = if peers.slots() > LOOKED_AT { self.next } else { 0 };
        self.next = from.saturating_add(LOOKED_AT as u32);
        if self.next as usize >= peers.slots() {
            self.next = 0;
        }
        // Neighbours in the table are often neighbours in the network.
        let mut last: Option<(Source, Option<_>)> = None;
        let mut crowding = |source: Source| match last {
            Some((known, crowding)) if known == source => crowding,
            _ => {
                let census = peers.census();
                let found = census.evens_out(&source, to).then(|| census.crowding(&source));
                last = Some((source, found));
                found
            }
        };
        let candidates = peers.some_from(from, LOOKED_AT).filter_map(|peer| {
            let idleness = peer.idleness(cx)?;
            let crowding = crowding(Source::from(peer.listed_at()?))?;
            Some(((idleness, Reverse(crowding), peer.number()), peer.slot()))
        });
        candidates.min().map(|(_, slot)| slot)
    }
}

impl Endpoint {
    /// Makes room for a newcomer at this source, if somebody may have to give way to it.
    pub(super) fn evict_for(&mut self, to: &Source) -> bool {
        let Some(slot) = self.evictions.choose(&self.shared, &self.peers, to) else { return false };
        let Some(peer) = self.peers.at_mut(slot) else { return false };
        peer.evict(&mut self.shared);
        self.shared.stats.peers_evicted += 1;
        self.evictions.going.insert(slot);
        self.refresh_indices(slot);
        true
    }

    /// How many peers have a place.
    pub(super) fn places_taken(&self) -> usize {
        self.peers.len() - self.evictions.going()
    }
}

/// Attempts to find somebody: 100 a second.
const BUDGET: Limit = Limit::every(10_000, 100);
/// How many slots an attempt looks at.
const LOOKED_AT: usize = 4096;
/// The most peers beyond the limit that are told to go at a time. Each is kept for a second, so that this many
/// go in a second.
const MOST_GOING: usize = 50;
