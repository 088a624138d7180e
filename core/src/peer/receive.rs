//! The way in: a sealed datagram is opened, and only then believed.

use core::net::SocketAddr;
use core::time::Duration;

use crate::Violation;
use crate::context::Context;
use crate::event::{EndReason, Goodbye};
use crate::net::Arrival;
use crate::path::Answering;
use crate::path::{Fates, PeerPath};
use crate::peer::Peer;
use crate::trace;
use crate::wire::{AckFrame, Frame, Frames, PacketNumber};

/// What the frames of one packet amount to.
#[derive(Debug, Default)]
struct Summary {
    ack_eliciting: bool,
    /// A message that the peer must not believe to have arrived.
    refused: bool,
    /// The peer waits for nothing but the acknowledgement.
    urgent: bool,
}

impl Peer {
    /// Takes a sealed datagram for the session `local_index`.
    pub(crate) fn handle_sealed(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        local_index: u32,
        number: PacketNumber,
        datagram: &mut [u8],
    ) {
        let len = datagram.len();
        let known = self.paths.iter().position(|path| path.id == number.path());
        if known.is_some_and(|at| !self.paths[at].is_new(number.counter())) {
            cx.drops.duplicate += 1;
            return;
        }
        let Some(session) = self.sessions.by_index(local_index) else {
            cx.drops.unknown_session += 1;
            return;
        };
        let Some(plaintext) = session.open(&mut cx.keys, number, datagram) else {
            cx.drops.authentication += 1;
            if session.is_forged_out() {
                self.on_keys_timer(cx);
            }
            return;
        };
        self.stats.datagrams_received += 1;
        self.stats.bytes_received += len as u64;
        trace::received(self.id.as_ref(), number, plaintext);
        self.note_life(cx);
        self.prove_keys(cx, local_index);
        self.note_answer(cx, local_index);
        let Some(at) = known.or_else(|| self.open_path(cx, arrival, number.path())) else {
            self.violate(cx, Violation::TooManyPaths);
            return;
        };
        let newest = self.paths[at].note_received(number.counter(), cx.now);
        if newest {
            self.note_origin(cx, at, arrival, len);
        }
        self.handle_frames(cx, arrival, local_index, number, plaintext);
        if self.paths.iter().any(PeerPath::is_overfull) {
            self.violate(cx, Violation::NeverAcknowledges);
        }
        self.schedule_path(cx);
    }

    fn handle_frames(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        local_index: u32,
        number: PacketNumber,
        plaintext: &[u8],
    ) {
        let mut summary = Summary::default();
        for frame in Frames::new(plaintext) {
            let handled = frame
                .map_err(Violation::from)
                .and_then(|frame| self.on_frame(cx, arrival, local_index, frame, &mut summary));
            if let Err(violation) = handled {
                self.violate(cx, violation);
                return;
            }
        }
        let path = self.paths.iter_mut().find(|path| path.id == number.path());
        if let Some(path) = path.filter(|_| !summary.refused) {
            path.acks.on_packet(number.counter(), summary.ack_eliciting, arrival.ecn, cx.now);
            if summary.urgent {
                path.acks.hurry(cx.now);
            }
        }
    }

    fn on_frame(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        local_index: u32,
        frame: Frame<'_>,
        summary: &mut Summary,
    ) -> Result<(), Violation> {
        summary.ack_eliciting |= frame.is_ack_eliciting();
        match frame {
            Frame::Ack(ack) => return self.on_ack(cx, &ack),
            Frame::Disconnect { code, reason } => {
                summary.urgent = true;
                self.on_disconnect(cx, code, reason);
            }
            Frame::Data(data) => {
                summary.refused |= !self.accepts_messages();
                if self.accepts_messages() {
                    self.inbox.on_data(&data)?;
                    self.note_data_received(cx, local_index);
                }
            }
            Frame::Skip { stream, sequence_number } if self.accepts_messages() => {
                self.inbox.on_skip(stream, sequence_number)?;
                self.note_data_received(cx, local_index);
            }
            Frame::Ping { token } => self.outbound.on_ping(token),
            Frame::Pong { token } => {
                let pong = self.outbound.pings.on_pong(token, cx.now);
                self.notices.pongs.extend(pong.filter(|_| !self.state.is_over()));
            }
            Frame::Credit { limit } => self.outbound.queue.grant(limit),
            Frame::Blocked { limit } => self.inbox.on_blocked(limit),
            Frame::RekeyRequest { sender_index, ephemeral } => {
                return self.on_rekey_request(cx, local_index, sender_index, ephemeral);
            }
            Frame::RekeyResponse { sender_index, receiver_index, ephemeral } => {
                let indices = (sender_index, receiver_index);
                return self.on_rekey_response(cx, local_index, indices, ephemeral);
            }
            Frame::PathChallenge { token } => {
                self.answering = Some(Answering { token, via: arrival.via });
            }
            Frame::PathResponse { token } if !self.state.is_over() => {
                self.on_path_response(cx, arrival, token);
            }
            // A hint only: what is missing is found by acknowledgements and time as well.
            Frame::Retransmit(_) => {}
            Frame::Padding(_)
            | Frame::Extension { .. }
            | Frame::PathResponse { .. }
            | Frame::Skip { .. } => {}
        }
        Ok(())
    }

    fn on_ack(&mut self, cx: &mut Context, ack: &AckFrame<'_>) -> Result<(), Violation> {
        let Some(path) = self.paths.iter_mut().find(|path| path.id == ack.path) else {
            return Err(Violation::AckOfUnsent);
        };
        let mut fates = core::mem::take(&mut self.fates);
        let taken = path.on_ack(cx.now, ack, self.remote_ack_delay, &mut self.stats, &mut fates);
        self.settle(cx, fates);
        taken
    }

    /// The peer is alive under keys that still seal: there is no need to shake hands anew.
    fn note_answer(&mut self, cx: &mut Context, local_index: u32) {
        let current = self.sessions.current();
        let serves = current.is_some_and(|session| {
            session.local_index() == local_index && !session.is_worn(cx.now, &cx.config)
        });
        if serves && self.dial.is_some() {
            self.drop_dial(cx);
        }
    }

    /// Draws the consequences of packets acknowledged or lost.
    pub(super) fn settle(&mut self, cx: &mut Context, mut fates: Fates) {
        for frame in fates.acked.drain(..) {
            self.outbound.on_acked(frame);
        }
        for frame in fates.lost.drain(..) {
            self.outbound.on_lost(frame, &mut self.inbox);
        }
        self.fates = fates;
        if self.state.is_leaving() && self.outbound.goodbye_acked {
            self.finish_leaving(cx);
        }
        self.leave_if_flushed(cx);
    }

    /// Loss detection asked to be called now.
    pub(super) fn on_loss_timer(&mut self, cx: &mut Context) {
        for at in 0..self.paths.len() {
            // Consequences may reach as far as the end of the peer, and of its paths.
            let Some(path) = self.paths.get_mut(at) else { break };
            let mut fates = core::mem::take(&mut self.fates);
            path.on_loss_timeout(cx.now, self.remote_ack_delay, &mut self.stats, &mut fates);
            let frames = path.probe_frames();
            self.settle(cx, fates);
            for frame in frames {
                self.outbound.probe(frame, &mut self.inbox);
            }
        }
        self.note_silence(cx);
        self.schedule_path(cx);
    }

    /// Three probes in a row went unanswered: the peer may have lost our session.
    fn note_silence(&mut self, cx: &mut Context) {
        let unanswered = self.paths.first().map_or(0, PeerPath::unanswered_probes);
        let quiet = self.last_received.is_some_and(|last| cx.now >= last + QUIET);
        if unanswered >= PROBES_TO_SILENCE && quiet && self.state.is_live() {
            self.fall_silent(cx);
        }
    }

    /// The peer does not answer: shakes hands anew.
    pub(super) fn fall_silent(&mut self, cx: &mut Context) {
        if !self.state.is_silent() {
            self.state.move_to_silent();
        }
        if self.dial.is_none() {
            self.redial(cx);
        }
    }

    fn on_disconnect(&mut self, cx: &mut Context, code: u16, reason: &str) {
        let reason = match self.end_reason.take() {
            Some(reason) => reason,
            None if self.state.is_leaving() => {
                EndReason::Disconnected { acknowledged: self.outbound.goodbye_acked }
            }
            None => EndReason::PeerDisconnected(Goodbye::with_any_code(code, reason)),
        };
        self.end(cx, reason);
    }

    /// The peer broke the protocol: tell it, and be done with it.
    fn violate(&mut self, cx: &Context, violation: Violation) {
        if self.state.is_over() || self.end_reason.is_some() {
            return;
        }
        let peer = self.id.map(tracing::field::debug);
        tracing::debug!(target: "handfast::packet", peer, %violation, "violation");
        self.end_reason = Some(EndReason::Violation(violation));
        self.farewell = Goodbye::with_any_code(Violation::CODE, violation.as_str());
        if !self.state.is_leaving() {
            self.leave(cx);
        }
    }

    fn accepts_messages(&self) -> bool {
        self.state.is_up()
    }

    fn note_data_received(&mut self, cx: &mut Context, local_index: u32) {
        if let Some(session) = self.sessions.by_index(local_index) {
            session.note_data(cx.now);
        }
        if !self.inbox.is_empty() {
            self.notices.note_readable();
        }
        self.review_keys(cx);
    }

    /// The peer uses another path id.
    fn open_path(&mut self, cx: &Context, arrival: &Arrival, id: u8) -> Option<usize> {
        if self.paths.len() >= MAX_PATHS {
            return None;
        }
        self.paths.push(PeerPath::new(id, arrival.via, &cx.config));
        Some(self.paths.len() - 1)
    }

    /// Addresses of the peer that the endpoint should list.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let live = !self.state.is_over();
        self.via().filter(|_| live).and_then(|via| via.remote())
    }
}

/// The most paths of one peer.
const MAX_PATHS: usize = 4;
/// Unanswered probes that make a peer silent, but not before this long without a sign of life.
const PROBES_TO_SILENCE: u8 = 3;
const QUIET: Duration = Duration::from_secs(1);
