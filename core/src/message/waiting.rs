//! The messages that wait for the application, by channel and by age.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::credit::cost;
use crate::delivery::Message;
use crate::pack::{pack, pack_as, pack_never};

/// Messages of one kind, unreliable or reliable.
type Kind = usize;
const UNRELIABLE: Kind = 0;
const RELIABLE: Kind = 1;

/// A message that waits.
#[derive(Debug)]
struct Ready {
    /// Its place among all messages.
    arrival: u64,
    message: Message,
}

pack_never!(Ready);

/// A message that is about to be taken.
#[derive(Debug)]
pub(super) struct Taken<'m> {
    pub(super) message: &'m Message,
    /// An earlier incarnation of the peer sent it.
    pub(super) is_older: bool,
}

/// The messages of a channel that wait, by kind, oldest first.
#[derive(Debug)]
struct Channel {
    number: u16,
    queues: [VecDeque<Ready>; 2],
}

pack!(Channel: number, queues);

/// The queues of one kind that are not empty: the place of the oldest message of each, and its channel. In the order
/// of these places.
#[derive(Debug, Default)]
struct Heads(VecDeque<(u64, u16)>);

pack_as!(Heads: VecDeque<(u64, u16)>);

impl Heads {
    fn iter(&self) -> impl Iterator<Item = &(u64, u16)> {
        self.0.iter()
    }

    /// The oldest message of all.
    #[inline]
    fn first(&self) -> Option<(u64, u16)> {
        self.0.front().copied()
    }

    /// A queue is not empty any more: its message is the newest of all.
    fn push(&mut self, arrival: u64, channel: u16) {
        self.0.push_back((arrival, channel));
    }

    /// The oldest message of a queue was taken; what comes next in it, if there is more.
    #[inline(always)]
    fn advance(&mut self, taken: u64, next: Option<(u64, u16)>) {
        match (next, self.0.len()) {
            (Some(next), 1) => self.0[0] = next,
            _ => self.advance_one_of(taken, next),
        }
    }

    #[inline(never)]
    fn advance_one_of(&mut self, taken: u64, next: Option<(u64, u16)>) {
        // Mostly the oldest of all.
        let at = if self.0.front().is_some_and(|head| head.0 == taken) {
            0
        } else {
            let Ok(at) = self.0.binary_search_by_key(&taken, |head| head.0) else { return };
            at
        };
        let behind = self.0.get(at + 1).map_or(u64::MAX, |head| head.0);
        if let Some(next) = next.filter(|next| next.0 < behind) {
            self.0[at] = next;
            return;
        }
        self.0.remove(at);
        if let Some(next) = next {
            let at = self.0.partition_point(|head| head.0 < next.0);
            self.0.insert(at, next);
        } else if self.0.is_empty() && self.0.capacity() > KEPT {
            self.0 = VecDeque::new();
        }
    }
}

/// The messages that wait for the application.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// In the order of their numbers.
    channels: Vec<Channel>,
    /// Where the channel is that was used last.
    recent: usize,
    /// The queues that are not empty, by kind.
    heads: [Heads; 2],
    arrivals: u64,
    /// How many messages wait.
    len: usize,
    /// Messages that arrived before this one are of earlier incarnations of the peer.
    begin: u64,
    /// Bytes of reliable ones among those, charges included.
    older: u64,
    /// Bytes of both kinds, charges included.
    bytes: [u64; 2],
    news: News,
}

pack!(Waiting: channels, recent, heads, arrivals, len, begin, older, bytes, news);

/// Whether the application has to be told that messages wait.
#[derive(Debug, Default)]
struct News {
    /// It has to be told.
    due: bool,
    /// It was told, and has not found everything read since.
    told: bool,
    /// Channels that it found empty since their last message.
    dry: BTreeSet<u16>,
}

pack!(News: due, told, dry);

impl Waiting {
    /// A message is deliverable.
    #[inline(always)] // Where it is written, the message need not be moved once more.
    pub(super) fn push(&mut self, message: Message) {
        let (channel, kind) = (message.delivery.channel, kind(&message));
        let was_dry = !self.news.dry.is_empty() && self.news.dry.remove(&channel);
        self.news.due |= was_dry || !self.news.told;
        self.bytes[kind] += cost(message.payload.len());
        if !self.is_recent(channel) {
            self.recent = self.place(channel).unwrap_or_else(|at| {
                self.channels.insert(at, Channel { number: channel, queues: Default::default() });
                at
            });
        }
        let queue = &mut self.channels[self.recent].queues[kind];
        if queue.is_empty() {
            self.heads[kind].push(self.arrivals, channel);
        }
        queue.push_back(Ready { arrival: self.arrivals, message });
        self.arrivals += 1;
        self.len += 1;
    }

    /// What empty queues keep is given back.
    pub(super) fn rest(&mut self) {
        if self.len == 0 {
            self.channels = Vec::new();
            self.heads = Default::default();
        }
    }

    /// The oldest message of all. `seen` is shown it before.
    #[inline]
    pub(super) fn take(&mut self, seen: impl FnOnce(Taken<'_>)) -> Option<Message> {
        let found = older(self.heads[UNRELIABLE].first(), self.heads[RELIABLE].first());
        self.pop_or_be_told(found, seen)
    }

    /// The oldest message on none of these channels.
    pub(super) fn take_except(
        &mut self,
        channels: &BTreeSet<u16>,
        seen: impl FnOnce(Taken<'_>),
    ) -> Option<Message> {
        let found = self.oldest(|channel| !channels.contains(&channel));
        self.pop_or_be_told(found, seen)
    }

    /// The queue with the oldest message on a channel that is `wanted`.
    fn oldest(&self, wanted: impl Fn(u16) -> bool) -> Option<(u16, Kind)> {
        let first =
            |kind: Kind| self.heads[kind].iter().find(|(_, channel)| wanted(*channel)).copied();
        older(first(UNRELIABLE), first(RELIABLE))
    }

    /// The first message of that queue. If there is none, the application is to be told of the next.
    #[inline]
    fn pop_or_be_told(
        &mut self,
        found: Option<(u16, Kind)>,
        seen: impl FnOnce(Taken<'_>),
    ) -> Option<Message> {
        let Some((channel, kind)) = found else {
            self.news.told = false;
            return None;
        };
        self.pop(channel, kind, seen)
    }

    /// Whether the channel with this number was used last.
    #[inline]
    fn is_recent(&self, number: u16) -> bool {
        self.channels.get(self.recent).is_some_and(|channel| channel.number == number)
    }

    /// Where the channel with this number is, or would be.
    fn place(&self, number: u16) -> Result<usize, usize> {
        self.channels.binary_search_by_key(&number, |channel| channel.number)
    }

    /// The oldest message of a channel.
    pub(super) fn take_from(
        &mut self,
        channel: u16,
        seen: impl FnOnce(Taken<'_>),
    ) -> Option<Message> {
        let found = self.place(channel).ok().and_then(|at| {
            let queues = &self.channels[at].queues;
            let first = |kind: Kind| queues[kind].front().map(|ready| (ready.arrival, kind));
            first(UNRELIABLE).into_iter().chain(first(RELIABLE)).min()
        });
        let Some((_, kind)) = found else {
            self.news.dry.insert(channel);
            return None;
        };
        self.pop(channel, kind, seen)
    }

    /// Drops the oldest unreliable message. False if there is none.
    pub(super) fn drop_unreliable(&mut self) -> bool {
        let first = self.heads[UNRELIABLE].first();
        first.and_then(|(_, channel)| self.pop(channel, UNRELIABLE, |_| {})).is_some()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many messages wait.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of unreliable messages that wait, charges included.
    pub(super) const fn unreliable_bytes(&self) -> u64 {
        self.bytes[UNRELIABLE]
    }

    /// Bytes of reliable messages that wait, charges included.
    pub(super) const fn reliable_bytes(&self) -> u64 {
        self.bytes[RELIABLE]
    }

    /// Bytes of reliable messages that wait and that an earlier incarnation of the peer sent.
    pub(super) const fn older_bytes(&self) -> u64 {
        self.older
    }

    /// The peer starts over: all that waits is of earlier incarnations.
    pub(super) const fn restart(&mut self) {
        self.begin = self.arrivals;
        self.older = self.bytes[RELIABLE];
    }

    /// How many messages became deliverable so far.
    pub(super) const fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// Forgets all messages.
    pub(super) fn clear(&mut self) {
        let arrivals = self.arrivals;
        *self = Self { arrivals, begin: arrivals, ..Self::default() };
    }

    /// Whether the application has to be told that messages wait.
    pub(super) const fn has_news(&self) -> bool {
        self.news.due
    }

    /// Whether to tell the application now that messages wait.
    pub(super) const fn take_news(&mut self) -> bool {
        self.news.told |= self.news.due;
        core::mem::replace(&mut self.news.due, false)
    }

    /// The oldest message of a queue. It is moved once, when all else is done.
    #[inline]
    fn pop(&mut self, channel: u16, kind: Kind, seen: impl FnOnce(Taken<'_>)) -> Option<Message> {
        if !self.is_recent(channel) {
            self.recent = self.place(channel).ok()?;
        }
        let queue = &mut self.channels[self.recent].queues[kind];
        let Ready { arrival, message } = queue.front()?;
        let (arrival, cost) = (*arrival, cost(message.payload.len()));
        let is_older = arrival < self.begin;
        seen(Taken { message, is_older });
        self.bytes[kind] -= cost;
        self.len -= 1;
        if is_older && kind == RELIABLE {
            self.older -= cost;
        }
        let next = queue.get(1).map(|next| (next.arrival, channel));
        self.heads[kind].advance(arrival, next);
        if next.is_none() {
            return self.pop_last(kind);
        }
        queue.pop_front().map(|ready| ready.message)
    }

    /// The only message of a queue of the channel that was used last. Memory goes back once the queue was long.
    fn pop_last(&mut self, kind: Kind) -> Option<Message> {
        let queues = &mut self.channels[self.recent].queues;
        let last = queues[kind].pop_front();
        if queues[kind].capacity() > KEPT {
            queues[kind] = VecDeque::new();
        }
        if queues.iter().all(VecDeque::is_empty) && self.channels.len() > KEPT_CHANNELS {
            self.channels.remove(self.recent);
        }
        last.map(|ready| ready.message)
    }
}

/// Which of these messages came first, the oldest of each kind: its channel and its kind.
#[inline]
fn older(unreliable: Option<(u64, u16)>, reliable: Option<(u64, u16)>) -> Option<(u16, Kind)> {
    match (unreliable, reliable) {
        (Some(one), other) if other.is_none_or(|other| one.0 < other.0) => {
            Some((one.1, UNRELIABLE))
        }
        (_, other) => other.map(|other| (other.1, RELIABLE)),
    }
}

fn kind(message: &Message) -> Kind {
    usize::from(message.delivery.reliable)
}

/// An empty queue keeps room for this many messages,
const KEPT: usize = 64;
/// and so many channels keep empty queues.
const KEPT_CHANNELS: usize = 4;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::Delivery;

    proptest! {
        /// A plain list knows the same.
        #[test]
        fn each_reader_gets_the_oldest_of_what_it_asks_for(
            steps in proptest::collection::vec((0_u8..5, 0_u16..8, 0_usize..30), 1..300),
        ) {
            let mut waiting = Waiting::default();
            let mut model: Vec<Message> = Vec::new();
            for (number, (step, channel, len)) in steps.into_iter().enumerate() {
                let unreliable = Delivery::unreliable(channel);
                let delivery = if step == 0 { Delivery::reliable(channel) } else { unreliable };
                let place = |is: &dyn Fn(&Delivery) -> bool| model.iter().position(|m| is(&m.delivery));
                let mut seen = None;
                let see = |taken: Taken<'_>| seen = Some(taken.message.clone());
                let (taken, at) = match step {
                    0 | 1 => {
                        let payload = Bytes::from(alloc::vec![7; len]);
                        let message = Message::new(delivery, number as u64, payload);
                        model.push(message.clone());
                        waiting.push(message);
                        continue;
                    }
                    2 => (waiting.take(see), place(&|_| true)),
                    3 => (waiting.take_from(channel, see), place(&|of| of.channel == channel)),
                    _ => {
                        let first = place(&|of| !of.reliable);
                        prop_assert_eq!(waiting.drop_unreliable(), first.is_some());
                        (first.map(|at| model[at].clone()), first)
                    }
                };
                if step == 2 || step == 3 {
                    prop_assert_eq!(&seen, &taken, "it is shown before it is taken");
                }
                prop_assert_eq!(taken, at.map(|at| model.remove(at)));
                let bytes = |reliable: bool| {
                    let of = model.iter().filter(|m| m.delivery.reliable == reliable);
                    of.map(|m| cost(m.payload.len())).sum::<u64>()
                };
                prop_assert_eq!(waiting.reliable_bytes(), bytes(true));
                prop_assert_eq!(waiting.unreliable_bytes(), bytes(false));
                prop_assert_eq!(waiting.is_empty(), model.is_empty());
                prop_assert!(waiting.channels.len() <= KEPT_CHANNELS + model.len());
            }
        }
    }
}
