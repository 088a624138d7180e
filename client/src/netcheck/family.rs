//! What one version of the internet protocol lets through.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use handfast_tokio::{
    Config, ConnectError, DisconnectOptions, EndReason, Endpoint, Identity, Listen, Peer, Target,
    Via, explain,
};
use tokio::time::timeout;

use super::nat::NatFound;
use super::silence::Silence;
use crate::path::canonical;

/// A version of the internet protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// What came of asking the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The server has no address of this family.
    NoAddress,
    /// This machine cannot send: why.
    Unable(String),
    /// Nobody answered: what else is known of it.
    Silent(Silence),
    /// Somebody answered, and does not talk to us: why.
    Answered(String),
    /// The server talked to us.
    Reached {
        /// Where it is.
        server: SocketAddr,
        /// Our own address on the way to it, where the system tells.
        own: Option<IpAddr>,
        /// The shortest round trip of a few.
        round_trip: Option<Duration>,
        /// What the NAT test found out, or why there was none.
        nat: Result<NatFound, String>,
    },
}

impl Family {
    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    const fn any(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// Asks the server at its addresses of this family. `ports` are its further ones; `None`: the two after its own.
    pub(super) async fn check(
        self,
        config: Config,
        identity: Identity,
        target: &Target,
        patience: Duration,
        ports: Option<[u16; 2]>,
    ) -> Found {
        let is_ours = |address: &SocketAddr| address.is_ipv4() == (self == Self::V4);
        let mut target = target.clone();
        target.addresses.retain(|address| is_ours(address));
        if target.addresses.is_empty() {
            return Found::NoAddress;
        }
        // The system's own word on it: without a route nothing would be sent, and silence would look the same.
        if let Some(error) = target.addresses.iter().find_map(|to| self.source(*to).err()) {
            return Found::Unable(explain(&error).to_string());
        }
        let listen = Listen::from(SocketAddr::from((self.any(), 0)));
        let endpoint = match Endpoint::bind(config, identity, listen) {
            Ok(endpoint) => endpoint,
            Err(error) => return Found::Unable(explain(&error).to_string()),
        };
        let first = target.addresses.first().copied();
        let answer = timeout(patience, endpoint.connect(target)).await;
        let found = match answer {
            Ok(Ok(peer)) => self.measure(&peer, patience, ports).await,
            Ok(Err(ConnectError::Ended(EndReason::DialTimeout))) | Err(_) => {
                Found::Silent(Silence::of(self.any(), first).await)
            }
            Ok(Err(error)) => failure(&error),
        };
        // The socket goes in any case.
        timeout(GOODBYE, endpoint.close(DisconnectOptions::default())).await.ok();
        found
    }

    async fn measure(self, peer: &Peer, patience: Duration, ports: Option<[u16; 2]>) -> Found {
        let mut round_trip = None;
        for _ in 0..PINGS {
            let Ok(Ok(time)) = timeout(patience, peer.ping()).await else { break };
            round_trip = Some(round_trip.map_or(time, |least: Duration| least.min(time)));
        }
        match peer.path() {
            Some(Via::Direct(tuple)) => {
                let server = canonical(tuple.remote);
                let own = self.source(server).ok();
                let nat = test_nat(peer, ports.unwrap_or_else(|| next_ports(server))).await;
                Found::Reached { server, own, round_trip, nat }
            }
            _ => Found::Answered("it parted at once".to_owned()),
        }
    }

    /// The address from which the system would send there. Nothing is sent.
    fn source(self, to: SocketAddr) -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind((self.any(), 0))?;
        socket.connect(to)?;
        Ok(socket.local_addr()?.ip().to_canonical())
    }
}

fn failure(error: &ConnectError) -> Found {
    match error {
        ConnectError::Ended(reason) => Found::Answered(reason.to_string()),
        error => Found::Unable(error.to_string()),
    }
}

async fn test_nat(peer: &Peer, ports: [u16; 2]) -> Result<NatFound, String> {
    match timeout(NAT_TEST, peer.test_nat(ports)).await {
        Ok(Ok(evidence)) => Ok(evidence.into()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it did not end within {NAT_TEST:?}")),
    }
}

/// The further ports of a server where nobody chose others.
const fn next_ports(server: SocketAddr) -> [u16; 2] {
    let port = server.port();
    // Beyond the last there are none, as at the server: nobody answers at port 0.
    [port.saturating_add(1), port.saturating_add(2)]
}

/// The test takes 3 seconds and a few round trips at most.
const NAT_TEST: Duration = Duration::from_secs(15);
/// How often the round trip is measured.
const PINGS: usize = 5;
/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(2);
