//! How datagrams leave.

use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU16;

use super::{Ecn, SocketId, Via};

/// One or more datagrams to send, all on one path. Their bytes are `buf[..len]` of the buffer given
/// to `poll_transmit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

impl Transmit {
    /// One datagram of `len` bytes from the first socket to `destination`; the system chooses the rest. For tests
    /// of drivers.
    pub const fn new(destination: SocketAddr, len: usize) -> Self {
        Self {
            socket: SocketId(0),
            destination,
            source: None,
            interface: None,
            hop_limit: None,
            ecn: None,
            len,
            segment: None,
        }
    }
}

/// Packets that were written into a buffer, and what is to carry them. Only the endpoint knows how:
/// a socket sends them, or a neighbour forwards them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the packets in the buffer are lost unless they are sent"]
pub(crate) struct Departure {
    pub(crate) via: Via,
    /// The ECN mark to set; `None`: no mark.
    pub(crate) ecn: Option<Ecn>,
    /// The IP hop limit to set; `None`: the default of the system.
    pub(crate) hop_limit: Option<u8>,
    /// Bytes in the buffer: with each packet, the room that what carries it needs.
    pub(crate) len: usize,
    /// Present when the buffer holds several packets: each has this size, the last may be shorter.
    pub(crate) segment: Option<NonZeroU16>,
}

impl Departure {
    /// One packet of `len` bytes, which stands behind the room that what carries it needs.
    pub(crate) const fn single(via: Via, len: usize) -> Self {
        let len = via.headroom() + len + via.tailroom();
        Self { via, ecn: None, hop_limit: None, len, segment: None }
    }

    /// How long each packet is, with the room around it.
    pub(crate) fn size(&self) -> usize {
        self.segment.map_or(self.len, |size| usize::from(size.get())).max(1)
    }

    /// How many packets there are.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.segment.map_or(1, |size| self.len.div_ceil(size.get().into()))
    }
}
