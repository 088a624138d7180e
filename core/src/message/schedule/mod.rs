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
use crate::pack::pack;
use class::Class;

pub(crate) use lane::Lane;
pub(crate) use line::Line;
pub(crate) use repair::{Repair, Repeat};

/// All that waits to be written, by class.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// Those that were used, most urgent first.
    classes: Vec<Class>,
}

pack!(Schedule: classes);

impl Schedule {
    /// Messages of this priority may come. Classes have their places from then on.
    #[inline]
    pub(crate) fn open(&mut self, priority: Priority) {
        self.class(priority);
    }

    /// Gives a lane its turn in the class of its next message, if it has one.
    #[inline]
    pub(crate) fn wake(&mut self, index: u32, lane: &mut Lane, messages: &Slab<Outgoing>) {
        if let Some(priority) = lane.next_priority(messages)
            && lane.turn != Some(priority)
        {
            self.leave(index, lane);
            lane.turn = Some(priority);
            self.class(priority).turns.push_back(index);
        }
    }

    /// What of a class is to be sent again.
    pub(crate) fn repair(&mut self, priority: Priority) -> &mut Repair {
        &mut self.class(priority).repair
    }

    /// Whether something of the class at this place is to be sent again.
    #[inline]
    pub(crate) fn has_repairs(&self, class: usize) -> bool {
        !self.classes[class].repair.is_empty()
    }

    /// The same by the place of the class.
    pub(crate) fn repair_at(&mut self, class: usize) -> &mut Repair {
        &mut self.classes[class].repair
    }

    /// The lane of a class whose turn it is.
    pub(crate) fn current(&self, class: usize) -> Option<u32> {
        self.classes[class].turns.front().copied()
    }

    pub(crate) fn priority(&self, class: usize) -> Priority {
        self.classes[class].priority
    }

    /// A lane cannot be written from now, or not in the class of its turn.
    pub(crate) fn leave(&mut self, index: u32, lane: &mut Lane) {
        let Some(priority) = lane.turn.take() else { return };
        let turns = &mut self.class(priority).turns;
        if turns.front() == Some(&index) {
            turns.pop_front();
        } else {
            turns.retain(|other| *other != index);
        }
    }

    /// The packet is full: the next one begins with the next lane of the class.
    pub(crate) fn rotate(&mut self, class: usize) {
        let turns = &mut self.classes[class].turns;
        if !turns.is_empty() {
            turns.rotate_left(1);
        }
    }

    /// The place of the class that a packet with so much room begins with: one that is owed a packet, or the most
    /// urgent.
    #[inline]
    pub(crate) fn first(&self, room: usize) -> Option<usize> {
        let due = if self.classes.len() > 1 { self.due(room) } else { None };
        due.or_else(|| self.next())
    }

    /// The place of the most urgent class with something to send.
    #[inline]
    pub(crate) fn next(&self) -> Option<usize> {
        self.classes.iter().position(|class| !class.is_empty())
    }

    /// So many bytes of a class were written into a packet with so much room.
    #[inline]
    pub(crate) fn note_written(&mut self, own: usize, len: usize, room: usize) {
        if self.classes.len() > 1 {
            for (at, class) in self.classes.iter_mut().enumerate() {
                class.note_written(at == own, len, room);
            }
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.classes.iter().all(Class::is_empty)
    }

    /// Nothing is sent again.
    pub(crate) fn clear_repairs(&mut self) {
        self.classes.iter_mut().for_each(|class| class.repair.clear());
    }

    /// The place of the class that is owed most, if one is owed a packet; of equals, the most urgent.
    fn due(&self, room: usize) -> Option<usize> {
        let due = self.classes.iter().enumerate().rev().filter(|(_, class)| class.is_due(room));
        due.max_by_key(|(_, class)| class.owed()).map(|(at, _)| at)
    }

    #[inline]
    fn class(&mut self, priority: Priority) -> &mut Class {
        // Most peers have one class.
        if self.classes.first().is_some_and(|class| class.priority == priority) {
            return &mut self.classes[0];
        }
        self.find_or_insert(priority)
    }

    fn find_or_insert(&mut self, priority: Priority) -> &mut Class {
        let at = self.classes.iter().position(|class| class.priority >= priority);
        let at = at.unwrap_or(self.classes.len());
        if self.classes.get(at).is_none_or(|class| class.priority != priority) {
            self.classes.insert(at, Class::new(priority));
        }
        &mut self.classes[at]
    }
}
