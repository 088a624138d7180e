//! What was sent and what may be received: a plain account of all messages of a pair.

use std::collections::BTreeMap;

use bytes::Bytes;
use handfast_core::{Delivery, Message, Order, PeerHandle, Priority};

/// The messages in one direction.
#[derive(Debug, Default)]
pub(super) struct Model {
    sent: Vec<Entry>,
    /// Data made up under the live keys was injected: anything may be received.
    pub(super) is_tainted: bool,
    /// How often the sender's streams may have started over.
    pub(super) restarts: u32,
    streams: BTreeMap<(PeerHandle, u16, bool, bool), Newest>,
}

#[derive(Debug)]
struct Entry {
    delivery: Delivery,
    len: usize,
    is_received: bool,
}

/// The newest message of a stream that keeps an order.
#[derive(Debug, Default)]
struct Newest {
    number: Option<u64>,
    restarts: u32,
}

impl Model {
    /// The content of the next message, at least four bytes long.
    pub(super) fn payload(&self, len: usize) -> Bytes {
        content(self.sent.len(), len.max(4)).collect()
    }

    /// The message with that content was accepted.
    pub(super) fn note_sent(&mut self, delivery: Delivery, len: usize) {
        // Only the sender knows how urgent it is.
        let delivery = delivery.with_priority(Priority::NORMAL);
        self.sent.push(Entry { delivery, len: len.max(4), is_received: false });
    }

    /// # Panics
    /// The message was not sent like this, or was received before, or comes too late in its stream.
    pub(super) fn check(&mut self, peer: PeerHandle, message: &Message) {
        self.check_order(peer, message);
        if self.is_tainted {
            return;
        }
        let payload = &message.payload;
        let id = payload.first_chunk().map(|id| u32::from_le_bytes(*id) as usize);
        let entry = id.and_then(|id| Some((id, self.sent.get_mut(id)?)));
        let (id, entry) = entry.expect("a message that was sent");
        assert!(content(id, entry.len).eq(payload.iter().copied()), "message {id} was changed");
        assert_eq!(message.delivery, entry.delivery, "message {id}");
        assert!(!entry.is_received, "message {id} was received twice");
        entry.is_received = true;
    }

    fn check_order(&mut self, peer: PeerHandle, message: &Message) {
        let Delivery { channel, reliable, order, .. } = message.delivery;
        if order == Order::Unordered {
            return;
        }
        let key = (peer, channel, reliable, order == Order::Ordered);
        let newest = self.streams.entry(key).or_default();
        let number = message.sequence_number;
        if newest.number.is_some_and(|newest| number <= newest) {
            assert!(newest.restarts < self.restarts, "{number} after {newest:?} on {key:?}");
            newest.restarts += 1;
        }
        newest.number = Some(number);
    }
}

/// The number of the message, then a pattern that no other message has.
pub(super) fn content(id: usize, len: usize) -> impl Iterator<Item = u8> {
    let number = u32::try_from(id).unwrap_or(u32::MAX).to_le_bytes();
    let pattern = (0..).map(move |at: usize| (at * 31 + id * 7 + at / 251) as u8);
    number.into_iter().chain(pattern).take(len)
}
