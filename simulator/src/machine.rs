//! What the world drives: an endpoint, or anything that keeps the same sans-IO contract.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{Config, Endpoint, Event, Identity, Instant, Origin, SocketId, Transmit};

use crate::sockets::SocketWish;

/// A sans-IO protocol machine. [`Endpoint`] is one; wrap it to observe or to misbehave, or bring
/// another protocol to the same network. The methods have the meaning of those of `Endpoint`.
pub trait Machine: Sized {
    /// What survives a restart: configuration and identity.
    type Setup;
    /// What it tells its application.
    type Event: Clone + Debug;

    /// Makes a fresh machine, `age` after the world began.
    fn make(setup: &Self::Setup, seed: [u8; 32], now: Instant, age: Duration) -> Self;
    /// Takes a datagram.
    fn handle_datagram(&mut self, now: Instant, origin: Origin, datagram: &mut [u8]);
    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant);
    /// Hands out datagrams until there are none.
    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit>;
    /// Hands out events until there are none.
    fn poll_event(&mut self) -> Option<Self::Event>;
    /// When to call `handle_timeout`.
    fn poll_timeout(&self) -> Option<Instant>;
    /// The node knows that its addresses are others now.
    fn addresses_changed(&mut self, _now: Instant) {}
    /// What an event wants of the driver, if it is not for the application.
    fn socket_wish(_event: &Self::Event) -> Option<SocketWish> {
        None
    }
    /// The driver opened a socket that the machine asked for.
    fn socket_opened(&mut self, _now: Instant, _socket: SocketId, _address: SocketAddr) {}
    /// The driver closed a socket, or could not open it.
    fn socket_closed(&mut self, _now: Instant, _socket: SocketId) {}
    /// Bytes received from and sent to addresses that are not validated.
    fn unverified_bytes(&self) -> Unverified {
        Unverified::default()
    }
    /// The largest datagram it may send, in bytes.
    fn max_datagram(setup: &Self::Setup) -> usize;
}

/// Bytes from and to addresses that are not validated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unverified {
    /// Bytes received.
    pub received: u64,
    /// Bytes sent; never more than received.
    pub sent: u64,
}

/// What an endpoint keeps when it restarts.
#[derive(Clone, Debug)]
pub struct NodeSetup {
    /// Its choices. A `wall_clock` is taken as the time when the world began. They must be valid:
    /// making the endpoint panics otherwise.
    pub config: Config,
    /// The secret of its identity.
    pub identity: [u8; 32],
}

impl Machine for Endpoint {
    type Setup = NodeSetup;
    type Event = Event;

    fn make(setup: &NodeSetup, seed: [u8; 32], now: Instant, age: Duration) -> Self {
        let mut config = setup.config.clone();
        config.wall_clock = config.wall_clock.map(|began| began + age);
        let config = config.validate().expect("a valid configuration");
        Self::new(config, Identity::from_seed(setup.identity), seed, now)
    }

    fn handle_datagram(&mut self, now: Instant, origin: Origin, datagram: &mut [u8]) {
        self.handle_datagram(now, origin, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        self.poll_transmit(now, buf)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.poll_event()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }

    fn addresses_changed(&mut self, now: Instant) {
        self.addresses_changed(now);
    }

    fn socket_wish(event: &Event) -> Option<SocketWish> {
        match *event {
            Event::OpenSocket { socket, address, .. } => Some(SocketWish::Open(socket, address)),
            Event::CloseSocket { socket, .. } => Some(SocketWish::Close(socket)),
            _ => None,
        }
    }

    fn socket_opened(&mut self, now: Instant, socket: SocketId, address: SocketAddr) {
        self.socket_opened(now, socket, address);
    }

    fn socket_closed(&mut self, now: Instant, socket: SocketId) {
        self.socket_closed(now, socket);
    }

    fn unverified_bytes(&self) -> Unverified {
        let stats = self.stats();
        Unverified { received: stats.unverified_bytes_received, sent: stats.unverified_bytes_sent }
    }

    fn max_datagram(setup: &NodeSetup) -> usize {
        usize::from(setup.config.max_datagram)
    }
}
