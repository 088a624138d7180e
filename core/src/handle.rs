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
    pub(crate) shard: u8,
}
pack!(PeerHandle: slot, generation, shard);

impl PeerHandle {
    /// The number of the endpoint whose peer it names, among the shards of an endpoint ([`Config::shard`]); else 0.
    ///
    /// [`Config::shard`]: crate::Config::shard
    #[must_use]
    pub const fn shard(&self) -> u8 {
        self.shard
    }
}
