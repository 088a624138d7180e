//! What became of a port that a router was asked for.

use std::fmt;
use std::net::SocketAddr;

/// What became of a port that a router was asked for. Shown as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortNews {
    /// The router forwards to us what comes to an address of its own.
    #[non_exhaustive]
    Open {
        /// Where others reach us. One that is not public is reached from the network before the router alone: there is
        /// another NAT.
        external: SocketAddr,
        /// How it was asked.
        protocol: PortProtocol,
    },
    /// No router forwards anything to us, or no longer. It is asked again every five minutes.
    #[non_exhaustive]
    Closed {
        /// Why, in words.
        reason: String,
    },
}

impl PortNews {
    /// Where others reach us; `None` if nowhere.
    #[must_use]
    pub const fn external(&self) -> Option<SocketAddr> {
        match self {
            Self::Open { external, .. } => Some(*external),
            Self::Closed { .. } => None,
        }
    }
}

impl fmt::Display for PortNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { external, protocol } => {
                write!(f, "the router forwards {external} to us ({protocol})")
            }
            Self::Closed { reason } => write!(f, "no router forwards a port to us: {reason}"),
        }
    }
}

/// How a router was asked for a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortProtocol {
    /// The Port Control Protocol, RFC 6887.
    Pcp,
    /// Its predecessor, RFC 6886.
    NatPmp,
    /// The service WANIPConnection or WANPPPConnection of an Internet Gateway Device.
    Upnp,
}

impl fmt::Display for PortProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
        })
    }
}
