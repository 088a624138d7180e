//! The addresses of this machine's interfaces, as far as peers are told of them.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use handfast_core::Endpoint;

use crate::explain;

/// The addresses of this machine's interfaces, without those that mean something on one link only, and without
/// loopback. None if the system does not tell.
#[must_use]
pub fn interface_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::debug!(error = %explain(&error), "the system does not tell its addresses");
        Vec::new()
    });
    let is_useful = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let mut ips: Vec<_> =
        interfaces.iter().map(if_addrs::Interface::ip).filter(is_useful).collect();
    ips.sort_unstable();
    ips.dedup();
    ips
}

/// Tells a core the addresses by which its sockets are reached, at first and when they changed. The system is asked
/// at most each five seconds, and only in a turn that there is anyway.
#[derive(Debug)]
pub(crate) struct Interfaces {
    told: Vec<SocketAddr>,
    look_at: Instant,
}

impl Interfaces {
    /// For a core that looks for direct ways to peers; others are told nothing.
    pub(crate) fn of(core: &Endpoint) -> Option<Self> {
        let punching = &core.config().punching;
        let wanted = punching.enabled && punching.tell_host;
        wanted.then(|| Self { told: Vec::new(), look_at: Instant::now() })
    }

    /// What the sockets that are `bound` there are reached by, if it is time to look and it changed.
    pub(crate) fn news(
        &mut self,
        now: Instant,
        bound: impl Iterator<Item = SocketAddr>,
    ) -> Option<Vec<SocketAddr>> {
        if now < self.look_at {
            return None;
        }
        self.look_at = now + AGAIN;
        let found = reached(bound, &interface_addresses());
        let changed = found != self.told;
        changed.then(|| {
            self.told.clone_from(&found);
            found
        })
    }
}

/// By which addresses sockets are reached on a machine with these.
fn reached(bound: impl Iterator<Item = SocketAddr>, machine: &[IpAddr]) -> Vec<SocketAddr> {
    let at = |bound: SocketAddr| -> Vec<SocketAddr> {
        if !bound.ip().is_unspecified() {
            return vec![bound];
        }
        // A socket of IPv6 that is bound to all addresses takes both kinds.
        let fits = machine.iter().filter(|ip| bound.is_ipv6() || ip.is_ipv4());
        fits.map(|ip| SocketAddr::new(*ip, bound.port())).collect()
    };
    bound.flat_map(at).collect()
}

/// How often the system is asked.
const AGAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_reached_by_the_addresses_of_their_family_and_changes_are_told_once() {
        let ips = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse::<IpAddr>().expect("an address"));
        let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let of = |bound: &str| reached([parse(bound)].into_iter(), &ips);
        assert_eq!(of("0.0.0.0:7"), [parse("192.0.2.1:7")]);
        assert_eq!(of("[::]:7"), [parse("192.0.2.1:7"), parse("[2001:db8::1]:7")]);
        assert_eq!(of("192.0.2.9:7"), [parse("192.0.2.9:7")]);
        let start = Instant::now();
        let mut interfaces = Interfaces { told: Vec::new(), look_at: start };
        let bound = parse("192.0.2.9:7");
        let mut news = |later| interfaces.news(start + later, [bound].into_iter());
        assert_eq!(news(Duration::ZERO), Some(vec![bound]));
        assert_eq!(news(Duration::from_secs(1)), None, "not yet");
        assert_eq!(news(Duration::from_secs(60)), None, "nothing changed");
        let other = interfaces.news(start + Duration::from_secs(120), [].into_iter());
        assert_eq!(other, Some(Vec::new()));
    }
}
