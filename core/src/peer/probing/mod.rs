//! Packets that look for direct ways: what the peer asks by them, and what we answer.

mod answers;
mod inward;
mod punching;

use crate::context::Context;
use crate::net::{Departure, FourTuple, Via};
use crate::peer::Peer;
use crate::wire::Frame;

use answers::Answer;
pub(super) use answers::Answers;

impl Peer {
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
        let Some(answer) = self.answers.take() else {
            return if cx.config.punching.enabled { self.punch(cx, buf) } else { None };
        };
        match answer {
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
