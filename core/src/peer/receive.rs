//! The way in: a sealed datagram is opened, and only then believed.

use crate::Violation;
use crate::context::Context;
use crate::net::{Arrival, Place, Via};
use crate::path::{PathTimeout, Seen};
use crate::peer::Peer;
use crate::recovery::AckWant;
use crate::stats::DropReason;
use crate::trace;
use crate::wire::{AckFrame, DataFrame, Frame, Frames, PacketNumber};

/// What the frames of one packet amount to.
#[derive(Debug, Default)]
struct Summary {
    want: AckWant,
    /// A message that the peer must not believe to have arrived.
    refused: bool,
    /// Something of messages that were accepted.
    has_messages: bool,
    /// An answer to a challenge.
    answer: Option<[u8; 8]>,
}

impl Summary {
    fn wants(&mut self, want: AckWant) {
        self.want = self.want.max(want);
    }
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
        self.paths.on_absence(cx.absence);
        let len = datagram.len();
        if self.paths.is_duplicate(&self.acquaintance.spaces, number) {
            cx.drop_packet(DropReason::Duplicate, &arrival.via);
            self.on_duplicate(cx, arrival, local_index, number, datagram);
            return;
        }
        let Some(session) = self.sessions.by_index(local_index) else {
            cx.drop_packet(DropReason::UnknownSession, &arrival.via);
            return;
        };
        let Some(plaintext) = session.open(&mut cx.keys, number, datagram) else {
            cx.drop_packet(DropReason::Authentication, &arrival.via);
            if session.is_past_integrity_limit() {
                self.expire_keys(cx);
            }
            return;
        };
        self.stats.datagrams_received += 1;
        self.stats.bytes_received += len as u64;
        trace::received(self.acquaintance.id.as_ref(), number, plaintext);
        self.on_authenticated_packet(cx);
        self.on_key_confirmed(cx, local_index);
        self.on_answer(cx, local_index);
        let spaces = &mut self.acquaintance.spaces;
        let path = self.paths.ensure(spaces, number.path(), arrival.via, &cx.config);
        if let Err(violation) = path {
            self.violate(cx, violation);
            return;
        }
        let follow = !self.state.is_over() && !self.knows_better(cx, &arrival.via);
        match self.paths.on_received(number, arrival, len, follow, cx.now, &mut cx.rng) {
            Seen::Nothing => {}
            Seen::Candidate(via) => self.on_seen_elsewhere(&via),
            Seen::Back(via) => self.follow(cx, via),
        }
        self.inbox.note_room(cx.memory.room());
        self.handle_frames(cx, arrival, local_index, number, plaintext);
        if self.paths.is_overfull() {
            self.violate(cx, Violation::NeverAcknowledges);
        }
        self.review(cx);
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
        let read = self.read_frames(cx, arrival, local_index, plaintext, &mut summary);
        if let Err(violation) = read {
            self.violate(cx, violation);
            return;
        }
        if summary.has_messages
            && let Some(session) = self.sessions.by_index(local_index)
        {
            session.note_data(cx.now);
        }
        if let Some(token) = summary.answer.filter(|_| !self.state.is_over()) {
            let from = (number, arrival.via);
            self.paths.on_response(from, token, &cx.config, cx.now, &mut cx.rng);
        }
        if !summary.refused {
            self.paths.on_processed(number, summary.want, arrival.ecn, cx.now);
        }
    }

    /// Takes frame by frame, up to the first that is illegal.
    fn read_frames(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        local_index: u32,
        plaintext: &[u8],
        summary: &mut Summary,
    ) -> Result<(), Violation> {
        let mut frames = Frames::new(plaintext);
        loop {
            while let Some(data) = frames.next_whole() {
                self.on_data(&data, summary)?;
            }
            if let Some(data) = frames.next_data() {
                self.on_data(&data?, summary)?;
                continue;
            }
            match frames.next() {
                None => return Ok(()),
                // By far most that are no data.
                Some(Ok(Frame::Ack(ack))) => self.on_ack(cx, &ack)?,
                Some(frame) => self.on_frame(cx, arrival, local_index, frame?, summary)?,
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
        if frame.is_ack_eliciting() {
            summary.wants(AckWant::InTime);
        }
        match frame {
            Frame::Ack(ack) => return self.on_ack(cx, &ack),
            Frame::Disconnect { complete, code, reason } => {
                summary.wants(AckWant::AtOnce);
                self.on_disconnect(cx, code, reason, complete);
            }
            Frame::Data(data) => return self.on_data(&data, summary),
            Frame::Skip { stream, sequence_number } if self.accepts_messages() => {
                self.inbox.on_skip(stream, sequence_number)?;
                summary.has_messages = true;
            }
            Frame::GivenUp(frame) => {
                let is_taken =
                    self.accepts_messages() && self.inbox.has_place(frame.stream, frame.highest());
                summary.refused |= !is_taken;
                if is_taken {
                    self.inbox.on_given_up(&frame)?;
                    summary.has_messages = true;
                }
            }
            Frame::StreamEnd { stream, end } => {
                summary.refused |= !self.accepts_messages();
                if self.accepts_messages() {
                    self.inbox.on_stream_end(stream, end)?;
                }
            }
            Frame::Ping { token } => {
                self.on_asked(cx);
                self.outbound.on_ping(token);
            }
            Frame::Pong { token } => {
                let pong = self.outbound.pings.on_pong(token, cx.now);
                self.events.pongs.extend(pong.filter(|_| !self.state.is_over()));
            }
            Frame::Credit { limit } => self.outbound.queue.grant(limit),
            Frame::ChannelCredit { channel, returned } => {
                self.outbound.queue.give_back(channel, returned);
            }
            Frame::Blocked { limit, cost } => self.inbox.on_blocked(limit, cost),
            Frame::Reclaim { keep } => self.outbound.queue.forfeit(keep),
            Frame::Forfeit { total } => self.inbox.on_forfeit(total)?,
            Frame::RekeyRequest { sender_index, ephemeral } => {
                return self.on_rekey_request(cx, local_index, sender_index, ephemeral);
            }
            Frame::RekeyResponse { sender_index, receiver_index, ephemeral } => {
                let indices = (sender_index, receiver_index);
                return self.on_rekey_response(cx, local_index, indices, ephemeral);
            }
            Frame::PathChallenge { token } => {
                self.paths.on_challenge(arrival.via, token);
                // It may see us elsewhere.
                self.ask_where_we_are();
            }
            Frame::PathResponse { token } => summary.answer = Some(token),
            Frame::Forward(_) => return Err(Violation::MisplacedForward),
            Frame::ForwardRefused { destination, reason } => {
                self.note_forward_refused(None, *destination, reason);
            }
            Frame::ForwardFailed { source, destination, reason, hops } => {
                self.note_forward_refused(Some((source, hops)), *destination, reason);
            }
            Frame::ProbeMe { index, token } => self.on_probe_me(cx, index, token),
            Frame::Observed { .. } => return Err(Violation::MisplacedProbe),
            Frame::RouteUpdate(_)
            | Frame::RouteRetraction { .. }
            | Frame::SeqnoRequest { .. }
            | Frame::RouteRequest { .. } => self.on_route_frame(cx, &frame),
            Frame::AckNow => summary.wants(AckWant::Asked),
            // A hint only: what is missing is found by acknowledgements and time as well.
            Frame::Retransmit(_) => {}
            Frame::Candidates(candidates) => self.on_candidates(cx, &candidates),
            Frame::Opened { round, list } => self.on_opened(round, list),
            Frame::Padding(_) | Frame::Extension { .. } | Frame::Skip { .. } => {}
        }
        Ok(())
    }

    #[inline]
    fn on_data(&mut self, data: &DataFrame<'_>, summary: &mut Summary) -> Result<(), Violation> {
        summary.wants(AckWant::InTime);
        if !self.accepts_messages() || !self.inbox.has_place(data.stream, data.sequence_number) {
            summary.refused = true;
            return Ok(());
        }
        summary.has_messages = true;
        if self.inbox.on_data(data)? && data.requires_ack {
            summary.wants(AckWant::Asked);
        }
        Ok(())
    }

    fn on_ack(&mut self, cx: &Context, ack: &AckFrame<'_>) -> Result<(), Violation> {
        self.outbound.queue.note_ack((ack.path, ack.largest));
        let taken = self.paths.on_ack(&self.acquaintance.spaces, cx.now, ack, &mut self.stats);
        self.on_packets_resolved();
        taken
    }

    /// A deadline of a path passed.
    pub(super) fn on_path_timer(&mut self, cx: &mut Context) {
        let timeout = self.paths.handle_timeout(cx.now, &mut self.stats);
        self.on_packets_resolved();
        if let Some(PathTimeout::Loss(frames)) = timeout {
            for frame in frames {
                self.outbound.probe(frame, &mut self.inbox);
            }
            self.seek_route(cx);
            self.on_probe_timeout(cx);
        }
    }

    fn accepts_messages(&self) -> bool {
        self.state.is_up()
    }

    /// Whether what a packet of it led to may wait until more packets came, or messages went: it concerns this peer alone.
    /// Books what it holds.
    pub(crate) fn stays_listed(&mut self, cx: &mut Context) -> bool {
        self.book_messages(cx)
            && !self.inbox.is_growing()
            && !self.has_relay_change(cx.now)
            && self.is_listed_rightly()
    }

    /// Whether it is listed where its packets go.
    fn is_listed_rightly(&self) -> bool {
        let Some(path) = self.paths.primary() else { return false };
        match (path.way(), &self.acquaintance.listed_at) {
            (Via::Direct(tuple), Some(Place::Address(listed))) => tuple.remote == *listed,
            (Via::Routed(route), Some(Place::Behind(listed))) => route.neighbour == *listed,
            _ => false,
        }
    }

    /// Where the endpoint should list the peer.
    pub(crate) fn place(&self) -> Option<Place> {
        let live = !self.state.is_over();
        self.paths.primary().filter(|_| live).map(|path| Place::from(path.way()))
    }
}
