//! Whether packets are passed on between peers, and how many.

use alloc::collections::BTreeSet;

use super::rule::{Rule, rule};
use crate::PeerId;

/// Whether packets are passed on between peers that are connected to us, and how many.
///
/// What passes is sealed between the two ends: who passes it on sees their identities, times and
/// lengths. Nothing is repeated or kept; what is beyond a rate is dropped, and its sender is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forwarding {
    /// For whom. Default: nobody.
    pub policy: ForwardingPolicy,
    /// Bytes per second from one peer to another, 10,000 to 10^12. Default 2,500,000 (20 Mbit/s).
    pub pair_rate: u64,
    /// Bytes per second from one peer to all others, in the same limits. Default 5,000,000
    /// (40 Mbit/s).
    pub peer_rate: u64,
    /// Bytes per second in all, in the same limits. Default 12,500,000 (100 Mbit/s).
    pub total_rate: u64,
}

/// For whom packets are passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardingPolicy {
    /// For nobody.
    #[default]
    Nobody,
    /// Between any two peers that are connected to us.
    Anyone,
    /// Between any two of these.
    Only(BTreeSet<PeerId>),
}

impl ForwardingPolicy {
    /// Whether packets of and for `peer` are passed on.
    #[must_use]
    pub fn admits(&self, peer: &PeerId) -> bool {
        match self {
            Self::Nobody => false,
            Self::Anyone => true,
            Self::Only(peers) => peers.contains(peer),
        }
    }
}

impl Default for Forwarding {
    fn default() -> Self {
        Self {
            policy: ForwardingPolicy::Nobody,
            pair_rate: 2_500_000,
            peer_rate: 5_000_000,
            total_rate: 12_500_000,
        }
    }
}

impl Forwarding {
    pub(super) fn rules(&self) -> [Rule; 3] {
        let sound = |rate: u64| (10_000..=1_000_000_000_000).contains(&rate);
        [
            rule("forwarding.pair_rate", RATE, sound(self.pair_rate)),
            rule("forwarding.peer_rate", RATE, sound(self.peer_rate)),
            rule("forwarding.total_rate", RATE, sound(self.total_rate)),
        ]
    }
}

const RATE: &str = "must be 10,000 to 10^12 bytes per second";
