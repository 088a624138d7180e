//! The way in: a packet of the peer that holds another packet.

use super::Carried;
use crate::Violation;
use crate::context::Context;
use crate::net::Arrival;
use crate::peer::Peer;
use crate::wire::{
    FORWARD_HEADER_LEN, ForwardFrame, Frame, Frames, PacketNumber, SEALED_HEADER_LEN, TAG_LEN,
};

impl Peer {
    /// Takes a sealed datagram whose path id says that it carries a packet; returns that.
    ///
    /// It is a sign of life, and no more: nothing acknowledges it, and no address is learned from it.
    pub(crate) fn handle_carrier(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        local_index: u32,
        number: PacketNumber,
        datagram: &mut [u8],
    ) -> Option<Carried> {
        let len = datagram.len();
        let plaintext = self.open_untracked(cx, arrival, local_index, number, datagram)?;
        self.on_authenticated_packet(cx);
        self.on_key_confirmed(cx, local_index);
        self.on_answer(cx, local_index);
        let carried = match Frames::new(plaintext).next() {
            Some(Ok(Frame::Forward(frame))) if arrival.via.route().is_none() => {
                Some(carried(&frame, len))
            }
            _ => None,
        };
        if carried.is_none() {
            self.violate(cx, Violation::MisplacedForward);
        }
        self.review(cx);
        carried.filter(|_| self.state.is_up())
    }
}

/// What the only frame of a datagram of `len` bytes holds.
fn carried(frame: &ForwardFrame<'_>, len: usize) -> Carried {
    Carried {
        hop_limit: frame.hop_limit,
        ecn: frame.ecn,
        source: *frame.source,
        destination: *frame.destination,
        packet: SEALED_HEADER_LEN + FORWARD_HEADER_LEN..len - TAG_LEN,
    }
}
