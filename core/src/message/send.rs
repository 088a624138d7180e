//! The messages a peer is owed: queued, under way, waiting for their fate.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;
use slab::Slab;

use super::credit::SendCredit;
use super::fragment::encode;
use super::outgoing::{Outgoing, Part};
use super::repair::{Repair, Repeat};
use super::schedule::Schedule;
use super::send_stream::SendStream;
use crate::delivery::{Delivery, Fate, MessageId};
use crate::error::{CommandError, SendError};
use crate::wire::{StreamKey, Writer};

/// What a message costs beyond its bytes, in the send buffer and in the receiver's credit: without
/// it, empty messages would be free.
pub(crate) const MESSAGE_CHARGE: u64 = 64;

/// What the peer allows us.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendLimits {
    pub(crate) max_message: u32,
    pub(crate) max_streams: u16,
    pub(crate) buffer: usize,
}

/// What a packet came to hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    /// How many parts of it were sent before.
    pub(crate) repeated: u64,
    /// It may make a message whole for which the application wants a receipt: nothing of it is left unsent.
    pub(crate) ends_receipt: bool,
}

/// All outgoing messages to one peer.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    messages: Slab<Outgoing>,
    streams: Vec<SendStream>,
    schedule: Schedule,
    repair: Repair,
    credit: SendCredit,
    /// Some unreliable ordered message was lost at some time.
    has_lost_ordered: bool,
    /// Messages whose fate waits to be reported.
    fates: VecDeque<u32>,
    next_id: u64,
    /// Bytes in the send buffer, charges included.
    buffered: u64,
    /// What the message would cost that found no room in the buffer.
    blocked_len: Option<u64>,
}

impl SendQueue {
    /// Accepts a message, or says why not.
    pub(crate) fn push(
        &mut self,
        limits: &SendLimits,
        delivery: Delivery,
        payload: Bytes,
    ) -> Result<MessageId, SendError> {
        if payload.len() as u64 > u64::from(limits.max_message) {
            return Err(SendError::TooLarge(limits.max_message));
        }
        let cost = cost(payload.len());
        if self.buffered > 0 && self.buffered + cost > limits.buffer as u64 {
            self.blocked_len = Some(cost);
            return Err(SendError::Blocked);
        }
        let stream = self.stream(StreamKey::from(delivery), limits)?;
        let id = MessageId(self.next_id);
        self.next_id += 1;
        self.buffered += cost;
        let slot = self.messages.insert(Outgoing::new(id, delivery, stream, payload));
        self.streams[usize::from(stream)].queue.push_back(slot_number(slot));
        self.wake(stream);
        Ok(id)
    }

    /// Withdraws a message none of which was sent.
    pub(crate) fn cancel(&mut self, id: MessageId) -> Result<(), CommandError> {
        let unsent = |message: &Outgoing| !message.is_started() && message.fate.is_none();
        let found = self.messages.iter().find(|(_, message)| message.id == id && unsent(message));
        let Some((slot, stream)) = found.map(|(slot, message)| (slot, message.stream)) else {
            return Err(CommandError::TooLate);
        };
        self.streams[usize::from(stream)].queue.retain(|queued| *queued != slot_number(slot));
        self.finish(slot, Fate::Cancelled);
        Ok(())
    }

    /// Whether room was made for a message that found none. True once per refusal.
    pub(crate) fn take_writable(&mut self, limits: &SendLimits) -> bool {
        let writable = self.is_writable_due(limits);
        if writable {
            self.blocked_len = None;
        }
        writable
    }

    /// Whether `take_writable` has something to report.
    pub(crate) fn is_writable_due(&self, limits: &SendLimits) -> bool {
        let room = |cost| self.buffered == 0 || self.buffered + cost <= limits.buffer as u64;
        self.blocked_len.is_some_and(room)
    }

    /// The next fate to report; its message is forgotten.
    pub(crate) fn poll_fate(&mut self) -> Option<(MessageId, Fate)> {
        let slot = self.fates.pop_front()? as usize;
        let message = self.messages.remove(slot);
        self.buffered -= MESSAGE_CHARGE;
        message.fate.map(|fate| (message.id, fate))
    }

    pub(crate) fn has_fates(&self) -> bool {
        !self.fates.is_empty()
    }

    /// Whether nothing is left to send and no reliable message is unacknowledged.
    pub(crate) fn is_flushed(&self) -> bool {
        self.messages.len() == self.fates.len()
    }

    /// Whether there are bytes that could be sent now.
    pub(crate) fn has_work(&self) -> bool {
        !self.repair.is_empty() || !self.schedule.is_empty()
    }

    /// Raises the credit the receiver granted in all.
    pub(crate) fn grant(&mut self, limit: u64) {
        if self.credit.grant(limit) {
            self.wake_all();
        }
    }

    /// The credit limit at which a message waits, if one does.
    pub(crate) fn blocked_at(&self) -> Option<(u64, u64)> {
        self.credit.blocked_at()
    }

    /// Appends data frames while they fit, calling `sent` for each part whose fate matters. `room`
    /// is the space for frames in an empty packet.
    pub(crate) fn write(
        &mut self,
        writer: &mut Writer<'_>,
        room: usize,
        sent: &mut impl FnMut(Part),
    ) -> Written {
        let mut result = Written::default();
        while let Some(repeat) = self.repair.pop() {
            let Repeat { part, is_copy } = repeat;
            let Some(message) = self.find(part) else { continue };
            if message.is_acknowledged(part) {
                continue;
            }
            let Some(len) = encode(message, part, room, writer) else {
                self.repair.put_back(repeat);
                return result;
            };
            let written = Part { len, ..part };
            if is_copy {
                message.note_copy(written);
            }
            result.repeated += 1;
            result.ends_receipt |= message.is_receipt_due();
            sent(written);
            if len < part.len {
                self.repair.put_back(Repeat { part: part.after(len), is_copy });
            }
        }
        while let Some(stream) = self.schedule.current() {
            if !self.write_fresh(stream, writer, room, &mut result, sent) {
                self.schedule.rotate();
                break;
            }
        }
        result
    }

    /// Writes the next unsent bytes of the stream whose turn it is; false once the packet is full.
    fn write_fresh(
        &mut self,
        index: usize,
        writer: &mut Writer<'_>,
        room: usize,
        result: &mut Written,
        sent: &mut impl FnMut(Part),
    ) -> bool {
        let Some(slot) = self.next_slot(index) else {
            self.schedule.leave(&mut self.streams[index]);
            return true;
        };
        let stream = &mut self.streams[index];
        let message = &mut self.messages[slot as usize];
        let fresh = message.sequence_number.is_none();
        if fresh {
            message.sequence_number = Some(stream.next());
        }
        let part = message.unsent(slot);
        let Some(len) = encode(message, part, room, writer) else {
            if fresh {
                message.sequence_number = None;
            }
            return false;
        };
        if fresh {
            stream.advance();
            if message.delivery.reliable {
                self.credit.spend(cost(message.payload.len()));
            }
        }
        message.sent += len;
        result.ends_receipt |= message.is_receipt_due();
        if message.is_tracked() {
            sent(Part { len, ..part });
        }
        if message.is_fully_sent() {
            stream.queue.pop_front();
            if !message.is_tracked() {
                self.finish(slot as usize, Fate::Acked);
            }
        }
        true
    }

    /// The message at the head of a stream, if it may be sent now.
    fn next_slot(&mut self, index: usize) -> Option<u32> {
        let stream = &self.streams[index];
        let slot = *stream.queue.front()?;
        let message = &self.messages[slot as usize];
        if message.is_started() {
            return Some(slot);
        }
        if stream.is_full() {
            return None;
        }
        if message.delivery.reliable && !self.credit.admits(cost(message.payload.len())) {
            return None;
        }
        Some(slot)
    }

    /// The part arrived.
    pub(crate) fn on_acked(&mut self, part: Part) {
        let slot = part.slot as usize;
        if self.find(part).is_some_and(|message| message.acknowledge(part)) {
            self.finish(slot, Fate::Acked);
        }
    }

    /// A copy of the part was lost, as far as we can tell.
    pub(crate) fn on_lost(&mut self, part: Part) {
        let Some(message) = self.find(part) else { return };
        if !message.lose(part) {
            return;
        }
        if message.delivery.reliable {
            self.repair.push(part);
        } else {
            let (stream, whole) = (usize::from(message.stream), message.is_fully_sent());
            if !whole {
                self.streams[stream].queue.retain(|queued| *queued != part.slot);
            }
            self.finish(part.slot as usize, Fate::Lost);
        }
    }

    /// Sends a part that is still under way once more, ahead of everything else. False if there is
    /// no need.
    pub(crate) fn probe(&mut self, part: Part) -> bool {
        let Some(message) = self.find(part) else { return false };
        let useful = message.delivery.reliable && !message.is_acknowledged(part);
        if useful {
            self.repair.probe(part);
        }
        useful
    }

    /// The next stream whose receiver must learn of a gap, with the number below which nothing
    /// more will come.
    pub(crate) fn take_skip(&mut self) -> Option<(u16, StreamKey, u64)> {
        if !self.has_skips() {
            return None;
        }
        let index = self.streams.iter().position(SendStream::has_skip)?;
        let stream = &mut self.streams[index];
        Some((index as u16, stream.key, stream.take_skip()))
    }

    pub(crate) fn has_skips(&self) -> bool {
        self.has_lost_ordered && self.streams.iter().any(SendStream::has_skip)
    }

    /// A skip did not arrive, or did not fit.
    pub(crate) fn repeat_skip(&mut self, stream: u16) {
        if let Some(stream) = self.streams.get_mut(usize::from(stream)) {
            stream.repeat_skip();
        }
    }

    /// The peer lost its state: what was under way has an unknown fate, what was not starts over.
    pub(crate) fn restart(&mut self, granted: u64) {
        self.end_all(|message| message.is_started().then_some(Fate::Unknown));
        for stream in &mut self.streams {
            stream.restart();
        }
        self.credit.restart(granted);
        self.wake_all();
    }

    /// The peer's limits are known now: messages beyond them cannot be sent.
    pub(crate) fn refuse_beyond(&mut self, limits: &SendLimits) {
        self.end_all(|message| {
            let beyond = message.len() > limits.max_message || message.stream >= limits.max_streams;
            beyond.then_some(Fate::Refused)
        });
    }

    /// The peer is gone: every message meets its fate.
    pub(crate) fn end(&mut self) {
        self.end_all(|message| Some(if message.is_started() { Fate::Unknown } else { Fate::Lost }));
    }

    /// Ends every message for which `fate` has an answer.
    fn end_all(&mut self, fate: impl Fn(&Outgoing) -> Option<Fate>) {
        self.repair.clear();
        let messages = &self.messages;
        for stream in &mut self.streams {
            let stays = |slot: &u32| fate(&messages[*slot as usize]).is_none();
            stream.queue.retain(stays);
        }
        let open = |(slot, message): (usize, &Outgoing)| match message.fate {
            Some(_) => None,
            None => fate(message).map(|fate| (slot, fate)),
        };
        let ended: Vec<_> = self.messages.iter().filter_map(open).collect();
        for (slot, fate) in ended {
            self.finish(slot, fate);
        }
    }

    /// The message is done: forget it, or keep its slot until the fate is polled.
    fn finish(&mut self, slot: usize, fate: Fate) {
        let message = &mut self.messages[slot];
        let index = message.stream;
        self.has_lost_ordered |= fate == Fate::Lost;
        if let Some(number) = message.sequence_number {
            self.streams[usize::from(index)].resolve(number, fate);
        }
        self.buffered -= message.payload.len() as u64;
        if message.reports(fate) {
            message.fate = Some(fate);
            message.payload = Bytes::new();
            self.fates.push_back(slot_number(slot));
        } else {
            self.messages.remove(slot);
            self.buffered -= MESSAGE_CHARGE;
        }
        self.wake(index);
    }

    fn find(&mut self, part: Part) -> Option<&mut Outgoing> {
        let message = self.messages.get_mut(part.slot as usize)?;
        (message.generation() == part.generation && message.fate.is_none()).then_some(message)
    }

    fn stream(&mut self, key: StreamKey, limits: &SendLimits) -> Result<u16, SendError> {
        let known = self.streams.iter().position(|stream| stream.key == key);
        let index = known.unwrap_or(self.streams.len());
        if index >= usize::from(limits.max_streams) {
            return Err(SendError::TooManyStreams);
        }
        if known.is_none() {
            self.streams.push(SendStream::new(key));
        }
        Ok(index as u16)
    }

    /// Gives a stream with unsent bytes its turn.
    fn wake(&mut self, stream: u16) {
        self.schedule.wake(stream, &mut self.streams[usize::from(stream)]);
    }

    fn wake_all(&mut self) {
        for index in 0..self.streams.len() {
            self.wake(index as u16);
        }
    }
}

/// What a message of `len` bytes takes of the send buffer and of the receiver's credit.
pub(crate) const fn cost(len: usize) -> u64 {
    len as u64 + MESSAGE_CHARGE
}

/// A slot of the slab as stored: the buffer cap keeps slots far below 2^32.
fn slot_number(slot: usize) -> u32 {
    u32::try_from(slot).expect("the send buffer bounds the number of messages")
}

#[cfg(test)]
mod tests;
