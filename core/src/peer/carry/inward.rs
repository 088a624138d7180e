//! The way in: a packet of the peer that holds another packet.

use super::Carried;
use crate::Violation;
use crate::context::Context;
use crate::net::Arrival;
use crate::peer::Peer;
use crate::stats::DropReason;
use crate::trace;
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
        self.paths.on_absence(cx.absence);
        let len = datagram.len();
        if !self.acquaintance.carriers.is_new(number.counter()) {
            cx.drop_packet(DropReason::Duplicate, &arrival.via);
            return None;
        }
        let Some(session) = self.sessions.by_index(local_index) else {
            cx.drop_packet(DropReason::UnknownSession, &arrival.via);
            return None;
        };
        let Some(plaintext) = session.open(&mut cx.keys, number, datagram) else {
            cx.drop_packet(DropReason::Authentication, &arrival.via);
            if session.is_past_integrity_limit() {
                self.expire_keys(cx);
            }
            return None;
        };
        self.stats.datagrams_received += 1;
        self.stats.bytes_received += len as u64;
        trace::received(self.acquaintance.id.as_ref(), number, plaintext);
        self.acquaintance.carriers.on_received(number.counter());
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
