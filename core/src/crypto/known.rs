//! What was found out about the keys of peers that shook hands before.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use super::backend::active::SecretKey;
use super::hash::Secret;
use super::identity::{PeerId, PeerIdError};

/// Keys that were checked and agreed with: peers that come back cost one Diffie-Hellman less, and no arithmetic on
/// Edwards points. What is not here is computed, with the same result. So whoever shakes hands under many identities only
/// makes others cost what they would without this.
#[derive(Default)]
pub(crate) struct KnownKeys {
    /// By X25519 form. A key has two identities (P and -P): the one that was used last is here.
    entries: BTreeMap<[u8; 32], Entry>,
    /// How often something was remembered.
    count: u64,
}

struct Entry {
    id: PeerId,
    /// What our static key and this one agree on. In a place of its own, so that it is wiped where it is.
    shared: Box<Secret>,
    /// When it was remembered last, as `count` was then.
    remembered: u64,
}

impl KnownKeys {
    /// What `own`, our static key, and a peer's agree on; `None` if that is no usable key.
    pub(crate) fn agree(&self, own: &SecretKey, remote: &[u8; 32]) -> Option<Secret> {
        match self.entries.get(remote) {
            Some(known) => Some(Secret::clone(&known.shared)),
            None => own.agree(remote),
        }
    }

    /// A peer's identity, from bytes that somebody sent, with its X25519 form.
    pub(crate) fn identify(&self, bytes: [u8; 32]) -> Result<(PeerId, [u8; 32]), PeerIdError> {
        let known = self.entries.iter().find(|(_, known)| *known.id.as_bytes() == bytes);
        match known {
            Some((x25519, known)) => Ok((known.id, *x25519)),
            None => PeerId::with_x25519(bytes),
        }
    }

    /// The X25519 form of an identity.
    pub(crate) fn x25519(&self, id: &PeerId) -> [u8; 32] {
        let known = self.entries.iter().find(|(_, known)| known.id == *id);
        known.map_or_else(|| id.x25519(), |(x25519, _)| *x25519)
    }

    /// Remembers a peer that we dial, or that proved who it is. The one that was remembered longest ago makes room for it.
    pub(crate) fn remember(&mut self, id: PeerId, x25519: [u8; 32], shared: &Secret) {
        self.count += 1;
        let remembered = self.count;
        if let Some(known) = self.entries.get_mut(&x25519) {
            (known.id, known.remembered) = (id, remembered);
            return;
        }
        if self.entries.len() >= MOST {
            let oldest = self.entries.iter().min_by_key(|(_, known)| known.remembered);
            if let Some(oldest) = oldest.map(|(x25519, _)| *x25519) {
                self.entries.remove(&oldest);
            }
        }
        let shared = Box::new(shared.clone());
        self.entries.insert(x25519, Entry { id, shared, remembered });
    }
}

/// How many peers are remembered: some 40 KB in all.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;
    use crate::tests::values::assert_wiped;
    use alloc::vec::Vec;

    fn identity(number: usize) -> Identity {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
        Identity::from_seed(seed)
    }

    /// The same identity under its other name.
    fn opposite(id: PeerId) -> PeerId {
        let mut bytes = *id.as_bytes();
        bytes[31] ^= 0x80;
        PeerId::from_bytes(bytes).expect("as sound as the other")
    }

    fn remember(known: &mut KnownKeys, own: &Identity, id: PeerId) {
        let shared = known.agree(own.x25519(), &id.x25519()).expect("sound");
        known.remember(id, id.x25519(), &shared);
    }

    #[test]
    fn who_is_remembered_and_who_is_not_get_the_same_answers_and_the_bound_holds() {
        let (own, mut known) = (identity(0), KnownKeys::default());
        let peers: Vec<_> = (1..=MOST + 20).map(identity).collect();
        for peer in &peers {
            remember(&mut known, &own, peer.id());
            // The first is never long out of use.
            remember(&mut known, &own, peers[0].id());
        }
        assert_eq!(known.entries.len(), MOST);
        let is_kept = |at: usize| known.entries.contains_key(&peers[at].id().x25519());
        assert!(is_kept(0) && (1..=20).all(|at| !is_kept(at)) && (21..peers.len()).all(is_kept));
        for peer in peers.iter().step_by(7) {
            let (id, x25519) = (peer.id(), peer.id().x25519());
            assert_eq!(known.agree(own.x25519(), &x25519), own.x25519().agree(&x25519));
            assert_eq!(known.agree(own.x25519(), &x25519), peer.x25519().agree(&own.id().x25519()));
            assert_eq!(known.identify(*id.as_bytes()), Ok((id, x25519)));
            assert_eq!(known.x25519(&id), x25519);
        }
    }

    #[test]
    fn a_key_that_was_not_remembered_is_checked_as_ever() {
        let (own, mut known) = (identity(0), KnownKeys::default());
        let id = identity(1).id();
        remember(&mut known, &own, id);
        assert_eq!(known.identify([0xff; 32]), Err(PeerIdError::NotAKey));
        assert_eq!(known.agree(own.x25519(), &[0; 32]), None);
        // The other name of a known key is an identity of its own.
        let other = opposite(id);
        assert_eq!(known.identify(*other.as_bytes()), Ok((other, id.x25519())));
        remember(&mut known, &own, other);
        assert_eq!(known.identify(*id.as_bytes()), Ok((id, id.x25519())));
        assert_eq!(known.entries.len(), 1);
    }

    #[test]
    fn who_is_remembered_is_not_computed_again() {
        let (own, peer, mut known) = (identity(0), identity(1), KnownKeys::default());
        let marked = Secret::new([7; 32]);
        known.remember(peer.id(), [8; 32], &marked);
        assert_eq!(known.agree(own.x25519(), &[8; 32]), Some(marked));
        assert_eq!(known.identify(*peer.id().as_bytes()), Ok((peer.id(), [8; 32])));
        assert_eq!(known.x25519(&peer.id()), [8; 32]);
    }

    #[test]
    fn what_was_agreed_on_is_wiped() {
        let (own, mut known) = (identity(0), KnownKeys::default());
        remember(&mut known, &own, identity(1).id());
        let (_, entry) = known.entries.pop_first().expect("one");
        assert_wiped(&*entry.shared);
    }
}
