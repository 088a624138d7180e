//! The messages a peer is owed: queued, under way, waiting for their fate.

mod ending;
mod given_up;
mod join;
mod skip;
mod streams;
mod superseded;
mod under_way;
mod write;

use alloc::collections::{BTreeSet, VecDeque};
use core::cmp::Reverse;
use core::time::Duration;

use bytes::Bytes;
use slab::Slab;

use super::credit::{MESSAGE_CHARGE, SendCredit, cost};
use super::outgoing::{Outgoing, Part};
use super::redundancy::Redundancy;
use super::schedule::{Lane, Schedule};
use super::send_buffer::{SendBuffer, SendLimits};
use super::send_stream::SendStream;
use crate::delivery::{Delivery, Fate, MessageId, Order};
use crate::error::SendError;
use crate::pack::pack;
use crate::time::Instant;
use crate::wire::StreamKey;

pub(crate) use given_up::Told;
use streams::StreamEnds;
pub(crate) use write::Pass;

/// All outgoing messages to one peer.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    messages: Slab<Outgoing>,
    streams: Slab<SendStream>,
    lanes: Slab<Lane>,
    ends: StreamEnds,
    schedule: Schedule,
    redundancy: Redundancy,
    credit: SendCredit,
    /// Some unreliable ordered message was lost at some time.
    has_lost_ordered: bool,
    /// Some reliable message was given up, and not at the application's wish.
    is_cut: bool,
    /// Messages whose fate waits to be reported.
    fates: VecDeque<u32>,
    next_id: u64,
    /// The positions of the stream and of the lane to which the last message came: mostly the next one comes there as well.
    recent: (u16, u32),
    /// When messages are of no use any more, with their slots.
    deadlines: BTreeSet<(Instant, u32)>,
    /// Messages that were given up and of which the peer is to be told: stream, number, slot.
    untold: BTreeSet<(u16, u64, u32)>,
    /// The highest packet that the last acknowledgement named: its path and its counter.
    highest_acked: (u8, u64),
    /// How many numbers of a stream the peer takes from the lowest on that is not resolved. None before a
    /// handshake.
    stream_window: u64,
    buffer: SendBuffer,
    /// Unreliable messages that gave way before they were begun.
    dropped: u64,
    /// Sequenced messages that gave way to a newer one.
    superseded: u64,
}

pack!(SendQueue:
    messages, streams, lanes, ends, schedule, redundancy, credit, has_lost_ordered, is_cut, fates,
    next_id, recent, deadlines, untold, highest_acked, stream_window, buffer, dropped, superseded,
);

impl SendQueue {
    /// Takes a message in, or says why not.
    #[inline(never)] // The short way goes by it.
    fn accept(
        &mut self,
        limits: &SendLimits,
        now: Instant,
        delivery: Delivery,
        payload: Bytes,
    ) -> Result<MessageId, SendError> {
        if payload.len() as u64 > u64::from(limits.max_message) {
            return Err(SendError::TooLarge(limits.max_message));
        }
        let key = StreamKey::from(delivery);
        let known = self.find_stream(key);
        if known.unwrap_or(self.streams.len()) >= usize::from(limits.max_streams) {
            return Err(SendError::TooManyStreams);
        }
        let older = known.and_then(|stream| self.superseded_by_next(stream));
        let place = match known {
            Some(stream) => self.streams[stream].place,
            None => self.buffer.place(delivery.channel),
        };
        self.make_room(limits, (place, delivery), cost(payload.len()), older)?;
        if let Some(slot) = older {
            self.give_up(slot, SUPERSEDED_UNSENT);
        }
        // To make room may have ended it.
        let stream = known.filter(|at| self.is_stream(*at, key)).unwrap_or_else(|| {
            self.streams.insert(SendStream::new(key, place, self.ends.first_of(key)))
        });
        let slot = slot_number(self.messages.vacant_key());
        let id = MessageId { number: self.next_id, slot };
        self.next_id += 1;
        let lane = self.lane(stream as u16, delivery);
        self.recent = (stream as u16, lane);
        let message = Outgoing::new(id.number, delivery, now, (stream as u16, lane), payload);
        let message = self.messages.vacant_entry().insert(message);
        self.buffer.add(message, place);
        self.schedule.open(delivery.priority);
        let line = &mut self.lanes[lane as usize];
        line.push(slot, message);
        let may_be_late = line.may_be_late(now, limits.age);
        let has_turn = line.has_turn(delivery.priority);
        self.streams[stream].open += 1;
        if let Some(at) = message.expires_at {
            self.deadlines.insert((at, slot));
        }
        if may_be_late {
            self.expire(lane, now, limits.age);
        }
        if !has_turn {
            self.wake(lane);
        }
        Ok(id)
    }

    /// The lane of a stream in which such messages wait.
    fn lane(&mut self, stream: u16, delivery: Delivery) -> u32 {
        let lanes = &mut self.streams[usize::from(stream)].lanes;
        let takes = |lane: &&u32| self.lanes[**lane as usize].takes(delivery.priority);
        lanes.iter().find(takes).copied().unwrap_or_else(|| {
            let lane = self.lanes.insert(Lane::new(stream, delivery)) as u32;
            lanes.push(lane);
            lane
        })
    }

    /// The message that the next one of a stream makes old: the unsent one of a sequenced stream.
    fn superseded_by_next(&self, stream: usize) -> Option<usize> {
        let stream = &self.streams[stream];
        if stream.key.order() != Order::Sequenced {
            return None;
        }
        stream.lanes.iter().find_map(|lane| self.lanes[*lane as usize].line.newest(&self.messages))
    }

    /// Sees to room for a message that costs so much and takes the place of `older`: a reliable one
    /// waits for it, to an unreliable one others give way.
    fn make_room(
        &mut self,
        limits: &SendLimits,
        (place, delivery): (u16, Delivery),
        cost: u64,
        older: Option<usize>,
    ) -> Result<(), SendError> {
        let replaced = older.map_or(0, |slot| self.messages[slot].cost());
        if delivery.reliable {
            return self.buffer.admit(limits, place, delivery.order, cost, replaced);
        }
        if self.fates.len() as u64 * MESSAGE_CHARGE > limits.buffer {
            return Err(SendError::NoRoom); // Nobody asks what became of those before.
        }
        while self.buffer.excess(limits, cost, replaced) > 0 {
            let Some(slot) = self.first_to_give_way().filter(|slot| Some(*slot) != older) else {
                break;
            };
            if self.messages[slot].delivery.priority < delivery.priority {
                return Err(SendError::NoRoom); // It would be the first to give way.
            }
            self.drop_unsent(slot);
        }
        Ok(())
    }

    /// The unreliable message that gives way first: the oldest of the least urgent of which nothing was sent.
    fn first_to_give_way(&self) -> Option<usize> {
        let is_reliable = |lane: &Lane| self.streams[usize::from(lane.stream)].key.is_reliable();
        let unreliable = self.lanes.iter().map(|(_, lane)| lane).filter(|lane| !is_reliable(lane));
        let oldest = unreliable.flat_map(|lane| lane.line.oldest(&self.messages));
        oldest.min_by_key(|slot| {
            let message = &self.messages[*slot];
            (Reverse(message.delivery.priority), message.number)
        })
    }

    /// Drops what waited in a lane for too long.
    #[cold]
    fn expire(&mut self, lane: u32, now: Instant, age: Duration) {
        while let Some(slot) = self.first_late(lane, now, age) {
            self.drop_unsent(slot);
        }
    }

    /// A message of a lane that waited for too long. If there is none, none is looked for until one may have.
    fn first_late(&mut self, lane: u32, now: Instant, age: Duration) -> Option<usize> {
        let Self { lanes, messages, .. } = self;
        let lane = lanes.get_mut(lane as usize).filter(|lane| lane.may_be_late(now, age))?;
        let queued_at = |slot: usize| messages[slot].queued_at;
        let late = lane.line.oldest(messages).find(|slot| now >= queued_at(*slot) + age);
        if late.is_none() {
            // Whatever comes is queued now or later.
            let oldest = lane.line.oldest(messages).map(queued_at).min();
            lane.queued_from = oldest.unwrap_or(now);
        }
        late
    }

    /// An unreliable message gives way before it was begun.
    fn drop_unsent(&mut self, slot: usize) {
        self.dropped += 1;
        self.give_up(slot, Fate::Lost);
    }

    /// A message of which nothing was sent leaves its queue.
    fn give_up(&mut self, slot: usize, fate: Fate) {
        let line = &mut self.lanes[self.messages[slot].lane as usize].line;
        line.withdraw(slot_number(slot), &self.messages);
        self.finish(slot, fate);
    }

    /// Bytes of messages that are not settled, charges included.
    pub(crate) const fn buffered(&self) -> u64 {
        self.buffer.bytes()
    }

    /// How long a reliable message is accepted now.
    pub(crate) const fn room(&self, limits: &SendLimits) -> u64 {
        self.buffer.room(limits)
    }

    /// A channel on which a message found no room, and would find some now. Once per refusal.
    #[inline]
    pub(crate) fn take_writable(&mut self, limits: &SendLimits) -> Option<u16> {
        self.buffer.take_writable(limits)
    }

    /// Whether `take_writable` has something to report.
    #[inline]
    pub(crate) fn is_writable_due(&self, limits: &SendLimits) -> bool {
        self.buffer.is_writable_due(limits)
    }

    /// The next fate to report; its message is forgotten.
    pub(crate) fn poll_fate(&mut self) -> Option<(MessageId, Fate)> {
        let slot = self.fates.pop_front()? as usize;
        let message = self.messages.remove(slot);
        self.buffer.forget(&message);
        let id = MessageId { number: message.number, slot: slot_number(slot) };
        message.fate.map(|fate| (id, fate))
    }

    pub(crate) fn has_fates(&self) -> bool {
        !self.fates.is_empty()
    }

    /// How many unreliable messages gave way so far before they were begun.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many sequenced messages gave way so far to a newer one.
    pub(crate) const fn superseded(&self) -> u64 {
        self.superseded
    }

    /// What the messages take.
    pub(crate) const fn memory(&self) -> u64 {
        self.buffer.bytes()
    }

    /// Bytes of reliable messages, and of unreliable ones of which nothing was sent.
    pub(crate) const fn held(&self) -> (u64, u64) {
        (self.buffer.reliable(), self.buffer.unsent())
    }

    /// Whether a message waits only because there is no memory: `most` is what the buffer may take when
    /// there is.
    pub(crate) fn waits_for_memory(&self, limits: &SendLimits, most: u64) -> bool {
        self.buffer.waits_for_memory(limits, most)
    }

    /// Whether nothing is left to send and no reliable message is unacknowledged.
    pub(crate) fn is_flushed(&self) -> bool {
        self.messages.len() == self.fates.len()
    }

    /// Whether some reliable message that was to arrive was given up.
    pub(crate) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// A message that was to arrive never came here.
    pub(crate) const fn note_cut(&mut self) {
        self.is_cut = true;
    }

    /// Memory that only traffic needs is given back, if there is none. Messages that took the same place are told apart by
    /// their numbers.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.redundancy.rest(now);
        if self.messages.is_empty() && self.fates.is_empty() {
            self.messages = Slab::new();
            self.fates = VecDeque::new();
        }
    }

    /// Whether there are bytes that could be sent now.
    pub(crate) fn has_work(&self) -> bool {
        !self.schedule.is_empty() || self.redundancy.is_overdue()
    }

    /// Whether messages wait to be sent once more, and `next_deadline` may have changed.
    pub(crate) fn has_copies(&self) -> bool {
        !self.redundancy.is_empty()
    }

    /// The peer said how many numbers of a stream it takes.
    pub(crate) const fn set_stream_window(&mut self, window: u64) {
        self.stream_window = window;
    }

    /// Raises the credit the receiver granted in all.
    pub(crate) fn grant(&mut self, limit: u64) {
        if self.credit.grant(limit) {
            self.wake_all();
        }
    }

    /// The receiver took so much of a channel in all.
    pub(crate) fn give_back(&mut self, channel: u16, returned: u64) {
        let place = self.buffer.known_place(channel);
        if place.is_some_and(|place| self.credit.give_back(place, returned)) {
            self.wake_all();
        }
    }

    /// The receiver is short of memory: gives up credit, but for `keep`, unless reliable messages are under way.
    pub(crate) const fn forfeit(&mut self, keep: u64) {
        if self.buffer.reliable() == 0 {
            self.credit.forfeit(keep);
        }
    }

    /// All credit that was given up, if the receiver is to be told.
    pub(crate) fn forfeit_due(&self) -> Option<u64> {
        self.credit.forfeit_due()
    }

    /// The receiver was told what was given up, or is to be told again.
    pub(crate) const fn set_forfeit_due(&mut self, is_due: bool) {
        self.credit.set_forfeit_due(is_due);
    }

    /// The credit limit at which a message waits, if one does, and what it costs.
    pub(crate) fn blocked_at(&self) -> Option<(u64, u64)> {
        self.credit.blocked_at()
    }

    /// The message is done: forget it, or keep its slot until the fate is polled.
    fn finish(&mut self, slot: usize, fate: Fate) {
        self.finish_with(slot, fate);
    }

    /// The message arrived, or nobody asks whether it did.
    fn finish_well(&mut self, slot: usize) {
        self.finish_with(slot, Fate::Acked);
    }

    #[inline(always)] // Twice, since most of it is about other fates than that of nearly all messages.
    fn finish_with(&mut self, slot: usize, fate: Fate) {
        let message = &mut self.messages[slot];
        let (index, lane) = (message.stream, message.lane);
        let settled = matches!(
            fate,
            Fate::Acked | Fate::Cancelled { .. } | Fate::Expired { .. } | Fate::Superseded { .. }
        );
        self.superseded += u64::from(matches!(fate, Fate::Superseded { .. }));
        self.is_cut |= message.delivery.reliable && !settled;
        if let Some(at) = message.expires_at {
            self.deadlines.remove(&(at, slot_number(slot)));
        }
        if let Some(number) = message.sequence_number {
            if message.is_given_up() {
                self.untold.remove(&(index, number, slot_number(slot)));
            }
            self.has_lost_ordered |= !message.delivery.reliable && fate != Fate::Acked;
        }
        let stream = &mut self.streams[usize::from(index)];
        stream.open -= 1;
        let place = stream.place;
        // Else nothing of the stream waited for it.
        let is_awaited = fate != Fate::Acked || stream.is_full(self.stream_window);
        let may_end = stream.may_end();
        if let Some(number) = message.sequence_number {
            stream.resolve(number, fate);
        }
        self.buffer.settle(message, place, message.is_started());
        if message.is_long() && message.is_started() {
            self.credit.settle(message.candidate(place));
        }
        let withdrawn = message.delivery.reliable && !message.is_started();
        if message.reports(fate) {
            message.fate = Some(fate);
            message.payload = Bytes::new();
            self.fates.push_back(slot_number(slot));
        } else {
            let message = self.messages.remove(slot);
            self.buffer.forget(&message);
        }
        if withdrawn && self.credit.withdraw(lane, place) {
            self.wake_all();
        }
        if is_awaited {
            self.wake_stream(index);
        }
        if may_end {
            self.end_if_settled(index);
        }
    }

    fn find(&mut self, part: Part) -> Option<&mut Outgoing> {
        let message = self.messages.get_mut(part.slot as usize)?;
        (message.generation() == part.generation && message.fate.is_none()).then_some(message)
    }

    /// Gives a lane with unsent bytes its turn.
    fn wake(&mut self, lane: u32) {
        self.schedule.wake(lane, &mut self.lanes[lane as usize], &self.messages);
    }

    fn wake_stream(&mut self, stream: u16) {
        for lane in &self.streams[usize::from(stream)].lanes {
            self.schedule.wake(*lane, &mut self.lanes[*lane as usize], &self.messages);
        }
    }

    #[cold]
    fn wake_all(&mut self) {
        for (index, lane) in &mut self.lanes {
            self.schedule.wake(index as u32, lane, &self.messages);
        }
    }
}

/// A newer message took the place of one of which nothing was sent.
const SUPERSEDED_UNSENT: Fate = Fate::Superseded { may_have_arrived: false };

/// A slot of the slab as stored: the buffer cap keeps slots far below 2^32.
fn slot_number(slot: usize) -> u32 {
    u32::try_from(slot).expect("the send buffer bounds the number of messages")
}

#[cfg(test)]
mod tests;
