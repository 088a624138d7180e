//! Parts of messages that are to be sent again.

use alloc::collections::VecDeque;

use crate::message::outgoing::Part;
use crate::pack::pack;

/// A part to send again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeat {
    pub(crate) part: Part,
    /// An earlier copy of the part is still under way.
    pub(crate) is_copy: bool,
}

/// Parts that were lost, or that a probe repeats. Probes go first; they are few.
#[derive(Debug, Default)]
pub(crate) struct Repair {
    probes: VecDeque<Part>,
    lost: VecDeque<Part>,
}

pack!(Repair: probes, lost);

impl Repair {
    /// The part was lost: it goes behind those lost before.
    pub(crate) fn push(&mut self, part: Part) {
        // A probe that waits would repeat it a second time.
        self.probes.retain(|probe| *probe != part);
        self.lost.push_back(part);
    }

    /// The part is still under way and goes once more, ahead of all others.
    pub(crate) fn probe(&mut self, part: Part) {
        if !self.probes.contains(&part) && !self.lost.contains(&part) {
            self.probes.push_front(part);
        }
    }

    /// What could not be written, or what is left of it, goes ahead of all others of its kind.
    pub(crate) fn put_back(&mut self, repeat: Repeat) {
        let queue = if repeat.is_copy { &mut self.probes } else { &mut self.lost };
        queue.push_front(repeat.part);
    }

    pub(crate) fn pop(&mut self) -> Option<Repeat> {
        let probe = self.probes.pop_front().map(|part| Repeat { part, is_copy: true });
        probe.or_else(|| self.lost.pop_front().map(|part| Repeat { part, is_copy: false }))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.probes.is_empty() && self.lost.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.probes.clear();
        self.lost.clear();
    }
}
