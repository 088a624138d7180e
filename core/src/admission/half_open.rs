//! Handshakes that an initiator began and has not confirmed: nothing in them is a peer yet.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use slab::Slab;

use super::limits::Source;
use crate::crypto::backend::active::AeadKey;
use crate::session::Established;
use crate::time::Instant;
use crate::wire::{HandshakeResponse, MAC_LEN, SEALED_HEADER_LEN, SealedHeader};
use crate::{PeerHandle, PeerId};

/// How long an initiator has to confirm.
pub(crate) const HALF_OPEN_LIFE: Duration = Duration::from_secs(5);

/// What becomes a session once the initiator uses its keys.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    pub(crate) id: PeerId,
    /// The peer that the initiator was when it was answered.
    pub(crate) peer: Option<PeerHandle>,
    /// When the initiator made its request, by its own clock.
    pub(crate) timestamp_ms: u64,
    /// When we gave the cookie that validated its address, by ours.
    pub(crate) cookie_time: Option<u32>,
    pub(crate) established: Established,
    /// Answers repetitions of the request, which are known by their MAC.
    pub(crate) response: HandshakeResponse,
    pub(crate) request_mac: [u8; MAC_LEN],
    /// When the response was sent; `None` if that was more than once.
    pub(crate) responded_at: Option<Instant>,
}

impl HalfOpen {
    /// Whether a sealed datagram was made with the keys. It is left as it is.
    pub(crate) fn is_confirmed_by(&self, header: &SealedHeader, datagram: &[u8]) -> bool {
        let keys = &self.established.secrets.keys;
        let mut copy = Vec::from(datagram);
        let Some((head, rest)) = copy.split_at_mut_checked(SEALED_HEADER_LEN) else {
            return false;
        };
        let Some((body, tag)) = rest.split_last_chunk_mut() else { return false };
        let key = AeadKey::new(keys.suite, &keys.receive);
        key.open(header.packet_number().to_u64(), head, body, tag)
    }
}

/// Whose place a half-open handshake takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of the two that the peer has: for requests that validated their address, and for others.
    Peer { validated: bool },
    /// One of those for which strangers compete.
    Stranger(Source),
}

#[derive(Debug)]
struct Entry {
    half_open: HalfOpen,
    place: Place,
    /// Larger than those of all before.
    number: u64,
    since: Instant,
}

/// All half-open handshakes: few, short-lived, forgotten in the order they came.
#[derive(Debug, Default)]
pub(crate) struct HalfOpenTable {
    entries: Slab<Entry>,
    by_mac: BTreeMap<[u8; MAC_LEN], u32>,
    by_id: BTreeSet<(PeerId, u32)>,
    /// By number, so the oldest come first.
    by_age: BTreeMap<u64, u32>,
    strangers: BTreeMap<u64, u32>,
    by_source: BTreeMap<(Source, u64), u32>,
    next_number: u64,
}

impl HalfOpenTable {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many places strangers have taken.
    pub(crate) fn strangers(&self) -> usize {
        self.strangers.len()
    }

    /// The slot that the next `insert` fills.
    pub(crate) fn next_slot(&self) -> u32 {
        self.entries.vacant_key() as u32
    }

    pub(crate) fn insert(&mut self, half_open: HalfOpen, place: Place, now: Instant) {
        let (mac, id, number) = (half_open.request_mac, half_open.id, self.next_number);
        self.next_number += 1;
        let slot = self.entries.insert(Entry { half_open, place, number, since: now }) as u32;
        self.by_mac.insert(mac, slot);
        self.by_id.insert((id, slot));
        self.by_age.insert(number, slot);
        if let Place::Stranger(source) = place {
            self.strangers.insert(number, slot);
            self.by_source.insert((source, number), slot);
        }
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&HalfOpen> {
        self.entries.get(slot as usize).map(|entry| &entry.half_open)
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut HalfOpen> {
        self.entries.get_mut(slot as usize).map(|entry| &mut entry.half_open)
    }

    /// The slot of what came of a request that was seen before.
    pub(crate) fn by_request(&self, request_mac: &[u8; MAC_LEN]) -> Option<u32> {
        self.by_mac.get(request_mac).copied()
    }

    /// The one in a place of the peer with this identity.
    pub(crate) fn of_peer(&self, id: &PeerId, validated: bool) -> Option<u32> {
        let is_peers = |slot: &u32| self.entries[*slot as usize].place == Place::Peer { validated };
        self.slots_of(id).find(is_peers)
    }

    /// The oldest of a stranger, and since when it is there.
    pub(crate) fn oldest_stranger(&self) -> Option<(u32, Instant)> {
        self.strangers.first_key_value().map(|(_, slot)| self.since(*slot))
    }

    /// The oldest of this source, and since when it is there, if the source has `many` or more.
    pub(crate) fn oldest_of_many(&self, source: Source, many: usize) -> Option<(u32, Instant)> {
        let mut slots = self.by_source.range((source, 0)..=(source, u64::MAX));
        let oldest = slots.clone().next().map(|(_, slot)| self.since(*slot));
        slots.nth(many.saturating_sub(1)).and(oldest)
    }

    fn since(&self, slot: u32) -> (u32, Instant) {
        (slot, self.entries[slot as usize].since)
    }

    /// The incarnation that the initiator with this identity was answered with.
    pub(crate) fn incarnation_told(&self, id: &PeerId) -> Option<u64> {
        let told = self.slots_of(id).next().and_then(|slot| self.get(slot));
        told.map(|half_open| half_open.established.terms.incarnations.ours)
    }

    /// Whether the peer with this identity began a handshake.
    pub(crate) fn has(&self, id: &PeerId) -> bool {
        self.slots_of(id).next().is_some()
    }

    /// Forgets one handshake with `id`, if there is any; returns its index.
    pub(crate) fn forget(&mut self, id: &PeerId) -> Option<u32> {
        let slot = self.slots_of(id).next()?;
        self.forget_slot(slot)
    }

    /// Forgets one handshake, if there is any; returns its index.
    pub(crate) fn forget_any(&mut self) -> Option<u32> {
        let slot = self.by_age.first_key_value().map(|(_, slot)| *slot)?;
        self.forget_slot(slot)
    }

    /// Forgets a handshake; returns its index.
    pub(crate) fn forget_slot(&mut self, slot: u32) -> Option<u32> {
        self.remove(slot).map(|half_open| half_open.established.terms.local_index)
    }

    /// The initiator is no peer any more: the handshake goes on as that of a stranger.
    pub(crate) fn orphan(&mut self, slot: u32) {
        let Some(entry) = self.entries.get_mut(slot as usize) else { return };
        entry.half_open.peer = None;
        if matches!(entry.place, Place::Peer { .. }) {
            let source = entry.half_open.source();
            entry.place = Place::Stranger(source);
            self.strangers.insert(entry.number, slot);
            self.by_source.insert((source, entry.number), slot);
        }
    }

    pub(crate) fn slots_of(&self, id: &PeerId) -> impl Iterator<Item = u32> + '_ {
        self.by_id.range((*id, 0)..=(*id, u32::MAX)).map(|(_, slot)| *slot)
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<HalfOpen> {
        let Entry { half_open, place, number, .. } = self.entries.try_remove(slot as usize)?;
        self.by_mac.remove(&half_open.request_mac);
        self.by_id.remove(&(half_open.id, slot));
        self.by_age.remove(&number);
        if let Place::Stranger(source) = place {
            self.strangers.remove(&number);
            self.by_source.remove(&(source, number));
        }
        if self.entries.is_empty() && self.entries.capacity() > SMALL {
            self.entries = Slab::new();
        }
        Some(half_open)
    }

    /// When the oldest is due to be forgotten.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (_, slot) = self.by_age.first_key_value()?;
        Some(self.since(*slot).1 + HALF_OPEN_LIFE)
    }

    /// Forgets one whose time is over, if there is any; returns its index.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<u32> {
        self.deadline().filter(|at| *at <= now).and_then(|_| self.forget_any())
    }
}

/// How many places are always worth their memory.
const SMALL: usize = 16;
