//! The indices that peers put into packets for us, and to whom each belongs.

use core::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::crypto::rng::Rng;

/// What a forgotten session leaves to be cleaned up: its index, and its expanded keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forgotten {
    pub(crate) index: u32,
    pub(crate) key_slot: u32,
    pub(crate) key_id: u64,
}

/// Sessions are forgotten one or two at a time.
pub(crate) type ForgottenList = SmallVec<[Forgotten; 2]>;

/// To whom an index that we handed out belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A half-open handshake that a peer began.
    HalfOpen(u32),
    /// A session, dial or rekey of the peer in this slot.
    Peer(u32),
}

/// The indices that peers put into packets for us.
#[derive(Debug)]
pub(crate) struct Indices {
    owners: HashMap<u32, Owner, BuildHasherDefault<IndexHasher>>,
    shard: u8,
}

impl Indices {
    /// No index is taken; new ones get `shard` as their low byte.
    pub(crate) fn new(shard: u8) -> Self {
        Self { owners: HashMap::default(), shard }
    }

    /// A fresh index: the shard in its low byte, the rest random.
    pub(crate) fn allocate(&mut self, rng: &mut Rng, owner: Owner) -> u32 {
        loop {
            let index = (rng.u32() & !0xff) | u32::from(self.shard);
            if !self.owners.contains_key(&index) {
                self.owners.insert(index, owner);
                return index;
            }
        }
    }

    pub(crate) fn owner(&self, index: u32) -> Option<Owner> {
        self.owners.get(&index).copied()
    }

    /// Gives an index to another owner.
    pub(crate) fn assign(&mut self, index: u32, owner: Owner) {
        self.owners.insert(index, owner);
    }

    pub(crate) fn release(&mut self, index: u32) {
        self.owners.remove(&index);
        // What a flood made large becomes small again, at a cost that the flood has paid for.
        let (len, capacity) = (self.owners.len(), self.owners.capacity());
        if len == 0 {
            self.owners = HashMap::default();
        } else if capacity > SMALL && len < capacity / 8 {
            self.owners.shrink_to(2 * len);
        }
    }
}

/// How many indices are always worth their memory.
const SMALL: usize = 32;

/// Spreads indices, which we draw at random ourselves, so nobody can aim for collisions.
#[derive(Debug, Default)]
struct IndexHasher(u64);

impl Hasher for IndexHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        // The multiplier is 2^64 divided by the golden ratio, made odd (Knuth, volume 3, 6.4).
        self.0 = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // The low bits of the product depend on the shard alone; tables look at the low bits.
        self.0.rotate_left(32)
    }
}

#[cfg(test)]
mod tests {
    use core::hash::BuildHasher;
    use std::collections::BTreeSet;

    use super::*;

    /// Tables look at the low bits of a hash; all indices of an endpoint share their low byte.
    #[test]
    fn indices_of_one_shard_spread_over_the_low_bits_of_their_hashes() {
        let mut rng = Rng::from_seed([7; 32]);
        let build = BuildHasherDefault::<IndexHasher>::default();
        let places = 1 << 17;
        let place = |index: u32| build.hash_one(index) & (places - 1);
        let taken: BTreeSet<u64> = (0..100_000).map(|_| place(rng.u32() & !0xff)).collect();
        // 100,000 balls thrown into 2^17 bins at random hit 69,952 of them.
        assert!(taken.len() > 65_000, "{} of {places} places for 100,000 indices", taken.len());
    }
}
