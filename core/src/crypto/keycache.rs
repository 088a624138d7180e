//! A bounded cache of expanded AEAD keys.
//!
//! An expanded key can be thirty times as large as the key itself. Idle peers keep the latter; the
//! former exist for as many sessions as there are places here, evicted by the clock algorithm.

use alloc::vec::Vec;

use super::backend::AeadKey;
use super::hash::Secret;
use super::schedule::SessionKeys;

/// Expanded keys of the sessions in use.
///
/// A session is known by a number that is never given twice (`owner`), and remembers where it was
/// last found (`hint`, any value to begin with): so every call is O(1) without a hash table.
pub(crate) struct KeyCache {
    entries: Vec<Entry>,
    vacant: Vec<u32>,
    capacity: u32,
    hand: u32,
}

impl KeyCache {
    /// A cache of at most `capacity` sessions, at least one. Memory is taken as it is needed.
    pub(crate) const fn new(capacity: u32) -> Self {
        let capacity = if capacity == 0 { 1 } else { capacity };
        Self { entries: Vec::new(), vacant: Vec::new(), capacity, hand: 0 }
    }

    /// The key that seals what the session sends.
    pub(crate) fn sealing(&mut self, hint: &mut u32, owner: u64, keys: &SessionKeys) -> &AeadKey {
        let entry = self.entry(hint, owner);
        entry.seal.get_or_insert_with(|| expand(keys, &keys.send))
    }

    /// The key that opens what the session receives.
    pub(crate) fn opening(&mut self, hint: &mut u32, owner: u64, keys: &SessionKeys) -> &AeadKey {
        let entry = self.entry(hint, owner);
        entry.open.get_or_insert_with(|| expand(keys, &keys.receive))
    }

    /// Wipes the keys of a session that has ended, if they are here.
    pub(crate) fn remove(&mut self, hint: u32, owner: u64) {
        if let Some(entry) = self.entries.get_mut(index(hint))
            && entry.owner == Some(owner)
        {
            *entry = Entry::default();
            self.vacant.push(hint);
        }
    }

    fn entry(&mut self, hint: &mut u32, owner: u64) -> &mut Entry {
        let known = self.entries.get(index(*hint)).is_some_and(|e| e.owner == Some(owner));
        if !known {
            *hint = self.place();
            self.entries[index(*hint)] = Entry { owner: Some(owner), ..Entry::default() };
        }
        let entry = &mut self.entries[index(*hint)];
        // Not at the first use: a session that is used once does not drive out one in steady use.
        entry.recent = known;
        entry
    }

    /// A place for a new entry: a vacant one, else a further one, else the clock decides.
    #[cold]
    fn place(&mut self) -> u32 {
        if let Some(place) = self.vacant.pop() {
            return place;
        }
        let len = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        if len < self.capacity {
            self.entries.push(Entry::default());
            return len;
        }
        for _ in 0..MAX_SWEEP {
            let entry = &mut self.entries[index(self.hand)];
            if !core::mem::take(&mut entry.recent) {
                break;
            }
            self.advance();
        }
        let victim = self.hand;
        self.advance();
        victim
    }

    const fn advance(&mut self) {
        self.hand = if self.hand + 1 < self.capacity { self.hand + 1 } else { 0 };
    }
}

#[derive(Default)]
struct Entry {
    owner: Option<u64>,
    seal: Option<AeadKey>,
    open: Option<AeadKey>,
    /// Used again since the hand last came by.
    recent: bool,
}

#[cold]
fn expand(keys: &SessionKeys, key: &Secret) -> AeadKey {
    AeadKey::new(keys.suite, key)
}

const fn index(place: u32) -> usize {
    place as usize
}

/// How many used entries are passed over at most, which bounds the work of one call.
const MAX_SWEEP: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::backend::Suite;
    use proptest::prelude::*;

    fn keys(owner: u64) -> SessionKeys {
        let secret = |direction: u8| {
            let mut key = [direction; 32];
            key[..8].copy_from_slice(&owner.to_le_bytes());
            Secret::new(key)
        };
        SessionKeys { suite: Suite::ChaCha20Poly1305, send: secret(1), receive: secret(2) }
    }

    fn tag(key: &AeadKey) -> [u8; 16] {
        key.seal(0, &[], &mut [])
    }

    fn expected(key: &Secret) -> [u8; 16] {
        tag(&AeadKey::new(Suite::ChaCha20Poly1305, key))
    }

    proptest! {
        #[test]
        fn everyone_gets_their_own_keys_within_the_bound(
            capacity in 0..20_u32,
            steps in prop::collection::vec((0..40_usize, 0..8_u8), 1..300),
        ) {
            let mut cache = KeyCache::new(capacity);
            let mut hints = [0; 40];
            for (peer, action) in steps {
                let owner = peer as u64;
                let keys = keys(owner);
                match action {
                    0 => cache.remove(hints[peer], owner),
                    1..=4 => {
                        let key = cache.sealing(&mut hints[peer], owner, &keys);
                        prop_assert_eq!(tag(key), expected(&keys.send));
                    }
                    _ => {
                        let key = cache.opening(&mut hints[peer], owner, &keys);
                        prop_assert_eq!(tag(key), expected(&keys.receive));
                    }
                }
                prop_assert!(cache.entries.len() <= capacity.max(1) as usize);
                prop_assert!(cache.vacant.len() <= cache.entries.len());
            }
        }
    }

    #[test]
    fn a_session_in_constant_use_is_not_evicted_by_passers_by() {
        let mut cache = KeyCache::new(8);
        let mut hint = 0;
        cache.sealing(&mut hint, 0, &keys(0));
        let place = hint;
        for owner in 1..1000 {
            cache.sealing(&mut 0, owner, &keys(owner));
            assert_eq!(cache.entries[index(hint)].owner, Some(0), "evicted by {owner}");
            cache.sealing(&mut hint, 0, &keys(0));
        }
        assert_eq!(hint, place);
    }

    #[test]
    fn what_was_removed_is_gone_and_its_place_is_used_again() {
        let mut cache = KeyCache::new(8);
        let mut hint = 0;
        cache.opening(&mut hint, 5, &keys(5));
        cache.remove(hint, 5);
        cache.remove(hint, 5);
        assert!(cache.entries[0].open.is_none());
        assert_eq!(cache.vacant, [0]);
        cache.opening(&mut hint, 6, &keys(6));
        assert_eq!((cache.entries.len(), hint), (1, 0));
    }
}
