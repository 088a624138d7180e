//! All NATs of a world, by name and by address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::Nat;

/// Names a NAT of a [`World`](crate::World).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NatId(pub u32);

/// All NATs of a world.
#[derive(Debug, Default)]
pub(crate) struct Gateways {
    nats: Vec<Nat>,
    by_public: BTreeMap<IpAddr, NatId>,
}

impl Gateways {
    /// Adds a NAT; `None` if another has the address.
    pub(crate) fn add(&mut self, public: IpAddr, nat: Nat) -> Option<NatId> {
        let id = NatId(u32::try_from(self.nats.len()).expect("fewer than 2^32 NATs"));
        let is_free = self.by_public.insert(public, id).is_none();
        self.nats.push(nat);
        is_free.then_some(id)
    }

    /// The NAT has another address from now on; false if one has it already.
    pub(crate) fn move_to(&mut self, id: NatId, public: IpAddr) -> bool {
        if self.by_public.contains_key(&public) {
            return false;
        }
        self.by_public.remove(&self.get(id).public());
        self.by_public.insert(public, id);
        self.get_mut(id).move_to(public);
        true
    }

    pub(crate) fn get(&self, id: NatId) -> &Nat {
        &self.nats[id.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, id: NatId) -> &mut Nat {
        &mut self.nats[id.0 as usize]
    }

    pub(crate) fn at(&self, address: SocketAddr) -> Option<NatId> {
        self.by_public.get(&address.ip()).copied()
    }
}
