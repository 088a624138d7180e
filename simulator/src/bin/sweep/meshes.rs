//! What many meshes came to.

use std::time::Duration;

use handfast_sim::MeshReport;

/// Leaves that talk over several hops.
#[derive(Default)]
pub(crate) struct Meshes {
    troubled: u64,
    delivered: u64,
    datagrams: u64,
    returned: u64,
    hops: usize,
    slowest: Duration,
}

impl Meshes {
    pub(crate) fn add(&mut self, mesh: &MeshReport) {
        let MeshReport { troubled, delivered, datagrams, returned, hops, recovered, .. } = *mesh;
        let (troubled, slowest) = (u64::from(troubled), recovered);
        self.merge(&Self { troubled, delivered, datagrams, returned, hops, slowest });
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.troubled += other.troubled;
        self.delivered += other.delivered;
        self.datagrams += other.datagrams;
        self.returned += other.returned;
        self.hops = self.hops.max(other.hops);
        self.slowest = self.slowest.max(other.slowest);
    }

    pub(crate) fn print(&self) {
        let Self { troubled, delivered, datagrams, returned, hops, slowest } = self;
        println!("\nleaves that talk over several hops, in meshes:");
        println!("{troubled} with troubles; {delivered} messages delivered, {datagrams} datagrams");
        println!("{hops} nodes passed a packet on at most; {returned} packets came to one twice");
        println!("all connected {slowest:?} after the last trouble or sooner");
    }
}
