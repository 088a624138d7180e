//! Messages that their sender gave up.

use super::ReceiveQueue;
use crate::Violation;
use crate::delivery::{Delivery, Order};
use crate::message::MESSAGE_CHARGE;
use crate::wire::{GivenUpRange, StreamKey};

impl ReceiveQueue {
    pub(super) fn give_up_range(
        &mut self,
        key: StreamKey,
        range: GivenUpRange,
    ) -> Result<(), Violation> {
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
            stream.resolve(number, &mut self.noted);
            self.credit.give_back(key.channel(), cost);
        }
        Ok(())
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
