//! Messages that come whole and in their turn, as nearly all small ones do.

use bytes::Bytes;

use super::ReceiveQueue;
use crate::Violation;
use crate::delivery::{Message, Order};
use crate::message::credit::cost;
use crate::wire::DataFrame;

impl ReceiveQueue {
    /// Takes in one data frame. Returns whether its message is whole now, or needs nothing more because it
    /// was whole before or gave way.
    #[inline]
    pub(crate) fn on_data(&mut self, frame: &DataFrame<'_>) -> Result<bool, Violation> {
        self.on_next(frame).unwrap_or_else(|| self.on_any(frame))
    }

    /// Takes in a message that is handed over at once, and after which nothing else is. `None`, and nothing changed, if
    /// more is to be seen to. [`on_any`](Self::on_any) would come to the same.
    #[inline]
    fn on_next(&mut self, frame: &DataFrame<'_>) -> Option<Result<bool, Violation>> {
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

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::string::String;
    use alloc::vec::Vec;
    use alloc::{format, vec};

    use proptest::prelude::*;

    use super::*;
    use crate::memory::Room;
    use crate::message::credit::Review;
    use crate::message::receive::ReceiveLimits;
    use crate::time::Instant;
    use crate::wire::{Fragment, StreamKey};

    const LIMITS: ReceiveLimits = ReceiveLimits {
        max_message: 1000,
        max_streams: 12,
        stream_window: 64,
        window: 60_000,
        unreliable: 2_000,
    };

    /// Frames of a few streams, mostly whole, and with numbers near those that are next.
    fn any_frame() -> impl Strategy<Value = (StreamKey, i64, usize, bool, u8)> {
        let orders = [Order::Unordered, Order::Sequenced, Order::Ordered];
        let stream = (0_u16..2, any::<bool>(), 0_usize..3)
            .prop_map(move |(channel, reliable, at)| StreamKey::new(channel, reliable, orders[at]));
        let number = prop_oneof![2 => Just(0_i64), 1 => -3_i64..3];
        (stream, number, 0_usize..600, any::<bool>(), 0_u8..10)
    }

    /// All there is to know, but for where things were found last.
    fn state(inbox: &ReceiveQueue) -> Vec<String> {
        let all = format!("{inbox:?}");
        let parts = all.split(", ").filter(|part| !part.starts_with("recent: "));
        parts.map(ToOwned::to_owned).collect()
    }

    proptest! {
        /// The short way comes to the same as the long one, whatever came before.
        #[test]
        fn a_message_in_its_turn_is_where_the_long_way_leads(
            steps in proptest::collection::vec(any_frame(), 1..120),
        ) {
            let (mut inbox, mut model) = (ReceiveQueue::new(LIMITS), ReceiveQueue::new(LIMITS));
            let mut next = [0_i64; 16];
            for (stream, ahead, len, requires_ack, step) in steps {
                let place = usize::from(stream.channel()) * 8
                    + usize::from(stream.is_reliable()) * 4
                    + stream.order() as usize;
                let number = (next[place] + ahead).max(0);
                next[place] = next[place].max(number + 1);
                let fragment = Fragment { total: 900, offset: if requires_ack { 0 } else { 300 } };
                let is_fragment = step == 0 && fragment.admits(len.clamp(300, 600));
                let bytes = vec![7; if is_fragment { len.clamp(300, 600) } else { len }];
                let frame = DataFrame {
                    stream,
                    requires_ack,
                    sequence_number: number.unsigned_abs(),
                    fragment: is_fragment.then_some(fragment),
                    payload: &bytes,
                };
                let long = model.on_any(&frame);
                prop_assert_eq!(inbox.on_data(&frame), long);
                if long.is_err() {
                    return Ok(()); // The peer ends.
                }
                if step > 3 {
                    prop_assert_eq!(inbox.take(), model.take());
                }
                if step == 1 && stream == StreamKey::new(0, false, Order::Ordered) {
                    let end = number.unsigned_abs() + 1;
                    prop_assert_eq!(inbox.on_skip(stream, end), model.on_skip(stream, end));
                }
                if step > 7 {
                    let room = Room { free: 1 << 40, floor: 1000, first: 1 << 40 };
                    let now = Instant::from_micros(1);
                    let review = Review { now, round_trip: core::time::Duration::ZERO, room };
                    inbox.review_credit(review, false);
                    model.review_credit(review, false);
                    prop_assert_eq!(inbox.advertise(), model.advertise());
                }
                prop_assert_eq!(state(&inbox), state(&model));
            }
        }
    }
}
