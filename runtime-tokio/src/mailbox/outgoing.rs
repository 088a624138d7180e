//! Messages on their way to the core, by stream.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use handfast_core::{Bytes, Delivery, Fate, Order, SendError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::receipt_key::{MessageKey, ReceiptSender};

/// A message on its way to the core.
pub(crate) struct Outgoing {
    pub(crate) delivery: Delivery,
    pub(crate) payload: Bytes,
    pub(crate) receipt: Option<ReceiptSender>,
    /// When it was handed over, if it has a deadline.
    since: Option<Instant>,
}

impl Outgoing {
    #[inline]
    pub(crate) fn new(delivery: Delivery, payload: Bytes) -> Self {
        let since = delivery.deadline.map(|_| Instant::now());
        Self { delivery, payload, receipt: None, since }
    }

    /// The message as it is queued. What stays has neither payload nor receipt.
    fn take(&mut self) -> Self {
        let Self { delivery, payload, receipt, since } = self;
        let (payload, receipt) = (mem::take(payload), receipt.take());
        Self { delivery: *delivery, payload, receipt, since: *since }
    }

    /// Its delivery, with what is left of its deadline by now.
    pub(crate) fn due_delivery(&self) -> Delivery {
        let waited = self.since.map(|since| since.elapsed());
        let left = |deadline: Duration| deadline.saturating_sub(waited.unwrap_or_default());
        let mut delivery = self.delivery;
        delivery.deadline = delivery.deadline.map(left);
        delivery
    }

    /// Reports that the peer ended before any of it was sent.
    pub(crate) fn give_up(self) {
        self.finish(Fate::Lost);
    }

    /// Reports what became of it.
    pub(crate) fn finish(mut self, fate: Fate) {
        self.tell(fate);
    }

    /// The same, where it lies.
    pub(crate) fn tell(&mut self, fate: Fate) {
        if let Some(receipt) = self.receipt.take() {
            receipt.tell(fate);
        }
    }

    /// Reports that a newer one took its place.
    fn supersede(self) {
        self.finish(Fate::Superseded { may_have_arrived: false });
    }

    pub(crate) fn is_named(&self, key: &MessageKey) -> bool {
        self.receipt.as_ref().is_some_and(|receipt| receipt.key.names(key))
    }

    /// Whether it may wait for room. What is old soon gets no better by waiting.
    pub(crate) fn may_wait(&self) -> bool {
        self.delivery.reliable && self.delivery.order != Order::Sequenced
    }
}

/// A channel, reliability and order: messages of different streams never wait for each other.
pub(super) type Stream = (u16, bool, Order);

/// The stream of a delivery.
pub(crate) const fn stream(delivery: &Delivery) -> Stream {
    (delivery.channel, delivery.reliable, delivery.order)
}

/// What the peer allows, as far as an application can exceed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    pub(crate) max_message: u32,
    pub(crate) max_streams: u16,
}

/// Why a message is not taken.
pub(super) enum Untaken {
    /// There will be room for it.
    Full,
    Refused(SendError),
}

/// The application's side: messages that the driver has not collected.
#[derive(Default)]
pub(super) struct Outbox {
    queues: BTreeMap<Stream, Queue>,
    /// Streams with messages, each once.
    listed: VecDeque<Stream>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Outgoing>,
    bytes: usize,
    /// Tells of room. There is one once somebody waited.
    writable: Option<Arc<Notify>>,
}

impl Queue {
    fn is_at_rest(&self) -> bool {
        // Who waits for room has one as well.
        let is_awaited = |writable: &Arc<Notify>| Arc::strong_count(writable) > 1;
        self.messages.is_empty() && !self.writable.as_ref().is_some_and(is_awaited)
    }
}

impl Outbox {
    /// No message, but a queue for each of these streams.
    pub(super) fn with_streams(streams: &[Stream]) -> Self {
        let queues = streams.iter().map(|stream| (*stream, Queue::default())).collect();
        Self { queues, listed: VecDeque::new() }
    }

    /// The streams of which there is a queue.
    pub(super) fn streams(&self) -> Box<[Stream]> {
        self.queues.keys().copied().collect()
    }

    /// Whether no message waits here, and nobody for room.
    pub(super) fn is_at_rest(&self) -> bool {
        self.queues.values().all(Queue::is_at_rest)
    }

    /// Takes a message if it is allowed and there is room. A sequenced one takes the place of those of
    /// its stream that wait here.
    pub(super) fn push(&mut self, message: &mut Outgoing, allowed: Allowed) -> Result<(), Untaken> {
        let len = message.payload.len();
        if len as u64 > u64::from(allowed.max_message) {
            return Err(Untaken::Refused(SendError::TooLarge(allowed.max_message)));
        }
        let stream = stream(&message.delivery);
        let is_full = self.queues.len() >= usize::from(allowed.max_streams);
        let queue = match self.queues.entry(stream) {
            Entry::Occupied(queue) => queue.into_mut(),
            Entry::Vacant(_) if is_full => {
                return Err(Untaken::Refused(SendError::TooManyStreams));
            }
            Entry::Vacant(place) => place.insert(Queue::default()),
        };
        if message.delivery.order == Order::Sequenced {
            queue.messages.drain(..).for_each(Outgoing::supersede);
            queue.bytes = 0;
        } else if queue.messages.len() >= MAX_MESSAGES || queue.bytes >= MAX_BYTES {
            let refused = Untaken::Refused(SendError::NoRoom);
            return Err(if message.may_wait() { Untaken::Full } else { refused });
        }
        if queue.messages.is_empty() && !self.listed.contains(&stream) {
            self.listed.push_back(stream);
        }
        queue.bytes += len;
        queue.messages.push_back(message.take());
        Ok(())
    }

    /// Tells of room for messages of this delivery, of which one waits here.
    pub(super) fn writable(&mut self, delivery: &Delivery) -> Arc<Notify> {
        let queue = self.queues.entry(stream(delivery)).or_default();
        Arc::clone(queue.writable.get_or_insert_default())
    }

    /// All who wait for room.
    pub(super) fn waiting(&self) -> Vec<Arc<Notify>> {
        self.queues.values().filter_map(|queue| queue.writable.clone()).collect()
    }

    /// Hands over what waits, but for streams of which `under_way` has messages. Returns who is to be told
    /// that this made room.
    pub(super) fn collect(&mut self, under_way: &mut UnderWay) -> Vec<Arc<Notify>> {
        let mut writable = Vec::new();
        for _ in 0..self.listed.len() {
            let Some(stream) = self.listed.pop_front() else { break };
            let Some(queue) = self.queues.get_mut(&stream) else { continue };
            if under_way.exchange(stream, &mut queue.messages) {
                queue.bytes = 0;
                writable.extend(queue.writable.clone());
            } else {
                self.listed.push_back(stream);
            }
        }
        writable
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.values().all(|queue| queue.messages.is_empty())
    }

    pub(super) fn has_reliable(&self) -> bool {
        self.queues.values().any(|queue| has_reliable(&queue.messages))
    }

    /// Whether messages of this delivery's stream wait.
    pub(super) fn has(&self, delivery: &Delivery) -> bool {
        self.queues.get(&stream(delivery)).is_some_and(|queue| !queue.messages.is_empty())
    }

    /// Forgets a stream of which no message waits.
    pub(super) fn forget(&mut self, delivery: &Delivery) {
        if !self.has(delivery) {
            self.queues.remove(&stream(delivery));
        }
    }

    /// Takes a message back, and who is to be told that this made room.
    pub(super) fn withdraw(&mut self, key: &MessageKey) -> Option<(Outgoing, Option<Arc<Notify>>)> {
        self.queues.values_mut().find_map(|queue| {
            let message = withdraw(&mut queue.messages, key)?;
            queue.bytes -= message.payload.len();
            Some((message, queue.writable.clone()))
        })
    }

    /// All that waits; nothing does then.
    pub(super) fn drain(&mut self) -> Vec<Outgoing> {
        self.listed.clear();
        self.queues
            .values_mut()
            .flat_map(|queue| {
                queue.bytes = 0;
                mem::take(&mut queue.messages)
            })
            .collect()
    }
}

fn has_reliable(messages: &VecDeque<Outgoing>) -> bool {
    messages.iter().any(|message| message.delivery.reliable)
}

fn withdraw(queue: &mut VecDeque<Outgoing>, key: &MessageKey) -> Option<Outgoing> {
    let at = queue.iter().position(|message| message.is_named(key))?;
    queue.remove(at)
}

/// The driver's side: messages that it collected and the core has not taken.
#[derive(Default)]
pub(crate) struct UnderWay {
    lanes: BTreeMap<Stream, Lane>,
    /// Streams with messages that the core may take, each once: the first has its turn.
    active: VecDeque<Stream>,
}

#[derive(Default)]
struct Lane {
    messages: VecDeque<Outgoing>,
    /// The core had no room for the first.
    is_blocked: bool,
}

impl UnderWay {
    /// Takes a stream's queue in exchange for an empty one, unless it still has the one before. A
    /// sequenced message takes the place of the one before.
    fn exchange(&mut self, stream: Stream, messages: &mut VecDeque<Outgoing>) -> bool {
        let lane = self.lanes.entry(stream).or_default();
        if !lane.messages.is_empty() {
            if stream.2 == Order::Sequenced && !messages.is_empty() {
                lane.messages.drain(..).for_each(Outgoing::supersede);
                // Its turn comes when that of the one before would have come.
                mem::swap(&mut lane.messages, messages);
                return true;
            }
            return false;
        }
        mem::swap(&mut lane.messages, messages);
        if !lane.messages.is_empty() {
            self.active.push_back(stream);
        }
        true
    }

    /// Whether the core may take none of what is here.
    pub(crate) fn is_stuck(&self) -> bool {
        self.active.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.values().all(|lane| lane.messages.is_empty())
    }

    pub(crate) fn has_reliable(&self) -> bool {
        self.lanes.values().any(|lane| has_reliable(&lane.messages))
    }

    /// Whether there are messages of this delivery's stream.
    pub(crate) fn has(&self, delivery: &Delivery) -> bool {
        self.lanes.get(&stream(delivery)).is_some_and(|lane| !lane.messages.is_empty())
    }

    /// Forgets a stream of which there are no messages.
    pub(crate) fn forget(&mut self, delivery: &Delivery) {
        if !self.has(delivery) {
            self.lanes.remove(&stream(delivery));
        }
    }

    /// Offers the next messages to the core, [`MESSAGES_PER_TURN`] of one stream at most. Streams take turns. `take` gets
    /// each in its turn, and says whether it took it, or the core has no room for it: its stream waits then, and the others
    /// go on. Returns how many were offered: none if the core may take none of what is here.
    pub(crate) fn offer(&mut self, mut take: impl FnMut(&mut Outgoing) -> bool) -> usize {
        let Some(stream) = self.active.pop_front() else { return 0 };
        let Some(lane) = self.lanes.get_mut(&stream) else { return 0 };
        let (mut taken, mut offered) = (0, 0);
        // They are taken where they lie, so that none is copied.
        for message in lane.messages.iter_mut().take(MESSAGES_PER_TURN) {
            offered += 1;
            lane.is_blocked = !take(message);
            if lane.is_blocked {
                break;
            }
            taken += 1;
        }
        lane.messages.drain(..taken);
        if !lane.messages.is_empty() && !lane.is_blocked {
            self.active.push_back(stream);
        }
        offered
    }

    /// The core has room again for messages of a channel.
    pub(crate) fn unblock(&mut self, channel: u16) {
        let lanes = self.lanes.range_mut((channel, false, Order::Unordered)..);
        for (stream, lane) in lanes.take_while(|(stream, _)| stream.0 == channel) {
            if mem::take(&mut lane.is_blocked) && !lane.messages.is_empty() {
                self.active.push_back(*stream);
            }
        }
    }

    pub(crate) fn withdraw(&mut self, key: &MessageKey) -> Option<Outgoing> {
        let (stream, message) = self.lanes.iter_mut().find_map(|(stream, lane)| {
            withdraw(&mut lane.messages, key).map(|message| (*stream, message))
        })?;
        let lane = self.lanes.get_mut(&stream)?;
        if lane.messages.is_empty() {
            lane.is_blocked = false;
            self.active.retain(|active| *active != stream);
        }
        Some(message)
    }

    /// All messages; there are none then.
    pub(crate) fn drain(&mut self) -> Vec<Outgoing> {
        self.active.clear();
        self.lanes.values_mut().flat_map(|lane| mem::take(&mut lane.messages)).collect()
    }
}

/// Bounds of each stream's queue: enough to keep the other side busy for some hundred microseconds. A
/// message that begins below the bound may exceed it.
pub(super) const MAX_MESSAGES: usize = 256;
pub(super) const MAX_BYTES: usize = 1 << 18;
/// So many messages of one stream go to the core before one of another does.
const MESSAGES_PER_TURN: usize = 16;
