//! Who may shake hands with us.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::fmt;

use crate::PeerId;
use crate::net::Origin;

/// Who may shake hands with us. Asked after the initiator proved its identity, before any state is
/// kept for it.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Admission {
    /// Everyone.
    #[default]
    Anyone,
    /// Nobody: we only dial.
    Nobody,
    /// These peers.
    Only(BTreeSet<PeerId>),
    /// Whoever the function accepts. It should be quick, and must not change its mind for the same
    /// inputs if simulations are to be reproducible.
    Ask(Arc<AdmissionHook>),
}

/// Decides on an initiator by its identity and where it called from.
pub type AdmissionHook = dyn Fn(&PeerId, &Origin) -> bool + Send + Sync;

impl Admission {
    /// Whether `peer`, calling from `origin`, may come in.
    #[must_use]
    pub fn admits(&self, peer: &PeerId, origin: &Origin) -> bool {
        match self {
            Self::Anyone => true,
            Self::Nobody => false,
            Self::Only(peers) => peers.contains(peer),
            Self::Ask(hook) => hook(peer, origin),
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
