//! Everything a peer is owed, messages and control alike, and the order in which it goes out.

mod addresses;
mod pings;
mod routes;

use alloc::vec::Vec;

use bytes::Bytes;
use smallvec::SmallVec;

use addresses::Addresses;
use pings::Pings;
use routes::Routes;

use crate::delivery::{Delivery, MessageId};
use crate::disconnect::DisconnectReason;
use crate::error::SendError;
use crate::message::SendLimits;
use crate::message::{Part, ReceiveQueue};
use crate::message::{SendQueue, Told};
use crate::pack::{pack, pack_never};
use crate::session::{Rekey, RekeyFrame};
use crate::time::Instant;
use crate::wire::{Frame, Writer};

/// One frame of a sent packet whose arrival or loss matters. Frames are never sent again as they
/// were: a loss only makes the same content due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SentFrame {
    Addresses,
    Blocked,
    ChannelCredit { channel: u16 },
    Credit,
    Disconnect,
    Forfeit,
    GivenUp(Told),
    Opened { round: u64 },
    Part(Part),
    Ping { token: u64 },
    Pong { token: u64 },
    Rekey(RekeyFrame),
    Route { key: u32 },
    Skip { stream: u16 },
    StreamEnd { name: u32 },
}

pack_never!(SentFrame);

/// The most unanswered pings of the peer we remember; the oldest give way.
const MAX_PONGS: usize = 8;

/// The most refusals that wait; one that is not told is told of the next packet.
const MAX_REFUSED_FORWARDS: usize = 8;

/// A packet that did not pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefusedForward {
    /// Who made it, and how often this may still be passed on to there; `None` if the peer itself did.
    pub(crate) source: Option<([u8; 32], u8)>,
    /// Whom it was for.
    pub(crate) destination: [u8; 32],
    pub(crate) reason: u8,
}

pack_never!(RefusedForward);

impl RefusedForward {
    fn frame(&self) -> Frame<'_> {
        let (destination, reason) = (&self.destination, self.reason);
        match &self.source {
            None => Frame::ForwardRefused { destination, reason },
            Some((source, hops)) => {
                Frame::ForwardFailed { source, destination, reason, hops: *hops }
            }
        }
    }
}

/// What is due to the peer.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// What the peer allows us.
    pub(super) limits: SendLimits,
    pub(super) queue: SendQueue,
    pub(super) pings: Pings,
    pub(super) rekey: Rekey,
    pub(super) addresses: Addresses,
    pub(super) routes: Routes,
    /// Tokens of the peer's pings to answer.
    pongs: SmallVec<[u64; 2]>,
    /// The `Blocked` that we sent last: the limit and the cost.
    reported_blocked: Option<(u64, u64)>,
    /// A ping without a token is due: it only makes the peer acknowledge.
    ping_due: bool,
    /// It is a heartbeat: the acknowledgement is the sign of life that is waited for, and may come at once.
    is_heartbeat: bool,
    /// Our `Disconnect`, once it may go out, and whether it is due.
    disconnect: Option<DisconnectReason>,
    disconnect_due: bool,
    /// It is sent although the peer is over.
    ends_with_disconnect: bool,
    /// Every reliable message was acknowledged before it.
    is_complete: bool,
    /// Packets that did not pass: told once, lost or not.
    refused_forwards: Vec<RefusedForward>,
    /// A probe that the peer is asked for: which socket sends it, and its token. Asked once, lost or not.
    wanted_probe: Option<(u8, [u8; 8])>,
    /// The peer acknowledged our `Disconnect`.
    pub(super) disconnect_acked: bool,
}

pack!(Outbound:
    limits, queue, pings, rekey, addresses, routes, pongs, reported_blocked, ping_due, is_heartbeat,
    disconnect, disconnect_due, ends_with_disconnect, is_complete, refused_forwards, wanted_probe,
    disconnect_acked,
);

impl Outbound {
    /// Nothing is due.
    pub(crate) fn new(limits: SendLimits) -> Self {
        Self {
            limits,
            queue: SendQueue::default(),
            pings: Pings::default(),
            rekey: Rekey::default(),
            addresses: Addresses::default(),
            routes: Routes::default(),
            pongs: SmallVec::new(),
            reported_blocked: None,
            ping_due: false,
            is_heartbeat: false,
            disconnect: None,
            disconnect_due: false,
            ends_with_disconnect: false,
            is_complete: false,
            refused_forwards: Vec::new(),
            wanted_probe: None,
            disconnect_acked: false,
        }
    }

    /// Accepts a message, or says why not.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        delivery: Delivery,
        payload: Bytes,
    ) -> Result<MessageId, SendError> {
        self.queue.push(&self.limits, now, delivery, payload)
    }

    /// Makes the peer acknowledge something soon.
    pub(crate) fn queue_ping(&mut self) {
        self.ping_due = true;
    }

    /// Asks for a sign of life: by the pings under way, which are sent anew, or by one that only makes the peer
    /// acknowledge.
    pub(super) fn heartbeat(&mut self) {
        self.pings.restart();
        if !self.pings.has_unsent() {
            self.ping_due = true;
            self.is_heartbeat = true;
        }
    }

    /// Whether the packet that was written holds a heartbeat.
    pub(super) const fn take_heartbeat(&mut self) -> bool {
        !self.ping_due && core::mem::replace(&mut self.is_heartbeat, false)
    }

    /// The peer asked for an answer.
    pub(crate) fn on_ping(&mut self, token: u64) {
        // Repetitions must not push out the answers to other pings.
        if token == 0 || self.pongs.contains(&token) {
            return;
        }
        if self.pongs.len() >= MAX_PONGS {
            self.pongs.remove(0);
        }
        self.pongs.push(token);
    }

    /// A packet that the peer made or passed on did not pass.
    pub(crate) fn refuse_forward(&mut self, refused: RefusedForward) {
        if self.refused_forwards.len() < MAX_REFUSED_FORWARDS {
            self.refused_forwards.push(refused);
        }
    }

    /// Asks the peer for a probe from another of its sockets.
    pub(super) const fn ask_for_probe(&mut self, index: u8, token: [u8; 8]) {
        self.wanted_probe = Some((index, token));
    }

    /// Sends a `Disconnect` from now on; nothing else is owed any more. Unless `in_order`, it never says that
    /// the peer has all messages.
    pub(crate) fn leave(&mut self, reason: DisconnectReason, in_order: bool) {
        self.disconnect = Some(reason);
        self.disconnect_due = true;
        self.queue.end();
        self.is_complete = in_order && !self.queue.is_cut();
    }

    /// What our `Disconnect` says, if there was one; it is not sent any more, but for a last time.
    pub(super) fn take_disconnect(&mut self) -> Option<DisconnectReason> {
        if self.ends_with_disconnect {
            return self.disconnect.clone();
        }
        self.disconnect_due = false;
        self.disconnect.take()
    }

    /// The peer ends before its `Disconnect` has left. It still goes out, once.
    pub(super) const fn end_with_disconnect(&mut self) {
        self.ends_with_disconnect = true;
    }

    /// Whether control frames are due: they wait for neither window nor pacing.
    pub(crate) fn has_control(&self, inbox: &ReceiveQueue) -> bool {
        self.ping_due
            || self.disconnect_due
            || !self.pongs.is_empty()
            || self.pings.has_unsent()
            || self.rekey.is_due()
            || inbox.is_credit_due()
            || inbox.reclaims().is_some()
            || self.queue.forfeit_due().is_some()
            || self.queue.has_skips()
            || self.queue.has_given_up()
            || self.queue.has_stream_ends()
            || self.is_blocked_due()
            || self.addresses.is_due()
            || self.routes.is_due()
            || !self.refused_forwards.is_empty()
            || self.wanted_probe.is_some()
    }

    /// Writes which messages will not come, while it fits, into the packet with this path and counter.
    pub(crate) fn write_given_up(
        &mut self,
        packet: (u8, u64),
        writer: &mut Writer<'_>,
        sent: &mut impl FnMut(SentFrame),
    ) {
        let mut tell = |told| sent(SentFrame::GivenUp(told));
        while self.queue.write_given_up(packet, writer, &mut tell) {}
    }

    /// Writes control frames while they fit.
    pub(crate) fn write_control(
        &mut self,
        now: Instant,
        inbox: &mut ReceiveQueue,
        writer: &mut Writer<'_>,
        sent: &mut impl FnMut(SentFrame),
    ) {
        self.write_disconnect(writer, sent);
        self.rekey.write(writer, &mut |frame| sent(SentFrame::Rekey(frame)));
        self.write_pings(now, writer, sent);
        while let Some(token) = self.pongs.first().copied() {
            if !(Frame::Pong { token }).encode(writer) {
                return;
            }
            self.pongs.remove(0);
            sent(SentFrame::Pong { token });
        }
        self.write_forfeits(inbox, writer, sent);
        self.write_flow(inbox, writer, sent);
        if let Some((index, token)) = self.wanted_probe
            && (Frame::ProbeMe { index, token }).encode(writer)
        {
            self.wanted_probe = None;
        }
        self.addresses.write(writer, sent);
        self.routes.write(writer, sent);
        while let Some(refused) = self.refused_forwards.last() {
            if !refused.frame().encode(writer) {
                return;
            }
            self.refused_forwards.pop();
        }
    }

    /// The frame arrived.
    pub(crate) fn on_acked(&mut self, frame: SentFrame) {
        match frame {
            SentFrame::Part(part) => self.queue.on_acked(part),
            SentFrame::Disconnect => self.disconnect_acked = true,
            SentFrame::GivenUp(told) => self.queue.on_told(told),
            SentFrame::Route { key } => self.routes.on_acked(key),
            SentFrame::StreamEnd { name } => self.queue.on_stream_end_acked(name),
            SentFrame::Addresses
            | SentFrame::Opened { .. }
            | SentFrame::Blocked
            | SentFrame::ChannelCredit { .. }
            | SentFrame::Credit
            | SentFrame::Forfeit
            | SentFrame::Ping { .. }
            | SentFrame::Pong { .. }
            | SentFrame::Rekey(_)
            | SentFrame::Skip { .. } => {}
        }
    }

    /// The frame was lost, as far as we can tell: what it said is due again, if still true.
    pub(crate) fn on_lost(&mut self, frame: SentFrame, inbox: &mut ReceiveQueue) {
        match frame {
            SentFrame::Part(part) => self.queue.on_lost(part),
            SentFrame::Addresses => self.addresses.repeat(),
            SentFrame::Opened { round } => self.addresses.repeat_opened(round),
            SentFrame::Blocked => self.reported_blocked = None,
            SentFrame::ChannelCredit { channel } => inbox.repeat_channel_credit(channel),
            SentFrame::Credit => inbox.repeat_credit(),
            SentFrame::Disconnect => self.disconnect_due = self.disconnect.is_some(),
            SentFrame::Forfeit => self.queue.set_forfeit_due(true),
            SentFrame::GivenUp(told) => self.queue.repeat_told(told),
            SentFrame::Ping { token: 0 } => self.ping_due = true,
            SentFrame::Ping { token } => self.pings.on_lost(token),
            SentFrame::Pong { token } => self.on_ping(token),
            SentFrame::Rekey(frame) => self.rekey.on_lost(frame),
            SentFrame::Route { key } => self.routes.on_lost(key),
            SentFrame::Skip { stream } => self.queue.repeat_skip(stream),
            SentFrame::StreamEnd { name } => self.queue.repeat_stream_end(name),
        }
    }

    /// A probe timeout fired: send the frame again although it may still arrive. True if that
    /// makes a packet worth sending.
    pub(crate) fn probe(&mut self, frame: SentFrame, inbox: &mut ReceiveQueue) -> bool {
        match frame {
            SentFrame::Part(part) => self.queue.probe(part),
            SentFrame::Ping { token: 0 } => false,
            SentFrame::Addresses
            | SentFrame::Opened { .. }
            | SentFrame::Blocked
            | SentFrame::ChannelCredit { .. }
            | SentFrame::Credit
            | SentFrame::Disconnect
            | SentFrame::Forfeit
            | SentFrame::GivenUp(_)
            | SentFrame::Ping { .. }
            | SentFrame::Pong { .. }
            | SentFrame::Rekey(_)
            | SentFrame::Route { .. }
            | SentFrame::Skip { .. }
            | SentFrame::StreamEnd { .. } => {
                self.on_lost(frame, inbox);
                true
            }
        }
    }

    /// The frame went where nothing is answered any more: it is sent again elsewhere.
    pub(crate) fn doubt(&mut self, frame: SentFrame, inbox: &mut ReceiveQueue) {
        match frame {
            SentFrame::Part(part) => self.queue.doubt(part),
            // It asked whether the peer is there.
            SentFrame::Ping { token: 0 } => {}
            frame => self.on_lost(frame, inbox),
        }
    }

    /// The peer restarted with this much credit for us.
    pub(crate) fn restart(&mut self, granted: u64, now: Instant) {
        self.queue.restart(granted, now);
        self.rekey = Rekey::default();
        self.pings.restart();
        self.pongs.clear();
        self.routes.clear();
        self.reported_blocked = None;
        self.disconnect_due = self.disconnect.is_some();
    }

    /// Whether the peer has to be told that a message lacks credit.
    pub(super) fn is_blocked_due(&self) -> bool {
        let blocked = self.queue.blocked_at();
        blocked.is_some() && blocked != self.reported_blocked
    }

    fn write_disconnect(&mut self, writer: &mut Writer<'_>, sent: &mut impl FnMut(SentFrame)) {
        let Some(reason) = self.disconnect.as_ref().filter(|_| self.disconnect_due) else { return };
        let (complete, code, reason) = (self.is_complete, reason.code, &reason.reason);
        if (Frame::Disconnect { complete, code, reason }).encode(writer) {
            self.disconnect_due = false;
            sent(SentFrame::Disconnect);
        }
    }

    fn write_pings(
        &mut self,
        now: Instant,
        writer: &mut Writer<'_>,
        sent: &mut impl FnMut(SentFrame),
    ) {
        if self.ping_due && (Frame::Ping { token: 0 }).encode(writer) {
            self.ping_due = false;
            sent(SentFrame::Ping { token: 0 });
        }
        while writer.remaining() >= PING_LEN {
            let Some(token) = self.pings.take_unsent(now) else { return };
            if (Frame::Ping { token }).encode(writer) {
                sent(SentFrame::Ping { token });
            }
        }
    }

    /// What is given up of the credit of either end.
    fn write_forfeits(
        &mut self,
        inbox: &mut ReceiveQueue,
        writer: &mut Writer<'_>,
        sent: &mut impl FnMut(SentFrame),
    ) {
        if let Some(keep) = inbox.reclaims()
            && (Frame::Reclaim { keep }).encode(writer)
        {
            inbox.note_reclaimed();
        }
        if let Some(total) = self.queue.forfeit_due()
            && (Frame::Forfeit { total }).encode(writer)
        {
            self.queue.set_forfeit_due(false);
            sent(SentFrame::Forfeit);
        }
    }

    /// Credit, blocked, skip and the ends of streams.
    fn write_flow(
        &mut self,
        inbox: &mut ReceiveQueue,
        writer: &mut Writer<'_>,
        sent: &mut impl FnMut(SentFrame),
    ) {
        if inbox.is_credit_due() {
            if (Frame::Credit { limit: inbox.advertise() }).encode(writer) {
                sent(SentFrame::Credit);
            } else {
                inbox.repeat_credit();
            }
            while let Some((channel, returned)) = inbox.next_channel_credit() {
                if !(Frame::ChannelCredit { channel, returned }).encode(writer) {
                    inbox.repeat_channel_credit(channel);
                    break;
                }
                sent(SentFrame::ChannelCredit { channel });
            }
        }
        if let Some((limit, cost)) = self.queue.blocked_at()
            && self.is_blocked_due()
            && (Frame::Blocked { limit, cost }).encode(writer)
        {
            self.reported_blocked = Some((limit, cost));
            sent(SentFrame::Blocked);
        }
        while let Some((stream, key, sequence_number)) = self.queue.take_skip() {
            if !(Frame::Skip { stream: key, sequence_number }).encode(writer) {
                self.queue.repeat_skip(stream);
                return;
            }
            sent(SentFrame::Skip { stream });
        }
        while let Some((name, stream, end)) = self.queue.take_stream_end() {
            if !(Frame::StreamEnd { stream, end }).encode(writer) {
                self.queue.repeat_stream_end(name);
                return;
            }
            sent(SentFrame::StreamEnd { name });
        }
    }
}

/// The bytes of a ping frame.
const PING_LEN: usize = 9;
