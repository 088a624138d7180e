//! A peer as queries show it.

use crate::event::PeerState;
use crate::net::Via;
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
    /// What carries packets to it; `None` before the first handshake.
    pub path: Option<Via>,
    /// The longest message that can be sent to it, in bytes: the smaller limit of both ends, ours alone
    /// before the first handshake.
    pub max_message: u32,
    /// How many streams can be used towards it: our own limit before the first handshake.
    pub max_streams: u16,
    /// When a packet of the peer was last authenticated; `None` before the first.
    pub last_received: Option<Instant>,
    /// The path in numbers.
    pub path_stats: PathStats,
    /// What happened with this peer so far.
    pub stats: PeerStats,
}
