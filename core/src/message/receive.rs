//! The messages a peer sent us: put together, put in order, kept until the application takes them.

use alloc::collections::BTreeSet;
use alloc::collections::btree_map::{BTreeMap, Entry};

use bytes::Bytes;

use super::assembly::Assembly;
use super::receive_stream::{Buffered, ReceiveStream};
use super::send::cost;
use super::waiting::Waiting;
use super::window::STREAM_WINDOW;
use crate::Violation;
use crate::delivery::{Message, Order};
use crate::wire::{DataFrame, StreamKey};

/// What we allow the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveLimits {
    pub(crate) max_message: u32,
    pub(crate) max_streams: u16,
    /// Bytes of reliable messages on the way or waiting, charges included.
    pub(crate) window: u64,
    /// Bytes of unreliable messages in pieces, buffered or waiting.
    pub(crate) unreliable: u64,
}

/// All incoming messages of one peer.
#[derive(Debug)]
pub(crate) struct ReceiveQueue {
    limits: ReceiveLimits,
    streams: BTreeMap<StreamKey, ReceiveStream>,
    waiting: Waiting,
    /// Bytes of unreliable messages that are not deliverable yet, charges included.
    unreliable_bytes: u64,
    /// Credit, counted from the peer's start: used by it, granted at the start, given back by the
    /// application since, and the limit that was sent to it last.
    used: u64,
    base: u64,
    returned: u64,
    advertised: u64,
    credit_due: bool,
    /// The peer said that it is stuck, and there was nothing to give.
    starving: bool,
    /// Unreliable messages that gave way.
    overflowed: u64,
}

impl ReceiveQueue {
    pub(crate) fn new(limits: ReceiveLimits) -> Self {
        Self {
            limits,
            streams: BTreeMap::new(),
            waiting: Waiting::default(),
            unreliable_bytes: 0,
            used: 0,
            base: limits.window,
            returned: 0,
            advertised: limits.window,
            credit_due: false,
            starving: false,
            overflowed: 0,
        }
    }

    /// Takes in one data frame. Returns whether its message is whole now, or needs nothing more because it
    /// was whole before or gave way.
    pub(crate) fn on_data(&mut self, frame: &DataFrame<'_>) -> Result<bool, Violation> {
        let total = frame.fragment.map_or(frame.payload.len() as u64, |part| part.total.into());
        if total > u64::from(self.limits.max_message) {
            return Err(Violation::MessageTooLarge);
        }
        self.open_stream(frame.stream)?;
        if frame.stream.is_reliable() {
            self.on_reliable(frame, total)
        } else {
            self.on_unreliable(frame, total)
        }
    }

    /// Nothing below `end` will come any more on an unreliable ordered stream.
    pub(crate) fn on_skip(&mut self, key: StreamKey, end: u64) -> Result<(), Violation> {
        if key.is_reliable() || key.order() != Order::Ordered {
            return Err(Violation::SkipOfAnotherStream);
        }
        self.open_stream(key)?;
        self.skip_to(key, end);
        Ok(())
    }

    /// The sender is stuck at `limit`: if we gave more meanwhile, it should hear of it.
    pub(crate) fn on_blocked(&mut self, limit: u64) {
        self.credit_due |= limit < self.limit();
        self.starving = !self.credit_due;
    }

    /// The oldest message that waits.
    pub(crate) fn take(&mut self) -> Option<Message> {
        let message = self.waiting.take()?;
        self.on_taken(&message);
        Some(message)
    }

    /// The oldest message of a channel that waits.
    pub(crate) fn take_from(&mut self, channel: u16) -> Option<Message> {
        let message = self.waiting.take_from(channel)?;
        self.on_taken(&message);
        Some(message)
    }

    /// The oldest message that waits on none of these channels.
    pub(crate) fn take_except(&mut self, channels: &BTreeSet<u16>) -> Option<Message> {
        let message = self.waiting.take_except(channels)?;
        self.on_taken(&message);
        Some(message)
    }

    fn on_taken(&mut self, message: &Message) {
        if message.delivery.reliable {
            self.give_back(cost(message.payload.len()));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many messages wait for the application.
    pub(crate) const fn unread(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the application has to be told that messages wait.
    pub(crate) fn has_news(&self) -> bool {
        self.waiting.has_news()
    }

    /// Whether to tell the application now that messages wait.
    pub(crate) fn take_news(&mut self) -> bool {
        self.waiting.take_news()
    }

    /// How many unreliable messages gave way so far.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// How many messages became deliverable so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.waiting.arrivals()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        let (mut waiting, overflowed) = (core::mem::take(&mut self.waiting), self.overflowed);
        waiting.clear();
        *self = Self { waiting, overflowed, ..Self::new(self.limits) };
    }

    /// Whether a new credit limit should be sent to the peer.
    pub(crate) fn is_credit_due(&self) -> bool {
        self.credit_due
    }

    /// The credit limit to send to the peer now.
    pub(crate) fn advertise(&mut self) -> u64 {
        self.credit_due = false;
        // Who is stuck and hears nothing new stays stuck, and does not say so again.
        self.starving &= self.limit() <= self.advertised;
        self.advertised = self.limit();
        self.advertised
    }

    /// The limit sent last did not arrive, or did not fit.
    pub(crate) fn repeat_credit(&mut self) {
        self.credit_due = true;
    }

    /// What a peer that starts over may be granted: the window less what still waits.
    pub(crate) fn fresh_grant(&self) -> u64 {
        self.limits.window.saturating_sub(self.waiting.reliable_bytes())
    }

    /// The peer restarted, having been granted `told`: its streams start over. What waits for the
    /// application stays, and counts until it is taken. Returns how many whole messages are forgotten.
    pub(crate) fn restart(&mut self, told: u64) -> u64 {
        let undeliverable = self.undeliverable();
        self.streams.clear();
        self.unreliable_bytes = 0;
        self.base = told.max(self.fresh_grant());
        self.credit_due = self.base > told;
        self.used = 0;
        self.returned = 0;
        self.advertised = told;
        self.starving = false;
        undeliverable
    }

    /// How many whole messages wait for earlier ones of their streams.
    pub(crate) fn undeliverable(&self) -> u64 {
        self.streams.values().map(|stream| stream.buffered.len() as u64).sum()
    }

    fn on_reliable(&mut self, frame: &DataFrame<'_>, total: u64) -> Result<bool, Violation> {
        let number = frame.sequence_number;
        let stream = self.streams.get_mut(&frame.stream).ok_or(Violation::TooManyStreams)?;
        if number.saturating_sub(stream.resolved.floor()) >= STREAM_WINDOW {
            return Err(Violation::BeyondStreamWindow);
        }
        if stream.resolved.contains(number) {
            return Ok(true);
        }
        if !stream.partial.contains_key(&number) {
            self.used += cost(total as usize);
            if self.used > self.base + self.returned {
                return Err(Violation::BeyondCredit);
            }
        }
        if !stream.is_wanted(number) {
            // A newer one of its sequenced stream was handed over: it counts as received.
            stream.resolved.insert(number);
            let begun = stream.partial.remove(&number);
            if begun.is_some_and(|begun| u64::from(begun.total()) != total) {
                // Credit comes back as it was charged, not as the peer now claims.
                return Err(Violation::FragmentsDisagree);
            }
            self.give_back(cost(total as usize));
            return Ok(true);
        }
        let Some(payload) = collect(stream, frame)? else { return Ok(false) };
        stream.resolved.insert(number);
        self.on_whole(frame, payload);
        Ok(true)
    }

    fn on_unreliable(&mut self, frame: &DataFrame<'_>, total: u64) -> Result<bool, Violation> {
        let number = frame.sequence_number;
        let stream = self.streams.get_mut(&frame.stream).ok_or(Violation::TooManyStreams)?;
        if !stream.is_wanted(number) {
            return Ok(true);
        }
        let begins = frame.fragment.is_some() && !stream.partial.contains_key(&number);
        if begins && stream.partial.len() >= MAX_PARTIAL {
            self.evict(frame.stream);
        }
        let stream = self.streams.get_mut(&frame.stream).ok_or(Violation::TooManyStreams)?;
        if !stream.is_wanted(number) {
            return Ok(true); // Making room for it went past it.
        }
        if begins {
            self.unreliable_bytes += total;
        }
        let payload = collect(stream, frame)?;
        let is_whole = payload.is_some();
        if let Some(payload) = payload {
            if frame.fragment.is_some() {
                self.unreliable_bytes -= total;
            }
            self.on_whole(frame, payload);
        }
        self.make_room();
        Ok(is_whole)
    }

    /// A message is whole: hand it over, or hold it until its turn.
    fn on_whole(&mut self, frame: &DataFrame<'_>, payload: Bytes) {
        let (key, number) = (frame.stream, frame.sequence_number);
        let buffered = Buffered { payload, requires_ack: frame.requires_ack };
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if !key.is_reliable() {
            self.unreliable_bytes += cost(buffered.payload.len());
        }
        match key.order() {
            Order::Unordered => self.hand_over(key, number, buffered),
            Order::Sequenced => {
                stream.next = number + 1;
                if !key.is_reliable() {
                    self.unreliable_bytes -= stream.drop_partial_below(number);
                }
                self.hand_over(key, number, buffered);
            }
            Order::Ordered if number == stream.next => {
                stream.next += 1;
                self.hand_over(key, number, buffered);
                self.hand_over_in_order(key);
            }
            Order::Ordered => {
                stream.buffered.insert(number, buffered);
                if !key.is_reliable() && stream.buffered.len() > MAX_BUFFERED {
                    let first = stream.buffered.keys().next().copied().unwrap_or(number);
                    self.skip_to(key, first + 1);
                }
                self.hand_over_in_order(key);
            }
        }
    }

    /// Hands over what is buffered below `end` on an unreliable ordered stream, and what follows it.
    fn skip_to(&mut self, key: StreamKey, end: u64) {
        while let Some((number, buffered)) =
            self.streams.get_mut(&key).and_then(|stream| stream.take_below(end))
        {
            self.hand_over(key, number, buffered);
        }
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.next = stream.next.max(end);
            self.unreliable_bytes -= stream.drop_partial_below(end);
        }
        self.hand_over_in_order(key);
    }

    fn hand_over_in_order(&mut self, key: StreamKey) {
        while let Some((number, buffered)) =
            self.streams.get_mut(&key).and_then(ReceiveStream::take_next)
        {
            self.hand_over(key, number, buffered);
        }
    }

    fn hand_over(&mut self, key: StreamKey, sequence_number: u64, buffered: Buffered) {
        let Buffered { payload, requires_ack } = buffered;
        if !key.is_reliable() {
            self.unreliable_bytes -= cost(payload.len());
        }
        let delivery = key.delivery(requires_ack);
        self.waiting.push(Message { delivery, sequence_number, payload });
    }

    /// Drops the oldest unreliable messages, then incomplete ones of any stream, until the limit of
    /// the buffer holds.
    fn make_room(&mut self) {
        while self.unreliable_bytes + self.waiting.unreliable_bytes() > self.limits.unreliable {
            if self.waiting.take_unreliable().is_some() {
                self.overflowed += 1;
                continue;
            }
            let incomplete = |stream: &&ReceiveStream| {
                let something = !stream.partial.is_empty() || !stream.buffered.is_empty();
                something && !stream.key.is_reliable()
            };
            let Some(key) = self.streams.values().find(incomplete).map(|stream| stream.key) else {
                return;
            };
            self.evict(key);
        }
    }

    /// Gives up on the oldest incomplete message of an unreliable stream. On an ordered one, what
    /// waited for it is handed over.
    fn evict(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let piece = stream.partial.first_key_value().map(|(number, _)| *number);
        let buffered = stream.buffered.first_key_value().map(|(number, _)| *number);
        self.overflowed += 1;
        match (key.order(), piece.or(buffered)) {
            (Order::Ordered, Some(number)) => self.skip_to(key, number + 1),
            (_, Some(number)) => self.unreliable_bytes -= stream.drop_partial_below(number + 1),
            (_, None) => {}
        }
    }

    fn open_stream(&mut self, key: StreamKey) -> Result<(), Violation> {
        let full = self.streams.len() >= usize::from(self.limits.max_streams);
        match self.streams.entry(key) {
            Entry::Vacant(_) if full => return Err(Violation::TooManyStreams),
            Entry::Vacant(place) => drop(place.insert(ReceiveStream::new(key))),
            Entry::Occupied(_) => {}
        }
        Ok(())
    }

    /// The peer may send this much more; it is sent once a quarter of the window came together.
    fn give_back(&mut self, credit: u64) {
        self.returned += credit;
        let untold = self.limit().saturating_sub(self.advertised);
        self.credit_due |= self.starving || untold >= self.limits.window / 4;
    }

    fn limit(&self) -> u64 {
        self.base + self.returned
    }
}

/// Adds a frame to its message; the message once it is whole.
fn collect(stream: &mut ReceiveStream, frame: &DataFrame<'_>) -> Result<Option<Bytes>, Violation> {
    let Some(fragment) = frame.fragment else {
        if stream.partial.contains_key(&frame.sequence_number) {
            return Err(Violation::FragmentsDisagree);
        }
        return Ok(Some(Bytes::copy_from_slice(frame.payload)));
    };
    let assembly = stream
        .partial
        .entry(frame.sequence_number)
        .or_insert_with(|| Assembly::new(fragment.total));
    if assembly.total() != fragment.total {
        return Err(Violation::FragmentsDisagree);
    }
    let whole = assembly.insert(fragment.offset, frame.payload);
    Ok(whole
        .then(|| stream.partial.remove(&frame.sequence_number).map(Assembly::into_bytes))
        .flatten())
}

/// The most unreliable messages in pieces per stream.
const MAX_PARTIAL: usize = 64;
/// The most messages an unreliable ordered stream holds back while it waits for an earlier one.
const MAX_BUFFERED: usize = 1024;

#[cfg(test)]
mod tests;
