//! Values as they are written on a command line.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use handfast_udp::{Listen, explain};

/// A span of time, written as `500ms`, `60s` or `2m`.
///
/// # Errors
/// When it is none: shows one.
pub fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "not a time: write 60s, 2m or 500ms".to_owned())
}

/// Where to listen: written as `IP:PORT`, `HOST:PORT`, or `:PORT` for every address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenOn {
    /// On every address.
    All(u16),
    /// On these: a host may have several.
    At(Vec<SocketAddr>),
}

impl ListenOn {
    /// All of them together.
    #[must_use]
    pub fn merge(listed: &[Self]) -> Listen {
        if let [Self::All(port)] = listed {
            return Listen::all(*port);
        }
        let mut addresses = Vec::new();
        for item in listed {
            match item {
                Self::All(port) => addresses.push(SocketAddr::from(([0_u16; 8], *port))),
                Self::At(more) => addresses.extend(more),
            }
        }
        Listen::from(addresses)
    }
}

impl FromStr for ListenOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
            return Ok(Self::All(port));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::At(vec![address]));
        }
        let host = text.rsplit_once(':').filter(|(host, port)| {
            !host.is_empty() && !host.contains(':') && port.parse::<u16>().is_ok()
        });
        if host.is_none() {
            return Err(format!("not an address: {ADDRESSES}"));
        }
        let found = text.to_socket_addrs();
        let found = found.map_err(|error| format!("{}; {ADDRESSES}", explain(&error)))?;
        let mut addresses: Vec<_> = found.collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            Err("it has no address".to_owned())
        } else {
            Ok(Self::At(addresses))
        }
    }
}

const ADDRESSES: &str =
    "write IP:PORT, such as 0.0.0.0:4263 or [::]:4263, HOST:PORT, or :PORT for every address";

/// Whether a router is asked for a port, and which: written as `true`, `false`, or the router's `IP` or `IP:PORT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapPort {
    /// None is.
    #[default]
    No,
    /// The one by which this machine reaches the internet.
    Yes,
    /// This one.
    Of(SocketAddr),
}

impl MapPort {
    /// The router to ask, if any: `Some(None)` for the one by which this machine reaches the internet.
    #[must_use]
    pub const fn router(self) -> Option<Option<SocketAddr>> {
        match self {
            Self::No => None,
            Self::Yes => Some(None),
            Self::Of(router) => Some(Some(router)),
        }
    }
}

impl FromStr for MapPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let router = || {
            let at_usual_port = |ip: IpAddr| SocketAddr::new(ip, PORT_OF_PCP);
            text.parse().or_else(|_| text.parse().map(at_usual_port)).ok()
        };
        match text {
            "true" => Ok(Self::Yes),
            "false" => Ok(Self::No),
            _ => router().map(Self::Of).ok_or_else(|| ROUTERS.to_owned()),
        }
    }
}

/// Where routers listen for PCP and NAT-PMP.
const PORT_OF_PCP: u16 = 5351;

const ROUTERS: &str = "not a router: write true, false, or its address, such as 192.168.1.1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_is_chosen_by_its_address_or_not_at_all() {
        let of = |text: &str| Some(MapPort::Of(text.parse().expect("an address")));
        for (text, choice) in [
            ("true", Some(MapPort::Yes)),
            ("false", Some(MapPort::No)),
            ("192.168.1.1", of("192.168.1.1:5351")),
            ("127.0.0.1:7", of("127.0.0.1:7")),
            ("router", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<MapPort>().ok(), choice, "{text}");
        }
        assert_eq!(MapPort::Yes.router(), Some(None));
        assert_eq!(MapPort::No.router(), None);
    }

    #[test]
    fn a_place_to_listen_is_an_address_a_host_or_a_port() {
        let at = |text: &str| Some(ListenOn::At(vec![text.parse().expect("an address")]));
        for (text, place) in [
            (":0", Some(ListenOn::All(0))),
            (":4263", Some(ListenOn::All(4263))),
            ("127.0.0.1:1", at("127.0.0.1:1")),
            ("[::1]:2", at("[::1]:2")),
            ("4263", None),
            ("localhost", None),
            ("::1", None),
            ("::1:80", None),
            (":65536", None),
            (":", None),
        ] {
            assert_eq!(text.parse::<ListenOn>().ok(), place, "{text}");
        }
        let Ok(ListenOn::At(addresses)) = "localhost:4263".parse() else { panic!("no localhost") };
        assert!(
            addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 4263)
        );
        assert_eq!(ListenOn::merge(&[ListenOn::All(7)]), Listen::all(7));
        let both = ListenOn::merge(&[ListenOn::All(7), ListenOn::At(addresses.clone())]);
        let every = "[::]:7".parse().expect("an address");
        assert_eq!(both, Listen::from([vec![every], addresses].concat()));
    }
}
