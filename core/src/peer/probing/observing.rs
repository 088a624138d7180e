//! Where a neighbour sees us now: asked when it matters, for a NAT may give us another address at any time.

use core::net::SocketAddr;

use crate::context::Context;
use crate::net::{Departure, Via};
use crate::peer::Peer;
use crate::wire::{Frame, PROBE_FRAMES_LEN};

/// What a neighbour is asked.
#[derive(Debug, Default)]
pub(in crate::peer) struct Observing {
    is_due: bool,
    /// What names the answer.
    asked: Option<[u8; 8]>,
}

impl Peer {
    /// The neighbour is to say where it sees us.
    pub(crate) const fn ask_where_we_are(&mut self) {
        self.observing.is_due = true;
    }

    /// Writes the question, if it is due and the peer is a neighbour that passes packets on.
    pub(super) fn transmit_where(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        if !core::mem::take(&mut self.observing.is_due) || !self.is_relay() {
            return None;
        }
        let via = self.paths.primary().filter(|path| path.is_proved())?.via();
        let token = cx.rng.bytes();
        self.observing.asked = Some(token);
        let challenge = Frame::PathChallenge { token };
        let padding = Frame::Padding(PROBE_FRAMES_LEN - challenge.encoded_len());
        self.seal_probe(cx, &[challenge, padding], via, buf)
    }

    /// An answer came by `via` to a question with this token: we are seen at `observed`.
    pub(super) fn on_where(
        &mut self,
        cx: &mut Context,
        via: Via,
        token: [u8; 8],
        observed: SocketAddr,
    ) {
        let (Some(id), Via::Direct(way)) = (self.acquaintance.id, via) else { return };
        if self.observing.asked.take_if(|asked| *asked == token).is_some() {
            cx.local.note_observed(id, way.socket, observed);
        }
    }
}
