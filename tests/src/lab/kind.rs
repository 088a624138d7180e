//! What can stand between a host and the rest of the world.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::oracle::{Behaviour, Closed, Filtering, Mapping, Reach};

/// What stands between a host and the rest of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Kind {
    /// Nothing: the host has a public address.
    None,
    /// A NAT that lets in whatever comes to a mapped port.
    FullCone,
    /// A NAT that lets in what comes from an address that was sent to.
    AddressRestricted,
    /// A NAT that lets in what comes from an address and port that was sent to, and drops the rest.
    PortDrop,
    /// The same, which tells strangers that there is nobody.
    PortReject,
    /// The same, which takes what strangers send for its own, and remembers it.
    PortAccept,
    /// A NAT with another port for each destination.
    Symmetric,
    /// A NAT as at home (`PortDrop`), behind another one of the provider.
    Carrier,
    /// A NAT that lets UDP out to the server alone.
    ServerOnly,
    /// A NAT that lets no UDP out.
    NoUdp,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 10] = [
        Self::None,
        Self::FullCone,
        Self::AddressRestricted,
        Self::PortDrop,
        Self::PortReject,
        Self::PortAccept,
        Self::Symmetric,
        Self::Carrier,
        Self::ServerOnly,
        Self::NoUdp,
    ];

    /// In the words of a table.
    #[must_use]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::FullCone => "full cone",
            Self::AddressRestricted => "address-restricted",
            Self::PortDrop => "port, drop",
            Self::PortReject => "port, reject",
            Self::PortAccept => "port, accept",
            Self::Symmetric => "symmetric",
            Self::Carrier => "CGN + cone",
            Self::ServerOnly => "UDP to server only",
            Self::NoUdp => "no UDP",
        }
    }

    /// What it must turn out to do when it is probed.
    #[must_use]
    pub(super) fn behaviour(self) -> Behaviour {
        let behaviour = |mapping, filtering, closed| Behaviour {
            reach: Reach::All,
            mapping,
            filtering,
            closed,
        };
        match self {
            Self::None => behaviour(Mapping::Independent, Filtering::Independent, Closed::Absent),
            Self::FullCone => {
                behaviour(Mapping::Independent, Filtering::Independent, Closed::Silent)
            }
            Self::AddressRestricted => {
                behaviour(Mapping::Independent, Filtering::Address, Closed::Silent)
            }
            Self::PortDrop | Self::Carrier => {
                behaviour(Mapping::Independent, Filtering::AddressAndPort, Closed::Silent)
            }
            Self::PortReject => {
                behaviour(Mapping::Independent, Filtering::AddressAndPort, Closed::Refused)
            }
            Self::PortAccept => {
                behaviour(Mapping::Independent, Filtering::AddressAndPort, Closed::Remembered)
            }
            Self::Symmetric => {
                behaviour(Mapping::Dependent, Filtering::AddressAndPort, Closed::Silent)
            }
            Self::ServerOnly => {
                Behaviour { reach: Reach::ServerOnly, ..Self::PortDrop.behaviour() }
            }
            Self::NoUdp => Behaviour { reach: Reach::Nothing, ..Self::PortDrop.behaviour() },
        }
    }

    /// The rules of its router, whose interface to the world is `wan`. None where there is no router.
    #[must_use]
    pub(super) fn rules(self, server: Ipv4Addr) -> Option<String> {
        let (nat, closed, barred) = match self {
            Self::None => return None,
            Self::FullCone => (FULL_CONE, "drop", String::new()),
            Self::AddressRestricted => (ADDRESS_RESTRICTED, "drop", String::new()),
            Self::PortDrop | Self::Carrier => (CONE, "drop", String::new()),
            Self::PortReject => (CONE, "reject", String::new()),
            Self::PortAccept => (CONE, "accept", String::new()),
            Self::Symmetric => (SYMMETRIC, "drop", String::new()),
            Self::ServerOnly => {
                let but = format!("oifname \"wan\" meta l4proto udp ip daddr != {server} drop");
                (CONE, "drop", but)
            }
            Self::NoUdp => (CONE, "drop", "oifname \"wan\" meta l4proto udp drop".to_owned()),
        };
        let mut rules = nat.to_owned();
        let written = write!(
            rules,
            "table ip firewall {{
              chain incoming {{
                type filter hook input priority 0; policy accept;
                iifname \"wan\" ct state established,related accept
                iifname \"wan\" {closed}
              }}
              chain passing {{
                type filter hook forward priority 0; policy accept;
                {barred}
                iifname \"wan\" ct state established,related accept
                iifname \"wan\" ct status dnat accept
                iifname \"wan\" drop
              }}
            }}
            "
        );
        written.ok().map(|()| rules)
    }
}

const CONE: &str = r#"table ip nat {
  chain post {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" masquerade
  }
}
"#;

const SYMMETRIC: &str = r#"table ip nat {
  chain post {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" masquerade fully-random
  }
}
"#;

const FULL_CONE: &str = r#"table ip nat {
  map mapped {
    type inet_service : ipv4_addr . inet_service
    flags dynamic,timeout
    timeout 300s
    size 65535
  }
  chain pre {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "wan" meta l4proto udp dnat to udp dport map @mapped
  }
  chain post {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" meta l4proto udp update @mapped { udp sport timeout 300s : ip saddr . udp sport }
    oifname "wan" masquerade
  }
}
"#;

const ADDRESS_RESTRICTED: &str = r#"table ip nat {
  map mapped {
    type inet_service : ipv4_addr . inet_service
    flags dynamic,timeout
    timeout 300s
    size 65535
  }
  set seen {
    type ipv4_addr . inet_service
    flags dynamic,timeout
    timeout 300s
    size 65535
  }
  chain noting {
    type filter hook forward priority 0; policy accept;
    oifname "wan" meta l4proto udp update @seen { ip daddr . udp sport timeout 300s }
  }
  chain pre {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "wan" meta l4proto udp ip saddr . udp dport @seen dnat to udp dport map @mapped
  }
  chain post {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" meta l4proto udp update @mapped { udp sport timeout 300s : ip saddr . udp sport }
    oifname "wan" masquerade
  }
}
"#;
