//! Sockets that a machine asks for while it runs: opened and closed at once, as the drivers do.

use std::net::SocketAddr;

use handfast_core::{SocketId, canonical};

use crate::machine::Machine;
use crate::network::NodeId;
use crate::node::Address;
use crate::world::World;

/// What a machine wants of its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketWish {
    /// A further socket of this name, bound to the address.
    Open(SocketId, SocketAddr),
    /// The end of one.
    Close(SocketId),
}

impl<M: Machine> World<M> {
    /// From now on a node opens no further sockets: its machine is told that there is none. Before this, it opens as many
    /// as its machine wants.
    pub fn refuse_sockets(&mut self, node: NodeId) {
        self.node_mut(node).refuses_sockets = true;
    }

    /// Sockets that a node opened because its machine asked for them, and did not close yet.
    #[must_use]
    pub fn further_sockets(&self, node: NodeId) -> usize {
        self.node(node).addresses.iter().filter(|address| address.further.is_some()).count()
    }

    /// Grants what a machine wants of its driver, and tells it.
    pub(crate) fn grant(&mut self, node: NodeId, machine: &mut M, wish: SocketWish) {
        let now = self.clock(node);
        self.tell(node, || format!("{wish:?}"));
        match wish {
            SocketWish::Open(socket, wanted) => match self.open_socket(node, socket, wanted) {
                Some(address) => machine.socket_opened(now, socket, address),
                None => machine.socket_closed(now, socket),
            },
            SocketWish::Close(socket) => {
                self.close_sockets(node, |further| further == socket);
                machine.socket_closed(now, socket);
            }
        }
    }

    /// Opens a socket at a port of the node that is free; where it is bound.
    fn open_socket(
        &mut self,
        node: NodeId,
        socket: SocketId,
        wanted: SocketAddr,
    ) -> Option<SocketAddr> {
        if self.node(node).refuses_sockets {
            return None;
        }
        let usual = self.node(node).address_towards(wanted)?;
        let ports = (FIRST_PORT..=u16::MAX).map(|port| SocketAddr::new(usual.public.ip(), port));
        let public = canonical({ ports }.find(|at| !self.owners.contains_key(at))?);
        self.owners.insert(public, node);
        self.node_mut(node).addresses.push(Address {
            public,
            local: usual.local,
            further: Some(socket),
        });
        Some(SocketAddr::new(wanted.ip(), public.port()))
    }

    /// Closes those of a node's further sockets.
    pub(crate) fn close_sockets(&mut self, node: NodeId, which: impl Fn(SocketId) -> bool) {
        let Self { nodes, owners, .. } = self;
        nodes[node.0 as usize].addresses.retain(|address| {
            let closes = address.further.is_some_and(&which);
            if closes {
                owners.remove(&address.public);
            }
            !closes
        });
    }
}

/// Further sockets have ports from here on.
const FIRST_PORT: u16 = 40_000;
