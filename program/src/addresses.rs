//! The addresses of this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use handfast_udp::interface_addresses;

/// The addresses by which a peer reaches one of these sockets: this machine's own name for itself first.
#[must_use]
pub fn reachable(bound: &[SocketAddr]) -> Vec<SocketAddr> {
    let machine = machine();
    bound.iter().flat_map(|bound| reachable_at(*bound, &machine)).collect()
}

/// The addresses by which a client can reach a socket: this machine's own name for itself first.
fn reachable_at(bound: SocketAddr, machine: &[IpAddr]) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let reached = machine.iter().filter(|ip| bound.is_ipv6() || ip.is_ipv4());
    reached.map(|ip| SocketAddr::from((*ip, bound.port()))).collect()
}

/// The addresses of this machine: its own name for itself, then IPv4, then IPv6. Without those that mean
/// something on one link only.
#[must_use]
pub fn machine() -> Vec<IpAddr> {
    let mut ips = interface_addresses();
    ips.insert(0, Ipv4Addr::LOCALHOST.into());
    ips
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_reached_by_the_addresses_of_its_family() {
        let machine = ["127.0.0.1", "192.0.2.1", "2001:db8::1"];
        let machine = machine.map(|ip| ip.parse::<IpAddr>().expect("an address"));
        let of = |bound: &str| {
            let found = reachable_at(bound.parse().expect("an address"), &machine);
            found.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("0.0.0.0:7"), "127.0.0.1:7 192.0.2.1:7");
        assert_eq!(of("[::]:7"), "127.0.0.1:7 192.0.2.1:7 [2001:db8::1]:7");
        assert_eq!(of("192.0.2.9:7"), "192.0.2.9:7");
    }
}
