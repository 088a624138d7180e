//! What one shard of an endpoint hands to another, so that packets pass between their peers.

use super::queue::Passage;
use crate::event::ForwardRefusal;
use crate::{PeerHandle, PeerId};

/// A packet that a peer of one shard has for a peer of another, or the word that one did not pass. What it holds, only the
/// core understands: see [`Endpoint::take_handover`](crate::Endpoint::take_handover).
#[derive(Debug)]
pub struct Handover {
    shard: u8,
    pub(crate) content: Content,
}

/// For whom a packet is, and what is said of it.
#[derive(Debug)]
pub(crate) enum Content {
    /// A packet, and who sent it.
    Packet { from: PeerHandle, destination: PeerId, passage: Passage },
    /// A packet of this peer did not pass.
    Refused { to: PeerHandle, destination: PeerId, reason: ForwardRefusal },
}

impl Handover {
    /// A packet that is to pass to a peer of `shard`.
    pub(crate) const fn packet(
        shard: u8,
        from: PeerHandle,
        destination: PeerId,
        passage: Passage,
    ) -> Self {
        Self { shard, content: Content::Packet { from, destination, passage } }
    }

    /// A packet of a peer of another shard did not pass here.
    pub(crate) const fn refused(
        to: PeerHandle,
        destination: PeerId,
        reason: ForwardRefusal,
    ) -> Self {
        Self { shard: to.shard, content: Content::Refused { to, destination, reason } }
    }

    /// The number of the shard that is to get it.
    #[must_use]
    pub const fn shard(&self) -> u8 {
        self.shard
    }
}
