//! Messages that come whole and in their turn, as nearly all small ones do.

use bytes::Bytes;

use super::ReceiveQueue;
use crate::Violation;
use crate::delivery::{Message, Order};
use crate::message::credit::cost;
use crate::wire::DataFrame;

impl ReceiveQueue {
    /// Takes in a message that is handed over at once, and after which nothing else is. `None`, and nothing changed, if
    /// more is to be seen to. [`on_any`](Self::on_any) would come to the same.
    #[inline]
    pub(super) fn on_next(&mut self, frame: &DataFrame<'_>) -> Option<Result<bool, Violation>> {
        let len = frame.payload.len();
        if frame.fragment.is_some() || len > self.limits.max_message as usize {
            return None;
        }
        let (key, number) = (frame.stream, frame.sequence_number);
        let is_ordered = key.order() == Order::Ordered;
        if is_ordered && self.has_given_up {
            return None;
        }
        let stream = self.streams.get_mut(&key).filter(|stream| stream.is_next(number))?;
        let cost = cost(len);
        if key.is_reliable() {
            if self.limits.stream_window == 0 || !stream.resolved.is_next(number) {
                return None;
            }
            if let Err(violation) = self.credit.charge(cost) {
                return Some(Err(violation));
            }
            self.credit.note_arrival(cost);
            stream.resolved.insert_next(number);
        }
        stream.next += u64::from(is_ordered);
        let (delivery, payload) =
            (key.delivery(frame.requires_ack), Bytes::copy_from_slice(frame.payload));
        self.waiting.push(Message { delivery, sequence_number: number, payload });
        if key.is_reliable() {
            self.note_credit_used();
        } else {
            self.make_room();
        }
        Some(Ok(true))
    }
}
