//! Who a peer is, and what the two ends know of each other's state. It outlives sessions.

use core::net::SocketAddr;

use crate::info::Direction;
use crate::recovery::PacketSpaces;
use crate::time::Instant;
use crate::{PeerHandle, PeerId};

/// Who a peer is.
#[derive(Debug)]
pub(super) struct Acquaintance {
    pub(super) handle: PeerHandle,
    /// Peers are numbered in the order in which they were made.
    pub(super) number: u64,
    /// Its identity: validated, or what a dial expects.
    pub(super) id: Option<PeerId>,
    /// Names our state about the peer, unlike any that we lost; 0 until its identity is known.
    pub(super) incarnation: u64,
    /// The same of the peer, once it said so.
    remote_incarnation: Option<u64>,
    /// The path ids used since both ends keep their state.
    pub(super) spaces: PacketSpaces,
    /// The greatest timestamp that a confirmed handshake of the peer had.
    pub(super) timestamp_ms: u64,
    /// When the first handshake succeeded, and who initiated it.
    pub(super) met: Option<(Instant, Direction)>,
    /// A handshake that the peer initiated succeeded.
    pub(super) has_initiated: bool,
    /// The address under which the endpoint's table lists the peer.
    pub(super) listed_at: Option<SocketAddr>,
}

impl Acquaintance {
    /// A peer that said nothing yet. `incarnation` is ours for this peer.
    pub(super) fn new(
        handle: PeerHandle,
        number: u64,
        id: Option<PeerId>,
        incarnation: u64,
    ) -> Self {
        Self {
            handle,
            number,
            id,
            incarnation,
            remote_incarnation: None,
            spaces: PacketSpaces::default(),
            timestamp_ms: 0,
            met: None,
            has_initiated: false,
            listed_at: None,
        }
    }

    /// What names the peer's state about us, once it said so.
    pub(super) const fn remote_incarnation(&self) -> Option<u64> {
        self.remote_incarnation
    }

    /// Whether the peer still has the state that we know of.
    pub(super) fn is_known_as(&self, remote_incarnation: u64) -> bool {
        self.remote_incarnation == Some(remote_incarnation)
    }

    /// The peer has no state about us but what begins now: path ids start over, too.
    pub(super) fn start_over(&mut self, remote_incarnation: u64) {
        self.remote_incarnation = Some(remote_incarnation);
        self.spaces = PacketSpaces::default();
    }
}
