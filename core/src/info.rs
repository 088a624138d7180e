//! A peer as queries show it.

use alloc::boxed::Box;

use crate::event::PeerState;
use crate::net::Via;
use crate::pack::pack_enum;
use crate::punch::Verdict;
use crate::stats::{PathStats, PeerStats};
use crate::time::Instant;
use crate::{PeerHandle, PeerId};

/// A peer as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Its handle.
    pub handle: PeerHandle,
    /// Its identity: authenticated by a handshake, or expected by a dial. `None` while a dial by address
    /// has not learned it.
    pub id: Option<PeerId>,
    /// Its state.
    pub state: PeerState,
    /// What carries data to it; `None` before the first handshake.
    pub path: Option<Via>,
    /// The longest message that can be sent to it, in bytes: the smaller limit of both ends, ours alone
    /// before the first handshake.
    pub max_message: u32,
    /// How many streams can be used towards it: our own limit before the first handshake.
    pub max_streams: u16,
    /// Bytes of messages that are queued for it or not acknowledged, 64 for each message included.
    pub queued: u64,
    /// The longest reliable message that `send` takes now, in bytes, on a channel with none that is queued or
    /// not acknowledged; 0 if it would be `Blocked`, but for an empty one. A channel with such messages has less
    /// room: it leaves as much as it holds to the others.
    pub room: u64,
    /// When the handshake succeeded that began this acquaintance; `None` before.
    pub connected_since: Option<Instant>,
    /// Who began it; `None` before.
    pub direction: Option<Direction>,
    /// When a packet of the peer was last authenticated; `None` before the first.
    pub last_received: Option<Instant>,
    /// Why that carries packets to it, and what was tried to reach it directly. Its `Display` is one line.
    pub verdict: Verdict,
    /// The path in numbers.
    pub path_stats: PathStats,
    /// Another path to it, which takes over when `path` fails; `None` if there is none, as with most peers: so it is apart.
    pub standby: Option<Box<StandbyPath>>,
    /// What happened with this peer so far.
    pub stats: PeerStats,
}

/// A route to a peer that is not reached directly, or not that way alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The peer at its end.
    pub destination: PeerId,
    /// The neighbour that its packets are given to; the destination itself if that is one.
    pub next_hop: PeerId,
    /// How far it is: at least 16 a hop, more for slow and lossy links.
    pub metric: u16,
}

/// A path to a peer beside the one that data takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StandbyPath {
    /// What carries packets on it.
    pub path: Via,
    /// Whether the peer answered there when it last should have.
    pub is_answering: bool,
    /// The path in numbers.
    pub stats: PathStats,
}

impl StandbyPath {
    pub(crate) const fn new(path: Via, is_answering: bool, stats: PathStats) -> Self {
        Self { path, is_answering, stats }
    }
}

/// Who initiated the handshake by which two peers met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Direction {
    /// The other end did.
    Inbound,
    /// We did.
    Outbound,
}

pack_enum!(Direction: Inbound, Outbound);
