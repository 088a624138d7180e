//! Messages that may be lost, and make room for others.

use bytes::Bytes;

use super::ReceiveQueue;
use crate::Violation;
use crate::delivery::Order;
use crate::message::receive_stream::ReceiveStream;
use crate::wire::{DataFrame, StreamKey};

impl ReceiveQueue {
    pub(super) fn on_unreliable(
        &mut self,
        frame: &DataFrame<'_>,
        total: u64,
    ) -> Result<bool, Violation> {
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
        let is_begun = stream.partial.contains_key(&number);
        let is_whole = if frame.fragment.is_none() && !is_begun {
            self.on_whole(frame, Bytes::copy_from_slice(frame.payload));
            true
        } else if let Some(payload) = self.collect(frame, is_begun)? {
            self.unreliable_bytes -= total;
            self.on_whole(frame, payload);
            true
        } else {
            false
        };
        self.make_room();
        Ok(is_whole)
    }

    /// Drops the oldest unreliable messages, then incomplete ones of any stream, until the limit of
    /// the buffer holds.
    #[inline]
    pub(super) fn make_room(&mut self) {
        if self.unreliable_bytes + self.waiting.unreliable_bytes() > self.unreliable_limit {
            self.drop_some();
        }
    }

    fn drop_some(&mut self) {
        while self.unreliable_bytes + self.waiting.unreliable_bytes() > self.unreliable_limit {
            if self.waiting.drop_unreliable() {
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
}

/// The most unreliable messages in pieces per stream.
pub(super) const MAX_PARTIAL: usize = 64;
