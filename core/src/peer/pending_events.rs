//! What is to be reported to the application about a peer: flags and small bounded lists, so that no
//! event is ever lost and none piles up.

use core::time::Duration;

use smallvec::SmallVec;

use crate::event::{EndReason, PingId};
use crate::net::Via;

/// Everything that waits to be reported, except for fates of messages and the state.
#[derive(Debug, Default)]
pub(crate) struct PendingEvents {
    /// Connected, on this path.
    pub(super) connected: Option<Via>,
    pub(super) restarted: bool,
    pub(super) moved: bool,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// Bounded by the number of pings under way.
    pub(super) pongs: SmallVec<[(PingId, Duration); 1]>,
    pub(super) ended: Option<EndReason>,
    /// `Readable` was reported and `receive` has not run dry since.
    pub(super) readable_reported: bool,
}

impl PendingEvents {
    pub(crate) fn is_empty(&self) -> bool {
        let flags = self.restarted | self.moved | self.readable | self.writable;
        !flags && self.connected.is_none() && self.pongs.is_empty() && self.ended.is_none()
    }

    /// Messages wait for the application.
    pub(crate) fn note_readable(&mut self) {
        self.readable |= !self.readable_reported;
    }
}
