//! What carries packets between two peers.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::SocketId;

/// What carries packets to and from a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Via {
    /// A pair of UDP addresses.
    Direct(FourTuple),
}

/// A pair of UDP addresses on one of the driver's sockets, which has our port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FourTuple {
    /// The driver's socket.
    pub socket: SocketId,
    /// Our address; `None` if the socket does not report it, or the system is to choose.
    pub local: Option<IpAddr>,
    /// The peer's address.
    pub remote: SocketAddr,
}

impl FourTuple {
    /// From the first socket to `remote`; the system chooses our address.
    #[must_use]
    pub const fn to(remote: SocketAddr) -> Self {
        Self { socket: SocketId(0), local: None, remote }
    }
}

impl fmt::Display for Via {
    /// The peer's address: `203.0.113.9:4263`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(tuple) => tuple.remote.fmt(f),
        }
    }
}

impl Via {
    /// The peer's address, if packets go to it directly.
    #[must_use]
    pub const fn remote(&self) -> Option<SocketAddr> {
        match self {
            Self::Direct(tuple) => Some(tuple.remote),
        }
    }

    /// Whether the far end is the same, wherever packets reach us.
    pub(crate) fn is_same_remote(&self, other: &Self) -> bool {
        self.remote() == other.remote()
    }

    /// The bytes to leave free before each packet, for what carries it.
    pub(crate) const fn headroom(&self) -> usize {
        match self {
            Self::Direct(_) => 0,
        }
    }

    /// Lets the system choose the address to send from.
    pub(crate) const fn forget_local(&mut self) {
        let Self::Direct(tuple) = self;
        tuple.local = None;
    }

    /// The bytes that stand for the far end where a secret is bound to it.
    pub(crate) fn binding(&self) -> [u8; 18] {
        let Self::Direct(FourTuple { remote, .. }) = self;
        let mut bytes = [0; 18];
        let ip = match remote.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        bytes[..16].copy_from_slice(&ip.octets());
        bytes[16..].copy_from_slice(&remote.port().to_le_bytes());
        bytes
    }
}
