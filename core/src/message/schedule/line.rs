//! What waits in a stream to be sent, and what of it is next.
//!
//! Where order does not matter, messages interleave: those that fit a packet pass longer ones, and several long ones
//! advance side by side, packet by packet. Else one is sent after the other.

use alloc::collections::VecDeque;

use slab::Slab;

use crate::delivery::Order;
use crate::message::outgoing::Outgoing;
use crate::pack::pack;

/// The messages of a stream with unsent bytes.
#[derive(Debug)]
pub(crate) struct Line {
    interleaves: bool,
    /// Slots of those of which some was sent. More than one only where they interleave.
    begun: VecDeque<u32>,
    /// Those of which nothing was sent, oldest first; where they interleave, long ones apart.
    fresh: [VecDeque<Ticket>; 2],
    /// How many of the tickets are of messages that are gone.
    stale: usize,
    /// The next packet goes on with what was begun, before anything else is.
    is_begun_next: bool,
    /// The present packet has some of what was begun.
    went_on: bool,
    /// The first long message lacks credit: short ones wait for it, or they would use up what it waits for.
    is_long_next: bool,
}

pack!(Line: interleaves, begun, fresh, stale, is_begun_next, went_on, is_long_next);

/// A message in the line. It may be gone: whoever is withdrawn leaves the ticket behind.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    slot: u32,
    generation: u32,
}

pack!(Ticket: slot, generation);

impl Ticket {
    fn is_valid(self, messages: &Slab<Outgoing>) -> bool {
        let message = messages.get(self.slot as usize);
        message
            .is_some_and(|message| message.generation() == self.generation && message.is_waiting())
    }
}

impl Line {
    pub(crate) fn new(order: Order) -> Self {
        Self {
            interleaves: order == Order::Unordered,
            begun: VecDeque::new(),
            fresh: [VecDeque::new(), VecDeque::new()],
            stale: 0,
            is_begun_next: false,
            went_on: false,
            is_long_next: false,
        }
    }

    /// A message comes to the end of the line.
    pub(crate) fn push(&mut self, slot: u32, message: &Outgoing) {
        let lane = usize::from(self.interleaves && message.is_long());
        self.fresh[lane].push_back(Ticket { slot, generation: message.generation() });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.waiting() == 0
    }

    /// How many wait of which nothing was sent.
    pub(crate) fn waiting(&self) -> usize {
        self.fresh[SHORTS].len() + self.fresh[LONGS].len() - self.stale
    }

    /// The message that goes on, if one was begun.
    pub(crate) fn begun(&self) -> Option<u32> {
        self.begun.front().copied()
    }

    /// Whether that one goes before others are begun.
    pub(crate) const fn is_begun_next(&self) -> bool {
        !self.interleaves || self.is_begun_next
    }

    /// The message to begin next, if one may be.
    pub(crate) fn fresh(&mut self, messages: &Slab<Outgoing>) -> Option<u32> {
        if !self.is_long_next
            && let Some(slot) = self.first(SHORTS, messages)
        {
            return Some(slot);
        }
        if self.begun.len() >= MAX_BEGUN || self.fresh[LONGS].is_empty() {
            return None;
        }
        self.first(LONGS, messages)
    }

    /// The message to begin next lacks credit.
    pub(crate) fn hold(&mut self, slot: u32) {
        self.is_long_next |= self.fresh[LONGS].front().is_some_and(|ticket| ticket.slot == slot);
    }

    /// The packet is full. If nothing of what was begun found room in it, the next one begins with that.
    pub(crate) const fn on_full(&mut self) {
        self.is_begun_next = !self.went_on;
        self.went_on = false;
    }

    /// Some of the message to begin next was sent, or the last of it.
    #[inline]
    pub(crate) fn begin(&mut self, slot: u32, is_fully_sent: bool) {
        // Where one of the other kind waits beside it, that may be another.
        let is_short = self.fresh[LONGS].is_empty()
            || self.fresh[SHORTS].front().is_some_and(|ticket| ticket.slot == slot);
        if is_short && !self.is_long_next {
            self.fresh[SHORTS].pop_front();
        } else {
            self.fresh[LONGS].pop_front();
            self.is_long_next = false;
        }
        if !is_fully_sent {
            self.begun.push_back(slot);
            self.is_begun_next = false;
            self.went_on = true;
        }
    }

    /// Some more of the begun message was sent, or the last of it: another has its turn.
    pub(crate) fn go_on(&mut self, is_fully_sent: bool) {
        if is_fully_sent {
            self.begun.pop_front();
        } else {
            self.begun.rotate_left(1);
        }
        self.is_begun_next = false;
        self.went_on = true;
    }

    /// A message that was begun ends before it was sent wholly.
    pub(crate) fn abandon(&mut self, slot: u32) {
        self.begun.retain(|begun| *begun != slot);
    }

    /// A message of which nothing was sent is about to end. Costs the same however many wait, but for a sweep
    /// now and then.
    pub(crate) fn withdraw(&mut self, slot: u32, messages: &Slab<Outgoing>) {
        self.is_long_next = false;
        for lane in &mut self.fresh {
            if lane.back().is_some_and(|ticket| ticket.slot == slot) {
                lane.pop_back();
                return;
            }
            if lane.front().is_some_and(|ticket| ticket.slot == slot) {
                lane.pop_front();
                return;
            }
        }
        self.stale += 1;
        if self.stale > MAX_STALE && self.stale > self.waiting() {
            self.retain(messages, |waiting| waiting != slot);
        }
    }

    /// Keeps the messages that `stays` says.
    pub(crate) fn retain(&mut self, messages: &Slab<Outgoing>, stays: impl Fn(u32) -> bool) {
        self.begun.retain(|slot| stays(*slot));
        for lane in &mut self.fresh {
            lane.retain(|ticket| ticket.is_valid(messages) && stays(ticket.slot));
        }
        self.stale = 0;
        self.is_long_next = false;
    }

    /// The oldest of each kind of which nothing was sent.
    pub(crate) fn oldest(&self, messages: &Slab<Outgoing>) -> impl Iterator<Item = usize> {
        self.fresh.iter().filter_map(|lane| {
            let valid = lane.iter().find(|ticket| ticket.is_valid(messages));
            valid.map(|ticket| ticket.slot as usize)
        })
    }

    /// The newest of a stream that is not unordered, of which nothing was sent.
    pub(crate) fn newest(&self, messages: &Slab<Outgoing>) -> Option<usize> {
        let valid = self.fresh[SHORTS].iter().rfind(|ticket| ticket.is_valid(messages));
        valid.map(|ticket| ticket.slot as usize)
    }

    fn first(&mut self, lane: usize, messages: &Slab<Outgoing>) -> Option<u32> {
        loop {
            let ticket = *self.fresh[lane].front()?;
            if self.stale == 0 || ticket.is_valid(messages) {
                return Some(ticket.slot);
            }
            self.fresh[lane].pop_front();
            self.stale -= 1;
        }
    }
}

const SHORTS: usize = 0;
const LONGS: usize = 1;
/// At most so many messages of a stream are begun and not sent wholly.
const MAX_BEGUN: usize = 8;
/// So many tickets of messages that are gone are of no concern.
const MAX_STALE: usize = 64;
