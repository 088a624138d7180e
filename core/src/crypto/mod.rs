//! Identities, the handshake, session keys and everything else that needs a primitive.
//!
//! Everything here works on byte arrays and slices: the wire formats are not known here. Hashes and
//! Edwards points come from the same crates in every build; X25519 and the AEADs come from the
//! [`backend`] chosen by feature.

pub(crate) mod backend;
pub(crate) mod cookie;
pub(crate) mod hash;
pub(crate) mod identity;
#[cfg(feature = "serde")]
mod identity_serde;
pub(crate) mod keycache;
pub(crate) mod known;
pub(crate) mod mac;
pub(crate) mod network;
pub(crate) mod noise;
pub(crate) mod rng;
pub(crate) mod schedule;
pub(crate) mod transcript;

/// Bytes of an authentication tag, of the AEADs and of the packet MACs.
pub(crate) const TAG: usize = 16;
