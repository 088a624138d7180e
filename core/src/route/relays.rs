//! Neighbours that pass our packets on.

use alloc::vec::Vec;

use crate::PeerId;

/// Neighbours that said that they forward, oldest first: a dial goes by way of them. As many are kept as a
/// dial may have addresses.
#[derive(Debug, Default)]
pub(crate) struct Relays(Vec<PeerId>);

/// The most of them.
const MAX_RELAYS: usize = 8;

impl Relays {
    /// A neighbour forwards. One more than are kept is of no use.
    pub(crate) fn insert(&mut self, id: PeerId) {
        if self.0.len() < MAX_RELAYS && !self.0.contains(&id) {
            self.0.push(id);
        }
    }

    /// A neighbour does so no more.
    pub(crate) fn remove(&mut self, id: &PeerId) {
        self.0.retain(|relay| relay != id);
    }

    /// All that lead to `remote`.
    pub(crate) fn toward(&self, remote: PeerId) -> impl Iterator<Item = PeerId> + '_ {
        self.0.iter().copied().filter(move |relay| *relay != remote)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.0.iter().copied()
    }

    /// Whether this neighbour does so.
    pub(crate) fn contains(&self, id: &PeerId) -> bool {
        self.0.contains(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
