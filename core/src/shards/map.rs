//! Which shard has which peer.

use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;

use crate::PeerId;
use crate::time::Instant;

/// Lets the shards of an endpoint use the one [`PeerMap`] that they share, for instance behind a mutex.
///
/// The core calls it when a peer comes and when it is gone, once for each request of a stranger that is genuine, and for
/// nothing else: not for packets of peers.
pub trait Siblings: fmt::Debug + Send + Sync {
    /// Calls `act` with the map, exactly once, while nobody else uses it.
    fn with(&self, act: &mut dyn FnMut(&mut PeerMap));
}

/// Which shard of an endpoint has which peer.
///
/// A shard has a peer from its handshake (or the dial) on until the application was told of its end, and as long after as
/// the shard remembers why it left the peer. Meanwhile no other has it.
#[derive(Debug, Default)]
pub struct PeerMap {
    // An ordered map: initiators choose identities, and could choose colliding hashes.
    peers: BTreeMap<PeerId, Entry>,
    /// Those that are gone and remembered, by when they are forgotten.
    left: BTreeSet<(Instant, PeerId)>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    shard: u8,
    /// It is gone, and remembered until then.
    left: Option<Instant>,
}

impl PeerMap {
    /// The shard that has the peer, or that remembers it. `None`: any shard may take it.
    #[must_use]
    pub fn shard_of(&self, now: Instant, peer: &PeerId) -> Option<u8> {
        let entry = self.peers.get(peer)?;
        entry.left.is_none_or(|until| now < until).then_some(entry.shard)
    }

    /// How many peers there are, those included that are gone and remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// A shard is gone, however it ended: any other may take its peers, and those that it remembered. A driver calls this when
    /// it drops the shard's endpoint.
    pub fn abandon(&mut self, shard: u8) {
        self.peers.retain(|_, entry| entry.shard != shard);
        self.left.retain(|(_, peer)| self.peers.contains_key(peer));
    }

    /// The shard that has the peer from now on: `shard`, unless another has it or remembers it.
    pub(super) fn claim(&mut self, now: Instant, peer: PeerId, shard: u8) -> u8 {
        self.forget(now);
        if let Some(other) = self.shard_of(now, &peer).filter(|other| *other != shard) {
            return other;
        }
        if let Some(Entry { left: Some(until), .. }) =
            self.peers.insert(peer, Entry { shard, left: None })
        {
            self.left.remove(&(until, peer));
        }
        shard
    }

    /// The peer is gone from `shard`, which remembers it until then. Nothing happens if another has it.
    pub(super) fn release(
        &mut self,
        now: Instant,
        peer: PeerId,
        shard: u8,
        until: Option<Instant>,
    ) {
        self.forget(now);
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if entry.shard != shard || entry.left.is_some() {
            return;
        }
        match until.filter(|until| *until > now) {
            None => _ = self.peers.remove(&peer),
            Some(until) => {
                entry.left = Some(until);
                self.left.insert((until, peer));
                if self.left.len() > MOST_LEFT {
                    self.forget_next();
                }
            }
        }
    }

    /// Forgets some whose time is over: more than come in one call.
    fn forget(&mut self, now: Instant) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            if self.left.first().is_none_or(|(until, _)| *until > now) {
                return;
            }
            self.forget_next();
        }
    }

    fn forget_next(&mut self) {
        if let Some((_, peer)) = self.left.pop_first() {
            self.peers.remove(&peer);
        }
    }
}

/// How many are remembered at most: each shard remembers no more than 4,096 partings.
const MOST_LEFT: usize = 1 << 16;
const FORGOTTEN_AT_ONCE: usize = 4;
