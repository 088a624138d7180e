//! What the messages of a send queue take of memory, until they are settled, and how channels share it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::credit::MESSAGE_CHARGE;
use super::outgoing::Outgoing;
use crate::delivery::Order;
use crate::error::SendError;
use crate::pack::pack;

/// What the peer allows us.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendLimits {
    pub(crate) max_message: u32,
    pub(crate) max_streams: u16,
    /// Bytes of reliable messages, as far as memory allows.
    pub(crate) buffer: u64,
    /// Bytes of unreliable messages that were not begun.
    pub(crate) unreliable: u64,
    /// How long unreliable messages wait to be begun.
    pub(crate) age: Duration,
}

pack!(SendLimits: max_message, max_streams, buffer, unreliable, age);

/// Bytes of messages that are not settled, charges included.
///
/// Reliable messages wait for room, so they count until they are acknowledged. Unreliable ones do not:
/// those that were not begun give way, oldest first.
///
/// Channels share the room of reliable messages as they share the receiver's credit: one whose messages
/// are stuck leaves room to the others.
#[derive(Debug, Default)]
pub(super) struct SendBuffer {
    reliable: u64,
    unreliable: u64,
    /// Of the unreliable bytes, those of messages that were not begun.
    unsent: u64,
    /// The channels that were used, each at its place for good.
    channels: Vec<Channel>,
    /// Their places by their numbers.
    places: BTreeMap<u16, u16>,
    /// Places of the channels on which a reliable message found no room, longest first.
    waiting: Vec<u16>,
}

pack!(SendBuffer: reliable, unreliable, unsent, channels, places, waiting);

/// What a channel takes of the buffer.
#[derive(Debug)]
struct Channel {
    number: u16,
    /// Bytes of reliable messages without a fate, charges included.
    held: u64,
    /// What the reliable message would cost that found no room.
    blocked: Option<u64>,
}

pack!(Channel: number, held, blocked);

impl SendBuffer {
    /// The place of a channel.
    pub(super) fn place(&mut self, number: u16) -> u16 {
        let Self { channels, places, .. } = self;
        *places.entry(number).or_insert_with(|| {
            channels.push(Channel { number, held: 0, blocked: None });
            (channels.len() - 1) as u16
        })
    }

    /// The same if the channel was used.
    pub(super) fn known_place(&self, number: u16) -> Option<u16> {
        self.places.get(&number).copied()
    }

    /// Whether a reliable message has room that costs so much and takes the place of one that costs
    /// `replaced`.
    pub(super) fn admit(
        &mut self,
        limits: &SendLimits,
        place: u16,
        order: Order,
        cost: u64,
        replaced: u64,
    ) -> Result<(), SendError> {
        if self.has_room(limits, (place, cost), replaced, self.claim()) {
            return Ok(());
        }
        if self.channels[usize::from(place)].blocked.replace(cost).is_none() {
            self.waiting.push(place);
        }
        // A newer one will take its place: there is no sense in waiting.
        Err(if order == Order::Sequenced { SendError::NoRoom } else { SendError::Blocked })
    }

    /// The same without a note that it found none.
    #[inline]
    pub(super) fn has_room_for(&self, limits: &SendLimits, place: u16, cost: u64) -> bool {
        self.has_room(limits, (place, cost), 0, self.claim())
    }

    /// How many bytes of unreliable messages have to give way to one that costs so much.
    #[inline]
    pub(super) const fn excess(&self, limits: &SendLimits, cost: u64, freed: u64) -> u64 {
        (self.unsent - freed + cost).saturating_sub(limits.unreliable)
    }

    /// A channel on which a message found no room, and would find some now. Once per refusal.
    #[inline]
    pub(super) fn take_writable(&mut self, limits: &SendLimits) -> Option<u16> {
        if self.waiting.is_empty() {
            return None;
        }
        let at = self.next_writable(limits)?;
        let channel = &mut self.channels[usize::from(self.waiting.remove(at))];
        channel.blocked = None;
        Some(channel.number)
    }

    /// Whether a message waits only because others than its peer take the memory. `most` is what the
    /// buffer may take when there is memory.
    pub(super) fn waits_for_memory(&self, limits: &SendLimits, most: u64) -> bool {
        let most = SendLimits { buffer: most, ..*limits };
        self.is_writable_due(&most) && !self.is_writable_due(limits)
    }

    /// Bytes of reliable messages.
    pub(super) const fn reliable(&self) -> u64 {
        self.reliable
    }

    /// Bytes of unreliable messages of which nothing was sent.
    pub(super) const fn unsent(&self) -> u64 {
        self.unsent
    }

    #[inline] // Asked after every input and output.
    pub(super) fn is_writable_due(&self, limits: &SendLimits) -> bool {
        !self.waiting.is_empty() && self.next_writable(limits).is_some()
    }

    /// A message was accepted on the channel at `place`.
    #[inline]
    pub(super) fn add(&mut self, message: &Outgoing, place: u16) {
        let cost = message.cost();
        *self.kind(message) += cost;
        if message.delivery.reliable {
            self.channels[usize::from(place)].held += cost;
        } else {
            self.unsent += cost;
        }
    }

    /// The first bytes of a message were sent.
    pub(super) fn begin(&mut self, message: &Outgoing) {
        if !message.delivery.reliable {
            self.unsent -= message.cost();
        }
    }

    /// A message of the channel at `place` met its fate: its payload goes. `begun` if some of it was sent.
    #[inline]
    pub(super) fn settle(&mut self, message: &Outgoing, place: u16, begun: bool) {
        *self.kind(message) -= message.payload.len() as u64;
        if message.delivery.reliable {
            self.channels[usize::from(place)].held -= message.cost();
        } else if !begun {
            self.unsent -= message.cost();
        }
    }

    /// A message is forgotten after it met its fate.
    pub(super) fn forget(&mut self, message: &Outgoing) {
        *self.kind(message) -= MESSAGE_CHARGE;
    }

    /// How long a reliable message there is room for on a channel that holds nothing.
    pub(super) const fn room(&self, limits: &SendLimits) -> u64 {
        if self.reliable == 0 {
            return limits.max_message as u64;
        }
        let left = limits.buffer.saturating_sub(self.reliable + MESSAGE_CHARGE);
        if left < limits.max_message as u64 { left } else { limits.max_message as u64 }
    }

    /// All bytes.
    pub(super) const fn bytes(&self) -> u64 {
        self.reliable + self.unreliable
    }

    /// Whether a message of that place and cost has room if the others `claim` so much.
    #[inline]
    fn has_room(
        &self,
        limits: &SendLimits,
        (place, cost): (u16, u64),
        replaced: u64,
        claim: u64,
    ) -> bool {
        let used = self.reliable - replaced.saturating_sub(MESSAGE_CHARGE);
        let held = self.channels[usize::from(place)].held - replaced;
        let left = limits.buffer.saturating_sub(used);
        if held == 0 {
            return used == 0 || cost <= left;
        }
        // It leaves to the others as much as it holds, and what they claim.
        cost + claim.max(held + cost) <= left
    }

    /// What the largest message costs that waits for room on a channel that holds nothing. Those of other
    /// channels could go on taking what becomes free, and it would wait for ever.
    #[inline]
    fn claim(&self) -> u64 {
        let waiting = self.waiting.iter().map(|place| &self.channels[usize::from(*place)]);
        let firsts = waiting.filter(|channel| channel.held == 0);
        firsts.filter_map(|channel| channel.blocked).fold(0, u64::max)
    }

    /// Which of those that wait could go on.
    fn next_writable(&self, limits: &SendLimits) -> Option<usize> {
        let claim = self.claim();
        self.waiting.iter().position(|place| {
            let blocked = self.channels[usize::from(*place)].blocked;
            blocked.is_some_and(|cost| self.has_room(limits, (*place, cost), 0, claim))
        })
    }

    const fn kind(&mut self, message: &Outgoing) -> &mut u64 {
        if message.delivery.reliable { &mut self.reliable } else { &mut self.unreliable }
    }
}
