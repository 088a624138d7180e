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
    /// Its identity, proved or expected; `None` while a dial by address has not learned it.
    pub id: Option<PeerId>,
    /// Its state.
    pub state: PeerState,
    /// Where it is, once connected.
    pub path: Option<Via>,
    /// When a packet of it was last authenticated.
    pub last_received: Option<Instant>,
    /// The path in numbers.
    pub path_stats: PathStats,
    /// What happened with it.
    pub stats: PeerStats,
}
