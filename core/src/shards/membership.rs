//! What a shard asks of the map, and tells it.

use crate::PeerId;
use crate::context::Context;
use crate::time::Instant;

use super::PeerMap;

/// Without siblings every peer is ours.
impl Context {
    /// The other shard that has this peer, if one has.
    pub(crate) fn other_shard(&self, peer: &PeerId) -> Option<u8> {
        let shard = self.ask(|map| map.shard_of(self.now, peer)).flatten();
        shard.filter(|shard| *shard != self.config.shard)
    }

    /// The peer is ours from now on. If another shard has it already, that is returned, and nothing changes.
    pub(crate) fn claim(&self, peer: &PeerId) -> Option<u8> {
        let shard = self.ask(|map| map.claim(self.now, *peer, self.config.shard));
        shard.filter(|shard| *shard != self.config.shard)
    }

    /// The peer is gone, and its application was told. It stays ours for as long as we remember why we parted.
    pub(crate) fn disclaim(&self, peer: &PeerId, until: Option<Instant>) {
        self.ask(|map| map.release(self.now, *peer, self.config.shard, until));
    }

    fn ask<T>(&self, question: impl Fn(&mut PeerMap) -> T) -> Option<T> {
        let mut answer = None;
        let siblings = self.config.siblings.as_ref()?;
        siblings.with(&mut |map| answer = Some(question(map)));
        answer
    }
}
