//! Messages that their sender gave up.

use super::ReceiveQueue;
use crate::Violation;
use crate::delivery::{Delivery, Order};
use crate::message::MESSAGE_CHARGE;
use crate::wire::{GivenUpFrame, GivenUpRange, StreamKey};

impl ReceiveQueue {
    /// These messages will not come. What is whole stays; of the others nothing does, and their credit goes back.
    pub(crate) fn on_given_up(&mut self, frame: &GivenUpFrame<'_>) -> Result<(), Violation> {
        let key = frame.stream;
        self.open_stream(key)?;
        for range in frame.ranges() {
            self.give_up_range(key, range)?;
        }
        self.has_given_up = true;
        self.is_unreviewed = true;
        if key.order() == Order::Ordered {
            self.hand_over_in_order(key);
        }
        Ok(())
    }

    fn give_up_range(&mut self, key: StreamKey, range: GivenUpRange) -> Result<(), Violation> {
        let GivenUpRange { first, further, cost } = range;
        let most = u64::from(self.limits.max_message) + MESSAGE_CHARGE;
        if !(MESSAGE_CHARGE..=most).contains(&cost) {
            return Err(Violation::GivenUpCost);
        }
        let Some(stream) = self.streams.get_mut(&key) else { return Ok(()) };
        let floor = stream.resolved.floor();
        if (first + further).saturating_sub(floor) >= self.limits.stream_window {
            return Err(Violation::BeyondStreamWindow);
        }
        for number in first.max(floor)..=first + further {
            if stream.resolved.contains(number) {
                continue;
            }
            match stream.partial.remove(&number) {
                None => self.credit.charge(cost)?,
                Some(begun) if u64::from(begun.total()) + MESSAGE_CHARGE == cost => {}
                Some(_) => return Err(Violation::GivenUpCost),
            }
            if stream.is_wanted(number) && key.order() != Order::Ordered {
                *self.missing.entry(key).or_default() += 1;
            }
            stream.resolved.insert(number);
            self.credit.give_back(key.channel(), cost);
        }
        Ok(())
    }

    /// Goes past what was given up on an ordered stream, up to the next message that may still come.
    pub(super) fn step_over(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(&key).filter(|_| key.is_reliable()) else { return };
        let passed = stream.step_over();
        if passed > 0 {
            *self.missing.entry(key).or_default() += passed;
        }
    }

    /// Whether the application has to be told of messages that were given up.
    pub(crate) fn has_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// A stream of which messages were given up, and how many.
    pub(crate) fn take_missing(&mut self) -> Option<(Delivery, u64)> {
        let (key, count) = self.missing.pop_first()?;
        Some((key.delivery(false), count))
    }
}
