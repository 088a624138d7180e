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
        let (at, lane) = self.recent;
        let stream = self.streams.get(usize::from(at));
        let (Some(stream), Some(lane)) = (stream, self.lanes.get(lane as usize)) else {
            return false;
        };
        let is_there = stream.key == StreamKey::from(*delivery)
            && lane.stream == at
            && lane.takes(delivery.priority)
            && at < limits.max_streams;
        if !is_there || delivery.order == Order::Sequenced || delivery.deadline.is_some() {
            return false;
        }
        if lane.may_be_late(now, limits.age) || len > limits.max_message as usize {
            return false;
        }
        if delivery.reliable {
            return self.buffer.has_room_for(limits, stream.place, cost(len));
        }
        let fates = self.fates.len() as u64 * MESSAGE_CHARGE;
        fates <= limits.buffer && self.buffer.excess(limits, cost(len), 0) == 0
    }

    /// Takes in a message that joins the one before.
    #[inline]
    fn join(&mut self, now: Instant, delivery: Delivery, payload: Bytes) -> MessageId {
        let (at, lane_at) = self.recent;
        let slot = slot_number(self.messages.vacant_key());
        let id = MessageId { number: self.next_id, slot };
        self.next_id += 1;
        let message = Outgoing::new(id.number, delivery, now, (at, lane_at), payload);
        let stream = &mut self.streams[usize::from(at)];
        stream.open += 1;
        self.buffer.add(&message, stream.place);
        let lane = &mut self.lanes[lane_at as usize];
        lane.push(slot, &message);
        let has_turn = lane.has_turn(delivery.priority);
        self.messages.insert(message);
        if !has_turn {
            self.schedule.open(delivery.priority);
            self.wake(lane_at);
        }
        id
    }
}
