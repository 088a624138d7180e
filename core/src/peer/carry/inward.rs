//! The way in: a packet of the peer that holds another packet.

use super::Carried;
use crate::Violation;
use crate::context::Context;
use crate::net::Arrival;
use crate::path::Seen;
use crate::peer::Peer;
use crate::wire::{
    FORWARD_HEADER_LEN, FORWARD_PATH, ForwardFrame, Frame, Frames, PacketNumber, SEALED_HEADER_LEN,
    TAG_LEN,
};

impl Peer {
    /// Takes a sealed datagram whose path id says that it carries a packet; returns that.
    ///
    /// Nothing acknowledges it. Like any packet it is a sign of life, and shows where the peer is: a peer that has no
    /// other way may send nothing else for long, and what is for it is to go where it is now.
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
        self.on_carrier_from(cx, arrival, number, len);
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

    /// A genuine packet of `len` bytes with this number came from there.
    fn on_carrier_from(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        number: PacketNumber,
        len: usize,
    ) {
        if arrival.via.route().is_some() || self.state.is_over() {
            return;
        }
        let newest = self.acquaintance.untracked(FORWARD_PATH).is_newest(number.counter());
        match self.paths.on_uncounted(number, arrival, len, newest, cx.now, &mut cx.rng) {
            Seen::Nothing => {}
            Seen::Candidate(via) => self.on_seen_elsewhere(&via),
            Seen::Back(via) => self.follow(cx, via),
        }
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
