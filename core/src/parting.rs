//! What is remembered of a peer that we parted from. No key is in it.

use crate::PeerId;
use crate::disconnect::DisconnectReason;
use crate::time::Instant;

/// A peer that we parted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parting {
    pub(crate) id: PeerId,
    /// What names the peer's state about us: who has another is a new acquaintance.
    pub(crate) incarnation: u64,
    /// What we said to it.
    pub(crate) reason: DisconnectReason,
    /// Until then the peer may not have noticed.
    pub(crate) until: Instant,
}
