//! Reading batches of datagrams and taking them apart.

use std::array;
use std::fmt;
use std::io::{self, IoSliceMut};

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
    pub(crate) filled: usize,
}

impl Inbox {
    /// An empty inbox.
    #[must_use]
    pub fn new() -> Self {
        Self {
            memory: vec![0; BATCH_SIZE * BUFFER_LEN],
            metas: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
        }
    }

    /// Reads one batch from `socket`, in place of the one before it.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing to read. Errors that tell of datagrams sent earlier read
    /// as an empty batch, and so do failures of the socket itself, which
    /// [pauses](Socket::pauses_until) then. Any other error is fatal: the socket has failed many
    /// times in a row, for many seconds.
    pub fn receive(&mut self, socket: &mut Socket, io: SockRef<'_>) -> io::Result<()> {
        self.filled = 0;
        let mut buffers = self.memory.chunks_exact_mut(BUFFER_LEN);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        let result = socket.receive(&io, &mut slices, &mut self.metas);
        self.filled = result?;
        Ok(())
    }

    /// The datagrams of the batch, as received by the socket called `socket`. Empty ones, which
    /// can only be noise, are left out.
    pub fn datagrams(&mut self, socket: SocketId) -> impl Iterator<Item = (Origin, &mut [u8])> {
        let buffers = self.memory.chunks_exact_mut(BUFFER_LEN);
        self.metas[..self.filled].iter().zip(buffers).flat_map(move |(meta, buffer)| {
            let origin = origin(socket, meta);
            let len = meta.len.min(buffer.len());
            // An empty read has a stride of zero.
            buffer[..len].chunks_mut(meta.stride.max(1)).map(move |datagram| (origin, datagram))
        })
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("filled", &self.filled).finish_non_exhaustive()
    }
}

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
