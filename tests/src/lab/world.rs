//! A small internet: a server, somebody else, and two sites with a host each.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::Kind;
use super::network::Network;
use super::switch::{Port, Switch};

/// A server, somebody else, and two sites, connected by a `Switch`.
#[derive(Debug)]
pub(super) struct World {
    /// Where the server runs.
    pub(super) server: Network,
    /// Somebody else: observes, and is a second server where one is wanted.
    pub(super) bystander: Network,
    /// The sites.
    pub(super) sites: [Site; 2],
    /// What is between all of them.
    pub(super) switch: Switch,
}

/// A host, and what stands between it and the rest of the world.
#[derive(Debug)]
pub(super) struct Site {
    /// What stands there.
    pub(super) kind: Kind,
    /// The host.
    pub(super) host: Network,
    /// The NAT next to the world; the host itself if there is none.
    pub(super) edge: Network,
    /// Its address in the world.
    pub(super) address: Ipv4Addr,
    /// What is between the host and the edge: it lives as long as this.
    _home: Option<Network>,
}

impl World {
    /// Builds it. Nothing is delayed or lost yet.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn new(kinds: [Kind; 2], seed: u64) -> io::Result<Self> {
        let (server, bystander) = (Network::new()?, Network::new()?);
        let mut ports = Vec::new();
        let mut connect = |network: &Network, address: Ipv4Addr| {
            let device = network.uplink("wan", &format!("{address}/32"))?;
            ports.push(Port { device, address });
            io::Result::Ok(())
        };
        connect(&server, SERVER)?;
        connect(&bystander, BYSTANDER)?;
        let mut sites = Vec::new();
        for (number, kind) in (0_u8..).zip(kinds) {
            let site = Site::new(number, kind)?;
            connect(&site.edge, site.address)?;
            sites.push(site);
        }
        let sites = sites.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Self { server, bystander, sites, switch: Switch::start(ports, seed)? })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The switch ends with the devices.
        let edges = self.sites.iter().map(|site| &site.edge);
        for network in edges.chain([&self.server, &self.bystander]) {
            if let Err(error) = network.ip("link del wan") {
                eprintln!("left behind: {error}");
            }
        }
    }
}

impl Site {
    /// A site whose edge has no `wan` yet.
    fn new(number: u8, kind: Kind) -> io::Result<Self> {
        let host = Network::new()?;
        // Servers that give ports take none of the networks that are for examples for the internet.
        let net = if number == 0 { [198, 51, 100] } else { [44, 128, 0] };
        let address = Ipv4Addr::new(net[0], net[1], net[2], 11 + number);
        let Some(rules) = kind.rules(SERVER) else {
            return Ok(Self { kind, edge: host.clone(), host, address, _home: None });
        };
        let home = router(&rules)?;
        plug(&home, "lan", &host, "eth0", [192, 168, 1 + number])?;
        if kind != Kind::Carrier {
            return Ok(Self { kind, host, edge: home, address, _home: None });
        }
        let carrier = router(&rules)?;
        plug(&carrier, "lan", &home, "wan", [100, 64, number])?;
        Ok(Self { kind, host, edge: carrier, address, _home: Some(home) })
    }

    /// Forgets every mapping, as a router that is started anew.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn forget_mappings(&self) -> io::Result<()> {
        self.edge.feed("conntrack", &["-F"], "").map(drop)
    }

    /// Has another address in the world from now on, without a word to anyone.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn move_to(&mut self, last: u8) -> io::Result<()> {
        let [a, b, c, _] = self.address.octets();
        let new = Ipv4Addr::new(a, b, c, last);
        self.edge
            .ip(&format!("addr del {}/32 dev wan\naddr add {new}/32 dev wan", self.address))?;
        self.address = new;
        // The kernel takes a device's routes with its last address.
        self.edge.ip("route replace default dev wan")
    }

    /// Lets nothing of `from` in any more.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn shut_out(&self, from: Ipv4Addr) -> io::Result<()> {
        self.edge.nft(&format!(
            "table ip shut {{
              chain in {{
                type filter hook prerouting priority -300; policy accept;
                iifname \"wan\" ip saddr {from} drop
              }}
            }}
            "
        ))
    }
}

fn router(rules: &str) -> io::Result<Network> {
    let router = Network::new()?;
    router.set("ipv4/ip_forward", "1")?;
    router.nft(rules)?;
    Ok(router)
}

/// A cable: `upper` gets the first address, and is the way of `lower` to everywhere.
pub(super) fn plug(
    upper: &Network,
    upper_name: &str,
    lower: &Network,
    lower_name: &str,
    net: [u8; 3],
) -> io::Result<()> {
    let [a, b, c] = net;
    upper.ip(&format!(
        "link add {upper_name} type veth peer name {lower_name} netns {}\n\
         addr add {a}.{b}.{c}.1/24 dev {upper_name}\nlink set {upper_name} up",
        lower.path()
    ))?;
    lower.ip(&format!(
        "addr add {a}.{b}.{c}.2/24 dev {lower_name}\nlink set {lower_name} up\n\
         route add default via {a}.{b}.{c}.1"
    ))
}

/// The time of a packet from one network to another.
pub(super) const DELAY: Duration = Duration::from_millis(10);
/// The address of the server.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The address of somebody else.
pub(super) const BYSTANDER: Ipv4Addr = Ipv4Addr::new(203, 0, 114, 1);
