//! The way out: packets that lie in a buffer become the content of packets of this peer.

use core::num::NonZeroU16;

use crate::context::Context;
use crate::net::{Departure, Ecn, Route, Via};
use crate::peer::Peer;
use crate::peer::carry::ForwardRefused;
use crate::peer::outbound::RefusedForward;
use crate::session::{OVERHEAD, PacketBuffer};
use crate::time::Instant;
use crate::trace;
use crate::wire::{FORWARD_HEADER_LEN, FORWARD_PATH, SEALED_HEADER_LEN, TAG_LEN};

/// What a carrier adds around a packet.
const AROUND: usize = FORWARD_HEADER_LEN + OVERHEAD;

impl Peer {
    /// How long a packet may be that this neighbour is given to carry, or gets from another; `None` if it can be
    /// given none.
    pub(crate) fn largest_carried(&self, now: Instant) -> Option<usize> {
        self.carrier(now)?.max_datagram().checked_sub(AROUND)
    }

    /// The route that data takes to it, if a neighbour carries its packets.
    #[inline]
    pub(crate) fn data_route(&self) -> Option<&Route> {
        match self.paths.primary()?.way() {
            Via::Routed(route) => Some(route),
            Via::Direct(_) => None,
        }
    }

    /// Adapts the size of its packets to what the neighbour takes that carries them. True if that should find out
    /// whether it can take larger ones.
    pub(crate) fn fit_into(&mut self, carried: Option<usize>) -> bool {
        let carried = carried.and_then(|largest| u16::try_from(largest).ok()).unwrap_or(0);
        let path = self.paths.primary_mut();
        path.is_some_and(|path| path.fit_into(carried))
    }

    /// Packets that it is to carry, or to be given, do not fit.
    pub(crate) fn carry_larger(&mut self, now: Instant) {
        self.paths.carry_larger(now);
    }

    /// Seals packets where they lie in the first `len` bytes of `buf`, each `size` bytes long with the room
    /// around it (the last may be shorter), inside of packets of this peer. `header` begins each. `None` if
    /// none of them can go.
    pub(crate) fn carry(
        &mut self,
        cx: &mut Context,
        header: &[u8; FORWARD_HEADER_LEN],
        ecn: Option<Ecn>,
        (len, size): (usize, usize),
        buf: &mut [u8],
    ) -> Option<Departure> {
        let fits = self.largest_carried(cx.now) >= Some(size - AROUND);
        let via = self.carrier(cx.now).filter(|_| fits)?.via();
        let mut done = 0;
        for room in buf[..len].chunks_mut(size) {
            let room_len = room.len();
            if !self.has_usable_keys(cx) || self.carry_one(cx, header, room).is_none() {
                break;
            }
            done += room_len;
        }
        self.review_keys(cx);
        let segment = NonZeroU16::new(u16::try_from(size).ok()?).filter(|_| size < done);
        (done > 0).then_some(Departure { via, ecn, hop_limit: None, len: done, segment })
    }

    fn carry_one(
        &mut self,
        cx: &mut Context,
        header: &[u8; FORWARD_HEADER_LEN],
        room: &mut [u8],
    ) -> Option<()> {
        let len = room.len();
        let inner = PacketBuffer::new(room, SEALED_HEADER_LEN + FORWARD_HEADER_LEN)?;
        let (mut outer, frames) = inner.wrap(len - AROUND, header)?;
        let session = self.sessions.current_mut()?;
        let number = self.acquaintance.untracked(FORWARD_PATH).take_next()?;
        let packet = outer.packet(frames);
        let plaintext = &packet[SEALED_HEADER_LEN..packet.len() - TAG_LEN];
        trace::sent(self.acquaintance.id.as_ref(), number, plaintext);
        session.seal(&mut cx.keys, number, packet);
        self.stats.datagrams_sent += 1;
        self.stats.bytes_sent += len as u64;
        Some(())
    }

    /// A packet of the peer, or for it, was passed on.
    pub(crate) const fn note_relayed(&mut self, bytes: usize) {
        self.stats.relayed_bytes += bytes as u64;
    }

    /// Tells the peer that a packet did not pass, which it made or passed on.
    pub(crate) fn refuse_forward(&mut self, refused: &ForwardRefused) {
        self.outbound.refuse_forward(RefusedForward {
            source: refused.source.map(|(source, hops)| (*source.as_bytes(), hops)),
            destination: *refused.destination.as_bytes(),
            reason: refused.reason.to_u8(),
        });
    }
}
