//! Messages on their way to the application.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use handfast_core::Message;

/// Messages that the driver took from the core: those of the channels that are received apart, each for
/// itself, and all others in one queue.
#[derive(Default)]
pub(super) struct Inbox {
    others: Queue,
    apart: BTreeMap<u16, Queue>,
}

#[derive(Default)]
pub(super) struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    /// The core has more than fitted here, or may have.
    withheld: bool,
}

impl Inbox {
    /// No message, but a queue for each of these channels that are received apart.
    pub(super) fn with_apart(channels: &[u16]) -> Self {
        let apart = channels.iter().map(|channel| (*channel, Queue::default())).collect();
        Self { others: Queue::default(), apart }
    }

    /// Whether there is no message, nor one to be fetched.
    pub(super) fn is_at_rest(&self) -> bool {
        self.queues().all(|queue| queue.messages.is_empty() && !queue.withheld)
    }

    pub(super) fn is_apart(&self, channel: u16) -> bool {
        self.apart.contains_key(&channel)
    }

    /// The oldest message of a channel that is received apart, or of all others. If the driver should come with more
    /// then, `wants_more` says so.
    pub(super) fn pop(&mut self, channel: Option<u16>, wants_more: &mut bool) -> Option<Message> {
        let queue = self.queue(channel)?;
        let message = queue.pop();
        *wants_more |= message.is_some() && queue.wants_more();
        message
    }

    /// From now on this channel is received apart, which it was not before.
    pub(super) fn set_apart(&mut self, channel: u16) {
        let mut queue = Queue { withheld: true, ..Queue::default() };
        let waiting = std::mem::take(&mut self.others.messages);
        for message in waiting {
            if message.delivery.channel == channel {
                self.others.bytes -= message.payload.len();
                queue.push(message);
            } else {
                self.others.messages.push_back(message);
            }
        }
        self.apart.insert(channel, queue);
    }

    pub(super) fn apart(&self) -> BTreeSet<u16> {
        self.apart.keys().copied().collect()
    }

    /// How many messages and bytes fit in. At least one message does, however large, when the queue is
    /// empty.
    pub(super) fn room(&self, channel: Option<u16>) -> (usize, usize) {
        let queue = match channel {
            Some(channel) => self.apart.get(&channel),
            None => Some(&self.others),
        };
        queue.map_or((0, 0), Queue::room)
    }

    /// Adds messages, each where it belongs; `withheld` tells that the core has more of the kind that
    /// `channel` names.
    pub(super) fn deposit(
        &mut self,
        channel: Option<u16>,
        messages: &mut VecDeque<Message>,
        withheld: bool,
    ) {
        if self.apart.is_empty() {
            self.others.append(messages);
        } else if let Some(queue) = self.queue(channel) {
            queue.messages.reserve(messages.len());
        }
        for message in messages.drain(..) {
            let apart = self.apart.get_mut(&message.delivery.channel);
            apart.unwrap_or(&mut self.others).push(message);
        }
        if let Some(queue) = self.queue(channel) {
            queue.withheld = withheld;
        }
    }

    pub(super) fn wants_more(&self) -> bool {
        self.queues().any(Queue::wants_more)
    }

    /// Nothing more will come.
    pub(super) fn end(&mut self) {
        self.others.withheld = false;
        self.apart.values_mut().for_each(|queue| queue.withheld = false);
    }

    pub(super) fn len(&self) -> usize {
        self.queues().map(|queue| queue.messages.len()).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        self.queues().map(|queue| queue.bytes).sum()
    }

    /// For how many messages there is memory.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.queues().map(|queue| queue.messages.capacity()).sum()
    }

    /// Takes all messages that are not received apart.
    pub(super) fn drain(&mut self) -> VecDeque<Message> {
        self.others.bytes = 0;
        std::mem::take(&mut self.others.messages)
    }

    fn queue(&mut self, channel: Option<u16>) -> Option<&mut Queue> {
        match channel {
            Some(channel) => self.apart.get_mut(&channel),
            None => Some(&mut self.others),
        }
    }

    fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.apart.values().chain([&self.others])
    }
}

impl Queue {
    fn push(&mut self, message: Message) {
        self.bytes += message.payload.len();
        self.messages.push_back(message);
    }

    /// Adds all of them, which are moved as they lie.
    fn append(&mut self, messages: &mut VecDeque<Message>) {
        self.bytes += messages.iter().map(|message| message.payload.len()).sum::<usize>();
        self.messages.append(messages);
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front();
        self.bytes -= message.as_ref().map_or(0, |message| message.payload.len());
        if self.messages.is_empty() && self.messages.capacity() > KEPT {
            // Nobody knows how long the peer says nothing. The next of many find room in one piece.
            self.messages = VecDeque::new();
        }
        message
    }

    fn room(&self) -> (usize, usize) {
        if self.messages.len() >= MAX_MESSAGES || self.bytes >= MAX_BYTES {
            return (0, 0);
        }
        (MAX_MESSAGES - self.messages.len(), MAX_BYTES - self.bytes)
    }

    /// Half-empty, so that the two sides do not wake each other for every message.
    fn wants_more(&self) -> bool {
        self.withheld && self.messages.len() <= MAX_MESSAGES / 2 && self.bytes <= MAX_BYTES / 2
    }
}

/// An empty queue keeps room for so many messages.
const KEPT: usize = 8;
/// Bounds of each queue. A message that begins below the bound may exceed it.
pub(super) const MAX_MESSAGES: usize = 256;
pub(super) const MAX_BYTES: usize = 1 << 18;
