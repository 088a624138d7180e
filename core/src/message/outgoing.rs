//! One message on its way out, and the parts of it that packets carry.

use alloc::boxed::Box;
use core::ops::Range;

use bytes::Bytes;

use super::copies::Copies;
use super::credit::{Candidate, cost};
use super::spans::Spans;
use crate::delivery::{Delivery, Fate, Order};
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
    /// That of its id.
    pub(super) number: u64,
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
    /// When it is of no use any more.
    pub(super) expires_at: Option<Instant>,
    /// Set when the fate is known and waits to be reported.
    pub(super) fate: Option<Fate>,
    /// Bytes below this are known to have arrived. Once others are, too, that is in `rare`.
    arrived: u32,
    /// What most messages do without.
    rare: Option<Box<Rare>>,
}

pack_never!(Outgoing);

// Two lines of a cache.
const _: () = assert!(size_of::<Outgoing>() <= 128);

/// What there is to know of a message that is sent in parts, more than once, or in vain.
#[derive(Debug, Default)]
struct Rare {
    /// Bytes known to have arrived, once they came past others, and how many those are.
    scattered: Option<(Spans, u32)>,
    /// Parts that are under way more than once.
    copies: Copies,
    /// Set once the peer is to be told that it will not come.
    given_up: Option<GivenUp>,
}

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
        number: u64,
        delivery: Delivery,
        queued_at: Instant,
        (stream, lane): (u16, u32),
        payload: Bytes,
    ) -> Self {
        Self {
            number,
            delivery,
            queued_at,
            stream,
            lane,
            sequence_number: None,
            payload,
            sent: 0,
            expires_at: delivery.deadline.map(|deadline| queued_at + deadline),
            fate: None,
            arrived: 0,
            rare: None,
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
        (self.number & u64::from(u32::MAX)) as u32
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
        let is_news = fate != Fate::Acked || self.given_up().is_some_and(|it| by_us(*it));
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
        let (len, arrived) = (self.len(), self.arrived);
        let range = part.offset..part.offset + part.len;
        if range.start <= arrived && self.scattered().is_none() {
            self.arrived = arrived.max(range.end);
            return self.arrived == len;
        }
        let (spans, bytes) = self.rare().scattered.get_or_insert_with(|| {
            let mut spans = Spans::default();
            spans.insert(0..arrived);
            (spans, arrived)
        });
        *bytes += spans.insert(range);
        *bytes == len
    }

    /// `part` was sent while an earlier copy of it is under way.
    pub(super) fn note_copy(&mut self, part: Part) {
        self.rare().copies.add(part.counted());
    }

    /// A copy of `part` was lost. Returns whether that makes a difference: the part is not known to
    /// have arrived, and for some byte of it no other copy is under way.
    pub(super) fn lose(&mut self, part: Part) -> bool {
        let has_copies = |rare: &mut Box<Rare>| rare.copies.lose(part.counted());
        !self.is_acknowledged(part) && !self.rare.as_mut().is_some_and(has_copies)
    }

    /// Whether all of `part` is known to have arrived.
    pub(crate) fn is_acknowledged(&self, part: Part) -> bool {
        let range = part.offset..part.offset + part.len;
        let is_known = self.scattered().map_or_else(
            || range.end <= self.arrived,
            |(spans, _)| spans.gaps(range.clone()).next().is_none(),
        );
        part.len > 0 && is_known
    }

    fn scattered(&self) -> Option<&(Spans, u32)> {
        self.rare.as_ref()?.scattered.as_ref()
    }

    /// What the peer is to be told of it, if it will not come.
    #[inline]
    pub(super) fn given_up(&self) -> Option<&GivenUp> {
        self.rare.as_ref()?.given_up.as_ref()
    }

    /// The same, to be changed.
    pub(super) fn given_up_mut(&mut self) -> Option<&mut GivenUp> {
        self.rare.as_mut()?.given_up.as_mut()
    }

    #[inline]
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up().is_some()
    }

    /// The peer is to be told that it will not come.
    pub(super) fn give_up(&mut self, fate: Fate) {
        self.rare().given_up = Some(GivenUp { fate, told: None, is_doubtful: false });
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Parts may be acknowledged in any order, twice, and cut anew: a set of bytes knows the same. While they come in
        /// order, nothing is allocated for that.
        #[test]
        fn what_is_acknowledged_is_known_whatever_the_order(
            parts in proptest::collection::vec((any::<bool>(), 0_u32..100, 1_u32..40), 1..40),
            (asked_at, asked) in (0_u32..100, 1_u32..40),
        ) {
            const LEN: u32 = 100;
            let payload = Bytes::from(vec![0; LEN as usize]);
            let now = Instant::from_micros(1);
            let mut message = Outgoing::new(7, Delivery::reliable(0), now, (0, 0), payload);
            let part = |offset: u32, len: u32| {
                Part { slot: 0, generation: 7, offset, len: len.min(LEN - offset) }
            };
            let (mut known, mut is_in_order) = (BTreeSet::new(), true);
            for (goes_on, offset, len) in parts {
                let next = known.len() as u32;
                let acked = part(if goes_on && is_in_order && next < LEN { next } else { offset }, len);
                is_in_order &= acked.offset <= next;
                known.extend(acked.offset..acked.offset + acked.len);
                let is_whole = known.len() as u32 == LEN;
                prop_assert_eq!(message.acknowledge(acked), is_whole);
                prop_assert!(!is_in_order || message.rare.is_none());
                let asked = part(asked_at, asked);
                let all = (asked.offset..asked.offset + asked.len).all(|byte| known.contains(&byte));
                prop_assert_eq!(message.is_acknowledged(asked), all);
                if is_whole {
                    break;
                }
            }
        }
    }
}
