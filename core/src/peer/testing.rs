//! Packets that no honest peer would send. Not for production.

use crate::context::Context;
use crate::net::Via;
use crate::peer::Peer;
use crate::wire::{FORWARD_PATH, PROBE_PATH, PacketNumber};

impl Peer {
    /// Seals `packet` (room for the header, frames, room for the tag) on the path with this id,
    /// which is opened if need be. Returns where it goes.
    pub(crate) fn seal_for_test(
        &mut self,
        cx: &mut Context,
        id: u8,
        packet: &mut [u8],
    ) -> Option<Via> {
        let via = self.paths.via()?;
        if matches!(id, FORWARD_PATH | PROBE_PATH) {
            // They have their own numbers, of which the peer has used some itself.
            let number = self.acquaintance.untracked(id).take_next()?;
            self.sessions.current_mut()?.seal(&mut cx.keys, number, packet);
            return Some(via);
        }
        self.paths.ensure_for_test(&mut self.acquaintance.spaces, id, via, &cx.config);
        self.seal(cx, id, packet, None)?;
        Some(via)
    }

    /// Closes the path with this id.
    pub(crate) fn close_path_for_test(&mut self, id: u8) {
        self.paths.close_for_test(&mut self.acquaintance.spaces, id);
    }

    /// Seals a packet under a number of the caller's choice, of which no note is taken.
    pub(crate) fn seal_numbered_for_test(
        &mut self,
        cx: &mut Context,
        number: PacketNumber,
        packet: &mut [u8],
    ) -> Option<Via> {
        let via = self.paths.via()?;
        self.sessions.current_mut()?.seal(&mut cx.keys, number, packet);
        Some(via)
    }
}
