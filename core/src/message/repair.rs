//! Parts of messages that are to be sent again.

use alloc::collections::VecDeque;

use super::outgoing::Part;

/// Parts that were lost, or that a probe repeats, in the order in which they go out.
#[derive(Debug, Default)]
pub(super) struct Repair {
    parts: VecDeque<Part>,
}

impl Repair {
    /// The part was lost: it goes behind those lost before.
    pub(super) fn push(&mut self, part: Part) {
        self.parts.push_back(part);
    }

    /// The part, or what is left of it, goes ahead of all others.
    pub(super) fn push_front(&mut self, part: Part) {
        self.parts.push_front(part);
    }

    /// The part is still under way and goes once more, ahead of all others.
    pub(super) fn probe(&mut self, part: Part) {
        if !self.parts.contains(&part) {
            self.parts.push_front(part);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Part> {
        self.parts.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.parts.clear();
    }
}
