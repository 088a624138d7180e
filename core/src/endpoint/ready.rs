//! A queue of peers' slots in which each stands once.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Slots in the order in which they were pushed; pushing one that waits changes nothing.
#[derive(Debug, Default)]
pub(crate) struct ReadyQueue {
    queue: VecDeque<u32>,
    /// Whether a slot waits, by slot: slots are dense.
    waits: Vec<bool>,
}

impl ReadyQueue {
    pub(crate) fn push(&mut self, slot: u32) {
        let at = slot as usize;
        if at >= self.waits.len() {
            self.waits.resize(at + 1, false);
        }
        if !self.waits[at] {
            self.waits[at] = true;
            self.queue.push_back(slot);
        }
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<u32> {
        let slot = self.queue.pop_front()?;
        self.waits[slot as usize] = false;
        Some(slot)
    }

    /// Puts a slot that was just popped back to the front.
    pub(crate) fn push_front(&mut self, slot: u32) {
        if let Some(waits) = self.waits.get_mut(slot as usize).filter(|waits| !**waits) {
            *waits = true;
            self.queue.push_front(slot);
        }
    }
}
