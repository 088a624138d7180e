//! The messages a peer sent us: put together, put in order, kept until the application takes them.

mod ended;
mod given_up;
mod hand_over;
mod headway;
mod next;
mod streams;
mod unreliable;

use alloc::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::credit::cost;
use super::credit::{ReceiveCredit, Review};
use super::receive_stream::ReceiveStream;
use super::waiting::{Taken, Waiting};
use super::window::{EndedStreams, ReceivedWindow};
use crate::Violation;
use crate::delivery::{Message, Order};
use crate::memory::Room;
use crate::pack::pack;
use crate::wire::{DataFrame, GivenUpFrame, StreamKey};
use headway::Headway;
use streams::Streams;

/// What we allow the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveLimits {
    pub(crate) max_message: u32,
    pub(crate) max_streams: u16,
    /// How far ahead of the lowest unsettled number of a reliable stream others may be.
    pub(crate) stream_window: u64,
    /// Bytes of reliable messages on the way or waiting, charges included.
    pub(crate) window: u64,
    /// Bytes of unreliable messages in pieces, buffered or waiting.
    pub(crate) unreliable: u64,
}

pack!(ReceiveLimits: max_message, max_streams, stream_window, window, unreliable);

/// All incoming messages of one peer.
#[derive(Debug)]
pub(crate) struct ReceiveQueue {
    limits: ReceiveLimits,
    streams: Streams,
    ended: EndedStreams,
    headway: Headway,
    waiting: Waiting,
    /// What unreliable messages may take, as far as memory allows.
    unreliable_limit: u64,
    /// Bytes of unreliable messages that are not deliverable yet, charges included.
    unreliable_bytes: u64,
    credit: ReceiveCredit,
    /// Bytes that tell which numbers of reliable streams came, and how many they may be.
    noted: u64,
    noted_limit: u64,
    /// Credit is to be reviewed however much memory there is.
    is_unreviewed: bool,
    /// Nothing more comes.
    is_closed: bool,
    /// Whole messages that waited for earlier ones when it was closed.
    undeliverable: u64,
    /// Unreliable messages that gave way.
    overflowed: u64,
    /// Some reliable message was given up at some time.
    has_given_up: bool,
    /// How many messages were given up of which the application was not told, by stream.
    missing: BTreeMap<StreamKey, u64>,
}

pack!(ReceiveQueue:
    limits, streams, ended, headway, waiting, unreliable_limit, unreliable_bytes, credit,
    noted, noted_limit, is_unreviewed, is_closed, undeliverable, overflowed, has_given_up, missing,
);

impl ReceiveQueue {
    pub(crate) fn new(limits: ReceiveLimits) -> Self {
        Self {
            limits,
            streams: Streams::new(),
            ended: EndedStreams::default(),
            headway: Headway::default(),
            waiting: Waiting::default(),
            unreliable_limit: limits.unreliable,
            unreliable_bytes: 0,
            credit: ReceiveCredit::new(limits.window, limits.max_message),
            noted: 0,
            noted_limit: u64::MAX,
            is_unreviewed: true,
            is_closed: false,
            undeliverable: 0,
            overflowed: 0,
            has_given_up: false,
            missing: BTreeMap::new(),
        }
    }

    /// Takes in one data frame, whatever it holds. Returns as [`on_data`](Self::on_data).
    fn on_any(&mut self, frame: &DataFrame<'_>) -> Result<bool, Violation> {
        let total = frame.fragment.map_or(frame.payload.len() as u64, |part| part.total.into());
        if total > u64::from(self.limits.max_message) {
            return Err(Violation::MessageTooLarge);
        }
        let is_open = self.streams.contains_key(&frame.stream);
        if !is_open && !self.open_stream(frame.stream, frame.sequence_number)? {
            return Ok(true);
        }
        if frame.stream.is_reliable() {
            let is_whole = self.on_reliable(frame, total);
            self.note_credit_used();
            is_whole
        } else {
            self.on_unreliable(frame, total)
        }
    }

    /// Nothing below `end` will come any more on an unreliable ordered stream.
    pub(crate) fn on_skip(&mut self, key: StreamKey, end: u64) -> Result<(), Violation> {
        if key.is_reliable() || key.order() != Order::Ordered {
            return Err(Violation::SkipOfAnotherStream);
        }
        if self.open_stream(key, end.saturating_sub(1))? {
            self.skip_to(key, end);
        }
        Ok(())
    }

    /// These messages will not come. What is whole stays; of the others nothing does, and their credit goes back.
    pub(crate) fn on_given_up(&mut self, frame: &GivenUpFrame<'_>) -> Result<(), Violation> {
        let key = frame.stream;
        if !self.open_stream(key, frame.highest())? {
            return Ok(());
        }
        for range in frame.ranges() {
            self.give_up_range(key, range)?;
        }
        self.has_given_up = true;
        self.is_unreviewed = true;
        if key.order() == Order::Ordered {
            self.hand_over_in_order(key);
        }
        Ok(())
    }

    /// The sender is stuck at `limit`, for want of a higher one if a message's cost is named.
    pub(crate) fn on_blocked(&mut self, limit: u64, cost: u64) {
        self.is_unreviewed = true;
        self.credit.on_blocked(limit, cost);
    }

    /// Memory is scarce: the peer is asked to give up credit that it does not use, but for so much.
    pub(crate) fn reclaim(&mut self, keep: u64) {
        self.credit.reclaim(keep);
    }

    /// What the peer may keep, if it is to be asked now.
    pub(crate) fn reclaims(&self) -> Option<u64> {
        self.credit.reclaims().filter(|_| !self.is_closed)
    }

    /// The peer was asked.
    pub(crate) const fn note_reclaimed(&mut self) {
        self.credit.note_reclaimed();
    }

    /// The peer gave up so much credit in all.
    pub(crate) fn on_forfeit(&mut self, total: u64) -> Result<(), Violation> {
        self.credit.on_forfeit(total)
    }

    /// The oldest message that waits.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Message> {
        let Self { waiting, credit, is_unreviewed, .. } = self;
        waiting.take(|taken| note_taken(taken, credit, is_unreviewed))
    }

    /// The oldest message of a channel that waits.
    pub(crate) fn take_from(&mut self, channel: u16) -> Option<Message> {
        let Self { waiting, credit, is_unreviewed, .. } = self;
        waiting.take_from(channel, |taken| note_taken(taken, credit, is_unreviewed))
    }

    /// The oldest message that waits on none of these channels.
    pub(crate) fn take_except(&mut self, channels: &BTreeSet<u16>) -> Option<Message> {
        let Self { waiting, credit, is_unreviewed, .. } = self;
        waiting.take_except(channels, |taken| note_taken(taken, credit, is_unreviewed))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Memory that only traffic needs is given back, if there is none.
    pub(crate) fn rest(&mut self) {
        self.waiting.rest();
    }

    /// Whether a part of a message is here, or a message that waits for an earlier one.
    pub(crate) fn is_receiving(&self) -> bool {
        let is_busy =
            |stream: &ReceiveStream| !stream.partial.is_empty() || !stream.buffered.is_empty();
        self.streams.values().any(is_busy)
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

    /// Nothing more comes: only what is whole is kept.
    pub(crate) fn close(&mut self) {
        if !self.is_closed {
            self.is_closed = true;
            self.undeliverable = self.count_undeliverable();
            self.streams.clear();
            (self.unreliable_bytes, self.noted) = (0, 0);
        }
    }

    /// So much memory there is for what comes next.
    #[inline]
    pub(crate) fn note_room(&mut self, room: Room) {
        self.noted_limit = room.allowance(self.noted, u64::MAX);
    }

    /// Whether there is memory to note that this message came: numbers far ahead take a bit for each before them. There
    /// always is for one that is missed, or next.
    #[inline]
    pub(crate) fn has_place(&self, key: StreamKey, number: u64) -> bool {
        let most = self.limits.stream_window / 8 + 8;
        self.noted + most <= self.noted_limit
            || !key.is_reliable()
            || self.has_scarce_place(key, number, most)
    }

    fn has_scarce_place(&self, key: StreamKey, number: u64, most: u64) -> bool {
        let new = || ReceivedWindow::from_floor(self.ended.end_of(key)).growth(number);
        let growth = self.streams.get(&key).map_or_else(new, |it| it.resolved.growth(number));
        // What is beyond the window is no question of memory.
        growth == 0 || growth > most || self.noted + growth <= self.noted_limit
    }

    /// What the messages take, and those that the peer was told that it may send, and what tells which came.
    pub(crate) const fn memory(&self) -> u64 {
        let waiting = self.waiting.unreliable_bytes();
        if self.is_closed {
            return waiting + self.waiting.reliable_bytes();
        }
        let reliable = self.noted + self.waiting.older_bytes() + self.credit.promised();
        waiting + self.unreliable_bytes + reliable
    }

    /// Decides what the peer may send. `has_turn` if memory is no obstacle to a message that waits.
    pub(crate) fn review_credit(&mut self, review: Review, has_turn: bool) {
        self.is_unreviewed = false;
        let (unread, older) = (self.unread_credit(), self.waiting.older_bytes());
        self.credit.review(review, unread, older, has_turn);
        let held = self.unreliable_bytes + self.waiting.unreliable_bytes();
        self.unreliable_limit = review.room.allowance(held, self.limits.unreliable);
    }

    /// Whether something changed since the last review that calls for another although there is memory
    /// for everything.
    pub(crate) const fn is_unreviewed(&self) -> bool {
        self.is_unreviewed
    }

    /// Whether the credit may grow at the next review, and not at a later one: once a message waits that nobody took, it
    /// does not.
    #[inline]
    pub(crate) const fn is_growing(&self) -> bool {
        self.is_unreviewed && self.credit.is_outrun()
    }

    /// Bytes of reliable messages that wait and count towards the credit.
    const fn unread_credit(&self) -> u64 {
        self.waiting.reliable_bytes() - self.waiting.older_bytes()
    }

    /// Whether a message waits for memory.
    pub(crate) fn needs_turn(&self, room: Room) -> bool {
        self.credit.needs_turn(room, self.waiting.older_bytes())
    }

    /// Whether a message that was let in beyond what the peer may hold in any case was not taken yet.
    pub(crate) const fn is_beyond(&self, room: Room) -> bool {
        self.credit.is_beyond(room)
    }

    /// Whether a new credit limit should be sent to the peer.
    pub(crate) fn is_credit_due(&self) -> bool {
        self.credit.is_due() && !self.is_closed
    }

    /// The credit limit to send to the peer now.
    pub(crate) fn advertise(&mut self) -> u64 {
        self.credit.advertise()
    }

    /// A channel of which the peer is to be told what was given back, and how much that is.
    pub(crate) fn next_channel_credit(&mut self) -> Option<(u16, u64)> {
        self.credit.next_channel()
    }

    /// The limit sent last did not arrive, or did not fit.
    pub(crate) fn repeat_credit(&mut self) {
        self.credit.repeat();
    }

    /// What was sent last of a channel did not arrive, or did not fit.
    pub(crate) fn repeat_channel_credit(&mut self, channel: u16) {
        self.credit.repeat_channel(channel);
    }

    /// What a peer that starts over is granted.
    pub(crate) fn fresh_grant(&self, room: Room) -> u64 {
        self.credit.fresh_grant(self.waiting.reliable_bytes(), room)
    }

    /// The most that a peer that starts over may have been granted.
    pub(crate) const fn most_granted(&self) -> u64 {
        self.credit.most_granted(self.waiting.reliable_bytes())
    }

    /// The peer restarted, having been granted `told`: its streams start over. What waits for the
    /// application stays, and counts until it is taken. Returns how many whole messages are forgotten.
    pub(crate) fn restart(&mut self, told: u64) -> u64 {
        let undeliverable = self.count_undeliverable();
        self.streams.clear();
        self.ended = EndedStreams::default();
        (self.unreliable_bytes, self.noted) = (0, 0);
        self.waiting.restart();
        self.is_unreviewed = true;
        self.credit.restart(told);
        undeliverable
    }

    /// How many whole messages wait for earlier ones of their streams, or did when nothing more came.
    pub(crate) fn undeliverable(&self) -> u64 {
        if self.is_closed { self.undeliverable } else { self.count_undeliverable() }
    }

    fn count_undeliverable(&self) -> u64 {
        self.streams.values().map(|stream| stream.buffered.len() as u64).sum()
    }

    /// Something of a reliable message came: the peer may have to hear of more credit.
    #[inline]
    fn note_credit_used(&mut self) {
        let is_news =
            || self.credit.is_worth_telling(self.unread_credit()) || self.credit.is_outrun();
        self.is_unreviewed = self.is_unreviewed || is_news();
    }

    fn on_reliable(&mut self, frame: &DataFrame<'_>, total: u64) -> Result<bool, Violation> {
        let number = frame.sequence_number;
        let stream = self.streams.get_mut(&frame.stream).ok_or(Violation::TooManyStreams)?;
        if number.saturating_sub(stream.resolved.floor()) >= self.limits.stream_window {
            return Err(Violation::BeyondStreamWindow);
        }
        if stream.resolved.contains(number) {
            return Ok(true);
        }
        let is_begun = stream.partial.contains_key(&number);
        if !is_begun {
            self.credit.charge(cost(total as usize))?;
        }
        let len = frame.payload.len();
        self.credit.note_arrival(if is_begun { len as u64 } else { cost(len) });
        if number < stream.next {
            // A newer one of its sequenced stream was handed over: it counts as received.
            stream.resolve(number, &mut self.noted);
            let begun = stream.partial.remove(&number);
            if begun.is_some_and(|begun| u64::from(begun.total()) != total) {
                // Credit comes back as it was charged, not as the peer now claims.
                return Err(Violation::FragmentsDisagree);
            }
            self.credit.give_back(frame.stream.channel(), cost(total as usize));
            self.is_unreviewed = true;
            return Ok(true);
        }
        if frame.fragment.is_none() && !is_begun {
            self.on_whole(frame, Bytes::copy_from_slice(frame.payload));
            return Ok(true);
        }
        let Some(payload) = self.collect(frame, is_begun)? else { return Ok(false) };
        self.on_whole(frame, payload);
        Ok(true)
    }

    /// Opens the stream of the message with this number, if need be. False if it ended with the message settled.
    fn open_stream(&mut self, key: StreamKey, number: u64) -> Result<bool, Violation> {
        if self.streams.contains_key(&key) {
            return Ok(true);
        }
        let first = self.ended.end_of(key);
        if number < first {
            return Ok(false);
        }
        if self.streams.len() >= usize::from(self.limits.max_streams) {
            return Err(Violation::TooManyStreams);
        }
        self.streams.insert(ReceiveStream::new(key, first));
        Ok(true)
    }
}

/// The application takes a message: its credit goes back, if it was charged.
#[inline]
fn note_taken(taken: Taken<'_>, credit: &mut ReceiveCredit, is_unreviewed: &mut bool) {
    let Taken { message, is_older } = taken;
    *is_unreviewed = true;
    if message.delivery.reliable && !is_older {
        credit.give_back(message.delivery.channel, cost(message.payload.len()));
    }
}

#[cfg(test)]
mod tests;
