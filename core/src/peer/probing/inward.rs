//! The way in: packets of the peer that look for a way, or answer such.

use core::net::SocketAddr;

use crate::Violation;
use crate::context::Context;
use crate::net::{Arrival, Via};
use crate::peer::Peer;
use crate::stats::DropReason;
use crate::wire::{Frame, Frames, PROBE_FRAMES_LEN, PacketNumber};

impl Peer {
    /// Takes a sealed datagram whose path id says that it looks for a way. It is no sign of life, and no address
    /// is learned from it: it only says what its frames say.
    pub(crate) fn handle_probe(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        local_index: u32,
        number: PacketNumber,
        datagram: &mut [u8],
    ) {
        let plaintext = self.open_untracked(cx, arrival, local_index, number, datagram);
        let Some(plaintext) = plaintext.filter(|_| !self.state.is_over()) else { return };
        self.on_key_confirmed(cx, local_index);
        // It was sent to an address. A neighbour that carries it has it from somewhere else.
        if arrival.via.route().is_some() {
            cx.drop_packet(DropReason::Unsolicited, &arrival.via);
        } else if let Err(violation) = self.on_probe_frames(cx, arrival, plaintext) {
            self.violate(cx, violation);
        }
        self.review(cx);
    }

    fn on_probe_frames(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        plaintext: &[u8],
    ) -> Result<(), Violation> {
        let (mut challenge, mut response, mut observed) = (None, None, None);
        for frame in Frames::new(plaintext) {
            match frame? {
                Frame::PathChallenge { token } => challenge = Some(token),
                Frame::PathResponse { token } => response = Some(token),
                Frame::Observed { address } => observed = Some(SocketAddr::from(address)),
                Frame::Padding(_) => {}
                _ => return Err(Violation::MisplacedProbe),
            }
        }
        self.note_for_nat_test(cx, arrival, challenge, response.zip(observed));
        if let Some((token, observed)) = response.zip(observed) {
            self.on_where(cx, arrival.via, token, observed);
        }
        // One answer at most, and never a longer one than what it answers.
        if let Some(token) = challenge {
            let observed = plaintext.len() >= PROBE_FRAMES_LEN;
            self.answers.on_challenge(arrival.via, token, observed);
            self.on_probed(cx, arrival.via);
        }
        if let Some(token) = response {
            self.on_probe_answered(cx, arrival.via, token);
        }
        Ok(())
    }

    /// The answer to a probe of ours came by `via`: what we send arrives there, and what the peer sends here.
    pub(super) fn on_probe_answered(&mut self, cx: &mut Context, via: Via, token: [u8; 8]) {
        let (Some(puncher), Via::Direct(way)) = (&mut self.puncher, via) else { return };
        if puncher.on_response(way, token, cx.now) && self.state.is_live() {
            self.events.verdict = true;
            self.adopt_direct(cx, via, None);
        }
    }
}
