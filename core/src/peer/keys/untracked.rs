//! Packets that nobody acknowledges, whether they carry others or look for a way: opened and sealed under
//! numbers of their own.

use crate::context::Context;
use crate::net::{Arrival, Departure, Via};
use crate::peer::Peer;
use crate::session::{OVERHEAD, PacketBuffer};
use crate::stats::DropReason;
use crate::trace;
use crate::wire::{Frame, PROBE_PATH, PacketNumber, SEALED_HEADER_LEN, TAG_LEN};

impl Peer {
    /// Opens a packet whose path id is one of those; returns its frames. `None` if it is not genuine, or was
    /// seen before.
    pub(in crate::peer) fn open_untracked<'p>(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        local_index: u32,
        number: PacketNumber,
        datagram: &'p mut [u8],
    ) -> Option<&'p [u8]> {
        self.paths.on_absence(cx.absence);
        let len = datagram.len();
        if !self.acquaintance.untracked(number.path()).is_new(number.counter()) {
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
        self.acquaintance.untracked(number.path()).on_received(number.counter());
        Some(plaintext)
    }

    /// Seals a packet that looks for a way, with these frames.
    pub(in crate::peer) fn seal_probe(
        &mut self,
        cx: &mut Context,
        frames: &[Frame<'_>],
        via: Via,
        buf: &mut [u8],
    ) -> Option<Departure> {
        let mut packet = PacketBuffer::new(buf, via.headroom())?;
        let mut writer = packet.frames();
        if !frames.iter().all(|frame| frame.encode(&mut writer)) {
            return None;
        }
        let len = writer.position();
        let session = self.sessions.current_mut()?;
        let number = self.acquaintance.untracked(PROBE_PATH).take_next()?;
        let packet = packet.packet(len);
        let plaintext = &packet[SEALED_HEADER_LEN..packet.len() - TAG_LEN];
        trace::sent(self.acquaintance.id.as_ref(), number, plaintext);
        session.seal(&mut cx.keys, number, packet);
        self.stats.datagrams_sent += 1;
        self.stats.bytes_sent += (len + OVERHEAD) as u64;
        Some(Departure::single(via, len + OVERHEAD))
    }
}
