//! Packets that look for direct ways: what the peer asks by them, and what we answer.

mod answers;
mod elsewhere;
mod inward;
mod nat_test;
mod observing;
mod punching;

use alloc::boxed::Box;
use core::net::SocketAddr;

use crate::context::Context;
use crate::error::CommandError;
use crate::nat::NatEvidence;
use crate::net::{Arrival, Departure, FourTuple, Via};
use crate::pack::pack;
use crate::peer::Peer;
use crate::peer::timers::Timer;
use crate::time::Instant;
use crate::wire::{Frame, PROBE_FRAMES_LEN};

use answers::Answer;
pub(super) use answers::Answers;
use nat_test::{NatTest, Question};
pub(super) use observing::Observing;
pub(crate) use punching::FreshNews;

/// The test of the NAT before us, while one goes on.
#[derive(Debug, Default)]
pub(super) struct NatTesting {
    test: Option<Box<(FourTuple, NatTest)>>,
    /// Nobody asked for it: it is for the search for direct ways.
    by_itself: bool,
}

pack!(NatTesting: test, by_itself);

impl NatTesting {
    /// When the test goes on; `None` if none is under way.
    fn deadline(&self) -> Option<Instant> {
        let (_, test) = self.test.as_deref()?;
        test.deadline()
    }
}

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

    /// Whether [`Self::transmit_probe`] may have something to write. Asked before each packet.
    pub(super) fn may_probe(&self, cx: &Context) -> bool {
        !self.answers.is_empty() || self.nat_testing.test.is_some() || cx.config.punching.enabled
    }

    /// Writes what answers a packet that looked for a way, or looks for one.
    #[cold]
    pub(super) fn transmit_probe(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        let Some(answer) = self.answers.take() else {
            let question = self.transmit_question(cx, buf);
            if question.is_some() || !cx.config.punching.enabled {
                return question;
            }
            let asks = self.transmit_where(cx, buf);
            return asks.or_else(|| self.punch(cx, buf));
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

    /// Begins a test of the NAT before us: `ports` are the further ports of the server that the peer is.
    pub(crate) fn test_nat(
        &mut self,
        cx: &mut Context,
        ports: [u16; 2],
    ) -> Result<(), CommandError> {
        if self.state.is_over() {
            return Err(CommandError::UnknownPeer);
        }
        if self.state.is_closing() {
            return Err(CommandError::Closing);
        }
        // One that began by itself gives way.
        if self.nat_testing.test.is_some() && !self.nat_testing.by_itself {
            return Err(CommandError::TooMany);
        }
        let path = self.paths.primary().filter(|path| path.is_proved());
        let (Some(Via::Direct(tuple)), Some(path)) = (self.paths.via(), path) else {
            return Err(CommandError::NotDirect);
        };
        let ports = [tuple.remote.port(), ports[0], ports[1]];
        let tokens = [(); 4].map(|()| cx.rng.bytes());
        // More than a round trip.
        let patience = path.pto(cx.config.timers.max_ack_delay);
        let test = NatTest::new(cx.now, ports, tokens, patience);
        self.nat_testing = NatTesting { test: Some(Box::new((tuple, test))), by_itself: false };
        self.review_nat_test(cx);
        Ok(())
    }

    /// Begins such a test by itself, for the search for direct ways, if none was made since our addresses changed: with
    /// a neighbour that passes packets on, which usually answers at the two ports after its own, if none are configured.
    pub(super) fn test_nat_by_itself(&mut self, cx: &mut Context) {
        let via = self.paths.via().and_then(|via| via.remote());
        let (Some(id), Some(SocketAddr::V4(remote))) = (self.acquaintance.id, via) else { return };
        let usual = remote.port().checked_add(2).map(|last| [last - 1, last]);
        let Some(ports) = cx.config.punching.probe_ports.or(usual) else { return };
        if self.is_relay(cx.now)
            && self.nat_testing.test.is_none()
            && cx.local.wants_test_by(&id)
            && self.test_nat(cx, ports).is_ok()
        {
            self.nat_testing.by_itself = true;
            cx.local.note_test_begun(id);
        }
    }

    /// What a probe says that the test may have waited for.
    fn note_for_nat_test(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        challenge: Option<[u8; 8]>,
        response: Option<([u8; 8], SocketAddr)>,
    ) {
        let Some((_, test)) = self.nat_testing.test.as_deref_mut() else { return };
        if let Some((token, observed)) = response {
            test.on_seen(cx.now, token, observed);
        }
        if let (Some(token), Some(remote)) = (challenge, arrival.via.remote()) {
            test.on_challenge(cx.now, token, remote.port());
        }
        self.review_nat_test(cx);
    }

    /// Writes a question of the test.
    fn transmit_question(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        let NatTesting { test, by_itself } = &mut self.nat_testing;
        let (tuple, test) = test.as_deref_mut()?;
        match test.ask()? {
            Question::Send { index, token } => {
                // It is no probe: it goes with what else is due.
                self.outbound.ask_for_probe(index, token);
                None
            }
            Question::Seen { port, token } => {
                let remote = SocketAddr::new(tuple.remote.ip(), port);
                if *by_itself && !cx.probe_budgets.take(remote, cx.now) {
                    return None;
                }
                let via = Via::Direct(FourTuple { remote, ..*tuple });
                let frames = [Frame::PathChallenge { token }, Frame::Padding(PROBE_FRAMES_LEN - 9)];
                self.seal_probe(cx, &frames, via, buf)
            }
        }
    }

    pub(super) fn on_nat_test_timer(&mut self, cx: &mut Context) {
        if let Some((_, test)) = self.nat_testing.test.as_deref_mut() {
            test.on_timeout(cx.now);
        }
        self.review_nat_test(cx);
    }

    /// Tells what was found out, or sets the next deadline.
    fn review_nat_test(&mut self, cx: &mut Context) {
        let test = self.nat_testing.test.as_deref().map(|(_, test)| test);
        let evidence: Option<NatEvidence> = test.and_then(NatTest::evidence);
        if let Some(evidence) = &evidence {
            cx.local.note_tested(evidence);
        }
        if evidence.is_some() {
            let NatTesting { by_itself, .. } = core::mem::take(&mut self.nat_testing);
            self.events.nat_tested = evidence.filter(|_| !by_itself).map(Box::new);
        }
        // The search for a direct way has the same timer, and sets it again when it is looked at next.
        self.timers.set(Timer::Probing, self.nat_testing.deadline());
    }
}
