//! handfast's core.

use std::net::SocketAddr;

use handfast_core::{
    Bytes, Config, Delivery, Endpoint, Event, Identity, Instant, Origin, PeerHandle, SendError,
    Target,
};

use super::{BATCH, BATCHES, DATAGRAM, HALF_TRIP, Pair};
use crate::payload::Inbox;

/// Reliable messages in order.
pub(super) const ORDERED: Delivery = Delivery::ordered(0);

/// Messages that are not sent again when lost, in any order.
pub(super) const UNRELIABLE: Delivery = Delivery::unreliable(0);

/// A client and a server.
pub(super) struct Handfast {
    client: End,
    server: End,
    delivery: Delivery,
    now: Instant,
}

struct End {
    endpoint: Endpoint,
    address: SocketAddr,
    peer: Option<PeerHandle>,
    /// What it writes, and what the other end reads: the network copies.
    written: Vec<u8>,
    arrived: Vec<u8>,
}

impl Pair for Handfast {
    type Kind = Delivery;

    fn strangers(delivery: Delivery, number: u32) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut seed = [1; 32];
        let server = End::new(seed, now);
        seed[..4].copy_from_slice(&number.to_le_bytes());
        seed[4] = 2;
        Self { client: End::new(seed, now), server, delivery, now }
    }

    fn dial(&mut self) {
        let target = Target::new(self.server.endpoint.id(), [self.server.address]);
        self.client.endpoint.connect(self.now, target).expect("a dial may start");
    }

    fn is_connected(&self) -> bool {
        self.client.peer.is_some() && self.server.peer.is_some()
    }

    fn send(&mut self, payload: &'static [u8]) -> usize {
        let peer = self.client.peer.expect("they are connected");
        let message = Bytes::from_static(payload);
        match self.client.endpoint.send(self.now, peer, self.delivery, message) {
            Ok(_) => payload.len(),
            Err(SendError::Blocked) => 0,
            Err(error) => panic!("{error}"),
        }
    }

    fn turn(&mut self, inbox: &mut Inbox<'_>) {
        self.client.write_to(&mut self.server, self.now);
        self.server.take(self.now, inbox);
        self.pass();
        self.server.write_to(&mut self.client, self.now);
        self.client.take(self.now, inbox);
        self.pass();
    }
}

impl Handfast {
    fn pass(&mut self) {
        self.now += HALF_TRIP;
        self.client.wake(self.now);
        self.server.wake(self.now);
    }
}

impl End {
    fn new(seed: [u8; 32], now: Instant) -> Self {
        let mut config = Config::default();
        config.aes_hardware = true;
        config.max_datagram = DATAGRAM;
        let identity = Identity::from_seed(seed);
        let mut randomness = seed;
        randomness[31] = 3;
        Self {
            endpoint: Endpoint::new(config.validate().expect("valid"), identity, randomness, now),
            address: SocketAddr::from(([192, 0, 2, seed[4]], 4263)),
            peer: None,
            written: vec![0; BATCH * usize::from(DATAGRAM)],
            arrived: Vec::with_capacity(BATCH * usize::from(DATAGRAM)),
        }
    }

    fn write_to(&mut self, other: &mut Self, now: Instant) {
        for _ in 0..BATCHES {
            let Some(transmit) = self.endpoint.poll_transmit(now, &mut self.written) else { break };
            other.arrived.clear();
            other.arrived.extend_from_slice(&self.written[..transmit.len]);
            let segment = transmit.segment.map_or(transmit.len, |segment| segment.get().into());
            for datagram in other.arrived.chunks_mut(segment) {
                other.endpoint.handle_datagram(now, Origin::from_remote(self.address), datagram);
            }
        }
    }

    fn take(&mut self, now: Instant, inbox: &mut Inbox<'_>) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Connected { peer, .. } => self.peer = Some(peer),
                Event::Readable { peer } => {
                    while let Some(message) = self.endpoint.receive(now, peer) {
                        inbox.take(&message.payload);
                    }
                }
                Event::Ended { reason, .. } => panic!("the peer ended: {reason}"),
                _ => {}
            }
        }
    }

    fn wake(&mut self, now: Instant) {
        if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            self.endpoint.handle_timeout(now);
        }
    }
}
