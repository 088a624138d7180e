//! Why a peer is reached as it is, for people and programs.

use core::fmt;
use core::time::Duration;

use super::fresh::FreshPort;
use crate::net::Via;
use crate::pack::{Pack, Packer, Unpacker, pack, pack_enum, pack_plain};
use crate::time::Instant;

/// What carries packets to a peer, why, and what was tried to reach it directly.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// What carries packets to it; `None` before the first handshake.
    pub path: Option<Via>,
    /// Why this.
    pub reason: PathReason,
    /// Rounds of probes since the peer was last reached directly, or since the first handshake.
    pub rounds: u32,
    /// Packets sent in them to addresses that the peer named, or that it probed from.
    pub packets: u32,
    /// What is known of our NAT.
    pub our_nat: Nat,
    /// Whether a test showed that our NAT is spoilt by a packet that comes before one of ours, so that we have to move
    /// first. `None`: no server could help with a test ([`Endpoint::test_nat`](crate::Endpoint::test_nat), which is
    /// made by itself while direct ways are looked for).
    pub order_sensitive: Option<bool>,
    /// What the peer says of its own.
    pub peer_nat: Nat,
    /// The same of the peer's: false if it says so; `None` if its NAT is spoilt so, or it does not know.
    pub peer_order_sensitive: Option<bool>,
    /// Whether it was looked for from a port of ours that was never used before, which helps where a NAT is spoilt for the
    /// usual one.
    pub fresh_port: FreshPort,
    /// When a direct way is looked for again; `None`: not before something changes.
    pub next_retry: Option<Instant>,
}

pack!(Verdict:
    path, reason, rounds, packets, our_nat, order_sensitive, peer_nat, peer_order_sensitive, fresh_port, next_retry,
);

/// Why a peer is reached as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathReason {
    /// There was no handshake yet.
    Connecting,
    /// It was dialled directly, dialled us directly, or moved there.
    Direct,
    /// A probe found the direct way.
    #[non_exhaustive]
    Punched {
        /// How long the round took.
        after: Duration,
    },
    /// We look for no direct way: [`Punching`](crate::Punching) is off.
    Off,
    /// We look for none as long as our application had nothing to do with the peer.
    NotUsed,
    /// Probes are under way, or about to be.
    Trying,
    /// The peer does not look for a direct way.
    PeerDoesNotTry,
    /// The peer named no address that could be tried.
    NoCandidates,
    /// Both NATs give another port for every destination: no probe arrives.
    BothSymmetric,
    /// No probe was answered.
    NoAnswer,
}

impl Pack for PathReason {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        if let Self::Punched { after } = self {
            return (PUNCHED, *after).pack(into);
        }
        let at = PLAIN.iter().position(|plain| plain == self)?;
        into.byte(at as u8)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        match from.byte()? {
            PUNCHED => Duration::unpack(from).map(|after| Self::Punched { after }),
            plain => PLAIN.get(usize::from(plain)).copied(),
        }
    }

    pack_plain!();
}

/// How the one reason is written that has a field; all others by their place in [`PLAIN`].
const PUNCHED: u8 = 9;
const PLAIN: [PathReason; 9] = [
    PathReason::Direct,
    PathReason::Connecting,
    PathReason::Off,
    PathReason::NotUsed,
    PathReason::Trying,
    PathReason::PeerDoesNotTry,
    PathReason::NoCandidates,
    PathReason::BothSymmetric,
    PathReason::NoAnswer,
];

/// What is known of a NAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nat {
    /// Too few others said what they see.
    #[default]
    Unknown,
    /// There is none.
    None,
    /// All see the same address.
    Cone,
    /// Others see different addresses.
    Symmetric,
}

pack_enum!(Nat: Unknown, None, Cone, Symmetric);

impl fmt::Display for Verdict {
    /// One line: `direct 203.0.113.9:40112, punched in 118 ms`, `routed via nlu3...: both NATs are symmetric`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routed = match self.path {
            None => return f.write_str("not connected"),
            Some(Via::Direct(tuple)) => {
                write!(f, "direct {}", tuple.remote)?;
                false
            }
            Some(Via::Routed(route)) => {
                write!(f, "routed via {}", route.neighbour)?;
                true
            }
        };
        match self.reason {
            PathReason::Punched { after } if !routed => {
                write!(f, ", punched in {} ms", after.as_millis())
            }
            reason if routed => {
                write!(f, ": {}", reason.as_str())?;
                match (reason, self.fresh_port) {
                    (PathReason::NoAnswer, FreshPort::Tried) => {
                        f.write_str(", not from a fresh port either")
                    }
                    (PathReason::NoAnswer, FreshPort::LeftOut) => {
                        f.write_str(", and there was no fresh port to try")
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl PathReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "not connected yet",
            Self::Direct | Self::Punched { .. } => "the direct way was left",
            Self::Off => "no direct way is looked for",
            Self::NotUsed => "no direct way is looked for before a message",
            Self::Trying => "probing",
            Self::PeerDoesNotTry => "the peer does not look for a direct way",
            Self::NoCandidates => "the peer named no address that can be tried",
            Self::BothSymmetric => "both NATs are symmetric",
            Self::NoAnswer => "no probe was answered",
        }
    }
}
