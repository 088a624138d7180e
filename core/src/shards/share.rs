//! What of an endpoint's choices each of its shards gets.

use alloc::sync::Arc;

use crate::config::{Budget, Config};

use super::Siblings;

impl Config {
    /// The choices for shard number `shard` of `of` that have this map in common. What the endpoint may spend on
    /// strangers, on memory and on packets of others is divided evenly, rounded up: a peer, a source or a stranger may find its shard full while
    /// another has room. Only the first takes part in the discovery of the local network.
    ///
    /// All shards need the same identity, the same [`cookie_secret`](Self::cookie_secret), and times that count from the
    /// same moment.
    #[must_use]
    pub fn for_shard(mut self, shard: u8, of: u16, siblings: Arc<dyn Siblings>) -> Self {
        let part = usize::from(of.max(1));
        let (limits, budgets) = (&mut self.limits, &mut self.budgets);
        for limit in [
            &mut limits.max_peers,
            &mut limits.max_peers_per_source,
            &mut limits.max_half_open,
            &mut limits.max_half_open_per_source,
        ] {
            *limit = limit.div_ceil(part);
        }
        let total = &mut self.forwarding.total_rate;
        *total = total.div_ceil(part as u64).max(LEAST_RATE);
        self.keys.active_keys = self.keys.active_keys.div_ceil(u32::from(of.max(1)));
        limits.max_memory = limits.max_memory.div_ceil(part as u64).max(LEAST_MEMORY);
        for budget in [
            &mut budgets.unvalidated,
            &mut budgets.unvalidated_per_source,
            &mut budgets.validated,
            &mut budgets.validated_per_source,
            &mut budgets.at_peers,
            &mut budgets.retries,
            &mut budgets.retries_per_share,
            &mut budgets.unknown_session,
        ] {
            let of = u32::from(of.max(1));
            *budget = Budget::new(budget.per_second.div_ceil(of), budget.burst.div_ceil(of));
        }
        budgets.sources = budgets.sources.div_ceil(part).max(FEWEST_SOURCES);
        if shard > 0 {
            (self.discovery.listen, self.discovery.announce) = (false, false);
        }
        self.shard = shard;
        self.siblings = Some(siblings);
        self
    }
}

/// As the rules of the configuration demand.
const LEAST_MEMORY: u64 = 1 << 20;
const LEAST_RATE: u64 = 10_000;
const FEWEST_SOURCES: usize = 8;
