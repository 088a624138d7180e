//! How datagrams arrive.

use core::net::{IpAddr, SocketAddr};

use super::{Ecn, FourTuple, Route, SocketId, Via, canonical};

/// Where a datagram came from and what the network said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Origin {
    /// The socket that received it.
    pub socket: SocketId,
    /// The sender's address.
    pub remote: SocketAddr,
    /// The local address it was sent to, if the socket reports it: answers leave from there.
    pub local: Option<IpAddr>,
    /// The index of the interface it came in on, if the socket reports it.
    pub interface: Option<u32>,
    /// The ECN mark it carried, if the socket reports it.
    pub ecn: Option<Ecn>,
}

impl Origin {
    /// A datagram from `remote` on the first socket; nothing else is known about it.
    #[must_use]
    pub const fn from_remote(remote: SocketAddr) -> Self {
        Self { socket: SocketId(0), remote, local: None, interface: None, ecn: None }
    }
}

/// How a packet arrived, whether a socket received it or a neighbour forwarded it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// What carried it: an answer goes back the same way.
    pub(crate) via: Via,
    /// The ECN mark it carried, if known.
    pub(crate) ecn: Option<Ecn>,
}

impl Arrival {
    /// Out of a packet of a neighbour, which had it from another peer or made it itself.
    pub(crate) const fn routed(route: Route, ecn: Option<Ecn>) -> Self {
        Self { via: Via::Routed(route), ecn }
    }
}

impl From<&Origin> for Arrival {
    fn from(origin: &Origin) -> Self {
        let Origin { socket, remote, local, ecn, .. } = *origin;
        let via = Via::Direct(FourTuple { socket, local, remote: canonical(remote) });
        Self { via, ecn }
    }
}

#[cfg(test)]
impl Arrival {
    /// A datagram from `remote` on the first socket, nothing else known.
    pub(crate) fn from_remote(remote: SocketAddr) -> Self {
        Self::from(&Origin::from_remote(remote))
    }
}
