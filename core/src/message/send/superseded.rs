//! Sequenced messages that are begun, and of which a newer one makes the rest useless.
//!
//! Not every newer one does: if messages came faster than they can be sent, none would ever arrive. One that is begun
//! gives way only to what will have arrived no later than it would.

use super::SendQueue;
use crate::delivery::{Fate, Order};
use crate::message::outgoing::{Outgoing, Part};

impl SendQueue {
    /// A message came to its stream. What was begun there before, and has more left to be sent than all of the new
    /// one, gives way: so the time until something newer arrives whole only falls.
    pub(super) fn supersede_begun(&mut self, slot: u32) {
        let newer = &self.messages[slot as usize];
        if newer.delivery.order != Order::Sequenced {
            return;
        }
        let (len, priority) = (newer.len(), newer.delivery.priority);
        let stream = usize::from(newer.stream);
        for at in 0..self.streams[stream].lanes.len() {
            let lane = self.streams[stream].lanes[at] as usize;
            let begun = self.lanes[lane].line.begun();
            let longer = begun.filter(|slot| {
                let message = &self.messages[*slot as usize];
                // The new one does not wait for a turn longer than this.
                message.len() - message.sent > len && priority <= message.delivery.priority
            });
            if let Some(slot) = longer {
                self.abandon(slot as usize, superseded);
            }
        }
    }

    /// Gives up the message of a part if a newer one of its stream arrived: the peer would not hand it over any
    /// more. True if it did.
    pub(super) fn supersede_part(&mut self, part: Part) -> bool {
        let message = &self.messages[part.slot as usize];
        self.is_overtaken(message) && self.abandon(part.slot as usize, superseded)
    }

    /// Whether a newer message of its stream arrived.
    pub(super) fn is_overtaken(&self, message: &Outgoing) -> bool {
        let newest = self.streams[usize::from(message.stream)].newest_arrived();
        newest.is_some_and(|newest| message.sequence_number < Some(newest))
    }
}

const fn superseded(may_have_arrived: bool) -> Fate {
    Fate::Superseded { may_have_arrived }
}
