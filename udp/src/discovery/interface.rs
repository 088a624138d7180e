//! The networks that this machine is in.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use if_addrs::{IfAddr, IfOperStatus, Ifv4Addr, Ifv6Addr};

/// An interface that reaches others, with what it is called in each family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) index: u32,
    v4: Vec<Ifv4Addr>,
    v6: Vec<Ifv6Addr>,
}

impl Interface {
    /// Those that are up, the loopback included. Without lines to a single other host, which have no groups.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(super) fn list() -> io::Result<Vec<Self>> {
        let mut found: BTreeMap<u32, Self> = BTreeMap::new();
        for one in if_addrs::get_if_addrs()? {
            let is_up = matches!(one.oper_status, IfOperStatus::Up | IfOperStatus::Unknown);
            let Some(index) = one.index.filter(|_| is_up && !one.is_p2p) else { continue };
            let interface = found.entry(index).or_default();
            (interface.name, interface.index) = (one.name, index);
            match one.addr {
                IfAddr::V4(addr) => interface.v4.push(addr),
                IfAddr::V6(addr) => interface.v6.push(addr),
            }
        }
        for interface in found.values_mut() {
            // All hosts of a link share the network of its link-local addresses.
            interface.v6.sort_by_key(|addr| !addr.is_link_local());
            // The loopback of most systems has no groups of IPv6.
            if interface.v4.iter().any(Ifv4Addr::is_loopback) {
                interface.v6.clear();
            }
        }
        Ok(found.into_values().collect())
    }

    /// The first address in each family, IPv4 first, by which a socket bound to `bound` is reached.
    pub(super) fn reached(&self, bound: SocketAddr) -> [Option<IpAddr>; 2] {
        let takes = |ip: IpAddr| match bound.ip() {
            IpAddr::V6(any) if any.is_unspecified() => true,
            any if any.is_unspecified() => ip.is_ipv4(),
            own => own == ip,
        };
        let v4 = self.v4.iter().map(|addr| IpAddr::V4(addr.ip)).find(|ip| takes(*ip));
        let v6 = self.v6.iter().map(|addr| IpAddr::V6(addr.ip)).find(|ip| takes(*ip));
        [v4, v6]
    }

    /// Whether a host with this address is in a network of this interface.
    pub(super) fn contains(&self, source: SocketAddr) -> bool {
        match source {
            SocketAddr::V4(source) => self.v4.iter().any(|addr| {
                let mask = mask(addr.prefixlen);
                // A mask of nothing is one that the system did not tell.
                mask != 0 && addr.ip.to_bits() & mask == source.ip().to_bits() & mask
            }),
            SocketAddr::V6(source) => {
                let is_elsewhere =
                    source.ip().is_unicast_link_local() && source.scope_id() != self.index;
                !is_elsewhere
                    && self.v6.iter().any(|addr| {
                        let mask = mask6(addr.prefixlen);
                        mask != 0 && addr.ip.to_bits() & mask == source.ip().to_bits() & mask
                    })
            }
        }
    }

    /// The address by which everyone in the network of `own` is reached; `None` if it has none.
    pub(super) fn broadcast(&self, own: Ipv4Addr) -> Option<Ipv4Addr> {
        let addr = self.v4.iter().find(|addr| addr.ip == own)?;
        let hosts = !mask(addr.prefixlen);
        // Two hosts have no such address (RFC 3021), and a mask of nothing was not told.
        let computed = (3..u32::MAX).contains(&hosts).then(|| (own.to_bits() | hosts).into());
        addr.broadcast.or(computed).filter(|all| *all != own)
    }

    /// Whether it has an address of this family.
    pub(super) fn has(&self, is_v4: bool) -> bool {
        if is_v4 { !self.v4.is_empty() } else { !self.v6.is_empty() }
    }

    /// An address of this interface as a socket is bound to it.
    pub(super) fn scoped(&self, ip: Ipv6Addr, port: u16) -> SocketAddr {
        let scope = if ip.is_unicast_link_local() || ip.is_multicast() { self.index } else { 0 };
        std::net::SocketAddrV6::new(ip, port, 0, scope).into()
    }
}

/// The mask of a network by the length of its prefix, which is right also where the mask itself is not told.
fn mask(bits: u8) -> u32 {
    u32::MAX.checked_shl(u32::BITS.saturating_sub(bits.into())).unwrap_or(0)
}

fn mask6(bits: u8) -> u128 {
    u128::MAX.checked_shl(u128::BITS.saturating_sub(bits.into())).unwrap_or(0)
}

#[cfg(test)]
impl Interface {
    /// One with an address in each family.
    pub(super) fn of(v4: (Ipv4Addr, u8), v6: (Ipv6Addr, u8)) -> Self {
        let v4 =
            Ifv4Addr { ip: v4.0, netmask: mask(v4.1).into(), prefixlen: v4.1, broadcast: None };
        let v6 =
            Ifv6Addr { ip: v6.0, netmask: mask6(v6.1).into(), prefixlen: v6.1, broadcast: None };
        Self { name: "test".to_owned(), index: 7, v4: vec![v4], v6: vec![v6] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().expect("an address")
    }

    fn interface() -> Interface {
        Interface::of((ip("192.0.2.7"), 24), (ip("fe80::7"), 64))
    }

    #[test]
    fn only_neighbours_are_in_a_network_of_the_interface() {
        let interface = interface();
        for (source, is_near) in [
            ("192.0.2.1:9", true),
            ("192.0.3.1:9", false),
            ("127.0.0.1:9", false),
            ("[fe80::1%7]:9", true),
            ("[fe80::1%8]:9", false),
            ("[fe80::1]:9", false),
            ("[2001:db8::1]:9", false),
        ] {
            assert_eq!(interface.contains(ip(source)), is_near, "{source}");
        }
        let everywhere = Interface::of((ip("192.0.2.7"), 0), (ip("2001:db8::7"), 0));
        assert!(!everywhere.contains(ip("192.0.2.1:9")) && !everywhere.contains(ip("[::9]:9")));
    }

    #[test]
    fn a_beacon_leaves_by_the_addresses_that_a_socket_is_reached_at() {
        let interface = interface();
        let [v4, v6] = [ip::<IpAddr>("192.0.2.7"), ip("fe80::7")].map(Some);
        for (bound, reached) in [
            ("[::]:1", [v4, v6]),
            ("0.0.0.0:1", [v4, None]),
            ("192.0.2.7:1", [v4, None]),
            ("192.0.2.8:1", [None, None]),
            ("127.0.0.1:1", [None, None]),
            ("[fe80::7]:1", [None, v6]),
        ] {
            assert_eq!(interface.reached(ip(bound)), reached, "{bound}");
        }
    }

    #[test]
    fn everyone_in_a_network_has_an_address_unless_it_is_too_small() {
        let of = |bits| {
            let own = ip("192.0.2.7");
            Interface::of((own, bits), (ip("fe80::7"), 64)).broadcast(own)
        };
        assert_eq!(of(24), Some(ip("192.0.2.255")));
        assert_eq!(of(30), None, "the third of the three is we");
        assert_eq!(of(29), None, "as in 192.0.2.0/29");
        assert_eq!(of(28), Some(ip("192.0.2.15")));
        assert_eq!((of(31), of(32), of(0)), (None, None, None));
    }

    #[test]
    fn the_loopback_is_among_the_interfaces() {
        let found = Interface::list().expect("told");
        let is_loopback = |interface: &Interface| interface.contains(ip("127.0.0.1:1"));
        assert!(found.iter().any(is_loopback), "{found:?}");
    }
}
