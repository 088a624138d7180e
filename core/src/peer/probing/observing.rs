//! Where a neighbour sees us now: asked when it matters, for a NAT may give us another address at any time.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::context::Context;
use crate::net::{Departure, FourTuple, SocketId, Via};
use crate::pack::{pack, pack_never};
use crate::peer::Peer;
use crate::punch::Order;
use crate::wire::{Frame, PROBE_FRAMES_LEN};

/// What a neighbour is asked.
#[derive(Debug, Default)]
pub(in crate::peer) struct Observing {
    is_due: bool,
    /// What names the answer.
    asked: Option<[u8; 8]>,
    /// Further sockets of ours that the neighbour is to say something about.
    sockets: Vec<AboutSocket>,
}

pack!(Observing: is_due, asked, sockets);

#[derive(Debug)]
struct AboutSocket {
    socket: SocketId,
    is_due: bool,
    /// What names the answer once it was asked; the same each time, for an answer may take longer than we wait before we
    /// ask again.
    token: Option<[u8; 8]>,
}

pack_never!(AboutSocket);

impl Peer {
    /// The neighbour is to say where it sees us.
    pub(crate) const fn ask_where_we_are(&mut self) {
        self.observing.is_due = true;
    }

    /// The neighbour is to say where it sees a further socket of ours.
    pub(crate) fn ask_about_socket(&mut self, socket: SocketId) {
        let sockets = &mut self.observing.sockets;
        if let Some(again) = sockets.iter_mut().find(|about| about.socket == socket) {
            again.is_due = true;
            return;
        }
        if sockets.len() >= MAX_SOCKETS {
            sockets.remove(0);
        }
        sockets.push(AboutSocket { socket, is_due: true, token: None });
    }

    /// Writes the question, if it is due and the peer is a neighbour that passes packets on.
    pub(super) fn transmit_where(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        if let Some(question) = self.transmit_where_socket(cx, buf) {
            return Some(question);
        }
        if !core::mem::take(&mut self.observing.is_due) || !self.is_relay(cx.now) {
            return None;
        }
        let via = self.paths.primary().filter(|path| path.is_proved())?.via();
        let token = cx.rng.bytes();
        self.observing.asked = Some(token);
        self.ask_where(cx, token, via, buf)
    }

    /// The same, from a further socket.
    fn transmit_where_socket(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        let due = self.observing.sockets.iter().position(|about| about.is_due)?;
        let path = self.paths.primary().filter(|path| path.is_proved());
        let Some(remote) = path.and_then(|path| path.via().remote()) else {
            self.observing.sockets.remove(due);
            return None;
        };
        let about = &mut self.observing.sockets[due];
        about.is_due = false;
        let token = *about.token.get_or_insert_with(|| cx.rng.bytes());
        let via = Via::Direct(FourTuple { socket: about.socket, local: None, remote });
        self.ask_where(cx, token, via, buf)
    }

    fn ask_where(
        &mut self,
        cx: &mut Context,
        token: [u8; 8],
        via: Via,
        buf: &mut [u8],
    ) -> Option<Departure> {
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
        let is_it = |about: &AboutSocket| about.token == Some(token);
        if let Some(at) = self.observing.sockets.iter().position(is_it) {
            let AboutSocket { socket, .. } = self.observing.sockets.remove(at);
            cx.local.order(Order::Seen(socket, observed));
        }
    }
}

/// How many further sockets of ours a neighbour is asked about at a time.
const MAX_SOCKETS: usize = 8;
