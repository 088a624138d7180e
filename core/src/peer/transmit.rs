//! The way out: what a peer is owed becomes sealed datagrams.

use core::num::NonZeroU16;

use crate::context::Context;
use crate::net::Departure;
use crate::path::Permit;
use crate::peer::Peer;
use crate::peer::sent_frame::SentFrame;
use crate::peer::timers::Timer;
use crate::recovery::Sent;
use crate::trace;
use crate::wire::{SEALED_HEADER_LEN, TAG_LEN, Writer};

/// Bytes of a sealed packet that are not frames.
const OVERHEAD: usize = SEALED_HEADER_LEN + TAG_LEN;

/// What a packet under construction turned out to hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Content {
    ack_eliciting: bool,
    data: bool,
    acks_up_to: Option<u64>,
}

impl Peer {
    /// Writes the next datagrams for the peer, all on one path.
    pub(crate) fn poll_transmit(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        let usable = self.has_usable_keys(cx);
        if let Some(dial) = self.dial.as_mut().filter(|dial| dial.has_work()) {
            let departure = dial.transmit(cx.now, buf);
            if departure.is_some() {
                return departure;
            }
        }
        if !usable {
            return None;
        }
        if self.has_roaming() {
            let departure = self.transmit_roaming(cx, buf);
            if departure.is_some() {
                return departure;
            }
        }
        self.transmit_batch(cx, buf)
    }

    /// Fills the buffer with packets of equal size, the last perhaps shorter.
    fn transmit_batch(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        let path = self.paths.first()?;
        let (via, full) = (path.via, path.max_datagram());
        let mut len = 0;
        let mut segment = None;
        for _ in 0..MAX_SEGMENTS {
            let limit = segment.unwrap_or(full);
            let Some(room) = buf.get_mut(len..len + limit) else { break };
            // Keys may wear out within a batch.
            if len > 0 && !self.has_usable_keys(cx) {
                break;
            }
            let Some(size) = self.write_packet(cx, room) else { break };
            len += size;
            if *segment.get_or_insert(size) > size {
                break;
            }
        }
        self.schedule_path(cx);
        let segment = segment.filter(|size| *size < len);
        let segment = segment.and_then(|size| NonZeroU16::new(u16::try_from(size).ok()?));
        (len > 0).then_some(Departure { via, len, segment })
    }

    /// Writes one packet on the first path, if there is reason to.
    fn write_packet(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<usize> {
        let permit = self.paths[0].permit(cx.now, buf.len());
        let may_send_data = permit == Permit::Now && !self.state.is_over();
        let unheard = self.paths[0].is_unheard();
        let control = !unheard && self.outbound.has_control(&self.inbox);
        let data = may_send_data && self.outbound.queue.has_work();
        let probe = self.paths[0].owes_probe();
        let ack_due = self.paths.iter().any(|path| path.acks.is_due(cx.now));
        if !(control || data || probe || ack_due) {
            self.schedule_pacing(permit);
            return None;
        }
        self.paths[0].skip_number_sometimes(cx.now, &mut cx.rng);
        self.paths[0].next_number()?;
        let room = self.paths[0].max_datagram() - OVERHEAD;
        let mut writer =
            Writer::new(buf.get_mut(SEALED_HEADER_LEN..)?.split_last_chunk_mut::<TAG_LEN>()?.0);
        let content = self.write_frames(cx, &mut writer, may_send_data, room);
        let len = writer.position();
        if len == 0 {
            self.paths[0].ledger.abandon();
            return None;
        }
        let packet = &mut buf[..len + OVERHEAD];
        self.seal(cx, 0, packet, Some(content))?;
        Some(len + OVERHEAD)
    }

    fn write_frames(
        &mut self,
        cx: &Context,
        writer: &mut Writer<'_>,
        may_send_data: bool,
        room: usize,
    ) -> Content {
        let mut content = Content::default();
        for (at, path) in self.paths.iter_mut().enumerate() {
            if !path.acks.wants_piggyback() {
                continue;
            }
            let largest = path.write_ack(cx.now, writer);
            if at == 0 {
                content.acks_up_to = largest;
            }
        }
        let acks = writer.position();
        let unheard = self.paths[0].is_unheard();
        let ledger = &mut self.paths[0].ledger;
        let mut push = |frame| ledger.push_frame(frame);
        if !unheard {
            self.outbound.write_control(cx.now, &mut self.inbox, writer, &mut push);
        }
        if may_send_data {
            let before = writer.position();
            let mut sent = |part| push(SentFrame::Part(part));
            let resent = self.outbound.queue.write(writer, room, &mut sent);
            self.stats.parts_retransmitted += resent;
            content.data = writer.position() > before;
        }
        if writer.position() == acks && self.paths[0].owes_probe() {
            self.outbound.nudge();
            let ledger = &mut self.paths[0].ledger;
            let mut push = |frame| ledger.push_frame(frame);
            self.outbound.write_control(cx.now, &mut self.inbox, writer, &mut push);
        }
        content.ack_eliciting = writer.position() > acks;
        content
    }

    /// Gives a packet its number, notes it and seals it. Without `content`, its fate is of no
    /// interest.
    pub(super) fn seal(
        &mut self,
        cx: &mut Context,
        at: usize,
        packet: &mut [u8],
        content: Option<Content>,
    ) -> Option<()> {
        let path = self.paths.get_mut(at)?;
        let number = path.next_number()?;
        let session = self.sessions.current_mut()?;
        trace::sent(self.id.as_ref(), number, &packet[SEALED_HEADER_LEN..packet.len() - TAG_LEN]);
        session.seal(&mut cx.keys, number, packet);
        let content = content.unwrap_or_default();
        if content.data {
            session.note_data(cx.now);
        }
        // One who only acknowledges wears out its keys as well.
        let review = content.data || session.wants_rekey(&cx.config);
        let sent = Sent {
            size: u16::try_from(packet.len()).unwrap_or(u16::MAX),
            ack_eliciting: content.ack_eliciting,
            app_limited: !self.outbound.queue.has_work(),
            acks_up_to: content.acks_up_to,
            ..Sent::default()
        };
        path.note_sent(cx.now, sent);
        self.stats.datagrams_sent += 1;
        self.stats.bytes_sent += packet.len() as u64;
        if review {
            self.review_keys(cx);
        }
        Some(())
    }

    /// When the next packet may leave, if only pacing holds data back.
    fn schedule_pacing(&mut self, permit: Permit) {
        let at = match permit {
            Permit::Later(at) if self.outbound.queue.has_work() => Some(at),
            _ => None,
        };
        self.timers.set(Timer::Pace, at);
    }

    /// Sets the timers that depend on what was sent and received.
    pub(super) fn schedule_path(&mut self, cx: &Context) {
        let delay = self.remote_ack_delay;
        let waits = !self.state.is_over();
        let loss = self.paths.iter().filter_map(|path| path.loss_deadline(delay)).min();
        let loss = loss.filter(|_| waits);
        // Good news shortens the wait for what was sent before: it may be over already.
        self.timers.set(Timer::Loss, loss.map(|at| at.max(cx.now)));
        let ack = self.paths.iter().filter_map(|path| path.acks.deadline()).min();
        // What is due already only waits for the driver to ask.
        self.timers.set(Timer::Ack, ack.filter(|at| *at > cx.now));
    }
}

/// What the kernel takes in one call (UDP_MAX_SEGMENTS of Linux).
const MAX_SEGMENTS: usize = 64;
