//! The peers of an endpoint and the three ways to find one.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::Deref;

use super::census::Census;
use crate::admission::Source;
use crate::net::{Directory, Place, Via};
use crate::pack::{Packed, Shelf};
use crate::peer::{Gist, Peer};
use crate::{PeerHandle, PeerId};

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    entry: Entry,
}

/// 16 bytes: `None` of [`Self::Awake`] costs less than a third case would.
#[derive(Debug)]
enum Entry {
    /// `None` if there is no peer.
    Awake(Option<Box<Peer>>),
    /// It rests, and is unpacked when something touches it.
    Asleep(Packed),
}

impl Default for Entry {
    fn default() -> Self {
        Self::Awake(None)
    }
}

const _: () = assert!(size_of::<Entry>() == 2 * size_of::<usize>());

impl Slot {
    /// Whether a handle with the number of this slot, in the table of this shard, is that of its peer.
    #[inline]
    const fn is_named_by(&self, handle: PeerHandle, shard: u8) -> bool {
        self.generation == handle.generation && shard == handle.shard
    }

    #[inline]
    fn wake(&mut self, shelf: &Shelf<Peer>) -> Option<&mut Peer> {
        if let Entry::Asleep(_) = self.entry {
            self.unpack(shelf);
        }
        match &mut self.entry {
            Entry::Awake(peer) => peer.as_deref_mut(),
            Entry::Asleep(_) => None,
        }
    }

    #[cold]
    fn unpack(&mut self, shelf: &Shelf<Peer>) {
        if let Some(Look::Asleep(peer)) = self.look(shelf) {
            self.entry = Entry::Awake(Some(peer));
        }
    }

    fn awake(&self) -> Option<&Peer> {
        match &self.entry {
            Entry::Awake(peer) => peer.as_deref(),
            Entry::Asleep(_) => None,
        }
    }

    /// Whether a peer is here that is not over.
    fn is_present(&self) -> bool {
        match &self.entry {
            Entry::Awake(peer) => peer.as_ref().is_some_and(|peer| !peer.is_over()),
            // Who is over does not rest.
            Entry::Asleep(_) => true,
        }
    }

    fn look(&self, shelf: &Shelf<Peer>) -> Option<Look<'_>> {
        match &self.entry {
            Entry::Awake(peer) => peer.as_deref().map(Look::Awake),
            Entry::Asleep(packed) => {
                let peer = shelf.unpack(packed).expect("it was packed");
                Some(Look::Asleep(Box::new(peer)))
            }
        }
    }

    fn gist(&self, shelf: &Shelf<Peer>) -> Option<Gist<'_>> {
        match &self.entry {
            Entry::Awake(peer) => peer.as_deref().map(Gist::of),
            Entry::Asleep(packed) => shelf.begin(packed, Gist::of_packed),
        }
    }
}

/// A peer to look at. One that is asleep stays so.
#[derive(Debug)]
pub(super) enum Look<'t> {
    Awake(&'t Peer),
    Asleep(Box<Peer>),
}

impl Deref for Look<'_> {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        match self {
            Self::Awake(peer) => peer,
            Self::Asleep(peer) => peer,
        }
    }
}

/// Peers by slot, by identity and by address.
#[derive(Debug, Default)]
pub(crate) struct PeerTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    // An ordered map: initiators choose their identities, and could choose colliding hashes.
    by_id: BTreeMap<PeerId, u32>,
    by_address: Directory,
    /// How many peers are where.
    census: Census,
    /// What handles have in common.
    shard: u8,
    shelf: Shelf<Peer>,
    /// No peer is packed.
    #[cfg(test)]
    pub(super) is_sleepless: bool,
    /// As if there were many.
    #[cfg(test)]
    pub(super) is_crowded: bool,
}

/// So many peers are many.
const MANY: usize = 64;

impl PeerTable {
    /// No peers; handles will name this shard.
    pub(super) fn new(shard: u8) -> Self {
        Self { shard, ..Self::default() }
    }

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
        let handle = PeerHandle { slot: index, generation: slot.generation, shard: self.shard };
        slot.entry = Entry::Awake(Some(Box::new(make(handle))));
        handle
    }

    /// Removes a peer; its handle is void from now on.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Box<Peer>> {
        let entry = self.slots.get_mut(slot as usize)?;
        entry.wake(&self.shelf)?;
        let Entry::Awake(peer) = core::mem::take(&mut entry.entry) else { return None };
        let peer = peer?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
        Some(peer)
    }

    pub(super) fn get(&self, handle: PeerHandle) -> Option<Look<'_>> {
        let slot = self.slots.get(handle.slot as usize)?;
        if slot.is_named_by(handle, self.shard) { slot.look(&self.shelf) } else { None }
    }

    pub(crate) fn get_mut(&mut self, handle: PeerHandle) -> Option<&mut Peer> {
        let slot = self.slots.get_mut(handle.slot as usize)?;
        if slot.is_named_by(handle, self.shard) { slot.wake(&self.shelf) } else { None }
    }

    /// The peer in this slot. If it was asleep, it is awake now.
    #[inline]
    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut Peer> {
        self.slots.get_mut(slot as usize)?.wake(&self.shelf)
    }

    /// The peer in this slot, asleep or awake.
    pub(super) fn look(&self, slot: u32) -> Option<Look<'_>> {
        self.slots.get(slot as usize)?.look(&self.shelf)
    }

    /// The peer in this slot, unless it is asleep: then it does nothing, and nothing is to be done.
    pub(crate) fn awake(&self, slot: u32) -> Option<&Peer> {
        self.slots.get(slot as usize)?.awake()
    }

    /// Packs the peer in this slot, if it can be. What touches it next finds it as it was.
    #[cold]
    pub(super) fn put_to_sleep(&mut self, slot: u32) {
        #[cfg(test)]
        if self.is_sleepless {
            return;
        }
        let many = self.many();
        let Some(slot) = self.slots.get_mut(slot as usize) else { return };
        let Entry::Awake(Some(peer)) = &slot.entry else { return };
        let Some(packed) = self.shelf.pack(&**peer) else { return };
        slot.entry = Entry::Asleep(packed);
        if !self.shelf.is_shared() && self.slots.len() >= many {
            self.share();
        }
    }

    /// From so many peers on, what they have in common is kept once. Less would not be worth the time.
    const fn many(&self) -> usize {
        #[cfg(test)]
        if self.is_crowded {
            return 0;
        }
        MANY
    }

    /// The peer that came last is the model of all that are packed from now on.
    #[cold]
    fn share(&mut self) {
        let asleep = self.slots.iter().rev().find_map(|slot| match &slot.entry {
            Entry::Asleep(packed) => Some(packed),
            Entry::Awake(_) => None,
        });
        if let Some(packed) = asleep {
            self.shelf.share(packed);
        }
    }

    /// A peer of another table is the model.
    #[cfg(test)]
    pub(super) fn learn_from(&mut self, other: &Self) {
        for slot in &other.slots {
            if let Entry::Asleep(packed) = &slot.entry {
                self.shelf.share(packed);
            }
        }
        assert!(self.shelf.is_shared(), "one sleeps there");
    }

    /// How many peers are asleep.
    #[cfg(test)]
    pub(super) fn asleep(&self) -> usize {
        self.slots.iter().filter(|slot| matches!(slot.entry, Entry::Asleep(_))).count()
    }

    /// The handle of the peer in this slot.
    pub(super) fn handle(&self, slot: u32) -> Option<PeerHandle> {
        let entry = self.slots.get(slot as usize)?;
        let is_there = !matches!(entry.entry, Entry::Awake(None));
        let (generation, shard) = (entry.generation, self.shard);
        is_there.then_some(PeerHandle { slot, generation, shard })
    }

    /// Whether the handle names a peer that is not over.
    pub(super) fn has(&self, handle: PeerHandle) -> bool {
        let slot = self.slots.get(handle.slot as usize);
        slot.is_some_and(|slot| slot.is_named_by(handle, self.shard) && slot.is_present())
    }

    /// The handles of all peers that are not over, from this slot on.
    pub(super) fn handles(&self, from: u32) -> impl Iterator<Item = PeerHandle> {
        let slots = self.slots.iter().enumerate().skip(from as usize);
        let handle = |(at, slot): (usize, &Slot)| PeerHandle {
            slot: at as u32,
            generation: slot.generation,
            shard: self.shard,
        };
        slots.filter(|(_, slot)| slot.is_present()).map(handle)
    }

    /// The identity of the peer in this slot.
    pub(super) fn id(&self, slot: u32) -> Option<PeerId> {
        self.slots.get(slot as usize)?.gist(&self.shelf)?.id()
    }

    /// All peers, in the order of their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = Look<'_>> {
        self.slots.iter().filter_map(|slot| slot.look(&self.shelf))
    }

    /// Those that are awake.
    pub(super) fn all_awake(&self) -> impl Iterator<Item = &Peer> {
        self.slots.iter().filter_map(Slot::awake)
    }

    /// The slots that have a peer.
    pub(super) fn occupied(&self) -> Vec<u32> {
        (0..self.slots.len() as u32).filter(|slot| self.handle(*slot).is_some()).collect()
    }

    pub(crate) fn by_id(&self, id: &PeerId) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn by_address(&self, address: SocketAddr) -> Option<u32> {
        self.by_address.get(address)
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
    pub(super) fn some_from(&self, slot: u32, most: usize) -> impl Iterator<Item = Gist<'_>> {
        let (before, from) = self.slots.split_at((slot as usize).min(self.slots.len()));
        from.iter().chain(before).take(most).filter_map(|slot| slot.gist(&self.shelf))
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
            self.by_address.remove(*address);
        }
    }
}
