//! What becomes of parts that are under way.

use super::SendQueue;
use crate::delivery::Fate;
use crate::message::outgoing::Part;

impl SendQueue {
    /// The part arrived.
    pub(crate) fn on_acked(&mut self, part: Part) {
        self.redundancy.note_resolved(false);
        let slot = part.slot as usize;
        let Some(message) = self.find(part) else { return };
        let is_given_up = message.is_given_up();
        if if is_given_up { self.arrives_given_up(part) } else { message.acknowledge(part) } {
            self.finish_well(slot);
        }
    }

    /// A copy of the part was lost, as far as we can tell.
    pub(crate) fn on_lost(&mut self, part: Part) {
        self.redundancy.note_resolved(true);
        let Some(message) = self.find(part) else { return };
        if !message.lose(part) {
            return;
        }
        if message.delivery.reliable {
            let priority = message.delivery.priority;
            if !message.is_given_up() && !self.supersede_part(part) {
                self.schedule.repair(priority).push(part);
            }
        } else {
            let (lane, whole) = (message.lane as usize, message.is_fully_sent());
            if !whole {
                self.lanes[lane].line.abandon(part.slot);
            }
            self.finish(part.slot as usize, Fate::Lost);
        }
    }

    /// Sends a part that is still under way once more, ahead of all else of its priority. False if there is
    /// no need.
    pub(crate) fn probe(&mut self, part: Part) -> bool {
        let Some(message) = self.find(part) else { return false };
        let is_wanted = message.delivery.reliable && !message.is_given_up();
        let useful = is_wanted && !message.is_acknowledged(part);
        let priority = message.delivery.priority;
        let useful = useful && !self.is_overtaken(&self.messages[part.slot as usize]);
        if useful {
            self.schedule.repair(priority).probe(part);
        }
        useful
    }

    /// A part is under way where nothing is answered: it is sent again, and the copy that goes there counts no more.
    /// It may still arrive; if the new one is lost, that is no reason to wait for it.
    pub(crate) fn doubt(&mut self, part: Part) {
        let Some(message) = self.find(part) else { return };
        let is_wanted = message.delivery.reliable && !message.is_given_up();
        if is_wanted && !message.is_acknowledged(part) {
            let priority = message.delivery.priority;
            self.schedule.repair(priority).push(part);
        }
    }
}
