//! Streams that their sender needs no more.

use super::ReceiveQueue;
use crate::Violation;
use crate::delivery::Order;
use crate::wire::StreamKey;

impl ReceiveQueue {
    /// All messages of a stream below `end` are settled: its place is free.
    pub(crate) fn on_stream_end(&mut self, key: StreamKey, end: u64) -> Result<(), Violation> {
        if end <= self.ended.end_of(key) {
            return Ok(()); // It was said before.
        }
        if !self.ended.admit(key) {
            return Err(Violation::TooManyStreams);
        }
        if key.is_reliable() {
            // Of a reliable stream whatever is below the end was acknowledged.
            let stream = self.streams.get(&key).ok_or(Violation::StreamEnd)?;
            if stream.resolved.floor() != end || stream.resolved.has_gaps() {
                return Err(Violation::StreamEnd);
            }
            self.noted -= stream.resolved.memory();
        } else {
            self.finish_unreliable(key, end)?;
        }
        self.streams.remove(&key);
        self.ended.insert(key, end);
        Ok(())
    }

    /// Hands over what waits on an unreliable stream, and forgets what is in pieces.
    fn finish_unreliable(&mut self, key: StreamKey, end: u64) -> Result<(), Violation> {
        let Some(stream) = self.streams.get_mut(&key) else { return Ok(()) };
        let highest = stream.buffered.last_key_value().map(|(number, _)| *number);
        if stream.next > end || highest >= Some(end) {
            return Err(Violation::StreamEnd);
        }
        if key.order() == Order::Ordered {
            self.skip_to(key, end);
        } else {
            self.unreliable_bytes -= stream.drop_partial_below(u64::MAX);
        }
        Ok(())
    }
}
