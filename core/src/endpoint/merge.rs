//! Several dials that reach the same identity.

use smallvec::SmallVec;

use super::Endpoint;
use crate::event::EndReason;
use crate::{PeerHandle, PeerId};

impl Endpoint {
    /// A dial by address learned who is there. Of several dials that meet the oldest lives on; a
    /// peer with a session lives on whatever its age.
    pub(super) fn on_identity_learned(&mut self, slot: u32, id: PeerId) {
        let own = id == self.id();
        let learner = self.peers.awake(slot).map(|peer| (peer.handle(), peer.number()));
        let Some((handle, number)) = learner else { return };
        if !own && let Some(shard) = self.shared.claim(&id) {
            if let Some(peer) = self.peers.get_mut(handle) {
                peer.end(&mut self.shared, EndReason::OtherShard { id, shard });
            }
            self.refresh_indices(slot);
            return;
        }
        let known = self.peers.by_id(&id).and_then(|known| self.peers.look(known));
        let known = known.filter(|known| known.handle() != handle);
        let merge = known.map(|known| {
            let is_younger_dial = !known.has_session() && known.number() > number;
            if is_younger_dial { (known.handle(), handle) } else { (handle, known.handle()) }
        });
        let end = match merge {
            Some((goes, into)) => Some((goes, EndReason::Merged { into })),
            None => own.then_some((handle, EndReason::OwnIdentity)),
        };
        if end.as_ref().is_none_or(|(goes, _)| *goes != handle) {
            self.peers.name(id, slot);
        }
        if let Some((goes, reason)) = end {
            if let EndReason::Merged { into } = reason {
                self.merge_dials(goes, into);
            }
            if let Some(peer) = self.peers.get_mut(goes) {
                peer.end(&mut self.shared, reason);
            }
            self.refresh_indices(goes.slot);
        }
    }

    /// Who answered may have named anyone: the dial that lives on goes wherever the other went.
    fn merge_dials(&mut self, goes: PeerHandle, into: PeerHandle) {
        let Some(other) = self.peers.awake(goes.slot) else { return };
        let until = other.dial_deadline();
        let targets = other.dialled().map(|dial| SmallVec::<[_; 8]>::from(dial.targets()));
        let Some(targets) = targets else { return };
        if let Some(peer) = self.peers.get_mut(into) {
            peer.note_named();
            if !peer.has_session() {
                peer.add_targets(&targets, until);
            }
        }
        self.refresh_indices(into.slot);
    }
}
