//! Which shard a datagram is for.

use crate::wire::kind;

/// For which shard a datagram is, as far as its bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a datagram names a shard, or none")]
pub enum Steering {
    /// It names an index of this one.
    Shard(u8),
    /// It names none: wherever it arrives, it is looked at. What comes from one address should come to one shard, so that a
    /// repetition is known as such.
    Any,
}

/// Where a datagram is to be looked at, after a shard did so and found that it is not the one: see
/// [`Endpoint::take_redirect`](crate::Endpoint::take_redirect).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "one is known, or none")]
pub enum Redirect {
    /// By this one, which has the peer that sent it.
    Shard(u8),
    /// By every other: one of them may have a peer where it came from.
    Others,
}

/// For which of `shards` shards (1 to 256) a datagram is. It looks at two bytes: the type, and the lowest byte of the index
/// of the receiver where the type has one. Whether the rest is genuine is for the shard to find out.
#[must_use]
pub fn steer(datagram: &[u8], shards: u16) -> Steering {
    let (Some(kind), Some(shard)) = (datagram.first(), datagram.get(INDEX_AT)) else {
        return Steering::Any;
    };
    if names_receiver(*kind) && u16::from(*shard) < shards {
        Steering::Shard(*shard)
    } else {
        Steering::Any
    }
}

/// Whether packets of this type name an index that their receiver chose.
const fn names_receiver(kind: u8) -> bool {
    // An `UnknownSession` names an index of its sender.
    matches!(
        kind,
        kind::SEALED | kind::HANDSHAKE_RESPONSE | kind::HANDSHAKE_RETRY | kind::UNSUPPORTED_VERSION
    )
}

/// Where an index stands in every packet that has one. It is in little-endian order: its lowest byte comes first.
const INDEX_AT: usize = 4;
