//! How datagrams leave.

use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU16;

use super::{Ecn, SocketId, Via};

/// One or more datagrams to send, all on one path. Their bytes are `buf[..len]` of the buffer given
/// to `poll_transmit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the datagrams in the buffer are lost unless they are sent"]
pub struct Transmit {
    /// The socket to send from.
    pub socket: SocketId,
    /// Where to send.
    pub destination: SocketAddr,
    /// The local address to send from; `None`: the system chooses.
    pub source: Option<IpAddr>,
    /// The index of the interface to send on; `None`: the system chooses.
    pub interface: Option<u32>,
    /// The IP hop limit (TTL) to set; `None`: the default of the system.
    pub hop_limit: Option<u8>,
    /// The ECN mark to set; `None`: no mark.
    pub ecn: Option<Ecn>,
    /// Bytes in the buffer.
    pub len: usize,
    /// Present when the buffer holds several datagrams: each has this size, the last may be shorter.
    pub segment: Option<NonZeroU16>,
}

/// Packets that were written into a buffer, and what is to carry them. Only the endpoint knows how:
/// a socket sends them, or a neighbour forwards them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the packets in the buffer are lost unless they are sent"]
pub(crate) struct Departure {
    pub(crate) via: Via,
    /// Bytes in the buffer.
    pub(crate) len: usize,
    /// Present when the buffer holds several packets: each has this size, the last may be shorter.
    pub(crate) segment: Option<NonZeroU16>,
}

impl Departure {
    /// One packet of `len` bytes.
    pub(crate) const fn single(via: Via, len: usize) -> Self {
        Self { via, len, segment: None }
    }
}
