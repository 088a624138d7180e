//! Who is charged for a datagram.

use core::net::{IpAddr, SocketAddr};

use crate::PeerId;
use crate::crypto::hash::{Secret, keyed};
use crate::net::{Place, Via, canonical};

/// Those who share a budget: an IPv4 address, or an IPv6 network of 64 bits, of which one customer
/// has at least one.
///
/// Whoever hands us a packet is charged for it: the sender of a datagram, or the neighbour that carried
/// the packet, whoever it says that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    V4([u8; 4]),
    V6([u8; 8]),
    Neighbour(PeerId),
}

impl Source {
    pub(crate) fn of(via: &Via) -> Self {
        Place::from(via).into()
    }

    /// Who is at this address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        match canonical(address).ip() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }

    /// The network at this level that it is in: 0 is the widest, 3 the source itself. Those of IPv6 have 32,
    /// 48, 56 and 64 bits: what a provider has, a site, a customer. Those of IPv4 have 24 and 32.
    pub(crate) const fn network(&self, level: usize) -> Self {
        match (self, level) {
            (Self::V4([a, b, c, _]), 0) => Self::V4([*a, *b, *c, 0]),
            (Self::V6([a, b, c, d, ..]), 0) => Self::V6([*a, *b, *c, *d, 0, 0, 0, 0]),
            (Self::V6([a, b, c, d, e, f, ..]), 1) => Self::V6([*a, *b, *c, *d, *e, *f, 0, 0]),
            (Self::V6([a, b, c, d, e, f, g, _]), 2) => Self::V6([*a, *b, *c, *d, *e, *f, *g, 0]),
            _ => *self,
        }
    }

    /// The widest level at which its network is the same as at this one.
    pub(crate) const fn widest(&self, level: usize) -> usize {
        match self {
            Self::V4(_) if level > 0 => 1,
            Self::V6(_) => level,
            Self::V4(_) | Self::Neighbour(_) => 0,
        }
    }

    /// How many levels of networks there are.
    pub(crate) const LEVELS: usize = 4;
}

impl From<Place> for Source {
    fn from(place: Place) -> Self {
        match place {
            Place::Address(address) => Self::at(address),
            Place::Behind(neighbour) => Self::Neighbour(neighbour),
        }
    }
}

/// A source as the tables know it. Nobody else can tell which sources meet in one place of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Chooses the place.
    pub(super) place: u64,
    /// Tells those in one place apart; never zero.
    pub(super) name: u64,
}

/// Makes marks.
pub(super) struct Marker(Secret);

impl Marker {
    pub(super) const fn new(secret: Secret) -> Self {
        Self(secret)
    }

    pub(super) fn mark(&self, source: &Source) -> Mark {
        let tag = match source {
            Source::V4(bytes) => keyed(&self.0, &[bytes]),
            Source::V6(bytes) => keyed(&self.0, &[bytes]),
            Source::Neighbour(id) => keyed(&self.0, &[id.as_bytes()]),
        };
        let (place, name) = tag.split_at(8);
        let number =
            |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Mark { place: number(place), name: number(name) | 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Arrival, FourTuple};
    use std::collections::BTreeSet;

    fn source(address: &str) -> Source {
        Source::of(&Arrival::from_remote(address.parse().expect("an address")).via)
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_half_an_ipv6_address() {
        let same = [
            ("192.0.2.7:1", "192.0.2.7:2"),
            ("192.0.2.7:1", "[::ffff:192.0.2.7]:3"),
            ("[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:9"),
        ];
        for (a, b) in same {
            assert_eq!(source(a), source(b));
        }
        let others = ["192.0.2.8:1", "[2001:db8:1:3::1]:1", "[::]:1", "0.0.0.0:1", "192.0.2.7:1"];
        let told_apart: BTreeSet<_> = others.map(source).into_iter().collect();
        assert_eq!(told_apart.len(), others.len());
    }

    #[test]
    fn a_mapped_address_on_a_path_made_by_hand_is_unmapped_too() {
        let remote = "[::ffff:192.0.2.7]:3".parse().expect("an address");
        let path = Via::Direct(FourTuple::to(remote));
        assert_eq!(Source::of(&path), Source::V4([192, 0, 2, 7]));
    }

    #[test]
    fn marks_depend_on_the_secret() {
        let [a, b] =
            [1, 2].map(|n| Marker::new(Secret::new([n; 32])).mark(&Source::V4([1, 2, 3, 4])));
        assert!(a.place != b.place && a.name != b.name);
    }
}
