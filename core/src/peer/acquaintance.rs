//! Who a peer is, and what the two ends know of each other's state. It outlives sessions.

use core::net::SocketAddr;

use crate::{PeerHandle, PeerId};

/// Who a peer is.
#[derive(Debug)]
pub(super) struct Acquaintance {
    pub(super) handle: PeerHandle,
    /// Peers are numbered in the order in which they were made.
    pub(super) number: u64,
    /// Its identity: validated, or what a dial expects.
    pub(super) id: Option<PeerId>,
    /// Tells our state about the peer from earlier ones that we lost; 0 until its identity is known.
    pub(super) incarnation: u64,
    /// The same of the peer, once it said so.
    pub(super) remote_incarnation: Option<u64>,
    /// The newest time at which the peer claimed to shake hands.
    pub(super) timestamp_ms: u64,
    /// A handshake that the peer initiated succeeded.
    pub(super) has_initiated: bool,
    /// The address under which the endpoint's table lists the peer.
    pub(super) listed_at: Option<SocketAddr>,
}

impl Acquaintance {
    /// A peer that said nothing yet. `incarnation` is what those who know it are told.
    pub(super) const fn new(
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
            timestamp_ms: 0,
            has_initiated: false,
            listed_at: None,
        }
    }
}
