//! A batch of datagrams on its way out.

use std::fmt;
use std::io;

use handfast_core::{Endpoint, Instant, SocketId, Transmit};
use socket2::SockRef;

use crate::{MAX_BATCH, Socket};

/// Holds a batch taken from the core until the system has all of it.
///
/// A driver of one socket needs one: while the system's buffer is full nothing more is taken, and
/// what waits, waits in the core, where congestion control, priorities and deadlines still apply to
/// it. For a driver of several, [`Traffic`](crate::Traffic) keeps up to 16 that wait per blocked
/// socket.
pub struct Outbox {
    buffer: Box<[u8]>,
    pending: Option<Transmit>,
    /// Bytes of the pending batch that need no more attention.
    done: usize,
}

impl Outbox {
    /// An empty outbox.
    #[must_use]
    pub fn new() -> Self {
        Self { buffer: vec![0; MAX_BATCH].into_boxed_slice(), pending: None, done: 0 }
    }

    /// Takes the next batch of at most `batch_len` bytes from `endpoint`, unless one is pending.
    /// Returns whether there is one to flush now.
    pub fn fill(&mut self, endpoint: &mut Endpoint, now: Instant, batch_len: usize) -> bool {
        if self.pending.is_none() {
            let end = batch_len.min(self.buffer.len());
            self.pending = endpoint.poll_transmit(now, &mut self.buffer[..end]);
            self.done = 0;
        }
        self.pending.is_some()
    }

    /// The socket that the pending batch wants to be sent from.
    #[must_use]
    pub fn pending(&self) -> Option<SocketId> {
        self.pending.as_ref().map(|transmit| transmit.socket)
    }

    /// Sends the pending batch, or what is left of it. Datagrams the system refuses are counted
    /// and forgotten.
    ///
    /// # Errors
    /// `WouldBlock` alone, when the system's buffer is full; the rest stays pending.
    pub fn flush(&mut self, socket: &mut Socket, io: SockRef<'_>) -> io::Result<()> {
        let Some(transmit) = &self.pending else { return Ok(()) };
        let end = transmit.len.min(self.buffer.len());
        while self.done < end {
            self.done += socket.send(&io, transmit, &self.buffer[self.done..end])?;
        }
        self.pending = None;
        Ok(())
    }

    /// How many datagrams are pending.
    #[must_use]
    pub fn left(&self) -> u64 {
        let Some(transmit) = &self.pending else { return 0 };
        let segment = transmit.segment.map_or(transmit.len, |size| usize::from(size.get()));
        transmit.len.saturating_sub(self.done).div_ceil(segment.max(1)) as u64
    }

    /// Forgets the pending batch, or what is left of it. Returns how many datagrams that were.
    pub fn discard(&mut self) -> u64 {
        let left = self.left();
        self.pending = None;
        left
    }

    #[cfg(test)]
    pub(crate) fn load(&mut self, transmit: Transmit, bytes: &[u8]) {
        self.buffer[..bytes.len()].copy_from_slice(bytes);
        self.pending = Some(transmit);
        self.done = 0;
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("pending", &self.pending)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}
