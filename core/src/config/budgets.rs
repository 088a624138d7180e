//! How much may be spent on initiators that are no peers yet.

use super::rule::{Rule, rule};

/// A token bucket: so much at once, and so much per second after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a token bucket is these two numbers")]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Budget {
    /// How many per second on average, 1 to 100,000. The time between two is rounded up to whole
    /// microseconds.
    pub per_second: u32,
    /// How many at once after a pause, 1 to 1,000,000 (the size of the bucket).
    pub burst: u32,
}

impl Budget {
    /// `per_second` on average, `burst` at once.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }

    fn is_sound(&self) -> bool {
        (1..=100_000).contains(&self.per_second) && (1..=1_000_000).contains(&self.burst)
    }
}

/// How much an endpoint does for initiators at most. So a flood of requests costs a bounded share of one
/// processor core, and a flood from few addresses keeps nobody else out.
///
/// A *source* is an IPv4 address or the first 64 bits of an IPv6 address. An initiator has *validated*
/// its address when its request carries a cookie that was sent there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Budgets {
    /// Handshakes with initiators that have not validated their address; beyond it they are asked for a
    /// cookie.
    /// Default 200 per second, 400 at once.
    pub unvalidated: Budget,
    /// The same per source. Default 10 per second, 20 at once.
    pub unvalidated_per_source: Budget,
    /// Handshakes with initiators that validated their address. The last half is kept for sources within
    /// `validated_per_source`, the last quarter for sources that were not served for 5 s. Default 2,000
    /// per second, 500 at once.
    pub validated: Budget,
    /// What each source that validated its address gets in any case. Default 10 per second, 20 at once.
    pub validated_per_source: Budget,
    /// Handshakes with initiators whose validated address is that of a peer with a session. They use
    /// this budget before `validated`, with the same parts kept for the same sources. Default 1,000 per
    /// second, 500 at once.
    pub at_peers: Budget,
    /// `HandshakeRetry` packets (which ask for a cookie or give our `PeerId`) and repeated responses: what
    /// all sources share beyond `retries_per_share`. Default 20,000 per second, 1,000 at once.
    pub retries: Budget,
    /// The same for each share of the sources, of which there are as many as `sources`. Default 8
    /// per second, 8 at once.
    pub retries_per_share: Budget,
    /// `UnknownSession` packets. Default 1,000 per second, 1,000 at once.
    pub unknown_session: Budget,
    /// How many sources are remembered at the same time, 8 to 1,048,576. Each takes 40 bytes, allocated
    /// when the first initiator comes. Default 4,096.
    pub sources: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            unvalidated: Budget::new(200, 400),
            unvalidated_per_source: Budget::new(10, 20),
            validated: Budget::new(2000, 500),
            validated_per_source: Budget::new(10, 20),
            at_peers: Budget::new(1000, 500),
            retries: Budget::new(20_000, 1000),
            retries_per_share: Budget::new(8, 8),
            unknown_session: Budget::new(1000, 1000),
            sources: 4096,
        }
    }
}

impl Budgets {
    pub(super) fn rules(&self) -> [Rule; 9] {
        let budget = |field, budget: Budget| rule(field, BUDGET, budget.is_sound());
        let sources = (8..=1 << 20).contains(&self.sources);
        [
            budget("budgets.unvalidated", self.unvalidated),
            budget("budgets.unvalidated_per_source", self.unvalidated_per_source),
            budget("budgets.validated", self.validated),
            budget("budgets.validated_per_source", self.validated_per_source),
            budget("budgets.at_peers", self.at_peers),
            budget("budgets.retries", self.retries),
            budget("budgets.retries_per_share", self.retries_per_share),
            budget("budgets.unknown_session", self.unknown_session),
            rule("budgets.sources", "must be 8 to 1,048,576", sources),
        ]
    }
}

const BUDGET: &str = "must be 1 to 100,000 per second and 1 to 1,000,000 at once";
