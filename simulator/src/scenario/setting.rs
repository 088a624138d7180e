//! The world that a plan asks for, and whatever is handed out to it: addresses, identities.

use std::net::{IpAddr, SocketAddr};

use handfast_core::{Config, Identity, PeerId};

use super::plan::Plan;
use crate::attacker::{Acts, Attacker};
use crate::machine::NodeSetup;
use crate::nat::NatId;
use crate::rng::Rng;
use crate::world::World;

/// Where new things come from while a scenario runs.
pub(super) struct Setting {
    pub(super) rng: Rng,
    /// Addresses handed out, so that each is new.
    addresses: u32,
    /// All leaves are behind these.
    pub(super) nats: Vec<NatId>,
}

impl Setting {
    pub(super) fn new(seed: u64) -> Self {
        // Apart from the plan's numbers, or planning differently would change everything else.
        let rng = Rng::from_seed(seed ^ 0x7261_6666_6963_2121);
        Self { rng, addresses: 0, nats: Vec::new() }
    }

    /// The world and the identities of its nodes. Node 0 is the hub.
    pub(super) fn build(&mut self, plan: &Plan, recorded: bool) -> (World, Vec<PeerId>) {
        let mut world = World::new(self.rng.next_u64());
        world.record(recorded);
        world.set_batch(plan.batch);
        world.network().set_all(plan.calm);
        let mut ids = Vec::new();
        for (config, node) in plan.configs.iter().zip(0..) {
            let (setup, id) = self.new_identity(config);
            ids.push(id);
            let nat = plan.nat.filter(|_| node > 0).map(|nat| match self.nats.first() {
                Some(first) if nat.shared => *first,
                _ => {
                    let public = IpAddr::from([198, 51, 100, node]);
                    self.nats.push(world.add_nat(nat.kind, public));
                    self.nats[self.nats.len() - 1]
                }
            });
            match nat {
                Some(nat) => {
                    // All the same port, so that those who share a NAT cannot all keep it.
                    let inside = SocketAddr::from(([192, 168, 0, node], 4263));
                    world.add_behind(nat, setup, &[inside]);
                }
                None => {
                    world.add(setup, &[self.fresh_address()]);
                }
            }
        }
        (world, ids)
    }

    pub(super) fn is_behind(&self, node: u8) -> bool {
        node > 0 && !self.nats.is_empty()
    }

    pub(super) fn fresh_address(&mut self) -> SocketAddr {
        self.addresses += 1;
        let [_, high, middle, low] = self.addresses.to_be_bytes();
        SocketAddr::from(([10, high, middle, low], 4263))
    }

    pub(super) fn new_identity(&mut self, config: &Config) -> (NodeSetup, PeerId) {
        let identity = self.rng.bytes();
        let setup = NodeSetup { config: config.clone(), identity };
        (setup, Identity::from_seed(identity).id())
    }

    pub(super) fn attacker(&mut self, acts: Acts) -> Attacker {
        Attacker::new(self.rng.next_u64(), SocketAddr::from(([10, 255, 6, 6], 6666)), acts)
    }
}
