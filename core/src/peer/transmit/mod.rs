//! The way out: what a peer is owed becomes sealed packets.

mod due;

use core::num::NonZeroU16;

use crate::context::Context;
use crate::message::Pass;
use crate::net::{Departure, Via};
use crate::path::{Challenge, Permit};
use crate::peer::timers::Timer;
use crate::peer::{Peer, SentFrame};
use crate::recovery::Sent;
use crate::session::{OVERHEAD, PacketBuffer};
use crate::trace;
use crate::wire::{Frame, SEALED_HEADER_LEN, TAG_LEN, Writer};

use due::Due;

/// What a packet under construction turned out to hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Content {
    ack_eliciting: bool,
    data: bool,
    /// Data waits that did not fit.
    leaves_more: bool,
    /// It leaves with an ECN mark.
    is_marked: bool,
    /// The peer acknowledges it at once.
    asks_ack_now: bool,
    acks_up_to: Option<u64>,
}

impl Peer {
    /// Writes the next packets for the peer, all on one path.
    pub(crate) fn poll_transmit(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        self.paths.on_absence(cx.absence);
        let departure = if self.lacks_output(cx) {
            debug_assert!(self.transmit(cx, buf).is_none(), "it had something");
            self.note_nothing(cx.now);
            None
        } else {
            self.transmit(cx, buf)
        };
        self.review(cx);
        departure
    }

    /// Whether its turn to transmit comes to nothing: then that was its turn. To be asked about a peer that was reviewed since
    /// its state changed.
    pub(crate) fn passes_turn(&mut self, cx: &mut Context) -> bool {
        // Who may rest is packed after a turn, and whom a neighbour's packets reach fits its own into those.
        if self.outbound.queue.has_work() || self.may_rest(cx.now) || self.data_route().is_some() {
            return false;
        }
        self.paths.on_absence(cx.absence);
        let passes = self.are_keys_settled(cx) && self.lacks_output(cx);
        // Not in the core's own tests: to ask changes what they compare, that a turn that is passed leaves all as one that is taken.
        #[cfg(not(test))]
        debug_assert!(!passes || self.transmit(cx, &mut [0; 2048]).is_none(), "it had something");
        if passes {
            self.note_nothing(cx.now);
        }
        passes
    }

    /// Whether more may follow what was just transmitted, now and without another input. Once it says no, the peer need not
    /// be polled before something else touches it. To be asked after all reviews: they may find something to say.
    pub(crate) fn has_more(&mut self, cx: &mut Context) -> bool {
        let has_more = self.may_transmit(cx);
        debug_assert!(has_more || self.transmit(cx, &mut [0; 2048]).is_none(), "it had more");
        has_more
    }

    /// Our handshake goes first, then what validates paths, then all else.
    fn transmit(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        let usable = self.has_usable_keys(cx);
        if let Some(dial) = self.dialing.dial.as_mut().filter(|dial| dial.has_work()) {
            let Context { now, beacons, probe_budgets, .. } = cx;
            // Where a beacon led, no more goes than where a peer would have led us.
            let may_go = |via: &Via| match via.remote() {
                Some(to) if beacons.names(to.ip()) => probe_budgets.take(to, *now),
                _ => true,
            };
            let departure = dial.transmit(*now, may_go, buf);
            if departure.is_some() {
                return departure;
            }
        }
        if !usable {
            return None;
        }
        if self.paths.has_validation_work()
            && let Some(departure) = self.transmit_validation(cx, buf)
        {
            return Some(departure);
        }
        if self.may_probe(cx)
            && let Some(departure) = self.transmit_probe(cx, buf)
        {
            return Some(departure);
        }
        if let Some((id, via)) = self.paths.beside(cx.now)
            && let Some(departure) = self.transmit_beside(cx, id, via, buf)
        {
            return Some(departure);
        }
        let path = self.paths.primary().filter(|path| path.is_proved())?;
        if path.wants_larger()
            && let Some(size) = self.paths.due_size(cx.now).filter(|_| !self.state.is_over())
        {
            return self.transmit_size_probe(cx, size, buf);
        }
        self.transmit_batch(cx, buf)
    }

    /// Writes a packet of `size` bytes that only shows whether such packets pass. It travels alone, and nothing is
    /// missed if it is lost.
    #[cold]
    fn transmit_size_probe(
        &mut self,
        cx: &mut Context,
        size: u16,
        buf: &mut [u8],
    ) -> Option<Departure> {
        let path = self.paths.primary_mut()?;
        let (id, via) = (path.space().id(), path.via());
        let room = buf.get_mut(..via.headroom() + usize::from(size))?;
        let mut packet = PacketBuffer::new(room, via.headroom())?;
        let mut writer = packet.frames();
        let asks = (Frame::Ping { token: 0 }).encode(&mut writer);
        if !(asks && Frame::Padding(writer.remaining()).encode(&mut writer)) {
            return None;
        }
        let len = writer.position();
        path.on_size_probe(cx.now, size);
        self.seal(cx, id, packet.packet(len), None)?;
        Some(Departure::single(via, len + OVERHEAD))
    }

    /// Writes a packet that challenges a candidate or answers a challenge. It travels alone.
    #[cold]
    fn transmit_validation(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        if let Some((via, token)) = self.paths.take_answer(VALIDATION_LEN) {
            let path = self.paths.id_toward(&via)?;
            return self.seal_alone(cx, path, Frame::PathResponse { token }, via, buf);
        }
        let Challenge { path, via, token } =
            self.paths.take_challenge(VALIDATION_LEN, cx.now, &mut cx.rng)?;
        self.seal_alone(cx, path, Frame::PathChallenge { token }, via, buf)
    }

    /// Writes a packet on a path that data does not take: what is to be acknowledged there, and a probe if one
    /// is due.
    #[cold]
    fn transmit_beside(
        &mut self,
        cx: &mut Context,
        id: u8,
        via: Via,
        buf: &mut [u8],
    ) -> Option<Departure> {
        let room = via.headroom() + self.paths.get_mut(id)?.max_datagram();
        let mut packet = PacketBuffer::new(buf.get_mut(..room)?, via.headroom())?;
        let mut writer = packet.frames();
        let acks_up_to = self.paths.write_acks(id, cx.now, &mut writer);
        let probes = self.paths.get_mut(id)?.owes_probe();
        // Not worth repeating: the path is asked again.
        let ack_eliciting = probes && (Frame::Ping { token: 0 }).encode(&mut writer);
        if ack_eliciting && self.paths.is_trial(id) {
            let full = usize::from(via.base_datagram()) - OVERHEAD;
            let padding = full.saturating_sub(writer.position());
            if (Frame::Padding(padding)).encode(&mut writer)
                && let Some(next) = self.paths.get_mut(id)?.space().next_number()
            {
                self.paths.on_trial_sent(next.counter());
            }
        }
        let len = Some(writer.position()).filter(|len| *len > 0)?;
        let content = Content { ack_eliciting, acks_up_to, ..Content::default() };
        self.seal(cx, id, packet.packet(len), Some(content))?;
        Some(Departure::single(via, len + OVERHEAD))
    }

    /// Fills the buffer with packets of equal size, the last perhaps shorter.
    fn transmit_batch(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        let path = self.paths.primary()?;
        let via = path.via();
        // Who only acknowledges would not learn that marked packets do not arrive.
        let ecn = path.mark().filter(|_| self.outbound.queue.has_work());
        let (before, behind) = (via.headroom(), via.tailroom());
        let full = before + path.next_limit() + behind;
        let mut len = 0;
        let mut segment = None;
        for _ in 0..MAX_SEGMENTS {
            let limit = segment.unwrap_or(full);
            let Some(room) = buf.get_mut(len..len + limit) else { break };
            if len > 0 && !self.may_seal_more(cx) {
                break;
            }
            let packet = &mut room[before..limit - behind];
            let Some(size) = self.write_packet(cx, ecn.is_some(), packet) else { break };
            let size = before + size + behind;
            len += size;
            if *segment.get_or_insert(size) > size {
                break;
            }
            if !self.outbound.queue.has_work() {
                self.note_lack(cx.now, size - before - behind);
                break;
            }
        }
        let segment = segment.filter(|size| *size < len);
        let segment = segment.and_then(|size| NonZeroU16::new(u16::try_from(size).ok()?));
        (len > 0).then_some(Departure { via, ecn, hop_limit: None, len, segment })
    }

    /// Writes one packet on the primary path, if there is reason to.
    fn write_packet(&mut self, cx: &mut Context, is_marked: bool, buf: &mut [u8]) -> Option<usize> {
        let (queue, path) = (&self.outbound.queue, self.paths.primary()?);
        let waits = queue.has_work();
        let is_asked = (waits || queue.has_copies()) && !self.state.is_over();
        let permit = is_asked.then(|| path.permit(cx.now, buf.len()));
        let may_send_data = permit == Some(Permit::Now);
        let control = !path.is_unheard() && self.outbound.has_control(&self.inbox);
        let data = may_send_data && waits;
        if !(control || data || path.owes_probe() || self.paths.is_ack_due(cx.now)) {
            self.hold_back(cx.now, permit.filter(|_| waits), buf.len());
            return None;
        }
        let path = self.paths.primary_mut()?;
        let (id, room) = (path.space().id(), path.next_room() - OVERHEAD);
        path.space_mut().skip_number_sometimes(cx.now, &mut cx.rng);
        path.space().next_number()?;
        let due = Due { control, data: may_send_data, room };
        let mut packet = PacketBuffer::new(buf, 0)?;
        let mut writer = packet.frames();
        let content = self.write_frames(cx, &mut writer, due)?;
        let len = writer.position();
        if len == 0 {
            self.paths.primary_mut()?.space_mut().abandon();
            return None;
        }
        let content = Content { is_marked, ..content };
        self.seal(cx, id, packet.packet(len), Some(content))?;
        Some(len + OVERHEAD)
    }

    fn write_frames(&mut self, cx: &Context, writer: &mut Writer<'_>, due: Due) -> Option<Content> {
        let id = self.paths.primary()?.space().id();
        let acks_up_to = self.paths.write_acks(id, cx.now, writer);
        let mut content = Content { acks_up_to, ..Content::default() };
        let acks = writer.position();
        let path = self.paths.primary_mut()?;
        let owes_probe = path.owes_probe();
        let wants_answer = acks_up_to.is_some()
            && !path.is_unheard()
            && !self.state.is_over()
            && path.wants_ack_of_ack(cx.now);
        let round_trip = path.round_trip();
        let next = if due.control { path.space().next_number() } else { None };
        let mut push = |frame| path.space_mut().push_frame(frame);
        if let Some(next) = next {
            let packet = (next.path(), next.counter());
            self.outbound.write_given_up(packet, writer, &mut push);
            self.outbound.write_control(cx.now, &mut self.inbox, writer, &mut push);
        }
        if due.data {
            let before = writer.position();
            let mut sent = |part| push(SentFrame::Part(part));
            let pass = Pass { now: cx.now, age: self.outbound.limits.age, round_trip };
            let written = self.outbound.queue.write(pass, writer, due.room, &mut sent);
            if self.outbound.queue.has_copies() {
                self.timers.set(Timer::Deadline, self.outbound.queue.next_deadline());
            }
            self.stats.parts_retransmitted += written.repeated;
            self.stats.parts_copied += written.copied;
            content.asks_ack_now = written.ends_receipt;
            content.data = writer.position() > before;
            // Only now it may be known that a message lacks credit.
            if self.outbound.is_blocked_due() && !path.is_unheard() {
                let mut push = |frame| path.space_mut().push_frame(frame);
                self.outbound.write_control(cx.now, &mut self.inbox, writer, &mut push);
            }
        }
        if writer.position() == acks && owes_probe {
            self.outbound.queue_ping();
            let mut push = |frame| path.space_mut().push_frame(frame);
            self.outbound.write_control(cx.now, &mut self.inbox, writer, &mut push);
        }
        if writer.position() == acks && wants_answer {
            // Not worth repeating: a later acknowledgement asks again.
            _ = (Frame::Ping { token: 0 }).encode(writer);
        }
        content.ack_eliciting = writer.position() > acks;
        content.leaves_more = content.data && self.outbound.queue.has_work();
        // If nothing comes after it that would show its loss, its acknowledgement may be asked for.
        let ends_burst = content.data && !content.leaves_more && !content.asks_ack_now;
        let is_heartbeat = due.control && self.outbound.take_heartbeat();
        if is_heartbeat || (ends_burst && self.paths.may_ask_ack_now(cx.now)) {
            content.asks_ack_now = (Frame::AckNow).encode(writer);
        }
        Some(content)
    }

    /// Seals a packet of one frame that is not worth repeating.
    #[cold]
    fn seal_alone(
        &mut self,
        cx: &mut Context,
        path: u8,
        frame: Frame<'_>,
        via: Via,
        buf: &mut [u8],
    ) -> Option<Departure> {
        let mut packet = PacketBuffer::new(buf, via.headroom())?;
        let mut writer = packet.frames();
        if !frame.encode(&mut writer) {
            return None;
        }
        let len = writer.position();
        self.seal(cx, path, packet.packet(len), None)?;
        Some(Departure::single(via, len + OVERHEAD))
    }

    /// Gives a packet its number on a path, notes it and seals it. Without `content`, its fate is of
    /// no interest.
    pub(super) fn seal(
        &mut self,
        cx: &mut Context,
        path: u8,
        packet: &mut [u8],
        content: Option<Content>,
    ) -> Option<()> {
        let path = self.paths.get_mut(path)?;
        let number = path.space().next_number()?;
        let session = self.sessions.current_mut()?;
        trace::sent(
            self.acquaintance.id.as_ref(),
            number,
            &packet[SEALED_HEADER_LEN..packet.len() - TAG_LEN],
        );
        session.seal(&mut cx.keys, number, packet);
        let content = content.unwrap_or_default();
        if content.data {
            session.note_data(cx.now);
        }
        let sent = Sent {
            size: u16::try_from(packet.len()).unwrap_or(u16::MAX),
            ack_eliciting: content.ack_eliciting,
            asks_ack_now: content.asks_ack_now,
            is_marked: content.is_marked,
            acks_up_to: content.acks_up_to,
        };
        if content.leaves_more {
            path.want_larger();
        }
        path.on_sent(cx.now, sent);
        self.stats.datagrams_sent += 1;
        self.stats.bytes_sent += packet.len() as u64;
        Some(())
    }
}

/// What the kernel takes in one call (UDP_MAX_SEGMENTS of Linux).
const MAX_SEGMENTS: usize = 64;
/// The length of a packet that holds a challenge or its answer: a type and a token of 8 bytes.
const VALIDATION_LEN: u64 = (OVERHEAD + 9) as u64;
