//! What carries packets between two peers.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::SocketId;
use crate::PeerId;
use crate::config::{BASE_DATAGRAM, ROUTED_DATAGRAM};
use crate::pack::{Pack, Packer, Unpacker, pack};
use crate::wire::{FORWARD_HEADER_LEN, SEALED_HEADER_LEN, TAG_LEN};

/// What carries packets to and from a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Via {
    /// A pair of UDP addresses.
    Direct(FourTuple),
    /// A neighbour that passes them on.
    Routed(Route),
}

impl Pack for Via {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        match self {
            Self::Direct(value) => (false, *value).pack(into),
            Self::Routed(value) => (true, *value).pack(into),
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        if bool::unpack(from)? {
            Route::unpack(from).map(Self::Routed)
        } else {
            FourTuple::unpack(from).map(Self::Direct)
        }
    }

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        let (Self::Direct(value), Self::Direct(like)) = (self, like) else { return into.own(self) };
        into.same();
        value.pack_like(like, into)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        match (from.is_same(), like) {
            (true, Self::Direct(like)) => FourTuple::unpack_like(like, from).map(Self::Direct),
            (true, _) => None,
            (false, _) => from.own(Self::unpack),
        }
    }
}

/// A pair of UDP addresses on one of the driver's sockets, which has our port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "what else carries packets is another `Via`")]
pub struct FourTuple {
    /// The driver's socket.
    pub socket: SocketId,
    /// Our address; `None` if the socket does not report it, or the system is to choose.
    pub local: Option<IpAddr>,
    /// The peer's address.
    pub remote: SocketAddr,
}

pack!(FourTuple: socket, local, remote);

impl FourTuple {
    /// From the first socket to `remote`; the system chooses our address.
    #[must_use]
    pub const fn to(remote: SocketAddr) -> Self {
        Self { socket: SocketId(0), local: None, remote }
    }
}

/// Packets travel inside of packets of the session with a neighbour, sealed end to end: the neighbour
/// sees who they are for, and how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Route {
    /// The peer that passes them on. It is connected to us directly.
    pub neighbour: PeerId,
    /// The peer at the far end.
    pub remote: PeerId,
}

pack!(Route: neighbour, remote);

impl Route {
    /// To `remote` by way of `neighbour`.
    pub(crate) const fn new(neighbour: PeerId, remote: PeerId) -> Self {
        Self { neighbour, remote }
    }
}

/// Where a peer is, as far as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Address(SocketAddr),
    /// Behind this neighbour.
    Behind(PeerId),
}

impl Pack for Place {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        match self {
            Self::Address(value) => (false, *value).pack(into),
            Self::Behind(value) => (true, *value).pack(into),
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        if bool::unpack(from)? {
            PeerId::unpack(from).map(Self::Behind)
        } else {
            SocketAddr::unpack(from).map(Self::Address)
        }
    }

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        let (Self::Address(value), Self::Address(like)) = (self, like) else {
            return into.own(self);
        };
        into.same();
        value.pack_like(like, into)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        match (from.is_same(), like) {
            (true, Self::Address(like)) => SocketAddr::unpack_like(like, from).map(Self::Address),
            (true, _) => None,
            (false, _) => from.own(Self::unpack),
        }
    }
}

impl From<&Via> for Place {
    #[inline]
    fn from(via: &Via) -> Self {
        match via {
            Via::Direct(tuple) => Self::Address(tuple.remote),
            Via::Routed(route) => Self::Behind(route.neighbour),
        }
    }
}

impl fmt::Display for Via {
    /// The peer's address, or the neighbour: `203.0.113.9:4263`, `by way of nlu3...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(tuple) => tuple.remote.fmt(f),
            Self::Routed(route) => write!(f, "by way of {}", route.neighbour),
        }
    }
}

impl Via {
    /// The peer's address, if packets go to it directly.
    #[must_use]
    pub const fn remote(&self) -> Option<SocketAddr> {
        match self {
            Self::Direct(tuple) => Some(tuple.remote),
            Self::Routed(_) => None,
        }
    }

    /// Our socket, if packets go directly.
    pub(crate) const fn socket(&self) -> Option<SocketId> {
        match self {
            Self::Direct(tuple) => Some(tuple.socket),
            Self::Routed(_) => None,
        }
    }

    /// The route, if a neighbour passes packets on.
    #[must_use]
    pub const fn route(&self) -> Option<Route> {
        match self {
            Self::Direct(_) => None,
            Self::Routed(route) => Some(*route),
        }
    }

    /// Whether the far end is the same, wherever packets reach us.
    pub(crate) fn is_same_remote(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Direct(one), Self::Direct(other)) => one.remote == other.remote,
            (Self::Routed(one), Self::Routed(other)) => one == other,
            (Self::Direct(_), Self::Routed(_)) | (Self::Routed(_), Self::Direct(_)) => false,
        }
    }

    /// Whether the way is the same as far as measurements tell: a NAT may give a host another port (RFC 9000
    /// section 9.4).
    pub(crate) fn is_same_way(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Direct(one), Self::Direct(other)) => one.remote.ip() == other.remote.ip(),
            _ => self.is_same_remote(other),
        }
    }

    /// The bytes to leave free before each packet, for what carries it.
    pub(crate) const fn headroom(&self) -> usize {
        match self {
            Self::Direct(_) => 0,
            Self::Routed(_) => SEALED_HEADER_LEN + FORWARD_HEADER_LEN,
        }
    }

    /// The bytes to leave free behind each packet, for what carries it.
    pub(crate) const fn tailroom(&self) -> usize {
        match self {
            Self::Direct(_) => 0,
            Self::Routed(_) => TAG_LEN,
        }
    }

    /// How long a packet may be without it being known what passes.
    pub(crate) const fn base_datagram(&self) -> u16 {
        match self {
            Self::Direct(_) => BASE_DATAGRAM,
            Self::Routed(_) => ROUTED_DATAGRAM,
        }
    }

    /// Lets the system choose the address to send from.
    pub(crate) const fn forget_local(&mut self) {
        if let Self::Direct(tuple) = self {
            tuple.local = None;
        }
    }

    /// The bytes that stand for the far end where a secret is bound to it.
    pub(crate) fn binding(&self) -> [u8; 65] {
        let mut bytes = [0; 65];
        match self {
            Self::Direct(FourTuple { remote, .. }) => {
                let ip = match remote.ip() {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                bytes[1..17].copy_from_slice(&ip.octets());
                bytes[17..19].copy_from_slice(&remote.port().to_le_bytes());
            }
            Self::Routed(Route { neighbour, remote }) => {
                bytes[0] = 1;
                bytes[1..33].copy_from_slice(neighbour.as_bytes());
                bytes[33..].copy_from_slice(remote.as_bytes());
            }
        }
        bytes
    }
}
