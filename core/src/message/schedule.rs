//! Which stream is written from next: those with unsent bytes take turns, packet by packet.

use alloc::collections::VecDeque;

use super::send_stream::SendStream;

/// The streams that wait for their turn, each once.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    ready_streams: VecDeque<u16>,
}

impl Schedule {
    /// Gives the stream at `index` a turn if it has unsent bytes.
    pub(super) fn wake(&mut self, index: u16, stream: &mut SendStream) {
        if !stream.has_turn && !stream.line.is_empty() {
            stream.has_turn = true;
            self.ready_streams.push_back(index);
        }
    }

    /// The stream whose turn it is.
    pub(super) fn current(&self) -> Option<usize> {
        self.ready_streams.front().copied().map(usize::from)
    }

    /// The stream whose turn it is cannot be written from now.
    pub(super) fn leave(&mut self, stream: &mut SendStream) {
        self.ready_streams.pop_front();
        stream.has_turn = false;
    }

    /// The stream at `index` ends.
    pub(super) fn forget(&mut self, index: u16) {
        self.ready_streams.retain(|ready| *ready != index);
    }

    /// The packet is full: the next one begins with the next stream.
    pub(super) fn rotate(&mut self) {
        if !self.ready_streams.is_empty() {
            self.ready_streams.rotate_left(1);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready_streams.is_empty()
    }
}
