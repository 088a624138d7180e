//! ENet in Rust, which does not encrypt.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use rusty_enet::{EventNoRef, Host, HostSettings, MTU_MAX, Packet, PacketReceived, PeerID, Socket};

use super::{DATAGRAM, HALF_TRIP, Pair};
use crate::payload::Inbox;

/// What carries payloads.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Sent again until they arrive, in order.
    Reliable,
    /// Not sent again.
    Unreliable,
}

/// A client and a server.
pub(super) struct Enet {
    client: End,
    server: End,
    kind: Kind,
    now: Rc<Cell<Duration>>,
}

struct End {
    host: Host<Wire>,
    peer: Option<PeerID>,
}

/// Datagrams on their way to one end.
type Queue = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// What an end takes for its socket.
struct Wire {
    incoming: Queue,
    outgoing: Queue,
    /// Buffers that were read: the next datagrams are written there.
    spare: Vec<Vec<u8>>,
}

impl Socket for Wire {
    type Address = ();
    type Error = Infallible;

    fn send(&mut self, (): (), datagram: &[u8]) -> Result<usize, Infallible> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(datagram);
        self.outgoing.borrow_mut().push_back(buffer);
        Ok(datagram.len())
    }

    fn receive(
        &mut self,
        buffer: &mut [u8; MTU_MAX],
    ) -> Result<Option<((), PacketReceived)>, Infallible> {
        let Some(datagram) = self.incoming.borrow_mut().pop_front() else { return Ok(None) };
        let len = datagram.len();
        buffer[..len].copy_from_slice(&datagram);
        self.spare.push(datagram);
        Ok(Some(((), PacketReceived::Complete(len))))
    }
}

impl Pair for Enet {
    type Kind = Kind;

    fn strangers(kind: Kind, number: u32) -> Self {
        let now = Rc::new(Cell::new(Duration::from_secs(1)));
        let (there, back) = (Queue::default(), Queue::default());
        Self {
            client: End::new(&back, &there, &now, number),
            server: End::new(&there, &back, &now, number.wrapping_add(1)),
            kind,
            now,
        }
    }

    fn dial(&mut self) {
        self.client.host.connect((), CHANNELS, 0).expect("a place for one peer");
    }

    fn is_connected(&self) -> bool {
        self.client.peer.is_some() && self.server.peer.is_some()
    }

    fn send(&mut self, payload: &'static [u8]) -> usize {
        let peer = self.client.peer.expect("they are connected");
        let packet = match self.kind {
            Kind::Reliable => Packet::reliable(payload),
            Kind::Unreliable => Packet::unreliable(payload),
        };
        let sent = self.client.host.peer_mut(peer).send(0, &packet);
        sent.map_or(0, |()| payload.len())
    }

    fn turn(&mut self, inbox: &mut Inbox<'_>) {
        self.client.service(inbox);
        self.server.service(inbox);
        self.now.set(self.now.get() + HALF_TRIP * 2);
    }
}

impl End {
    fn new(incoming: &Queue, outgoing: &Queue, now: &Rc<Cell<Duration>>, seed: u32) -> Self {
        let now = Rc::clone(now);
        let settings = HostSettings {
            peer_limit: 1,
            channel_limit: CHANNELS,
            time: Box::new(move || now.get()),
            seed: Some(seed),
            ..HostSettings::default()
        };
        let (incoming, outgoing) = (Rc::clone(incoming), Rc::clone(outgoing));
        let wire = Wire { incoming, outgoing, spare: Vec::new() };
        let mut host =
            Host::new(wire, settings).unwrap_or_else(|_| panic!("the settings are right"));
        host.set_mtu(DATAGRAM).expect("a size that ENet allows");
        Self { host, peer: None }
    }

    /// Reads what arrived, answers, and writes what is to be sent.
    fn service(&mut self, inbox: &mut Inbox<'_>) {
        while let Some(event) = self.host.service().expect("the wire does not fail") {
            match event.no_ref() {
                EventNoRef::Connect { peer, .. } => self.peer = Some(peer),
                EventNoRef::Receive { packet, .. } => inbox.take(packet.data()),
                EventNoRef::Disconnect { .. } => panic!("the peer disconnected"),
            }
        }
    }
}

const CHANNELS: usize = 1;
