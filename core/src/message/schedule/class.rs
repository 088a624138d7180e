//! The messages of one priority that wait to be written.

use alloc::collections::VecDeque;

use super::repair::Repair;
use crate::delivery::Priority;
use crate::pack::pack;

/// What waits in a class, and what others owe it.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) priority: Priority,
    /// Parts that are sent again.
    pub(super) repair: Repair,
    /// The lanes with fresh bytes, each once, in the order of their turns.
    pub(super) turns: VecDeque<u32>,
    /// Bytes that other classes wrote while this one waited, less [`OTHERS`] times what it wrote itself.
    passed: usize,
}

pack!(Class: priority, repair, turns, passed);

impl Class {
    pub(super) fn new(priority: Priority) -> Self {
        Self { priority, repair: Repair::default(), turns: VecDeque::new(), passed: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty() && self.repair.is_empty()
    }

    /// Whether it waited for so long that a packet with so much room begins with it.
    pub(super) fn is_due(&self, room: usize) -> bool {
        self.passed >= OTHERS * room && !self.is_empty()
    }

    /// How long it waited, in bytes of others.
    pub(super) const fn owed(&self) -> usize {
        self.passed
    }

    /// So many bytes were written into a packet with so much room, by this class or another.
    pub(super) fn note_written(&mut self, is_own: bool, len: usize, room: usize) {
        self.passed = if self.is_empty() {
            0
        } else if is_own {
            self.passed.saturating_sub(OTHERS * len)
        } else {
            // Two packets at most: whoever could not be written for long does not flood the others afterwards.
            (self.passed + len).min(2 * OTHERS * room)
        };
    }
}

/// For so many bytes of others, a class that waits has one of its own: a twentieth of all.
const OTHERS: usize = 19;
