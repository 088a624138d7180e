//! Packets that look for direct ways: what the peer asks by them, and what we answer.

mod answers;

use crate::Violation;
use crate::context::Context;
use crate::net::{Arrival, Departure, FourTuple, Via};
use crate::peer::Peer;
use crate::stats::DropReason;
use crate::wire::{Frame, Frames, PROBE_FRAMES_LEN, PacketNumber};

use answers::Answer;
pub(super) use answers::Answers;

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
        } else if let Err(violation) = self.on_probe_frames(arrival, plaintext) {
            self.violate(cx, violation);
        }
        self.review(cx);
    }

    fn on_probe_frames(&mut self, arrival: &Arrival, plaintext: &[u8]) -> Result<(), Violation> {
        let mut challenge = None;
        for frame in Frames::new(plaintext) {
            match frame? {
                Frame::PathChallenge { token } => challenge = Some(token),
                Frame::PathResponse { .. } | Frame::Observed { .. } | Frame::Padding(_) => {}
                _ => return Err(Violation::MisplacedProbe),
            }
        }
        // One answer at most, and never a longer one than what it answers.
        if let Some(token) = challenge {
            let observed = plaintext.len() >= PROBE_FRAMES_LEN;
            self.answers.on_challenge(arrival.via, token, observed);
        }
        Ok(())
    }

    /// The peer asks for a challenge from another of our sockets. It goes to where the peer is known to be.
    pub(super) fn on_probe_me(&mut self, cx: &Context, index: u8, token: [u8; 8]) {
        let Some(path) = self.paths.primary().filter(|path| path.is_proved()) else { return };
        let socket = cx.probe_sockets.get(usize::from(index)).copied();
        if let (Some(socket), Some(remote)) = (socket, path.via().remote()) {
            let via = Via::Direct(FourTuple { socket, local: None, remote });
            self.answers.on_probe_me(via, token);
        }
    }

    /// Writes what answers a packet that looked for a way.
    pub(super) fn transmit_probe(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        match self.answers.take()? {
            Answer::Challenge { via, token } => {
                self.seal_probe(cx, &[Frame::PathChallenge { token }], via, buf)
            }
            Answer::Response { via, token, observed } => {
                let response = Frame::PathResponse { token };
                let observed = via
                    .remote()
                    .filter(|_| observed)
                    .map_or(Frame::Padding(0), |from| Frame::Observed { address: from.into() });
                self.seal_probe(cx, &[response, observed], via, buf)
            }
        }
    }
}
