//! One message on its way out, and the parts of it that packets carry.

use core::ops::Range;

use bytes::Bytes;

use super::copies::Copies;
use super::credit::{Candidate, cost};
use super::spans::Spans;
use crate::delivery::{Delivery, Fate, MessageId, Order};
use crate::pack::{pack, pack_never};
use crate::time::Instant;

/// A range of bytes of one outgoing message, as carried by one frame of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The message's slot in the send queue.
    pub(super) slot: u32,
    /// Tells the message from earlier and later ones in the same slot.
    pub(super) generation: u32,
    pub(super) offset: u32,
    pub(super) len: u32,
}

pack!(Part: slot, generation, offset, len);

impl Part {
    /// What is left when the first `len` bytes are taken.
    pub(crate) fn after(self, len: u32) -> Self {
        Self { offset: self.offset + len, len: self.len - len, ..self }
    }

    /// The bytes that have copies under way: an empty message counts as one of one byte.
    fn counted(self) -> Range<u32> {
        self.offset..self.offset + self.len.max(1)
    }
}

/// Messages of at most so many bytes fit any packet.
const SHORT: usize = 1024;

/// A message from `send` until its fate is known and reported.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(super) id: MessageId,
    pub(super) delivery: Delivery,
    /// From when on it waits to be sent.
    pub(super) queued_at: Instant,
    /// The positions of its stream and its lane in the send queue.
    pub(super) stream: u16,
    pub(super) lane: u32,
    /// Its place in the stream, from the first byte sent on.
    pub(super) sequence_number: Option<u64>,
    pub(super) payload: Bytes,
    /// Bytes below this were sent at least once.
    pub(super) sent: u32,
    /// Bytes known to have arrived, when there is more than one part.
    acked: Spans,
    acked_bytes: u32,
    /// Parts that are under way more than once.
    copies: Copies,
    /// When it is of no use any more.
    pub(super) expires_at: Option<Instant>,
    /// Set once the peer is to be told that it will not come.
    pub(super) given_up: Option<GivenUp>,
    /// Set when the fate is known and waits to be reported.
    pub(super) fate: Option<Fate>,
}

pack_never!(Outgoing);

/// A message that was given up after some of it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct GivenUp {
    /// Its fate, unless it arrived before the peer heard of it.
    pub(super) fate: Fate,
    /// The packet that told the peer first: its path and its counter.
    pub(super) told: Option<(u8, u64)>,
    /// A part of it may have arrived after that: it counts for nothing there.
    pub(super) is_doubtful: bool,
}

impl Outgoing {
    pub(crate) fn new(
        id: MessageId,
        delivery: Delivery,
        queued_at: Instant,
        (stream, lane): (u16, u32),
        payload: Bytes,
    ) -> Self {
        Self {
            id,
            delivery,
            queued_at,
            stream,
            lane,
            sequence_number: None,
            payload,
            sent: 0,
            acked: Spans::default(),
            acked_bytes: 0,
            copies: Copies::default(),
            expires_at: delivery.deadline.map(|deadline| queued_at + deadline),
            given_up: None,
            fate: None,
        }
    }

    /// Whether it may need more than one packet.
    pub(super) fn is_long(&self) -> bool {
        self.payload.len() > SHORT
    }

    /// Bytes of payload; `send` checked that they fit.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.payload.len()).unwrap_or(u32::MAX)
    }

    /// What it takes of the send buffer and of the receiver's credit.
    pub(super) fn cost(&self) -> u64 {
        cost(self.payload.len())
    }

    /// What credit has to know of it; its channel is at `place`.
    pub(super) fn candidate(&self, place: u16) -> Candidate {
        Candidate {
            lane: self.lane,
            place,
            cost: self.cost(),
            is_passed: self.is_long() && self.delivery.order == Order::Unordered,
        }
    }

    pub(crate) fn generation(&self) -> u32 {
        (self.id.number & u64::from(u32::MAX)) as u32
    }

    /// Whether nothing of it was sent, and something is to be.
    pub(super) fn is_waiting(&self) -> bool {
        self.sequence_number.is_none() && self.fate.is_none()
    }

    pub(crate) fn is_started(&self) -> bool {
        self.sequence_number.is_some()
    }

    pub(crate) fn is_fully_sent(&self) -> bool {
        self.is_started() && self.sent == self.len()
    }

    /// Whether the application wants to know that it arrived, and what was sent last may complete it.
    pub(super) fn is_receipt_due(&self) -> bool {
        self.delivery.requires_ack && self.is_fully_sent()
    }

    /// All bytes that were not sent yet.
    pub(crate) fn unsent(&self, slot: u32) -> Part {
        let generation = self.generation();
        Part { slot, generation, offset: self.sent, len: self.len() - self.sent }
    }

    /// Whether the fate must be reported to the application.
    pub(crate) fn reports(&self, fate: Fate) -> bool {
        // Who gave it up hears that it arrived nevertheless. That was not the application if a newer one did.
        let by_us = |given_up: GivenUp| !matches!(given_up.fate, Fate::Superseded { .. });
        let is_news = fate != Fate::Acked || self.given_up.is_some_and(by_us);
        self.delivery.requires_ack || (self.delivery.reliable && is_news)
    }

    /// Whether anything depends on what becomes of its packets.
    pub(crate) fn is_tracked(&self) -> bool {
        let Delivery { reliable, requires_ack, order, .. } = self.delivery;
        reliable || requires_ack || order == Order::Ordered
    }

    /// Notes that `part` arrived; true once the whole message has.
    pub(crate) fn acknowledge(&mut self, part: Part) -> bool {
        if part.len == self.len() {
            return true;
        }
        self.acked_bytes += self.acked.insert(part.offset..part.offset + part.len);
        self.acked_bytes == self.len()
    }

    /// `part` was sent while an earlier copy of it is under way.
    pub(super) fn note_copy(&mut self, part: Part) {
        self.copies.add(part.counted());
    }

    /// A copy of `part` was lost. Returns whether that makes a difference: the part is not known to
    /// have arrived, and for some byte of it no other copy is under way.
    pub(super) fn lose(&mut self, part: Part) -> bool {
        !self.is_acknowledged(part) && !self.copies.lose(part.counted())
    }

    /// Whether all of `part` is known to have arrived.
    pub(crate) fn is_acknowledged(&self, part: Part) -> bool {
        let range = part.offset..part.offset + part.len;
        part.len > 0 && self.acked.gaps(range).next().is_none()
    }
}
