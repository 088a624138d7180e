//! What was found, on one screen.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use handfast_tokio::TargetName;

use super::family::{Family, Found};

/// All that was found.
#[derive(Debug)]
pub(super) struct Report {
    server: TargetName,
    pub(super) families: Vec<(Family, Found)>,
}

impl Report {
    pub(super) const fn new(server: TargetName) -> Self {
        Self { server, families: Vec::new() }
    }

    /// Whether the server talked to us over any of them.
    pub(super) fn is_reached(&self) -> bool {
        self.families.iter().any(|(_, found)| matches!(found, Found::Reached { .. }))
    }

    fn udp(&self) -> &'static str {
        let heard = |(_, found): &(Family, Found)| {
            matches!(found, Found::Reached { .. } | Found::Answered(_))
        };
        if self.families.iter().any(heard) {
            "gets through"
        } else {
            "no answer: it is blocked, or the server does not run or does not know us"
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "server       {}", self.server)?;
        writeln!(f, "UDP          {}", self.udp())?;
        for (family, found) in &self.families {
            writeln!(f, "{}         {found}", family.name())?;
        }
        for (family, found) in &self.families {
            if let Some(nat) = nat(found) {
                writeln!(f, "NAT ({})   {nat}", family.name())?;
            }
        }
        writeln!(f, "port mapping not tried")
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("not tried: the server has no such address"),
            Self::Unable(why) => write!(f, "not from here: {why}"),
            Self::Silent => f.write_str(
                "no answer: nobody is there, a firewall drops packets, or the PeerId or the network secret \
                 differs",
            ),
            Self::Answered(why) => write!(f, "answered, and no more: {why}"),
            Self::Reached { server, own, round_trip } => {
                write!(f, "reached {server}")?;
                if let Some(own) = own {
                    write!(f, " from {own}")?;
                }
                match round_trip {
                    Some(time) => write!(f, ", round trip {time:.1?}"),
                    None => f.write_str(", pings are lost"),
                }
            }
        }
    }
}

/// What is known about a NAT between: all that addresses tell. `None` where nothing was reached.
fn nat(found: &Found) -> Option<&'static str> {
    let Found::Reached { server, own: Some(own), .. } = found else { return None };
    Some(match (is_private(*own), is_private(server.ip())) {
        (true, false) => "yes: the server is on the internet, and our address is private",
        (true, true) => {
            "not between us and the server, or not to be seen: both addresses are private"
        }
        (false, _) => "not to be seen: our own address is no private one",
    })
}

/// Whether an address means something inside of one network alone.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let is_shared = u32::from(ip) & SHARED_MASK == u32::from(SHARED);
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// What providers use towards their customers (RFC 6598): the first ten bits.
const SHARED: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 0);
const SHARED_MASK: u32 = 0xffc0_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reached(own: &str, server: &str) -> Found {
        Found::Reached {
            server: server.parse().expect("an address"),
            own: Some(own.parse().expect("an address")),
            round_trip: Some(Duration::from_millis(12)),
        }
    }

    #[test]
    fn a_private_address_of_ours_at_a_public_server_is_a_nat_and_nothing_else_is_claimed() {
        for (own, server, expected) in [
            ("192.168.1.5", "203.0.113.9:4263", "yes"),
            ("100.64.0.1", "203.0.113.9:4263", "yes"),
            ("fd00::1", "[2001:db8::1]:4263", "yes"),
            ("10.0.0.1", "10.0.0.2:4263", "not between"),
            ("127.0.0.1", "127.0.0.1:4263", "not between"),
            ("198.51.100.7", "203.0.113.9:4263", "not to be seen"),
            ("100.128.0.1", "203.0.113.9:4263", "not to be seen"),
        ] {
            let nat = nat(&reached(own, server)).expect("a word");
            assert!(nat.starts_with(expected), "{own}: {nat}");
        }
        assert_eq!(nat(&Found::Silent), None);
    }

    #[test]
    fn each_finding_is_a_line_and_silence_never_says_that_udp_gets_through() {
        let server: TargetName = "example.org:4263".parse().expect("a name");
        let report = |v4, v6| {
            let families = vec![(Family::V4, v4), (Family::V6, v6)];
            Report { families, ..Report::new(server.clone()) }
        };
        let good = report(reached("192.168.1.5", "203.0.113.9:4263"), Found::NoAddress);
        let text = good.to_string();
        let expected = "server       example.org:4263\n\
                        UDP          gets through\n\
                        IPv4         reached 203.0.113.9:4263 from 192.168.1.5, round trip 12.0ms\n\
                        IPv6         not tried: the server has no such address\n\
                        NAT (IPv4)   yes: the server is on the internet, and our address is private\n\
                        port mapping not tried\n";
        assert_eq!(text, expected);
        assert!(good.is_reached());
        let silent = report(Found::Silent, Found::Unable("no route".to_owned()));
        assert!(!silent.is_reached() && !silent.to_string().contains("gets through"));
        let refused = report(Found::Answered("full".to_owned()), Found::NoAddress);
        assert!(!refused.is_reached() && refused.to_string().contains("gets through"));
    }
}
