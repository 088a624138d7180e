//! What is written next: the most urgent class that has something to send, and in it what is sent again before
//! what is fresh. The lines with fresh bytes take turns, packet by packet.
//!
//! A class that others go before is owed a twentieth of what they write, and once that is a packet, one packet
//! begins with it.

mod class;
mod lane;
mod line;
mod repair;

use alloc::vec::Vec;

use slab::Slab;

use super::outgoing::Outgoing;
use crate::delivery::Priority;
use class::Class;

pub(crate) use lane::Lane;
pub(crate) use repair::{Repair, Repeat};

/// All that waits to be written, by class.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// Those that were used, most urgent first.
    classes: Vec<Class>,
}

impl Schedule {
    /// Gives a lane its turn in the class of its next message, if it has one.
    pub(crate) fn wake(&mut self, index: u32, lane: &mut Lane, messages: &Slab<Outgoing>) {
        let Some(priority) = lane.next_priority(messages) else { return };
        match lane.turn.replace(priority) {
            Some(before) if before == priority => return,
            Some(before) => self.class(before).turns.retain(|other| *other != index),
            None => {}
        }
        self.class(priority).turns.push_back(index);
    }

    /// What of a class is to be sent again.
    pub(crate) fn repair(&mut self, priority: Priority) -> &mut Repair {
        &mut self.class(priority).repair
    }

    /// The lane of a class whose turn it is.
    pub(crate) fn current(&self, priority: Priority) -> Option<u32> {
        let class = self.classes.iter().find(|class| class.priority == priority)?;
        class.turns.front().copied()
    }

    /// The lane whose turn it is cannot be written from now.
    pub(crate) fn leave(&mut self, priority: Priority, lane: &mut Lane) {
        self.class(priority).turns.pop_front();
        lane.turn = None;
    }

    /// A lane is no more.
    pub(crate) fn forget(&mut self, index: u32, lane: &Lane) {
        if let Some(priority) = lane.turn {
            self.class(priority).turns.retain(|other| *other != index);
        }
    }

    /// The packet is full: the next one begins with the next lane of the class.
    pub(crate) fn rotate(&mut self, priority: Priority) {
        let turns = &mut self.class(priority).turns;
        if !turns.is_empty() {
            turns.rotate_left(1);
        }
    }

    /// The class that a packet with so much room begins with: one that is owed a packet, or the most urgent.
    pub(crate) fn first(&self, room: usize) -> Option<Priority> {
        // The one that is owed most; of equals, the most urgent.
        let due = self.classes.iter().rev().filter(|class| class.is_due(room));
        due.max_by_key(|class| class.owed()).map(|class| class.priority).or_else(|| self.next())
    }

    /// The most urgent class with something to send.
    pub(crate) fn next(&self) -> Option<Priority> {
        self.classes.iter().find(|class| !class.is_empty()).map(|class| class.priority)
    }

    /// So many bytes of a class were written into a packet with so much room.
    pub(crate) fn note_written(&mut self, priority: Priority, len: usize, room: usize) {
        for class in &mut self.classes {
            class.note_written(class.priority == priority, len, room);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.classes.iter().all(Class::is_empty)
    }

    /// Nothing is sent again.
    pub(crate) fn clear_repairs(&mut self) {
        self.classes.iter_mut().for_each(|class| class.repair.clear());
    }

    fn class(&mut self, priority: Priority) -> &mut Class {
        let at = match self.classes.iter().position(|class| class.priority >= priority) {
            Some(at) if self.classes[at].priority == priority => at,
            at => {
                let at = at.unwrap_or(self.classes.len());
                self.classes.insert(at, Class::new(priority));
                at
            }
        };
        &mut self.classes[at]
    }
}
