//! Lets a simulation see that no key ever seals twice under one nonce, and which nodes pass a packet on. Not for production, no part
//! of the public API.
//!
//! Nothing is noted before [`watch`] was called on the thread, and never a key: only a short hash
//! of one. Code that does not call it behaves as if this module was not there.

use core::cell::{Cell, RefCell};
use std::thread_local;
use std::vec::Vec;

use crate::PeerId;
use crate::crypto::hash::blake2s;
use crate::wire::ForwardFrame;

/// One use of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "for tests, and as they need it")]
pub struct Seal {
    /// A hash of the key and its cipher.
    pub key: u64,
    /// The number under which it sealed: a packet number, or 0 in a handshake.
    pub number: u64,
}

/// A packet that an endpoint passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "for tests, and as they need it")]
pub struct Passed {
    /// Who passed it on.
    pub by: PeerId,
    /// Who gave it to that node.
    pub from: PeerId,
    /// To whom it goes next.
    pub to: PeerId,
    /// Who made it, and whom it is for.
    pub ends: [PeerId; 2],
    /// How often it may still be passed on.
    pub hops: u8,
    /// A hash of its bytes, which are the same at each hop.
    pub packet: u64,
}

thread_local! {
    static FOLLOWING: Cell<bool> = const { Cell::new(false) };
    static PASSED: RefCell<Vec<Passed>> = const { RefCell::new(Vec::new()) };
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static SEALS: RefCell<Vec<Seal>> = const { RefCell::new(Vec::new()) };
}

/// From now on seals on this thread are noted. What was noted before is forgotten.
pub fn watch() {
    WATCHING.set(true);
    SEALS.with_borrow_mut(Vec::clear);
}

/// Hands over what was noted since [`watch`] or the last call, in its order.
pub fn take(mut visit: impl FnMut(Seal)) {
    SEALS.with_borrow_mut(|seals| seals.drain(..).for_each(&mut visit));
}

/// From now on packets that endpoints of this thread pass on are noted, until [`take_passed`].
pub fn follow() {
    FOLLOWING.set(true);
    PASSED.with_borrow_mut(Vec::clear);
}

/// Hands over what was passed on since [`follow`], in its order; nothing more is noted.
#[must_use]
pub fn take_passed() -> Vec<Passed> {
    FOLLOWING.set(false);
    PASSED.take()
}

/// Notes that the endpoint `by` passes on a packet of the neighbour `from`, as `header` says, to the neighbour `to`.
pub(crate) fn note_passed(by: PeerId, from: PeerId, to: PeerId, header: &ForwardFrame<'_>) {
    if FOLLOWING.get() {
        let hash = blake2s(&[b"handfast passed", header.packet]);
        let packet = hash.first_chunk().map_or(0, |head| u64::from_le_bytes(*head));
        let ends = [header.source, header.destination].map(|end| PeerId::claimed(*end));
        let passed = Passed { by, from, to, ends, hops: header.hop_limit, packet };
        PASSED.with_borrow_mut(|all| all.push(passed));
    }
}

/// The name of a key in the notes; none when nobody watches.
pub(crate) fn name(suite: u8, key: &[u8; 32]) -> Option<u64> {
    WATCHING.get().then(|| {
        let hash = blake2s(&[b"handfast audit", &[suite], key]);
        hash.first_chunk().map_or(0, |head| u64::from_le_bytes(*head))
    })
}

/// Notes that a key sealed.
pub(crate) fn note(key: Option<u64>, number: u64) {
    let Some(key) = key.filter(|_| WATCHING.get()) else { return };
    SEALS.with_borrow_mut(|seals| seals.push(Seal { key, number }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::backend::{AeadKey, Suite};

    fn noted() -> Vec<Seal> {
        let mut seals = Vec::new();
        take(|seal| seals.push(seal));
        seals
    }

    #[test]
    fn every_seal_is_noted_under_the_name_of_its_key_and_nothing_before_watching() {
        let seal = |key: u8, suite, number| {
            AeadKey::new(suite, &[key; 32]).seal(number, &[], &mut [1, 2, 3]);
        };
        seal(1, Suite::Aes256Gcm, 7);
        assert_eq!(noted(), []);
        watch();
        seal(1, Suite::Aes256Gcm, 7);
        seal(1, Suite::Aes256Gcm, 8);
        seal(2, Suite::Aes256Gcm, 7);
        seal(1, Suite::ChaCha20Poly1305, 7);
        let seals = noted();
        let numbers: Vec<_> = seals.iter().map(|seal| seal.number).collect();
        assert_eq!(numbers, [7, 8, 7, 7]);
        assert_eq!(seals[0].key, seals[1].key);
        assert_ne!(seals[0].key, seals[2].key);
        assert_ne!(seals[0].key, seals[3].key);
        assert_eq!(noted(), [], "told once");
    }
}
