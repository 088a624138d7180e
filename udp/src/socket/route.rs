//! How addresses must be written for a socket of a given family.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use handfast_core::{Transmit, canonical};
use socket2::SockRef;

use super::refused::Refused;

/// What a socket can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// IPv6, and IPv4 in its mapped form.
    DualStack,
    V4,
    V6,
}

/// Addresses as the socket's family wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) destination: SocketAddr,
    pub(super) source: Option<IpAddr>,
}

impl Family {
    pub(super) fn of(io: &SockRef<'_>, refused: &mut Refused) -> io::Result<Self> {
        let address = io.local_addr()?;
        if address.is_ipv4() {
            return Ok(Self::V4);
        }
        let only_v6 = io.only_v6().unwrap_or_else(|error| {
            refused.add("telling whether IPv4 is taken too");
            refused.add_error(error);
            // As `bind` asked for.
            !address.as_socket_ipv6().is_some_and(|address| address.ip().is_unspecified())
        });
        Ok(if only_v6 { Self::V6 } else { Self::DualStack })
    }

    /// The addresses of `transmit` for this family. `None` if it cannot reach the destination, or
    /// nothing can: such an address must not get as far as the system, whose `EINVAL` would cast
    /// doubt on offload.
    pub(super) fn route(self, transmit: &Transmit) -> Option<Route> {
        let destination = canonical(transmit.destination);
        if destination.port() == 0 || destination.ip().is_unspecified() {
            return None;
        }
        let source = transmit.source.map(|ip| ip.to_canonical()).filter(|ip| !ip.is_unspecified());
        match destination {
            SocketAddr::V4(to) => {
                let source = source.and_then(ipv4);
                match self {
                    Self::V4 => Some(Route { destination, source: source.map(IpAddr::V4) }),
                    Self::DualStack => Some(Route {
                        destination: (to.ip().to_ipv6_mapped(), to.port()).into(),
                        source: source.map(|ip| IpAddr::V6(ip.to_ipv6_mapped())),
                    }),
                    Self::V6 => None,
                }
            }
            SocketAddr::V6(mut to) => {
                if self == Self::V4 {
                    return None;
                }
                if to.ip().is_unicast_link_local() && to.scope_id() == 0 {
                    to.set_scope_id(transmit.interface?);
                }
                Some(Route { destination: to.into(), source: source.filter(IpAddr::is_ipv6) })
            }
        }
    }

    /// Sets the hop limit for datagrams along `route` and returns the one before.
    pub(super) fn replace_hop_limit(
        self,
        io: &SockRef<'_>,
        route: Route,
        limit: u8,
    ) -> io::Result<u8> {
        let clamp = |old: u32| u8::try_from(old).unwrap_or(u8::MAX);
        if route.destination.ip().to_canonical().is_ipv4() {
            let old = io.ttl_v4()?;
            io.set_ttl_v4(limit.into())?;
            return Ok(clamp(old));
        }
        let old = io.unicast_hops_v6()?;
        io.set_unicast_hops_v6(limit.into())?;
        Ok(clamp(old))
    }
}

const fn ipv4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transmit(destination: &str, source: Option<&str>, interface: Option<u32>) -> Transmit {
        let mut transmit = Transmit::new(destination.parse().expect("an address"), 1);
        transmit.source = source.map(|ip| ip.parse().expect("an address"));
        transmit.interface = interface;
        transmit
    }

    fn route(family: Family, to: &str, from: Option<&str>) -> Option<(String, Option<String>)> {
        let route = family.route(&transmit(to, from, None))?;
        Some((route.destination.to_string(), route.source.map(|ip| ip.to_string())))
    }

    #[test]
    fn each_family_gets_addresses_in_its_own_form() {
        let plain = Some(("192.0.2.1:7".to_owned(), Some("192.0.2.9".to_owned())));
        let mapped = Some(("[::ffff:192.0.2.1]:7".to_owned(), Some("::ffff:192.0.2.9".to_owned())));
        for (to, from) in
            [("192.0.2.1:7", "192.0.2.9"), ("[::ffff:192.0.2.1]:7", "::ffff:192.0.2.9")]
        {
            assert_eq!(route(Family::V4, to, Some(from)), plain);
            assert_eq!(route(Family::DualStack, to, Some(from)), mapped);
            assert_eq!(route(Family::V6, to, Some(from)), None);
        }
        assert_eq!(route(Family::V4, "[2001:db8::1]:7", None), None);
    }

    #[test]
    fn a_source_of_the_wrong_family_is_left_out() {
        let bare = Some(("[2001:db8::1]:7".to_owned(), None));
        for source in ["192.0.2.9", "::ffff:192.0.2.9", "::"] {
            assert_eq!(route(Family::DualStack, "[2001:db8::1]:7", Some(source)), bare);
        }
    }

    #[test]
    fn addresses_that_nothing_can_reach_are_refused() {
        for address in ["192.0.2.1:0", "0.0.0.0:7", "[::]:7", "[fe80::1]:7"] {
            assert_eq!(route(Family::DualStack, address, None), None, "{address}");
        }
        let scoped = Family::V6.route(&transmit("[fe80::1]:7", None, Some(3))).expect("a scope");
        assert_eq!(scoped.destination.to_string(), "[fe80::1%3]:7");
    }
}
