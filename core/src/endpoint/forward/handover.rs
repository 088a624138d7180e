//! Packets between peers of different shards.

use super::Endpoint;
use crate::event::ForwardRefusal;
use crate::peer::ForwardRefused;
use crate::route::{HandedOver, Handover, Passage};
use crate::time::Instant;
use crate::wire::ForwardFrame;
use crate::{PeerHandle, PeerId};

impl Endpoint {
    /// A packet of the peer in `slot` goes to the shard of the peer that it is for, if it is within the rates.
    pub(super) fn hand_over(
        &mut self,
        slot: u32,
        shard: u8,
        destination: PeerId,
        frame: &ForwardFrame<'_>,
    ) -> Result<(), ForwardRefusal> {
        let Some(from) = self.peers.handle(slot) else { return Ok(()) };
        let (now, rates) = (self.shared.now, &self.shared.config.forwarding);
        let passage = self.forwarder.leave(now, rates, from, frame.header(), frame.packet);
        let passage = passage.ok_or(ForwardRefusal::RateLimited)?;
        self.handover = Some(Handover::packet(shard, from, destination, passage));
        self.note_relayed(slot, frame.packet.len());
        #[cfg(feature = "audit")]
        self.note_passed(slot, Some(destination), frame);
        Ok(())
    }

    /// Takes what another shard of this endpoint [handed over](Self::take_handover).
    pub fn handle_handover(&mut self, now: Instant, handover: Handover) {
        self.touch(now);
        match handover.content {
            HandedOver::Packet { from, destination, passage } => {
                let Err(reason) = self.take_passage(from, &destination, passage) else { return };
                self.shared.stats.forwards_refused += 1;
                if self.forwarder.may_refuse(self.shared.now, from, destination.as_bytes()) {
                    self.handover = Some(Handover::refused(from, destination, reason));
                }
            }
            HandedOver::Refused { to, destination, reason } if self.peers.has(to) => {
                self.tell_refused(to.slot, &ForwardRefused { source: None, destination, reason });
            }
            HandedOver::Refused { .. } => {}
        }
    }

    /// A packet of a peer of another shard waits to go on to ours, if we have it, and it fits and is within the rate.
    fn take_passage(
        &mut self,
        from: PeerHandle,
        destination: &PeerId,
        passage: Passage,
    ) -> Result<(), ForwardRefusal> {
        let slot = self.peers.by_id(destination).filter(|slot| self.is_neighbour(*slot));
        let next = slot.and_then(|slot| self.peers.handle(slot));
        let next = next.ok_or(ForwardRefusal::NotConnected)?;
        let len = passage.packet.len();
        if !self.fits(next, len) {
            return Ok(());
        }
        let (now, rates) = (self.shared.now, &self.shared.config.forwarding);
        let dropped = self.forwarder.enter(now, rates, (from, next), passage);
        self.note_passage(next, len, dropped)
    }
}
