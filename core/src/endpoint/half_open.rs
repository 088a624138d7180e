//! Handshakes that a caller began and has not confirmed: nothing in them is a peer yet.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use slab::Slab;

use crate::crypto::backend::active::AeadKey;
use crate::peer::Established;
use crate::shared::Shared;
use crate::time::Instant;
use crate::wire::{HandshakeResponse, MAC_LEN, SEALED_HEADER_LEN, SealedHeader};
use crate::{PeerHandle, PeerId};

/// How long a caller has to confirm.
pub(crate) const HALF_OPEN_LIFE: Duration = Duration::from_secs(5);

/// What becomes a session once the caller uses its keys.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    pub(crate) id: PeerId,
    /// The peer that the caller was when it was answered.
    pub(crate) peer: Option<PeerHandle>,
    /// Ours for this peer.
    pub(crate) incarnation: u64,
    /// When the caller says it called.
    pub(crate) timestamp_ms: u64,
    pub(crate) established: Established,
    /// Answers repetitions of the request, which are known by their MAC.
    pub(crate) response: HandshakeResponse,
    pub(crate) request_mac: [u8; MAC_LEN],
}

impl HalfOpen {
    /// Whether a sealed datagram was made with the keys. It is left as it is.
    pub(crate) fn is_proved_by(&self, header: &SealedHeader, datagram: &[u8]) -> bool {
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

/// All half-open handshakes: few, short-lived, forgotten in the order they came.
#[derive(Debug, Default)]
pub(crate) struct HalfOpenTable {
    entries: Slab<HalfOpen>,
    by_mac: BTreeMap<[u8; MAC_LEN], u32>,
    by_id: BTreeSet<(PeerId, u32)>,
    /// May name entries that are gone already.
    expiry: VecDeque<(Instant, u32, [u8; MAC_LEN])>,
}

impl HalfOpenTable {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The slot that the next `insert` fills.
    pub(crate) fn next_slot(&self) -> u32 {
        self.entries.vacant_key() as u32
    }

    pub(crate) fn insert(&mut self, entry: HalfOpen, now: Instant) {
        let (mac, id) = (entry.request_mac, entry.id);
        let slot = self.entries.insert(entry) as u32;
        self.by_mac.insert(mac, slot);
        self.by_id.insert((id, slot));
        self.expiry.push_back((now + HALF_OPEN_LIFE, slot, mac));
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&HalfOpen> {
        self.entries.get(slot as usize)
    }

    /// What came of a request that was seen before.
    pub(crate) fn by_request(&self, request_mac: &[u8; MAC_LEN]) -> Option<&HalfOpen> {
        let slot = self.by_mac.get(request_mac)?;
        self.get(*slot)
    }

    /// What names our state about one who is no peer yet. A caller that was told already must not
    /// hear another story, though peers ended meanwhile.
    pub(crate) fn incarnation(&self, shared: &Shared, id: &PeerId) -> u64 {
        let told = self.slots_of(id).next().and_then(|slot| self.get(slot));
        told.map_or_else(|| shared.incarnation(id), |entry| entry.incarnation)
    }

    /// Forgets one handshake with `id`, if there is any; returns its index.
    pub(crate) fn forget(&mut self, id: &PeerId) -> Option<u32> {
        let slot = self.slots_of(id).next()?;
        self.remove(slot).map(|entry| entry.established.local_index)
    }

    /// Forgets one handshake, if there is any; returns its index.
    pub(crate) fn forget_any(&mut self) -> Option<u32> {
        let slot = self.by_mac.first_key_value().map(|(_, slot)| *slot)?;
        self.remove(slot).map(|entry| entry.established.local_index)
    }

    fn slots_of(&self, id: &PeerId) -> impl Iterator<Item = u32> + '_ {
        self.by_id.range((*id, 0)..=(*id, u32::MAX)).map(|(_, slot)| *slot)
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<HalfOpen> {
        let entry = self.entries.try_remove(slot as usize)?;
        self.by_mac.remove(&entry.request_mac);
        self.by_id.remove(&(entry.id, slot));
        self.drop_stale_deadlines();
        Some(entry)
    }

    /// When the oldest is due to be forgotten.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.expiry.front().map(|(at, ..)| *at)
    }

    /// Forgets one whose time is over, if there is any; returns its index.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<u32> {
        let (at, slot, _) = *self.expiry.front()?;
        if now < at {
            return None;
        }
        self.expiry.pop_front();
        self.remove(slot).map(|entry| entry.established.local_index)
    }

    /// Entries that are gone have no deadline.
    fn drop_stale_deadlines(&mut self) {
        while let Some((_, slot, mac)) = self.expiry.front() {
            if self.by_mac.get(mac) == Some(slot) {
                return;
            }
            self.expiry.pop_front();
        }
    }
}
