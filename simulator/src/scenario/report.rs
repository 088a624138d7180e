//! What a scenario reports.

use std::time::Duration;

use super::Fault;
use crate::faults::Faults;

/// What happened in a scenario, in which everything went as promised.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The seed that makes it happen again.
    pub seed: u64,
    /// The kinds of fault it was about.
    pub kinds: Vec<Fault>,
    /// How long it took in virtual time.
    pub simulated: Duration,
    /// How long pairs were connected, summed over the pairs.
    pub connected: Duration,
    /// How long after the last fault some pair was last seen apart, looking four times a second.
    pub recovered: Duration,
    /// Datagrams sent.
    pub datagrams: u64,
    /// Events that endpoints reported.
    pub events: u64,
    /// Packets and handshake messages sealed, each under a nonce of its own.
    pub seals: u64,
    /// Messages delivered to applications.
    pub delivered: u64,
    /// Handshakes completed, counted at both ends, not by nodes that restarted since.
    pub handshakes: u64,
    /// What the world did.
    pub faults: Faults,
    /// What the endpoints went through.
    pub seen: Seen,
    /// The fingerprint of the run.
    pub trace_hash: u64,
}

/// What really happened in a scenario, as seen by the endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// Datagrams were lost.
    pub loss: bool,
    /// Datagrams arrived out of order.
    pub reordering: bool,
    /// Keys were changed in a session.
    pub rekey: bool,
    /// A peer proved that it is at a new address.
    pub roaming: bool,
    /// A message larger than any datagram was delivered.
    pub fragmentation: bool,
    /// A peer that lost its state was noticed and shook hands anew.
    pub restart: bool,
    /// A peer was given up after the idle timeout.
    pub expiry: bool,
}

impl Seen {
    /// All flags by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, bool)> + use<> {
        [
            ("loss", self.loss),
            ("reordering", self.reordering),
            ("rekey", self.rekey),
            ("roaming", self.roaming),
            ("fragmentation", self.fragmentation),
            ("restart", self.restart),
            ("expiry", self.expiry),
        ]
        .into_iter()
    }
}

impl Report {
    /// Whether a kind of fault really happened.
    #[must_use]
    pub const fn happened(&self, kind: Fault) -> bool {
        let faults = &self.faults;
        match kind {
            Fault::Loss => faults.lost > 0,
            Fault::Bursts => faults.lost_in_bursts > 0,
            Fault::Reordering => faults.reordered > 0,
            Fault::Duplication => faults.duplicated > 0,
            Fault::Corruption => faults.corrupted > 0,
            Fault::Congestion => faults.queue_drops > 0 || faults.ce_marked > 0,
            Fault::Mtu => faults.mtu_drops > 0,
            Fault::Partition => faults.partition_drops > faults.one_way_drops,
            Fault::OneWay => faults.one_way_drops > 0,
            Fault::Expiry => faults.one_way_drops > 0 && self.seen.expiry,
            Fault::Nat => faults.nat_expiries > 0,
            Fault::NatReboot => faults.nat_reboots > 0 && faults.nat_mappings > 1,
            Fault::NewIdentity => faults.replacements > 0,
            Fault::Suspend => faults.suspensions > 0,
            Fault::Attack => faults.attacks() > 10,
            Fault::Rebind => faults.rebinds > 0,
            Fault::Restart => faults.restarts > 0,
            Fault::ClockJump => faults.clock_jumps > 0,
            Fault::Rekey => self.seen.rekey,
            Fault::Fragmentation => self.seen.fragmentation,
        }
    }

    /// What the scenario was about but did not see happen: then it proves little. Chance makes a few
    /// such among many thousands.
    #[must_use]
    pub fn shortfall(&self) -> Option<String> {
        if let Some(kind) = self.kinds.iter().find(|&&kind| !self.happened(kind)) {
            return Some(format!("it was about {kind:?}, which did not happen"));
        }
        let little = self.datagrams < DATAGRAMS || self.handshakes == 0;
        little.then(|| format!("only {} datagrams, {} handshakes", self.datagrams, self.handshakes))
    }
}

/// What a scenario comes to at least.
pub(super) const DATAGRAMS: u64 = 1_000;
