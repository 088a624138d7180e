//! Messages that are given up: withdrawn, of no use any more, or replaced by newer ones.
//!
//! What was not begun just leaves. Of a reliable message of which some was sent the peer is told, until that is
//! acknowledged: else it would wait for its number, and neither end would get its credit back.

use super::{SendQueue, slot_number};
use crate::delivery::{Fate, MessageId};
use crate::error::CommandError;
use crate::message::outgoing::{Outgoing, Part};
use crate::time::Instant;
use crate::wire::{
    GivenUpRange, MAX_GIVEN_UP_FURTHER, MAX_GIVEN_UP_RANGES, Writer, encode_given_up,
};

/// Names a message of which the peer was told that it will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    slot: u32,
    generation: u32,
}

impl SendQueue {
    /// Withdraws a message. Costs the same however many there are.
    pub(crate) fn cancel(&mut self, id: MessageId) -> Result<(), CommandError> {
        let slot = id.slot as usize;
        let is_it = self.messages.get(slot).is_some_and(|message| message.number == id.number);
        let cancelled = |may_have_arrived| Fate::Cancelled { may_have_arrived };
        if is_it && self.abandon(slot, cancelled) { Ok(()) } else { Err(CommandError::TooLate) }
    }

    /// When the next message is of no use any more, or is to be sent once more without waiting for another.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let useless = self.deadlines.first().map(|(at, _)| *at);
        useless.into_iter().chain(self.redundancy.next_deadline()).min()
    }

    /// Gives up what is of no use any more, and sees to what is to be sent once more.
    pub(crate) fn pass_deadlines(&mut self, now: Instant) {
        self.redundancy.pass_deadlines(now);
        while let Some((_, slot)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.pop_first();
            self.abandon(slot as usize, |may_have_arrived| Fate::Expired { may_have_arrived });
        }
    }

    /// Whether the peer is to be told of messages that will not come.
    pub(crate) fn has_given_up(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Tells the peer of messages of one stream that will not come, in the packet with this path and counter. False
    /// if there is no room.
    pub(crate) fn write_given_up(
        &mut self,
        packet: (u8, u64),
        writer: &mut Writer<'_>,
        sent: &mut impl FnMut(Told),
    ) -> bool {
        let Some(&(stream, _, _)) = self.untold.first() else { return false };
        let key = self.streams[usize::from(stream)].key;
        let mut ranges = [GivenUpRange { first: 0, further: 0, cost: 0 }; MAX_GIVEN_UP_RANGES];
        let mut len = 0;
        for &(_, number, slot) in self.untold.iter().take_while(|(of, _, _)| *of == stream) {
            let cost = self.messages[slot as usize].cost();
            if let Some(last) = ranges[..len].last_mut()
                && last.first + last.further + 1 == number
                && last.cost == cost
                && last.further < MAX_GIVEN_UP_FURTHER
            {
                last.further += 1;
            } else if let Some(next) = ranges.get_mut(len) {
                *next = GivenUpRange { first: number, further: 0, cost };
                len += 1;
            } else {
                break;
            }
        }
        let written = encode_given_up(writer, key, ranges[..len].iter().copied());
        for range in &ranges[..written] {
            for _ in 0..=range.further {
                let Some((_, _, slot)) = self.untold.pop_first() else { break };
                let message = &mut self.messages[slot as usize];
                if let Some(given_up) = message.given_up_mut() {
                    given_up.told.get_or_insert(packet);
                }
                sent(Told { slot, generation: message.generation() });
            }
        }
        written > 0
    }

    /// The peer knows that a message will not come.
    pub(crate) fn on_told(&mut self, told: Told) {
        if let Some(fate) = self.told(told).and_then(|message| Some(message.given_up()?.fate)) {
            self.finish(told.slot as usize, fate);
        }
    }

    /// The peer may not know yet that a message will not come.
    pub(crate) fn repeat_told(&mut self, told: Told) {
        if let Some(message) = self.told(told)
            && let (Some(number), Some(_)) = (message.sequence_number, message.given_up())
        {
            self.untold.insert((message.stream, number, told.slot));
        }
    }

    /// An acknowledgement is read that names this packet as the highest that arrived: its path and its counter.
    pub(crate) const fn note_ack(&mut self, highest: (u8, u64)) {
        self.highest_acked = highest;
    }

    /// A part of a message that was given up arrived, perhaps before the peer heard of that. True if the peer
    /// certainly holds all of the message.
    pub(super) fn arrives_given_up(&mut self, part: Part) -> bool {
        let (path, highest) = self.highest_acked;
        let Some(message) = self.find(part) else { return false };
        let is_whole = message.acknowledge(part);
        let Some(given_up) = message.given_up_mut() else { return is_whole };
        // Whoever had received that packet by then would have named it, or a later one.
        let is_before = |(of, counter): (u8, u64)| of == path && highest < counter;
        given_up.is_doubtful |= !given_up.told.is_none_or(is_before);
        is_whole && !given_up.is_doubtful
    }

    fn told(&self, told: Told) -> Option<&Outgoing> {
        let message = self.messages.get(told.slot as usize)?;
        (message.generation() == told.generation && message.fate.is_none()).then_some(message)
    }

    /// Gives a message up. False if that changes nothing any more.
    pub(super) fn abandon(&mut self, slot: usize, fate: impl Fn(bool) -> Fate) -> bool {
        let Some(message) = self.messages.get_mut(slot) else { return false };
        if message.fate.is_some() || message.is_given_up() {
            return false;
        }
        let Some(number) = message.sequence_number else {
            self.give_up(slot, fate(false));
            return true;
        };
        let (stream, lane) = (message.stream, message.lane);
        let is_fully_sent = message.is_fully_sent();
        if message.delivery.reliable {
            message.give_up(fate(is_fully_sent));
            self.untold.insert((stream, number, slot_number(slot)));
        } else if is_fully_sent {
            return false;
        }
        if !is_fully_sent {
            self.lanes[lane as usize].line.abandon(slot_number(slot));
            self.wake(lane);
        }
        if !self.messages[slot].delivery.reliable {
            self.finish(slot, fate(false));
        }
        true
    }
}
