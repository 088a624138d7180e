//! Gaps in unreliable ordered streams, of which the peer is to be told.

use super::SendQueue;
use crate::wire::StreamKey;

impl SendQueue {
    /// The next stream whose receiver must learn of a gap, with the number below which nothing
    /// more will come.
    pub(crate) fn take_skip(&mut self) -> Option<(u16, StreamKey, u64)> {
        if !self.has_skips() {
            return None;
        }
        let (index, stream) = self.streams.iter_mut().find(|(_, stream)| stream.has_skip())?;
        Some((index as u16, stream.key, stream.take_skip()))
    }

    pub(crate) fn has_skips(&self) -> bool {
        self.has_lost_ordered && self.streams.iter().any(|(_, stream)| stream.has_skip())
    }

    /// A skip did not arrive, or did not fit.
    pub(crate) fn repeat_skip(&mut self, stream: u16) {
        if let Some(stream) = self.streams.get_mut(usize::from(stream)) {
            stream.repeat_skip();
        }
    }
}
