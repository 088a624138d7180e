//! The peers of an endpoint and the three ways to find one.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::census::Census;
use crate::admission::Source;
use crate::net::{Place, Via};
use crate::peer::Peer;
use crate::{PeerHandle, PeerId};

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    peer: Option<Box<Peer>>,
}

/// Peers by slot, by identity and by address.
#[derive(Debug, Default)]
pub(crate) struct PeerTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    // Ordered maps: initiators choose identities and addresses, and could choose colliding hashes.
    by_id: BTreeMap<PeerId, u32>,
    by_address: BTreeMap<SocketAddr, u32>,
    /// How many peers are where.
    census: Census,
}

impl PeerTable {
    /// How many peers there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many slots there are, free ones included.
    pub(super) const fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Makes room for a peer and fills it.
    pub(crate) fn insert(&mut self, make: impl FnOnce(PeerHandle) -> Peer) -> PeerHandle {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        let handle = PeerHandle { slot: index, generation: slot.generation };
        slot.peer = Some(Box::new(make(handle)));
        handle
    }

    /// Removes a peer; its handle is void from now on.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Box<Peer>> {
        let entry = self.slots.get_mut(slot as usize)?;
        let peer = entry.peer.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
        Some(peer)
    }

    pub(crate) fn get(&self, handle: PeerHandle) -> Option<&Peer> {
        let slot = self.slots.get(handle.slot as usize)?;
        (slot.generation == handle.generation).then_some(slot.peer.as_deref()).flatten()
    }

    pub(crate) fn get_mut(&mut self, handle: PeerHandle) -> Option<&mut Peer> {
        let slot = self.slots.get_mut(handle.slot as usize)?;
        (slot.generation == handle.generation).then_some(slot.peer.as_deref_mut()).flatten()
    }

    pub(crate) fn at(&self, slot: u32) -> Option<&Peer> {
        self.slots.get(slot as usize)?.peer.as_deref()
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut Peer> {
        self.slots.get_mut(slot as usize)?.peer.as_deref_mut()
    }

    /// All peers, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.slots.iter().filter_map(|slot| slot.peer.as_deref())
    }

    pub(crate) fn by_id(&self, id: &PeerId) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn by_address(&self, address: SocketAddr) -> Option<u32> {
        self.by_address.get(&address).copied()
    }

    /// The slot of the peer that is at the far end of `via`.
    pub(crate) fn by_via(&self, via: &Via) -> Option<u32> {
        match via {
            Via::Direct(tuple) => self.by_address(tuple.remote),
            Via::Routed(route) => self.by_id(&route.remote),
        }
    }

    /// `slot` is the peer with this identity.
    pub(crate) fn name(&mut self, id: PeerId, slot: u32) {
        self.by_id.insert(id, slot);
    }

    /// `slot` no longer answers to this identity; true if it did.
    pub(crate) fn unname(&mut self, id: &PeerId, slot: u32) -> bool {
        let named = self.by_id(id) == Some(slot);
        if named {
            self.by_id.remove(id);
        }
        named
    }

    /// How many peers are where.
    pub(super) const fn census(&self) -> &Census {
        &self.census
    }

    /// Peers from this slot on, and from the first one after the last: as many slots as there are, but at
    /// most `most`.
    pub(super) fn some_from(&self, slot: u32, most: usize) -> impl Iterator<Item = &Peer> {
        let (before, from) = self.slots.split_at((slot as usize).min(self.slots.len()));
        from.iter().chain(before).take(most).filter_map(|slot| slot.peer.as_deref())
    }

    /// `slot` is at this place; whoever was there before is not any more.
    pub(crate) fn place(&mut self, place: Place, slot: u32) {
        self.census.add(&Source::from(place));
        if let Place::Address(address) = place {
            self.by_address.insert(address, slot);
        }
    }

    /// `slot` is no longer at this place.
    pub(crate) fn unplace(&mut self, place: &Place, slot: u32) {
        self.census.remove(&Source::from(*place));
        if let Place::Address(address) = place
            && self.by_address(*address) == Some(slot)
        {
            self.by_address.remove(address);
        }
    }
}
