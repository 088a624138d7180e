//! One node: a machine, its addresses and its clock.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use handfast_core::{Instant, SocketId};

use crate::link::micros;
use crate::machine::Machine;
use crate::nat::NatId;
use crate::network::Datagram;

/// A node of the world.
pub(crate) struct Node<M: Machine> {
    pub(crate) name: String,
    pub(crate) setup: M::Setup,
    /// None while the node is down. Boxed, as it is taken out and put back at every step.
    pub(crate) machine: Option<Box<M>>,
    pub(crate) addresses: Vec<Address>,
    /// What the node's clock says minus the world's time, in microseconds.
    pub(crate) clock_offset: i64,
    /// What it is behind: its addresses are then those of the network there.
    pub(crate) nat: Option<NatId>,
    pub(crate) suspended: Option<Suspended>,
    /// It opens no further sockets.
    pub(crate) refuses_sockets: bool,
    /// When the world must call `handle_timeout`, in microseconds of world time.
    pub(crate) due: Option<u64>,
    pub(crate) log: Vec<(Duration, M::Event)>,
}

/// A suspended node.
#[derive(Debug)]
pub(crate) struct Suspended {
    pub(crate) since: Duration,
    /// The node's clock stands still meanwhile.
    pub(crate) clock_stops: bool,
    /// Bytes that may still arrive: the rest of the socket's buffer.
    room: usize,
    pub(crate) held: VecDeque<Datagram>,
    /// Tokens of application timers that were due.
    pub(crate) timers: Vec<u64>,
}

impl Suspended {
    pub(crate) const fn new(since: Duration, clock_stops: bool, room: usize) -> Self {
        Self { since, clock_stops, room, held: VecDeque::new(), timers: Vec::new() }
    }

    /// Keeps a datagram for later, or says that there is no room.
    pub(crate) fn hold(&mut self, datagram: Datagram) -> bool {
        let fits = datagram.bytes.len() <= self.room;
        if fits {
            self.room -= datagram.bytes.len();
            self.held.push_back(datagram);
        }
        fits
    }

    /// Keeps the timer of an application for later.
    pub(crate) fn hold_timer(&mut self, token: u64) {
        self.timers.push(token);
    }
}

/// An address of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    /// As the others see it.
    pub(crate) public: SocketAddr,
    /// As the node itself believes; differs behind a NAT.
    pub(crate) local: IpAddr,
    /// The socket that has it, if the machine asked for that one.
    pub(crate) further: Option<SocketId>,
}

impl<M: Machine> Node<M> {
    /// The node's own clock at `time`.
    pub(crate) fn clock(&self, time: Duration) -> Instant {
        let stopped = self.suspended.as_ref().filter(|suspended| suspended.clock_stops);
        let time = stopped.map_or(time, |suspended| suspended.since);
        Instant::from_micros(micros(time).saturating_add_signed(self.clock_offset))
    }

    /// The world time of an instant of the node's clock, in microseconds.
    pub(crate) const fn world_micros(&self, instant: Instant) -> u64 {
        instant.as_micros().saturating_add_signed(-self.clock_offset)
    }

    /// The address from which the node reaches `destination`.
    pub(crate) fn address_towards(&self, destination: SocketAddr) -> Option<Address> {
        let same_family = |a: &&Address| a.public.is_ipv4() == destination.is_ipv4();
        self.addresses.iter().find(same_family).copied()
    }

    /// The address from which the node reaches `destination` by this socket. Addresses that differ in their port are
    /// of different sockets, in their order; all else is one socket.
    pub(crate) fn address_of_socket(
        &self,
        socket: SocketId,
        destination: SocketAddr,
    ) -> Option<Address> {
        let is_its = |a: &&Address| {
            self.socket_of(a) == socket && a.public.is_ipv4() == destination.is_ipv4()
        };
        let found = self.addresses.iter().find(is_its).copied();
        found.or_else(|| self.address_towards(destination))
    }

    /// The socket that an address belongs to.
    pub(crate) fn socket_of(&self, address: &Address) -> SocketId {
        if let Some(further) = address.further {
            return further;
        }
        let same = |other: &&Address| other.public.ip() == address.public.ip();
        let before = self.addresses.iter().filter(same);
        let before = before.take_while(|other| other.public != address.public).count();
        SocketId(u32::try_from(before).unwrap_or(u32::MAX))
    }

    /// The address by which others reach the node as `public`.
    pub(crate) fn address_of(&self, public: SocketAddr) -> Option<Address> {
        self.addresses.iter().find(|address| address.public == public).copied()
    }
}
