//! What the endpoint tells the application.

use alloc::string::String;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use crate::delivery::{Fate, MessageId};
use crate::net::{SocketId, Via};
use crate::{PeerHandle, PeerId, Violation};

/// Something the application may want to know. Events of one peer come in the order of causes:
/// `Connected` first, then the rest, `Ended` last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The handshake succeeded; `id` is proved.
    Connected {
        /// The peer.
        peer: PeerHandle,
        /// Its identity.
        id: PeerId,
        /// Where it is.
        path: Via,
    },
    /// The peer is gone. No further event names it, and its handle is good only to `receive` what
    /// arrived before, for a while.
    Ended {
        /// The peer.
        peer: PeerHandle,
        /// Its identity, unless a dial by address ended before learning it.
        id: Option<PeerId>,
        /// Why.
        reason: EndReason,
    },
    /// The fate of a message. Reported for every message that asked for a receipt, and for every
    /// reliable message whose fate is not `Acked`.
    Fate {
        /// The peer it was sent to.
        peer: PeerHandle,
        /// The message, as named by `send`.
        message: MessageId,
        /// What became of it.
        fate: Fate,
    },
    /// Another socket is wanted. This is for the driver: it answers with
    /// [`socket_opened`](crate::Endpoint::socket_opened), or with
    /// [`socket_closed`](crate::Endpoint::socket_closed) if it cannot open one.
    #[non_exhaustive]
    OpenSocket {
        /// What the socket is to be called.
        socket: SocketId,
        /// What to bind it to. Port zero stands for a port that the system chooses.
        address: SocketAddr,
    },
    /// The peer moved to another address and proved that it is there.
    PathChanged {
        /// The peer.
        peer: PeerHandle,
        /// Where it is now.
        path: Via,
    },
    /// The answer to a ping.
    Pong {
        /// The peer.
        peer: PeerHandle,
        /// What `ping` returned.
        ping: PingId,
        /// The round-trip time of this ping.
        rtt: Duration,
    },
    /// `receive` has messages. Told again only after `receive` returned `None`.
    Readable {
        /// The peer.
        peer: PeerHandle,
    },
    /// The peer lost its state (it restarted, or had given us up) and shook hands anew. Streams
    /// start over; messages under way ended as `Fate::Unknown`.
    Restarted {
        /// The peer.
        peer: PeerHandle,
    },
    /// The peer's state changed. Changes between two polls are reported once, as the newest state.
    StateChanged {
        /// The peer.
        peer: PeerHandle,
        /// Its state now.
        state: PeerState,
    },
    /// `send` was `Blocked` and has room again.
    Writable {
        /// The peer.
        peer: PeerHandle,
    },
}

impl Event {
    /// The peer the event is about; `None` for `OpenSocket`.
    #[must_use]
    pub const fn peer(&self) -> Option<PeerHandle> {
        match self {
            Self::Connected { peer, .. }
            | Self::Ended { peer, .. }
            | Self::Fate { peer, .. }
            | Self::PathChanged { peer, .. }
            | Self::Pong { peer, .. }
            | Self::Readable { peer }
            | Self::Restarted { peer }
            | Self::StateChanged { peer, .. }
            | Self::Writable { peer } => Some(*peer),
            Self::OpenSocket { .. } => None,
        }
    }
}

/// Where a peer is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerState {
    /// Being dialled.
    Connecting,
    /// Shaken hands, and heard from lately.
    Connected,
    /// Shaken hands, but it no longer answers. Traffic brings it back, the idle timeout ends it.
    Silent,
    /// Disconnecting: queued messages are flushed, then the acknowledgement of the `Disconnect` is awaited.
    Closing,
    /// Gone.
    Expired,
}

/// Names a ping that is under way, unique per peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PingId(pub(crate) u64);

/// Why a peer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The dial did not succeed within `Config::timers.connect_timeout`.
    DialTimeout,
    /// We disconnected. `acknowledged` tells whether the peer acknowledged the `Disconnect`, and with it
    /// all reliable messages before it.
    Disconnected {
        /// The peer confirmed.
        acknowledged: bool,
    },
    /// Nothing was heard for the idle timeout.
    IdleTimeout,
    /// Another handle names the same peer: use that one.
    Merged {
        /// The handle that lives on.
        into: PeerHandle,
    },
    /// The one who answered a dial by address is this endpoint itself.
    OwnIdentity,
    /// The peer disconnected.
    PeerDisconnected(DisconnectReason),
    /// The peer, though authenticated, broke the protocol.
    Violation(Violation),
}

/// What a disconnecting peer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DisconnectReason {
    /// An application code; 0 when there is nothing to say. Codes from 0xff00 belong to the protocol.
    pub code: u16,
    /// Words for a human, at most 64 bytes.
    pub reason: String,
}

impl DisconnectReason {
    /// The longest reason, in bytes of UTF-8.
    pub const MAX_REASON: usize = 64;

    /// The highest code of an application.
    pub const MAX_CODE: u16 = 0xfeff;

    /// A reason with a code, at most [`MAX_CODE`](Self::MAX_CODE), and a reason, which is cut at 64
    /// bytes (at a character boundary).
    #[must_use]
    pub fn new(code: u16, reason: &str) -> Self {
        Self::with_any_code(code.min(Self::MAX_CODE), reason)
    }

    /// The same with a code that may be the protocol's.
    pub(crate) fn with_any_code(code: u16, reason: &str) -> Self {
        let fits = |end: &usize| *end <= Self::MAX_REASON;
        let ends = reason.char_indices().map(|(at, c)| at + c.len_utf8());
        let end = ends.take_while(fits).last().unwrap_or(0);
        Self { code, reason: String::from(&reason[..end]) }
    }
}

/// How to part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisconnectOptions {
    /// What to tell the peer.
    pub reason: DisconnectReason,
    /// How long queued messages may still be sent, and reliable ones acknowledged, before that.
    /// Zero drops them at once. A peer that is still being dialled ends at once in any case.
    pub linger: Duration,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DialTimeout => f.write_str("the dial timed out"),
            Self::Disconnected { acknowledged: true } => f.write_str("disconnected"),
            Self::Disconnected { acknowledged: false } => f.write_str("disconnected, unconfirmed"),
            Self::IdleTimeout => f.write_str("idle timeout"),
            Self::OwnIdentity => f.write_str("the address leads to this endpoint itself"),
            Self::Merged { .. } => f.write_str("merged with an older handle of the same peer"),
            Self::PeerDisconnected(reason) => {
                write!(f, "the peer disconnected (code {}: {:?})", reason.code, reason.reason)
            }
            Self::Violation(violation) => write!(f, "the peer broke the protocol: {violation}"),
        }
    }
}
