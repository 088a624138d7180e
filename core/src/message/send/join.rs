//! How messages come to the queue. Most join the one before: in its stream and its lane, with room for both.

use bytes::Bytes;

use super::{SendQueue, slot_number};
use crate::delivery::{Delivery, MessageId, Order};
use crate::error::SendError;
use crate::message::credit::{MESSAGE_CHARGE, cost};
use crate::message::outgoing::Outgoing;
use crate::message::send_buffer::SendLimits;
use crate::time::Instant;
use crate::wire::StreamKey;

impl SendQueue {
    /// Accepts a message, or says why not.
    #[inline]
    pub(crate) fn push(
        &mut self,
        limits: &SendLimits,
        now: Instant,
        delivery: Delivery,
        payload: Bytes,
    ) -> Result<MessageId, SendError> {
        if self.joins(limits, now, &delivery, payload.len()) {
            return Ok(self.join(now, delivery, payload));
        }
        let id = self.accept(limits, now, delivery, payload)?;
        self.supersede_begun(id.slot);
        Ok(id)
    }

    /// Whether a message of so many bytes joins the one before, and nothing else follows from it: no other gives way, and
    /// no time is set.
    #[inline]
    fn joins(&self, limits: &SendLimits, now: Instant, delivery: &Delivery, len: usize) -> bool {
        let (stream, lane) = self.recent;
        let (Some(found), Some(lane)) =
            (self.streams.get(usize::from(stream)), self.lanes.get(lane as usize))
        else {
            return false;
        };
        let is_there = found.key == StreamKey::from(*delivery)
            && lane.stream == stream
            && lane.takes(delivery.priority)
            && stream < limits.max_streams;
        let is_plain = delivery.order != Order::Sequenced
            && delivery.deadline.is_none()
            && !lane.may_be_late(now, limits.age);
        if !is_there || !is_plain || len > limits.max_message as usize {
            return false;
        }
        if delivery.reliable {
            return self.buffer.has_room_for(limits, found.place, cost(len));
        }
        let fates = self.fates.len() as u64 * MESSAGE_CHARGE;
        fates <= limits.buffer && self.buffer.excess(limits, cost(len), 0) == 0
    }

    /// Takes in a message that joins the one before.
    #[inline]
    fn join(&mut self, now: Instant, delivery: Delivery, payload: Bytes) -> MessageId {
        let (stream, lane) = self.recent;
        let entry = self.messages.vacant_entry();
        let id = MessageId { number: self.next_id, slot: slot_number(entry.key()) };
        self.next_id += 1;
        let message =
            entry.insert(Outgoing::new(id.number, delivery, now, (stream, lane), payload));
        let joined = &mut self.streams[usize::from(stream)];
        joined.open += 1;
        self.buffer.add(message, joined.place);
        let joined = &mut self.lanes[lane as usize];
        joined.push(id.slot, message);
        if !joined.has_turn(delivery.priority) {
            self.schedule.open(delivery.priority);
            self.schedule.wake(lane, joined, &self.messages);
        }
        id
    }
}
