//! Places for half-open handshakes.
//!
//! Every peer has one, which its newest call takes. Strangers compete for a fixed number, and do not
//! wait for each other: who finds all taken gets the place of the oldest, unless that one may still
//! be about to use it. Half a second is longer than most round trips; and 1,024 places that are each
//! given away after that take in as many strangers a second as there is a budget for.

use core::time::Duration;

use super::Endpoint;
use super::caller::Caller;
use crate::PeerId;
use crate::admission::Place;
use crate::admission::Source;
use crate::config::Retry;
use crate::time::Instant;

/// Why a genuine caller is not answered.
pub(super) enum NoRoom {
    /// It has to prove its address first.
    Unproved,
    /// An older call than one that is under way.
    Overtaken,
    /// Everything is taken.
    Full,
}

impl Endpoint {
    /// Whether callers must prove their address first: by choice, or because room runs low.
    pub(super) fn asks_for_proof(&self) -> bool {
        self.shared.config.retry == Retry::Always || self.is_crowded()
    }

    /// Whether strangers have taken a quarter of their places.
    fn is_crowded(&self) -> bool {
        self.half_open.strangers() >= self.shared.config.limits.max_half_open / 4
    }

    /// Whether a stranger may become a peer: nobody takes the last places alone.
    pub(super) fn has_room_for_peer(&self, source: &Source) -> bool {
        let config = &self.shared.config;
        let taken = self.peers.len();
        let scarce = taken >= config.limits.max_peers - config.limits.max_peers / 4;
        let greedy = || self.peers.count_at(source) >= config.limits.max_peers_per_source;
        taken < config.limits.max_peers && !(scarce && greedy())
    }

    /// Makes room for a half-open handshake with a genuine caller.
    pub(super) fn make_room(&mut self, caller: &Caller) -> Result<Place, NoRoom> {
        if self.peers.by_id(&caller.id).is_some() {
            return self.make_room_for_peer(caller);
        }
        let config = &self.shared.config;
        let source = caller.source;
        if !self.has_room_for_peer(&source) {
            return Err(NoRoom::Full);
        }
        let (all, each) = (config.limits.max_half_open, config.limits.max_half_open_per_source);
        let crowded = self.is_crowded();
        let own = self.half_open.oldest_of_many(source, each).filter(|_| crowded);
        let any = || self.half_open.oldest_stranger();
        let victim = own.or_else(|| any().filter(|_| self.half_open.strangers() >= all));
        match victim {
            Some((_, since)) if self.shared.now < since + PROTECTED => return Err(NoRoom::Full),
            Some((slot, _)) => self.give_up_half_open(slot),
            None => {}
        }
        Ok(Place::Stranger(source))
    }

    /// The newest call of a peer replaces the one before. A recorded one must not: it comes without a
    /// cookie of its own, or with an old time.
    fn make_room_for_peer(&mut self, caller: &Caller) -> Result<Place, NoRoom> {
        let before = self.half_open.of_peer(&caller.id);
        let Some((slot, before)) = before.and_then(|slot| Some((slot, self.half_open.get(slot)?)))
        else {
            return Ok(Place::Peer);
        };
        let time = caller.payload.timestamp_ms.get();
        if !caller.proved && time <= before.timestamp_ms {
            return Err(NoRoom::Unproved);
        }
        if caller.proved && time < before.timestamp_ms {
            return Err(NoRoom::Overtaken);
        }
        self.give_up_half_open(slot);
        Ok(Place::Peer)
    }

    fn give_up_half_open(&mut self, slot: u32) {
        if let Some(index) = self.half_open.forget_slot(slot) {
            self.shared.indices.release(index);
        }
    }

    /// Forgets all handshakes that a caller began and has not confirmed.
    pub(super) fn forget_half_open(&mut self, id: &PeerId) {
        while let Some(index) = self.half_open.forget(id) {
            self.shared.indices.release(index);
        }
    }

    /// Forgets the handshakes that were not confirmed in time.
    pub(super) fn expire_half_open(&mut self, now: Instant) {
        while let Some(index) = self.half_open.expire(now) {
            self.shared.indices.release(index);
        }
    }
}

/// How long a half-open handshake keeps its place whoever comes.
const PROTECTED: Duration = Duration::from_millis(500);
