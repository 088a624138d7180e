//! Nodes behind network address translators.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use handfast_core::canonical;

use crate::machine::Machine;
use crate::nat::{Nat, NatId, NatKind};
use crate::network::NodeId;
use crate::node::Address;
use crate::world::World;

impl<M: Machine> World<M> {
    /// Adds a NAT. All ports of its public address are its own.
    ///
    /// # Panics
    /// When a NAT or a node has the address.
    pub fn add_nat(&mut self, kind: NatKind, public: IpAddr) -> NatId {
        let public = canonical(SocketAddr::new(public, 0)).ip();
        let taken = self.owners.keys().any(|address| address.ip() == public);
        let seed = self.rng.next_u64();
        let id = self.gateways.add(public, Nat::new(kind, public, seed)).filter(|_| !taken);
        id.unwrap_or_else(|| panic!("the address {public} is taken"))
    }

    /// Adds a machine behind a NAT, at the given addresses of the network there: no other network
    /// may use them. Others see it at addresses that the NAT chooses ([`Self::address_seen_by`]),
    /// and reach it only as far as the NAT lets them. Several nodes may share a NAT; these reach
    /// each other directly.
    ///
    /// # Panics
    /// When an address is taken.
    pub fn add_behind(&mut self, nat: NatId, setup: M::Setup, inside: &[SocketAddr]) -> NodeId {
        self.place(setup, inside, Some(nat))
    }

    /// A NAT, to look at.
    #[must_use]
    pub fn nat(&self, nat: NatId) -> &Nat {
        self.gateways.get(nat)
    }

    /// Lets the mappings of a NAT live for so long from now on.
    pub fn set_nat_timeout(&mut self, nat: NatId, timeout: Duration) {
        self.gateways.get_mut(nat).set_timeout(timeout);
    }

    /// A NAT loses all its mappings. The nodes behind it do not know; others see them elsewhere
    /// once they send.
    pub fn reboot_nat(&mut self, nat: NatId) {
        self.gateways.get_mut(nat).reboot();
        self.network.faults_mut().nat_reboots += 1;
        self.trace.line(self.time, || format!("NAT {} reboots", nat.0));
    }

    /// A NAT gets another public address, and loses all its mappings. The nodes behind it do not know.
    ///
    /// # Panics
    /// When a NAT or a node has the address.
    pub fn move_nat(&mut self, nat: NatId, public: IpAddr) {
        let public = canonical(SocketAddr::new(public, 0)).ip();
        let taken = self.owners.keys().any(|address| address.ip() == public);
        assert!(!taken && self.gateways.move_to(nat, public), "the address {public} is taken");
        self.network.faults_mut().nat_reboots += 1;
        self.trace.line(self.time, || format!("NAT {} is {public} now", nat.0));
    }

    /// The NAT forgets the mappings of one node.
    ///
    /// # Panics
    /// When the node is not behind a NAT.
    pub fn forget_mappings(&mut self, node: NodeId) {
        let nat = self.node(node).nat.expect("a node behind a NAT");
        for address in self.node(node).addresses.clone() {
            self.gateways.get_mut(nat).forget(address.public);
        }
        self.network.faults_mut().rebinds += 1;
        self.tell(node, || "its NAT forgets it".to_owned());
    }

    /// The address by which `viewer` reaches a node now. None if there is none: they have no
    /// address family in common, or the node's NAT would not let `viewer` in.
    #[must_use]
    pub fn address_seen_by(&self, node: NodeId, viewer: NodeId) -> Option<SocketAddr> {
        let (target, viewer) = (self.node(node), self.node(viewer));
        for address in &target.addresses {
            let Some(from) = viewer.address_towards(address.public) else { continue };
            let seen = match target.nat {
                Some(nat) if viewer.nat != Some(nat) => {
                    // A viewer behind another NAT is itself seen elsewhere: only who is not can be
                    // told apart beforehand.
                    self.gateways.get(nat).external(self.time, address.public, from.public)
                }
                _ => Some(address.public),
            };
            if seen.is_some() {
                return seen;
            }
        }
        None
    }

    /// A node sends: the source that others see and the node that it is meant for, if any.
    pub(crate) fn route(
        &mut self,
        from: NodeId,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Option<(SocketAddr, Option<NodeId>)> {
        let home = self.node(from).nat;
        let owner = self.owners.get(&destination).copied();
        if owner.is_some_and(|owner| self.node(owner).nat == home) {
            return Some((source, owner));
        }
        let source = match home {
            Some(nat) => self.at_nat(nat, |nat, now| nat.outbound(now, source, destination))?,
            None => source,
        };
        let Some(nat) = self.gateways.at(destination) else {
            let reachable = owner.filter(|owner| self.node(*owner).nat.is_none());
            return Some((source, reachable));
        };
        let turned_back = home == Some(nat) && !self.nat(nat).kind().hairpinning;
        if turned_back {
            return Some((source, None));
        }
        let inside = self.nat(nat).owner(self.time, destination.port());
        Some((source, inside.and_then(|inside| self.owners.get(&inside).copied())))
    }

    /// A datagram arrives: the node that gets it, and the address that it believes to be its own.
    pub(crate) fn reached(
        &mut self,
        from: NodeId,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Option<(NodeId, Address)> {
        if let Some(nat) = self.gateways.at(destination) {
            let port = destination.port();
            let inside = self.at_nat(nat, |nat, now| nat.inbound(now, port, source))?;
            let node = *self.owners.get(&inside)?;
            return Some((node, self.node(node).address_of(inside)?));
        }
        let node = *self.owners.get(&destination)?;
        let nat = self.node(node).nat;
        let sender = self.nodes.get(from.0 as usize);
        let neighbours = nat.is_none() || sender.is_some_and(|sender| sender.nat == nat);
        neighbours.then(|| self.node(node).address_of(destination)).flatten().map(|at| (node, at))
    }

    /// Does something at a NAT and counts what came of it.
    fn at_nat<R>(&mut self, nat: NatId, act: impl FnOnce(&mut Nat, Duration) -> R) -> R {
        let nat = self.gateways.get_mut(nat);
        let before = nat.counts();
        let result = act(nat, self.time);
        let (after, faults) = (nat.counts(), self.network.faults_mut());
        faults.nat_mappings += after.mapped - before.mapped;
        faults.nat_expiries += after.expired - before.expired;
        faults.nat_drops += after.filtered - before.filtered;
        result
    }
}
