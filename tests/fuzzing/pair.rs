//! Two endpoints, the datagrams between them, and what must always hold for both.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use handfast_core::{
    Config, Endpoint, Event, Identity, Instant, Origin, PeerHandle, PeerId, Target, Transmit,
};

/// A datagram under way.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Where it seems to come from.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// One of the two.
#[derive(Debug)]
pub struct End {
    /// Its endpoint.
    pub endpoint: Endpoint,
    /// Where datagrams for it go.
    pub address: SocketAddr,
    /// What it told since someone looked.
    pub events: Vec<Event>,
}

/// Two endpoints and a network that does nothing by itself.
#[derive(Debug)]
pub struct Pair {
    /// The time of both.
    pub now: Instant,
    /// Both ends.
    pub ends: [End; 2],
    /// Datagrams under way, oldest first.
    pub flight: VecDeque<Datagram>,
    config: Config,
    lives: u8,
}

impl Pair {
    /// Two endpoints with the same choices that do not know each other.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        let end = |side: u8| End {
            endpoint: Endpoint::new(config.clone(), identity(side), [0x50 + side; 32], now),
            address: SocketAddr::from(([10, 0, 0, side], 4000)),
            events: Vec::new(),
        };
        Self { now, ends: [end(0), end(1)], flight: VecDeque::new(), config, lives: 0 }
    }

    /// The same after the first called the second.
    ///
    /// # Panics
    /// They did not connect.
    #[must_use]
    pub fn connected(config: Config) -> Self {
        let mut pair = Self::new(config);
        let target = Target::new(pair.ends[1].endpoint.id(), [pair.ends[1].address]);
        let now = pair.now;
        pair.ends[0].endpoint.connect(now, target).expect("nothing speaks against it");
        pair.step(Duration::from_millis(100));
        assert!(pair.peer(0).is_some() && pair.peer(1).is_some(), "connected");
        pair
    }

    /// The identity of an end.
    #[must_use]
    pub fn id(&self, side: usize) -> PeerId {
        self.ends[side].endpoint.id()
    }

    /// How an end calls the other.
    #[must_use]
    pub fn peer(&self, side: usize) -> Option<PeerHandle> {
        self.ends[side].endpoint.peer_by_id(&self.id(1 - side))
    }

    /// Seals bytes with the live keys of one end for the other.
    pub fn lie(&mut self, liar: usize, path: u8, plaintext: &[u8]) -> Option<Datagram> {
        let peer = self.peer(liar)?;
        let end = &mut self.ends[liar];
        let (transmit, bytes) = end.endpoint.seal_for_test(self.now, peer, path, plaintext)?;
        Some(Datagram { from: end.address, to: transmit.destination, bytes })
    }

    /// Hands a datagram to whoever is at its destination. True if someone is.
    pub fn deliver(&mut self, mut datagram: Datagram) -> bool {
        let Some(side) = self.ends.iter().position(|end| end.address == datagram.to) else {
            return false;
        };
        let origin = Origin::from_remote(datagram.from);
        self.ends[side].endpoint.handle_datagram(self.now, origin, &mut datagram.bytes);
        self.poll(side);
        true
    }

    /// Moves the time and lets both ends act on it.
    ///
    /// # Panics
    /// An end has something left to do at a time that it was told.
    pub fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
        for side in 0..2 {
            let endpoint = &mut self.ends[side].endpoint;
            endpoint.handle_timeout(self.now);
            let next = endpoint.poll_timeout();
            assert!(next.is_none_or(|at| at > self.now), "{next:?} is over at {:?}", self.now);
            self.poll(side);
        }
    }

    /// Delivers all that is under way and all that follows from it, for a while.
    pub fn step(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            for _ in 0..FUEL {
                let Some(datagram) = self.flight.pop_front() else { break };
                self.deliver(datagram);
            }
            let timeouts = self.ends.iter().filter_map(|end| end.endpoint.poll_timeout());
            let next = timeouts.min().map_or(end, |at| at.max(self.now)).min(end);
            let done = next == end;
            self.advance(next);
            if done && self.flight.is_empty() {
                return;
            }
        }
    }

    /// Collects what an end has to send and to tell.
    ///
    /// # Panics
    /// It does not come to an end, or something does not hold that always must.
    pub fn poll(&mut self, side: usize) {
        let end = &mut self.ends[side];
        let mut buffer = [0; 4 * 1200];
        let mut fuel = FUEL;
        while let Some(transmit) = end.endpoint.poll_transmit(self.now, &mut buffer) {
            fuel -= 1;
            assert!(fuel > 0, "transmits without end");
            self.flight.extend(datagrams(end.address, &transmit, &buffer));
        }
        while let Some(event) = end.endpoint.poll_event() {
            fuel -= 1;
            assert!(fuel > 0, "events without end");
            end.events.push(event);
        }
        let stats = end.endpoint.stats();
        assert!(stats.unverified_bytes_sent <= stats.unverified_bytes_received, "amplified");
        let peers = end.endpoint.peers().count();
        assert!(peers <= end.endpoint.config().max_peers, "{peers} peers");
    }

    /// The end loses all it knows, but its identity.
    pub fn restart(&mut self, side: usize) {
        self.lives = self.lives.wrapping_add(1);
        let mut seed = [0x60 + side as u8; 32];
        seed[0] = self.lives;
        let identity = identity(side as u8);
        let end = &mut self.ends[side];
        end.endpoint = Endpoint::new(self.config.clone(), identity, seed, self.now);
        end.events.clear();
    }
}

fn identity(side: u8) -> Identity {
    Identity::from_seed([side + 1; 32])
}

/// Takes a batch apart.
fn datagrams<'a>(
    from: SocketAddr,
    transmit: &Transmit,
    buffer: &'a [u8],
) -> impl Iterator<Item = Datagram> + 'a {
    let size = transmit.segment.map_or(transmit.len, |size| size.get().into());
    let to = transmit.destination;
    let batch = buffer[..transmit.len].chunks(size.max(1));
    batch.map(move |bytes| Datagram { from, to, bytes: bytes.to_vec() })
}

/// More than an end may have to say at once.
const FUEL: usize = 20_000;
