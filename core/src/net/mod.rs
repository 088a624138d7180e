//! The network as drivers describe it: where datagrams come from and where they go.

use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU16;

/// Names one of the driver's sockets. A driver with a single socket uses the default, zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u16);

/// The explicit congestion notification codepoint of an IP packet (RFC 3168).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// ECN-capable transport, codepoint 0b10.
    Ect0,
    /// ECN-capable transport, codepoint 0b01.
    Ect1,
    /// Congestion experienced, codepoint 0b11.
    Ce,
}

/// Where a datagram came from and what the network said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The socket that received it.
    pub socket: SocketId,
    /// The sender's address.
    pub remote: SocketAddr,
    /// The local address it was sent to, if the socket tells: replies leave from there.
    pub local: Option<IpAddr>,
    /// The index of the interface it came in on, if the socket tells.
    pub interface: Option<u32>,
    /// The ECN mark it carried, if the socket tells.
    pub ecn: Option<Ecn>,
}

impl Origin {
    /// A datagram from `remote` on the first socket, nothing else known.
    #[must_use]
    pub const fn from_remote(remote: SocketAddr) -> Self {
        Self { socket: SocketId(0), remote, local: None, interface: None, ecn: None }
    }
}

/// One or more datagrams to send, all on one path. Their bytes are `buf[..len]` of the buffer given
/// to `poll_transmit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the datagrams in the buffer are lost unless they are sent"]
pub struct Transmit {
    /// The socket to send from.
    pub socket: SocketId,
    /// Where to send.
    pub destination: SocketAddr,
    /// The local address to send from, if it matters.
    pub source: Option<IpAddr>,
    /// The interface to send on, if it matters.
    pub interface: Option<u32>,
    /// The IP hop limit (TTL) to set, if not the system's default.
    pub hop_limit: Option<u8>,
    /// The ECN mark to set.
    pub ecn: Option<Ecn>,
    /// Bytes in the buffer.
    pub len: usize,
    /// Present when the buffer holds several datagrams: each has this size, the last may be shorter.
    pub segment: Option<NonZeroU16>,
}

/// What carries a peer's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Path {
    /// A pair of UDP addresses.
    Direct {
        /// The driver's socket.
        socket: SocketId,
        /// Our address, if the socket tells.
        local: Option<IpAddr>,
        /// The peer's address.
        remote: SocketAddr,
    },
}

impl Path {
    /// Lets the system choose the address to send from.
    pub(crate) const fn forget_local(&mut self) {
        let Self::Direct { local, .. } = self;
        *local = None;
    }

    /// Sends `len` bytes as one datagram on this path.
    pub(crate) const fn transmit(&self, len: usize) -> Transmit {
        let Self::Direct { socket, local, remote } = *self;
        Transmit {
            socket,
            destination: remote,
            source: local,
            interface: None,
            hop_limit: None,
            ecn: None,
            len,
            segment: None,
        }
    }

    /// The bytes that stand for the far end of the path where a secret is bound to it.
    pub(crate) fn binding(&self) -> [u8; 18] {
        let Self::Direct { remote, .. } = self;
        let mut bytes = [0; 18];
        let ip = match remote.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        bytes[..16].copy_from_slice(&ip.octets());
        bytes[16..].copy_from_slice(&remote.port().to_le_bytes());
        bytes
    }

    /// The peer's address, when the path is direct.
    #[must_use]
    pub const fn remote(&self) -> Option<SocketAddr> {
        match self {
            Self::Direct { remote, .. } => Some(*remote),
        }
    }
}

impl From<&Origin> for Path {
    fn from(origin: &Origin) -> Self {
        Self::Direct {
            socket: origin.socket,
            local: origin.local,
            remote: canonical(origin.remote),
        }
    }
}

/// The one form of an address: IPv4-mapped IPv6 becomes IPv4, flow labels are dropped.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => {
                let mut plain = v6;
                plain.set_flowinfo(0);
                SocketAddr::V6(plain)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_and_plain_addresses_are_one() {
        let plain: SocketAddr = "192.0.2.7:4263".parse().expect("an address");
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:4263".parse().expect("an address");
        assert_eq!(canonical(mapped), plain);
        assert_eq!(canonical(plain), plain);
    }
}
