//! The name of a peer within an endpoint.

use crate::pack::pack;

/// Names a peer of one endpoint.
///
/// A plain value. It stays the same when the peer changes its address, its keys or restarts. After the
/// peer ended it names nothing: commands with it return `UnknownPeer`, queries return `None` or `false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerHandle {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}
pack!(PeerHandle: slot, generation);
