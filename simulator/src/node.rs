//! One node: a machine, its addresses and its clock.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use handfast_core::Instant;

use crate::link::micros;
use crate::machine::Machine;

/// A node of the world.
pub(crate) struct Node<M: Machine> {
    pub(crate) name: String,
    pub(crate) setup: M::Setup,
    /// None while the node is down.
    pub(crate) machine: Option<M>,
    pub(crate) addresses: Vec<Address>,
    /// What the node's clock says minus the world's time, in microseconds.
    pub(crate) clock_offset: u64,
    /// When the world must call `handle_timeout`, in microseconds of world time.
    pub(crate) due: Option<u64>,
    pub(crate) log: Vec<(Duration, M::Event)>,
}

/// An address of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    /// As the others see it.
    pub(crate) public: SocketAddr,
    /// As the node itself believes; differs behind a NAT.
    pub(crate) local: IpAddr,
}

impl<M: Machine> Node<M> {
    /// The node's own clock at `time`.
    pub(crate) fn clock(&self, time: Duration) -> Instant {
        Instant::from_micros(micros(time).saturating_add(self.clock_offset))
    }

    /// The world time of an instant of the node's clock, in microseconds.
    pub(crate) const fn world_micros(&self, instant: Instant) -> u64 {
        instant.as_micros().saturating_sub(self.clock_offset)
    }

    /// The address from which the node reaches `destination`.
    pub(crate) fn address_towards(&self, destination: SocketAddr) -> Option<Address> {
        let same_family = |a: &&Address| a.public.is_ipv4() == destination.is_ipv4();
        self.addresses.iter().find(same_family).copied()
    }

    /// The address by which others reach the node as `public`.
    pub(crate) fn address_of(&self, public: SocketAddr) -> Option<Address> {
        self.addresses.iter().find(|address| address.public == public).copied()
    }
}
