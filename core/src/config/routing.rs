//! Whether peers that are several hops away are reached, and by way of whom.

use alloc::collections::BTreeSet;

use super::rule::{Rule, rule};
use crate::PeerId;

/// Whether peers that are several hops away are reached, and by way of whom.
///
/// Endpoints that forward ([`Forwarding`](super::Forwarding)) and name each other in `transit` tell each other
/// who can be reached, and pass packets on towards them. Each endpoint that is to be reached tells of itself,
/// signed with its own key. Its neighbours, and theirs, learn that it is there; whoever carries packets sees both ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Routing {
    /// Whether neighbours that know routes are told of us, so that peers several hops away reach us, and answers
    /// reach us when we dial them. Default: false.
    pub announce: bool,
    /// Neighbours with which routes are exchanged, and whose word is taken for the source of a packet that they pass
    /// on. At most 64. Default: none.
    pub transit: BTreeSet<PeerId>,
}

impl Routing {
    /// Whether a table of routes is kept at all.
    pub(crate) fn is_on(&self) -> bool {
        self.announce || !self.transit.is_empty()
    }

    pub(super) fn rules(&self, forwards: bool) -> [Rule; 2] {
        let (few, none) = (self.transit.len() <= MAX_TRANSIT, self.transit.is_empty());
        [
            rule("routing.transit", "must be at most 64 peers", few),
            rule("routing.transit", "must be empty without", none || forwards)
                .than("forwarding.policy"),
        ]
    }
}

/// Each of them is told everything.
const MAX_TRANSIT: usize = 64;
