//! A wake at the driver's door.

use handfast_core::PeerHandle;

/// What handles, and other drivers, tell the driver without waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wake {
    /// Nobody was there to take this peer.
    Declined(PeerHandle),
    /// Another shard handed datagrams over.
    Datagrams,
    /// The peer's mailbox wants attention.
    Mailbox(PeerHandle),
}
