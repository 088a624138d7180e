//! What many meetings of peers behind NATs came to.

use std::collections::BTreeMap;
use std::time::Duration;

use handfast_sim::{MeetingReport, Site};

/// Sums, the same in whatever order they come.
#[derive(Default)]
pub(crate) struct Meetings {
    /// Of each pair of kinds: those that were direct at last, and those that stayed routed.
    pairs: BTreeMap<[Site; 2], [u64; 2]>,
    troubled: u64,
    /// Pairs that could be direct, and were not.
    missed: u64,
    delivered: u64,
    datagrams: u64,
    packets: u32,
    mappings: u64,
    slowest: Duration,
}

impl Meetings {
    pub(crate) fn add(&mut self, report: &MeetingReport) {
        let mut sites = report.sites;
        sites.sort_unstable();
        self.pairs.entry(sites).or_default()[usize::from(!report.direct)] += 1;
        self.troubled += u64::from(report.troubled);
        self.missed += u64::from(report.punchable && !report.direct);
        self.delivered += report.delivered;
        self.datagrams += report.datagrams;
        self.packets = self.packets.max(report.packets);
        self.mappings = self.mappings.max(report.mappings);
        self.slowest = self.slowest.max(report.recovered.unwrap_or_default());
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (sites, [direct, routed]) in other.pairs {
            let mine = self.pairs.entry(sites).or_default();
            (mine[0], mine[1]) = (mine[0] + direct, mine[1] + routed);
        }
        self.troubled += other.troubled;
        self.missed += other.missed;
        self.delivered += other.delivered;
        self.datagrams += other.datagrams;
        self.packets = self.packets.max(other.packets);
        self.mappings = self.mappings.max(other.mappings);
        self.slowest = self.slowest.max(other.slowest);
    }

    pub(crate) fn print(&self) {
        println!(
            "\ntwo peers behind NATs, who meet by way of relays: direct at last, routed at last"
        );
        for ([one, other], [direct, routed]) in &self.pairs {
            println!("{:<40} {direct:>8} {routed:>8}", format!("{one:?} x {other:?}"));
        }
        let Self { troubled, missed, delivered, datagrams, packets, mappings, slowest, .. } = self;
        println!("{troubled} with troubles; {delivered} messages delivered, {datagrams} datagrams");
        println!(
            "{missed} that could be direct were not, after a NAT that strangers spoil, or the other, forgot a mapping"
        );
        println!(
            "direct {slowest:?} after the last trouble or sooner, {packets} packets of a search and \
             {mappings} mappings of a NAT at most"
        );
    }
}
