//! Initiators that were refused by name, until the application hears of it.

use alloc::collections::VecDeque;

use crate::PeerId;
use crate::event::{Event, Refusal};
use crate::net::Via;

/// The newest refusals that were not reported. When they are too many the oldest are forgotten:
/// `Drops` counts all.
#[derive(Debug, Default)]
pub(super) struct Refusals(VecDeque<Event>);

impl Refusals {
    /// The initiator with this identity, at the far end of `path`, is refused.
    pub(super) fn note(&mut self, id: PeerId, path: &Via, reason: Refusal) {
        if self.0.len() >= MAX {
            self.0.pop_front();
        }
        self.0.push_back(Event::Refused { id, path: *path, reason });
    }

    /// Whether there is one to report.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next one to report.
    pub(super) fn poll(&mut self) -> Option<Event> {
        self.0.pop_front()
    }
}

/// An endpoint whose events nobody polls keeps no more.
const MAX: usize = 64;
