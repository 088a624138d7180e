//! What is looked at and noted of each packet that passes or does not.

use super::Endpoint;
use crate::PeerHandle;
#[cfg(feature = "audit")]
use crate::PeerId;
use crate::event::ForwardRefusal;
use crate::peer::ForwardRefused;
#[cfg(feature = "audit")]
use crate::wire::ForwardFrame;

impl Endpoint {
    /// Packets do not fit the direct path of the peer in `slot`, as far as is known.
    pub(super) fn carry_larger(&mut self, slot: u32) {
        if let Some(peer) = self.peers.at_mut(slot) {
            peer.carry_larger(self.shared.now);
            self.ready.push(slot);
        }
    }

    /// Whether a packet of so many bytes fits the datagrams of a peer. If not, nobody is told: an honest path tries its size.
    pub(super) fn fits(&mut self, next: PeerHandle, len: usize) -> bool {
        let largest = self.peers.get(next).and_then(|next| next.largest_carried(self.shared.now));
        let fits = largest.is_some_and(|largest| len <= largest);
        if !fits {
            self.shared.stats.forwards_dropped += 1;
            self.carry_larger(next.slot);
        }
        fits
    }

    /// A packet waits to go to `next`, and so many gave way to it; `None` if it is beyond the rates.
    pub(super) fn note_passage(
        &mut self,
        next: PeerHandle,
        len: usize,
        dropped: Option<u64>,
    ) -> Result<(), ForwardRefusal> {
        let dropped = dropped.ok_or(ForwardRefusal::RateLimited)?;
        self.shared.stats.forwards_passed += 1;
        self.shared.stats.forward_bytes_passed += len as u64;
        self.shared.stats.forwards_dropped += dropped;
        self.note_relayed(next.slot, len);
        Ok(())
    }

    pub(super) fn note_relayed(&mut self, slot: u32, len: usize) {
        if let Some(peer) = self.peers.at_mut(slot) {
            peer.note_relayed(len);
        }
    }

    #[cfg(feature = "audit")]
    pub(super) fn note_passed(&self, slot: u32, to: Option<PeerId>, frame: &ForwardFrame<'_>) {
        if let (Some(neighbour), Some(to)) = (self.peers.id(slot), to) {
            crate::audit::note_passed(self.id(), neighbour, to, frame);
        }
    }

    /// The peer in `slot` hears of a packet that did not pass, not too often.
    pub(super) fn tell_refused(&mut self, slot: u32, refused: &ForwardRefused) {
        let Some(peer) = self.peers.at_mut(slot) else { return };
        let mut pair = *refused.destination.as_bytes();
        if let Some((source, _)) = &refused.source {
            pair.iter_mut().zip(source.as_bytes()).for_each(|(byte, other)| *byte ^= other);
        }
        if self.forwarder.may_refuse(self.shared.now, peer.handle(), &pair) {
            peer.refuse_forward(refused);
            self.refresh_indices(slot);
        }
    }
}
