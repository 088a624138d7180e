//! Who may shake hands with us.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::fmt;

use crate::PeerId;
use crate::net::Via;

/// Who may shake hands with us. The endpoint asks after it authenticated the initiator and before it
/// keeps any state for it. It does not limit whom we dial.
///
/// Peers that were let in as one of `Only` or by `Ask` are never [evicted](crate::EndReason::Evicted).
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Admission {
    /// Everyone.
    #[default]
    Anyone,
    /// Nobody: this endpoint only dials.
    Nobody,
    /// These peers.
    Only(BTreeSet<PeerId>),
    /// Whoever the function returns `true` for. It should be quick. For simulations that can be
    /// repeated, it must return the same for the same inputs.
    Ask(Arc<AdmissionHook>),
}

/// Decides on an initiator by its identity and by what carried its request here: `true` lets it in.
pub type AdmissionHook = dyn Fn(&PeerId, &Via) -> bool + Send + Sync;

impl Admission {
    /// Whether `peer` may shake hands, with a request that came by `via`.
    #[must_use]
    pub fn admits(&self, peer: &PeerId, via: &Via) -> bool {
        match self {
            Self::Anyone => true,
            Self::Nobody => false,
            Self::Only(peers) => peers.contains(peer),
            Self::Ask(hook) => hook(peer, via),
        }
    }

    /// Whether the application chose this peer. What a hook lets in, it chose.
    pub(crate) fn names(&self, peer: &PeerId) -> bool {
        match self {
            Self::Anyone | Self::Nobody => false,
            Self::Only(peers) => peers.contains(peer),
            Self::Ask(_) => true,
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("Anyone"),
            Self::Nobody => f.write_str("Nobody"),
            Self::Only(peers) => write!(f, "Only({} peers)", peers.len()),
            Self::Ask(_) => f.write_str("Ask(..)"),
        }
    }
}
