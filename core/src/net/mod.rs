//! The network as drivers describe it: where datagrams come from and where they go.

mod arrival;
mod departure;
mod directory;
mod via;

use core::net::SocketAddr;

pub(crate) use arrival::Arrival;
pub use arrival::Origin;
pub(crate) use departure::Departure;
pub use departure::Transmit;
pub(crate) use directory::Directory;
pub(crate) use via::Place;
pub use via::{FourTuple, Route, Via};

use crate::pack::pack_as;

/// Names one of the driver's sockets. An id is never used again for another socket. A driver with a
/// single socket uses the default, zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "it is a number")]
pub struct SocketId(pub u32);

pack_as!(SocketId: u32);

/// The explicit congestion notification codepoint of an IP packet (RFC 3168).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "RFC 3168 has these marks")]
pub enum Ecn {
    /// ECN-capable transport, codepoint 0b10.
    Ect0,
    /// ECN-capable transport, codepoint 0b01.
    Ect1,
    /// Congestion experienced, codepoint 0b11.
    Ce,
}

impl Ecn {
    /// The codepoint in an IP header.
    pub(crate) const fn codepoint(this: Option<Self>) -> u8 {
        match this {
            None => 0,
            Some(Self::Ect1) => 1,
            Some(Self::Ect0) => 2,
            Some(Self::Ce) => 3,
        }
    }

    /// What a codepoint stands for.
    pub(crate) const fn of_codepoint(bits: u8) -> Option<Self> {
        match bits & 3 {
            0 => None,
            1 => Some(Self::Ect1),
            2 => Some(Self::Ect0),
            _ => Some(Self::Ce),
        }
    }
}

/// The canonical form of an address: an IPv4-mapped IPv6 address becomes the IPv4 address, and a flow
/// label is removed.
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
