//! Reading batches of datagrams and taking them apart.

use std::array;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::iter;

use handfast_core::{MAX_DATAGRAM, Origin, SocketId};
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta};
use socket2::SockRef;

use crate::Socket;

/// Buffers for one batch of reads. One serves all sockets of a driver in turn.
///
/// Where the system coalesces datagrams (GRO) a single read fills up to 64 KiB, and a smaller
/// buffer would cut the surplus off without a word: so each of the buffers has room for that.
/// Pages never written to cost no memory.
pub struct Inbox {
    memory: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    filled: usize,
    /// The read that the next datagram is in, and where in it that begins.
    at: usize,
    offset: usize,
    /// How many reads to make at once: fewer when each brings many datagrams.
    reads: usize,
    is_last: bool,
}

impl Inbox {
    /// An empty inbox.
    #[must_use]
    pub fn new() -> Self {
        Self {
            memory: vec![0; BATCH_SIZE * BUFFER_LEN],
            metas: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
            at: 0,
            offset: 0,
            reads: BATCH_SIZE,
            is_last: false,
        }
    }

    /// Reads one batch from `socket`, in place of the one before it. Where the system coalesces
    /// datagrams a batch has fewer reads, so that copying it takes no longer than its datagrams are worth.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing to read. Errors that tell of datagrams sent earlier read
    /// as an empty batch, and so do failures of the socket itself, which
    /// [pauses](Socket::pauses_until) then. Any other error is fatal: the socket has failed many
    /// times in a row, for many seconds.
    pub fn receive(&mut self, socket: &mut Socket, io: SockRef<'_>) -> io::Result<()> {
        (self.filled, self.at, self.offset, self.is_last) = (0, 0, 0, false);
        let mut buffers = self.memory.chunks_exact_mut(BUFFER_LEN);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        let reads = self.reads;
        self.filled = socket.receive(&io, &mut slices[..reads], &mut self.metas[..reads])?;
        if self.filled > 0 {
            self.is_last = self.filled < reads && socket.reads_to_the_end();
            let each = self.left().div_ceil(self.filled as u64);
            let worthwhile = WORTHWHILE / usize::try_from(each).unwrap_or(usize::MAX).max(1);
            // To offer buffers costs, too, whether they are filled or not.
            self.reads = worthwhile.min(self.filled * GROWTH).clamp(1, BATCH_SIZE);
        }
        Ok(())
    }

    /// Whether the batch emptied the socket: what comes later, the system will tell of. A driver that is told of
    /// readiness once, at the moment it begins, may wait for that without another call that says `WouldBlock`.
    /// `false` says nothing.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.is_last
    }

    /// The next datagram of the batch, as received by the socket called `socket`; `None` when none is
    /// left. Empty ones, which can only be noise, are left out.
    pub fn take(&mut self, socket: SocketId) -> Option<(Origin, &mut [u8])> {
        loop {
            let meta = self.metas[..self.filled].get(self.at)?;
            let len = meta.len.min(BUFFER_LEN);
            if self.offset >= len {
                (self.at, self.offset) = (self.at + 1, 0);
                continue;
            }
            let buffer = self.at * BUFFER_LEN;
            let start = buffer + self.offset;
            // An empty read has a stride of zero.
            self.offset = (self.offset + meta.stride.max(1)).min(len);
            let datagram = &mut self.memory[start..buffer + self.offset];
            return Some((origin(socket, meta), datagram));
        }
    }

    #[cfg(test)]
    pub(crate) const fn filled(&self) -> usize {
        self.filled
    }

    /// How many datagrams of the batch are not taken yet.
    #[must_use]
    pub fn left(&self) -> u64 {
        let reads = self.metas[..self.filled].iter().skip(self.at);
        let taken = iter::once(self.offset).chain(iter::repeat(0));
        let left = |(meta, taken): (&RecvMeta, usize)| {
            let bytes = meta.len.min(BUFFER_LEN).saturating_sub(taken);
            bytes.div_ceil(meta.stride.max(1)) as u64
        };
        reads.zip(taken).map(left).sum()
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("left", &self.left()).finish_non_exhaustive()
    }
}

/// About as many datagrams as are worth one call to the system.
const WORTHWHILE: usize = 64;

/// A read is given so many times as many buffers as the one before filled.
const GROWTH: usize = 4;

fn origin(socket: SocketId, meta: &RecvMeta) -> Origin {
    let mut origin = Origin::from_remote(meta.addr);
    origin.socket = socket;
    origin.local = meta.dst_ip.map(|ip| ip.to_canonical());
    origin.ecn = meta.ecn.map(|mark| match mark {
        EcnCodepoint::Ect0 => handfast_core::Ecn::Ect0,
        EcnCodepoint::Ect1 => handfast_core::Ecn::Ect1,
        EcnCodepoint::Ce => handfast_core::Ecn::Ce,
    });
    origin
}

/// Room for the largest coalesced read where the system coalesces, else for the largest datagram.
const BUFFER_LEN: usize = if cfg!(any(target_os = "linux", target_os = "android", windows)) {
    1 << 16
} else {
    MAX_DATAGRAM as usize
};
