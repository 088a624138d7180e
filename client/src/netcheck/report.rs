//! What was found, on one screen.

use std::fmt;
use std::net::SocketAddr;

use handfast_tokio::TargetName;

use super::family::{Family, Found};
use super::nat::NatLines;
use super::port::PortFound;
use super::silence::Silence;

/// All that was found.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) server: TargetName,
    pub(super) families: Vec<(Family, Found)>,
    pub(super) port: PortFound,
}

impl Report {
    /// Whether the server talked to us over any of them.
    pub(super) fn is_reached(&self) -> bool {
        self.families.iter().any(|(_, found)| matches!(found, Found::Reached { .. }))
    }

    /// Where the server sees us over IPv4.
    fn observed(&self) -> Option<SocketAddr> {
        self.families.iter().find_map(|(family, found)| match found {
            Found::Reached { nat: Ok(nat), .. } if *family == Family::V4 => nat.observed,
            _ => None,
        })
    }

    fn udp(&self) -> &'static str {
        let mut silences = Vec::new();
        for (_, found) in &self.families {
            match found {
                Found::Reached { .. } | Found::Answered(_) => return "gets through",
                Found::Silent(silence) => silences.push(*silence),
                Found::NoAddress | Found::Unable(_) => {}
            }
        }
        if silences.contains(&Silence::Refused) {
            "refused: no server runs at that port, or a firewall on the way rejects UDP"
        } else if silences.contains(&Silence::AnswersTcp) {
            "blocked, unless the PeerId or the network secret is wrong: the host answers TCP, and not UDP"
        } else if silences.is_empty() {
            "not sent: nothing leads there from here"
        } else {
            "no answer, nor to TCP: the host is not there, or all packets are blocked"
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "server       {}", self.server)?;
        writeln!(f, "UDP          {}", self.udp())?;
        for (family, found) in &self.families {
            writeln!(f, "{}         {found}", family.name())?;
            let Found::Reached { own, nat, .. } = found else { continue };
            match nat {
                Ok(nat) => write!(f, "{}", NatLines { own: *own, found: nat })?,
                Err(why) => writeln!(f, "  NAT        not tested: {why}")?,
            }
        }
        writeln!(f, "port mapping {}", self.port.words(self.observed()))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("not tried: the server has no such address"),
            Self::Unable(why) => write!(f, "not from here: {why}"),
            Self::Silent(Silence::Refused) => f.write_str("refused: nobody listens there"),
            Self::Silent(Silence::AnswersTcp) => {
                f.write_str("no answer over UDP, though the host is there")
            }
            Self::Silent(Silence::Total) => f.write_str("no answer"),
            Self::Answered(why) => write!(f, "answered, and no more: {why}"),
            Self::Reached { server, own, round_trip, .. } => {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use handfast_tokio::{NatFiltering, NatMapping, PortProtocol};

    use super::super::nat::NatFound;
    use super::*;

    fn reached() -> Found {
        Found::Reached {
            server: "203.0.113.9:4263".parse().expect("an address"),
            own: Some([192, 168, 1, 5].into()),
            round_trip: Some(Duration::from_millis(12)),
            nat: Ok(NatFound {
                observed: Some("198.51.100.7:40000".parse().expect("an address")),
                mapping: Some(NatMapping::Same),
                filtering: Some(NatFiltering::SamePort),
                order_sensitive: Some(true),
                silent_ports: Vec::new(),
            }),
        }
    }

    fn report(v4: Found, v6: Found) -> Report {
        let families = vec![(Family::V4, v4), (Family::V6, v6)];
        let server = "example.org:4263".parse().expect("a name");
        Report { server, families, port: PortFound::NotTried }
    }

    #[test]
    fn one_screen_tells_all_of_it() {
        let external = "198.51.100.7:40001".parse().expect("an address");
        let port = PortFound::Works(external, PortProtocol::Pcp);
        let mut good = Report { port, ..report(reached(), Found::NoAddress) };
        let expected = "server       example.org:4263\n\
                        UDP          gets through\n\
                        IPv4         reached 203.0.113.9:4263 from 192.168.1.5, round trip 12.0ms\n  \
                          NAT        yes: seen at 198.51.100.7:40000\n  \
                          mapping    all ports of the server see the same one\n  \
                          filtering  lets in only the ports that we sent to\n  \
                          order      matters: a packet that comes too early spoils the way to its sender\n  \
                          direct     open peers: yes; behind a cone: yes; behind a symmetric NAT: no, by way of a server\n\
                        IPv6         not tried: the server has no such address\n\
                        port mapping works: the router forwards 198.51.100.7:40001 to us (PCP)\n";
        assert_eq!(good.to_string(), expected);
        assert!(good.is_reached());
        for (port, words) in [
            (PortFound::NotTried, "not tried\n"),
            (PortFound::None("nobody".to_owned()), "none: nobody\n"),
            (
                PortFound::Works("10.0.0.2:7".parse().expect("an address"), PortProtocol::Upnp),
                "works: the router forwards 10.0.0.2:7 to us (UPnP), but the server sees us at 198.51.100.7: \
                 another NAT is before the router\n",
            ),
        ] {
            good.port = port;
            let text = good.to_string();
            assert!(text.ends_with(&format!("port mapping {words}")), "{text}");
        }
    }

    #[test]
    fn silence_never_says_that_udp_gets_through_and_names_what_is_known() {
        for (silence, words) in [
            (Silence::Refused, "UDP          refused"),
            (Silence::AnswersTcp, "UDP          blocked, unless"),
            (Silence::Total, "UDP          no answer, nor to TCP"),
        ] {
            let silent = report(Found::Silent(silence), Found::Unable("no route".to_owned()));
            let text = silent.to_string();
            assert!(!silent.is_reached() && text.contains(words), "{text}");
            assert!(!text.contains("gets through") && !text.contains("mapping  "), "{text}");
        }
        let nowhere = report(Found::Unable("no route".to_owned()), Found::NoAddress).to_string();
        assert!(nowhere.contains("UDP          not sent"), "{nowhere}");
        let refused = report(Found::Answered("full".to_owned()), Found::NoAddress);
        assert!(!refused.is_reached() && refused.to_string().contains("gets through"));
    }
}
