//! The order in which messages reach the application.

use bytes::Bytes;

use super::ReceiveQueue;
use crate::delivery::{Message, Order};
use crate::message::credit::cost;
use crate::message::receive_stream::{Buffered, ReceiveStream};
use crate::wire::{DataFrame, StreamKey};

impl ReceiveQueue {
    /// A message is whole: hand it over, or hold it until its turn.
    pub(super) fn on_whole(&mut self, frame: &DataFrame<'_>, payload: Bytes) {
        let (key, number) = (frame.stream, frame.sequence_number);
        let buffered = Buffered { payload, requires_ack: frame.requires_ack };
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if key.is_reliable() {
            stream.resolve(number, &mut self.noted);
        } else {
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
                let may_go_on = !stream.buffered.is_empty() || self.has_given_up;
                self.hand_over(key, number, buffered);
                if may_go_on {
                    self.hand_over_in_order(key);
                }
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
    pub(super) fn skip_to(&mut self, key: StreamKey, end: u64) {
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

    pub(super) fn hand_over_in_order(&mut self, key: StreamKey) {
        loop {
            if self.has_given_up {
                self.step_over(key);
            }
            let next = self.streams.get_mut(&key).and_then(ReceiveStream::take_next);
            let Some((number, buffered)) = next else { return };
            self.hand_over(key, number, buffered);
        }
    }

    pub(super) fn hand_over(&mut self, key: StreamKey, sequence_number: u64, buffered: Buffered) {
        let Buffered { payload, requires_ack } = buffered;
        if !key.is_reliable() {
            self.unreliable_bytes -= cost(payload.len());
        }
        let delivery = key.delivery(requires_ack);
        self.waiting.push(Message { delivery, sequence_number, payload });
    }

    /// Goes past what was given up on an ordered stream, up to the next message that may still come.
    fn step_over(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(&key).filter(|_| key.is_reliable()) else { return };
        let passed = stream.step_over();
        if passed > 0 {
            *self.missing.entry(key).or_default() += passed;
        }
    }
}

/// The most messages an unreliable ordered stream holds back while it waits for an earlier one.
const MAX_BUFFERED: usize = 1024;
