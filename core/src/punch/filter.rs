//! Which addresses that a peer names are worth a packet, and harmless.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Whether nobody can be there, or too many.
pub(super) fn is_nowhere(address: SocketAddr) -> bool {
    let ip = address.ip();
    let odd = match ip {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.octets()[0] == 0 || v4.octets()[0] >= 240,
        IpAddr::V6(v6) => v6.to_ipv4_mapped().is_some(),
    };
    address.port() == 0 || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || odd
}

/// Whether it means another host in every network: private, link-local, unique local, of a carrier's NAT.
pub(super) fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// 100.64.0.0/10 (RFC 6598).
const fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 64
}

/// Whether two hosts are likely in one network: the first 24 bits are the same, or 64 of IPv6.
pub(super) fn is_near(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..3] == other.octets()[..3],
        (IpAddr::V6(one), IpAddr::V6(other)) => one.octets()[..8] == other.octets()[..8],
        _ => false,
    }
}
