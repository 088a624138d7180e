//! The name of a peer within an endpoint.

/// Names a peer of one endpoint.
///
/// A plain value: it survives address changes, rekeys and restarts of the peer. After the peer
/// ended it names nothing, and every call with it says so or does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerHandle {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}
