//! How many peers and handshakes are kept.

use super::rule::{Rule, rule};

/// How many peers and handshakes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Limits {
    /// The most peers, connecting ones included, 1 to 4,194,304. Default 65,536: if all are used at one time, they take
    /// about 800 MB beside [`max_memory`](Self::max_memory); quiet ones take a tenth of that.
    ///
    /// When they are all there, a newcomer may get the place of a peer with which our application has nothing
    /// to do, if that comes from a network with more peers
    /// ([`EndReason::Evicted`](crate::EndReason::Evicted)); else it is refused. At most 50 peers a second
    /// go so, and for up to a second each is there beside the newcomer.
    pub max_peers: usize,
    /// The most peers that initiators from one IPv4 address or IPv6 network of 64 bits may add, once
    /// half of `max_peers` are taken: so one source never has more than half of them, or this if it is
    /// more. At least 1. Default 256.
    pub max_peers_per_source: usize,
    /// Bytes that the messages of all peers may take together: those that wait in send buffers or for
    /// `receive`, those in pieces, those that peers were told that they may send, and what is noted of which
    /// came. Above it each peer keeps 64 KiB in each direction, or a quarter of its even share of this if that
    /// is less (4 KiB by default), and one peer at a time may send us a larger message. What peers were told
    /// stands, so it can be exceeded by that. From three quarters on, peers that do not use what they were told are asked to
    /// give it up. At least 1 MiB. Default 1 GiB.
    ///
    /// A peer takes memory beside this: about 12 KB while it is used, and about 1 KB while it is quiet.
    pub max_memory: u64,
    /// The most unconfirmed incoming handshakes of strangers, about 1 KB each; those of peers, one
    /// each, come on top. At least 1. Default 1,024.
    pub max_half_open: usize,
    /// The most of these for one IPv4 address or IPv6 network of 64 bits, once a quarter of all is
    /// taken. At least 1. Default 16.
    pub max_half_open_per_source: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_peers: 1 << 16,
            max_peers_per_source: 256,
            max_memory: 1 << 30,
            max_half_open: 1024,
            max_half_open_per_source: 16,
        }
    }
}

impl Limits {
    pub(super) const fn rules(&self) -> [Rule; 6] {
        [
            rule("limits.max_peers", ONE, self.max_peers >= 1),
            rule("limits.max_peers", "must be at most 4,194,304", self.max_peers <= 1 << 22),
            rule("limits.max_peers_per_source", ONE, self.max_peers_per_source >= 1),
            rule("limits.max_memory", "must be at least 1 MiB", self.max_memory >= 1 << 20),
            rule("limits.max_half_open", ONE, self.max_half_open >= 1),
            rule("limits.max_half_open_per_source", ONE, self.max_half_open_per_source >= 1),
        ]
    }
}

const ONE: &str = "must be at least 1";
