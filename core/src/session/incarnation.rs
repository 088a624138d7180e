//! What names our state about peers.

use zeroize::Zeroizing;

use crate::PeerId;
use crate::crypto::hash::{Secret, expand, keyed};
use crate::crypto::rng::Rng;

/// Names our state about each peer that we know nothing about yet.
///
/// The secret comes from the endpoint's own seed, which is used once: so no two endpoints, and no two
/// starts of one, tell a peer the same.
pub(crate) struct Incarnations {
    secret: Zeroizing<[u8; 32]>,
    /// How often state about some peer was lost.
    losses: u64,
}

impl Incarnations {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { secret: rng.secret(), losses: 0 }
    }

    /// What names our state about a peer that we know nothing about: the same for every handshake
    /// under way with it, another once state about any peer was lost.
    pub(crate) fn of(&self, id: &PeerId) -> u64 {
        let losses = self.losses.to_le_bytes();
        let bytes = keyed(&self.secret, &[id.as_bytes(), &losses]);
        bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// What names our state about a peer once the state that `current` names is reset: one value until then,
    /// in every handshake that would reset it.
    pub(crate) fn after(&self, id: &PeerId, current: u64) -> u64 {
        let bytes = keyed(&self.secret, &[b"next", id.as_bytes(), &current.to_le_bytes()]);
        bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// State about a peer is lost.
    pub(crate) const fn on_loss(&mut self) {
        self.losses += 1;
    }

    /// What hides which sources share a place in the tables of their budgets.
    pub(crate) fn source_secret(&self) -> Secret {
        // Under another construction than what `of` makes with the same key.
        expand(&self.secret, [b"handfast/1 sources", &[]])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Identity;

    #[test]
    fn no_two_starts_peers_or_losses_share_an_incarnation() {
        let mut told = BTreeSet::new();
        for seed in 0..20 {
            let mut incarnations = Incarnations::new(&mut Rng::from_seed([seed; 32]));
            for _ in 0..5 {
                for peer in 0..5 {
                    let id = Identity::from_seed([peer; 32]).id();
                    assert_eq!(
                        incarnations.of(&id),
                        incarnations.of(&id),
                        "until something is lost"
                    );
                    let first = incarnations.of(&id);
                    let next = incarnations.after(&id, first);
                    assert!(told.insert(first) && told.insert(next));
                    assert!(told.insert(incarnations.after(&id, next)));
                }
                incarnations.on_loss();
            }
        }
    }

    #[test]
    fn the_secret_is_wiped() {
        let Incarnations { secret, .. } = Incarnations::new(&mut Rng::from_seed([1; 32]));
        crate::tests::values::assert_wiped(&secret);
    }
}
