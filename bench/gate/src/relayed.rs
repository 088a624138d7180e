//! Two endpoints that reach each other by way of a third, in virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{
    Bytes, Config, Delivery, ForwardingPolicy, Instant, MAX_DATAGRAM, Origin, PeerHandle, Target,
};

use crate::pair::End;

/// A relay and the two ends, the time, and the datagrams that are on their way.
pub(crate) struct Relayed {
    relay: End,
    near: End,
    far: End,
    /// The far end, as the near one knows it.
    peer: Option<PeerHandle>,
    now: Instant,
    buffer: Vec<u8>,
    /// What the relay wrote last: where to, and how many bytes of which buffer.
    passed: Vec<(SocketAddr, usize)>,
    buffers: [Vec<u8>; AT_ONCE],
}

impl Relayed {
    /// The ends shook hands with the relay, and then with each other.
    pub(crate) fn connected() -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut config = Config::default();
        config.forwarding.policy = ForwardingPolicy::Anyone;
        config.forwarding.pair_rate = NO_LIMIT;
        config.forwarding.peer_rate = NO_LIMIT;
        config.forwarding.total_rate = NO_LIMIT;
        let buffer = vec![0; usize::from(MAX_DATAGRAM)];
        let mut relayed = Self {
            relay: End::with(1, now, config),
            near: End::new(2, now),
            far: End::new(3, now),
            peer: None,
            now,
            buffers: std::array::from_fn(|_| buffer.clone()),
            buffer,
            passed: Vec::with_capacity(AT_ONCE),
        };
        relayed.shake_hands();
        relayed
    }

    fn shake_hands(&mut self) {
        let Self { relay, near, far, now, .. } = self;
        let target = Target::new(relay.endpoint.id(), [relay.address]);
        for end in [near, far] {
            end.endpoint.connect(*now, target.clone()).expect("a dial may start");
        }
        self.rest();
        let (near, far) = (self.near.endpoint.id(), self.far.endpoint.id());
        self.near.endpoint.connect(self.now, far.into()).expect("the relay forwards");
        self.rest();
        self.peer = self.near.endpoint.peer_by_id(&far);
        let seen = self.far.endpoint.peer_by_id(&near);
        assert!(seen.is_some() && self.far.peer == seen, "the far end is connected");
        assert!(self.peer.is_some() && self.near.peer == self.peer, "so is the near one");
    }

    /// The near end sends a message to the far one.
    pub(crate) fn send(&mut self, payload: &Bytes) {
        let (peer, delivery) = (self.peer.expect("they are connected"), Delivery::ordered(0));
        let sent = self.near.endpoint.send(self.now, peer, delivery, payload.clone());
        sent.expect("the buffer has room");
    }

    /// The near end writes the next datagram.
    pub(crate) fn near_writes(&mut self) -> Option<usize> {
        Some(self.near.endpoint.poll_transmit(self.now, &mut self.buffer)?.len)
    }

    /// The relay reads the datagram in the buffer, which the near end wrote, and writes all that it has to.
    pub(crate) fn relay_passes(&mut self, len: usize) {
        let origin = Origin::from_remote(self.near.address);
        self.relay.endpoint.handle_datagram(self.now, origin, &mut self.buffer[..len]);
        self.relay_writes();
    }

    fn relay_writes(&mut self) {
        for buffer in &mut self.buffers {
            let Some(transmit) = self.relay.endpoint.poll_transmit(self.now, buffer) else {
                return;
            };
            self.passed.push((transmit.destination, transmit.len));
        }
    }

    /// The ends read what the relay wrote. Returns how many datagrams of that were the far end's.
    pub(crate) fn ends_read(&mut self) -> usize {
        let (origin, mut of_far) = (Origin::from_remote(self.relay.address), 0);
        for ((to, len), buffer) in self.passed.drain(..).zip(&mut self.buffers) {
            let is_far = to == self.far.address;
            let end = if is_far { &mut self.far } else { &mut self.near };
            end.endpoint.handle_datagram(self.now, origin, &mut buffer[..len]);
            of_far += usize::from(is_far);
        }
        of_far
    }

    /// Everything that is to be sent crosses, the applications take what came, and time passes. Returns the bytes of
    /// messages that the far end took.
    pub(crate) fn turn(&mut self) -> usize {
        loop {
            self.relay_reads();
            self.relay_writes();
            if self.passed.is_empty() {
                break;
            }
            self.ends_read();
        }
        self.near.take(self.now);
        self.relay.take(self.now);
        let bytes = self.far.take(self.now);
        self.now += ROUND_TRIP;
        for end in [&mut self.relay, &mut self.near, &mut self.far] {
            if end.endpoint.poll_timeout().is_some_and(|due| due <= self.now) {
                end.endpoint.handle_timeout(self.now);
            }
        }
        bytes
    }

    /// The relay reads all that the ends have to write. Nothing goes past it.
    fn relay_reads(&mut self) {
        let Self { relay, near, far, now, buffer, .. } = self;
        for end in [near, far] {
            while let Some(transmit) = end.endpoint.poll_transmit(*now, buffer) {
                assert_eq!(transmit.destination, relay.address, "the ends know no other address");
                let origin = Origin::from_remote(end.address);
                relay.endpoint.handle_datagram(*now, origin, &mut buffer[..transmit.len]);
            }
        }
    }

    /// Turns until there is nothing more to say, acknowledgements that waited included.
    fn rest(&mut self) {
        for _ in 0..TURNS_OF_A_REST {
            self.turn();
        }
    }
}

/// The most datagrams that the relay writes before the ends read them.
const AT_ONCE: usize = 8;

/// 100 us from end to end and back, as in one building.
const ROUND_TRIP: Duration = Duration::from_micros(100);

/// More of them than the longest wait of an acknowledgement has.
const TURNS_OF_A_REST: usize = 500;

/// In bytes per second.
const NO_LIMIT: u64 = 1_000_000_000_000;
