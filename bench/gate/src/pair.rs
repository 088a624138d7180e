//! Two endpoints that are connected by a function call, in virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{
    Bytes, Config, Delivery, Endpoint, Event, Identity, Instant, MAX_DATAGRAM, Origin, PeerHandle,
    Target,
};

/// One endpoint, and its peer once it is connected.
pub(crate) struct End {
    pub(crate) endpoint: Endpoint,
    pub(crate) address: SocketAddr,
    /// The peer that it connected with last.
    pub(crate) peer: Option<PeerHandle>,
}

impl End {
    /// An endpoint with keys and randomness that follow from `seed`.
    pub(crate) fn new(seed: u8, now: Instant) -> Self {
        Self::with(seed, now, Config::default())
    }

    /// The same with choices of its own.
    pub(crate) fn with(seed: u8, now: Instant, mut config: Config) -> Self {
        // What drivers detect is an input here: the suite is the same on every processor.
        config.aes_hardware = true;
        let identity = Identity::from_seed([seed; 32]);
        let endpoint = Endpoint::new(
            config.validate().expect("valid"),
            identity,
            [seed.wrapping_add(100); 32],
            now,
        );
        let address = SocketAddr::from(([192, 0, 2, seed], 4263));
        Self { endpoint, address, peer: None }
    }

    /// Handles all events, takes all messages, and returns the bytes that came.
    pub(crate) fn take(&mut self, now: Instant) -> usize {
        let mut bytes = 0;
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Connected { peer, .. } => self.peer = Some(peer),
                Event::Readable { peer } => {
                    while let Some(message) = self.endpoint.receive(now, peer) {
                        bytes += message.payload.len();
                    }
                }
                Event::Ended { reason, .. } => panic!("the peer ended: {reason}"),
                _ => {}
            }
        }
        bytes
    }
}

/// Two ends, the time, and the datagram that is on its way.
pub(crate) struct Pair {
    pub(crate) alice: End,
    pub(crate) bob: End,
    pub(crate) now: Instant,
    buffer: Vec<u8>,
}

impl Pair {
    /// Two ends that shook hands.
    pub(crate) fn connected() -> Self {
        let now = Instant::from_micros(1_000_000);
        let (alice, bob) = (End::new(1, now), End::new(2, now));
        let mut pair = Self { alice, bob, now, buffer: vec![0; usize::from(MAX_DATAGRAM)] };
        pair.shake_hands();
        pair
    }

    /// Another Alice, who has not met Bob. He forgets nothing of the last one.
    pub(crate) fn replace_alice(&mut self, alice: End) {
        self.alice = alice;
        self.bob.peer = None;
    }

    /// Alice calls Bob, until both know that they are connected.
    pub(crate) fn shake_hands(&mut self) {
        let target = Target::new(self.bob.endpoint.id(), [self.bob.address]);
        self.alice.endpoint.connect(self.now, target).expect("a dial may start");
        for _ in 0..TURNS_OF_A_HANDSHAKE {
            self.turn();
            if self.alice.peer.is_some() && self.bob.peer.is_some() {
                return;
            }
        }
        panic!("no connection after {TURNS_OF_A_HANDSHAKE} turns");
    }

    /// Alice sends a message.
    pub(crate) fn send(&mut self, delivery: Delivery, payload: &Bytes) {
        let peer = self.alice.peer.expect("they are connected");
        let sent = self.alice.endpoint.send(self.now, peer, delivery, payload.clone());
        sent.expect("the buffer has room");
    }

    /// Alice writes the next datagram.
    pub(crate) fn alice_writes(&mut self) -> Option<usize> {
        Some(self.alice.endpoint.poll_transmit(self.now, &mut self.buffer)?.len)
    }

    /// Bob writes the next datagram.
    pub(crate) fn bob_writes(&mut self) -> Option<usize> {
        Some(self.bob.endpoint.poll_transmit(self.now, &mut self.buffer)?.len)
    }

    /// Alice reads the datagram in the buffer.
    pub(crate) fn alice_reads(&mut self, len: usize) {
        let origin = Origin::from_remote(self.bob.address);
        self.alice.endpoint.handle_datagram(self.now, origin, &mut self.buffer[..len]);
    }

    /// Bob reads the datagram in the buffer.
    pub(crate) fn bob_reads(&mut self, len: usize) {
        let origin = Origin::from_remote(self.alice.address);
        self.bob.endpoint.handle_datagram(self.now, origin, &mut self.buffer[..len]);
    }

    /// Everything that is to be sent crosses, both applications take what came, and half a round trip
    /// passes each way. Returns the bytes of messages that Bob took.
    pub(crate) fn turn(&mut self) -> usize {
        while let Some(len) = self.alice_writes() {
            self.bob_reads(len);
        }
        let bytes = self.bob.take(self.now);
        self.pass(HALF_TRIP);
        while let Some(len) = self.bob_writes() {
            self.alice_reads(len);
        }
        self.alice.take(self.now);
        self.pass(HALF_TRIP);
        bytes
    }

    /// Turns until there is nothing more to say, acknowledgements that waited included.
    pub(crate) fn rest(&mut self) {
        for _ in 0..TURNS_OF_A_REST {
            self.turn();
            self.pass(Duration::from_millis(1));
        }
    }

    /// Nothing is sent until a deadline has an end ask the other whether it is there, and until that has answered.
    pub(crate) fn heartbeat(&mut self) {
        let before = self.datagrams();
        while self.datagrams() == before {
            let deadlines = [&self.alice, &self.bob].map(|end| end.endpoint.poll_timeout());
            let next = deadlines.into_iter().flatten().min().expect("a peer has deadlines");
            self.pass(next.saturating_since(self.now));
            self.turn();
        }
        let mut crossed = before;
        while self.datagrams() != crossed {
            crossed = self.datagrams();
            self.turn();
        }
    }

    /// Datagrams that both ends sent so far.
    pub(crate) fn datagrams(&self) -> u64 {
        self.alice.endpoint.stats().datagrams_sent + self.bob.endpoint.stats().datagrams_sent
    }

    /// Keys that both ends changed so far.
    pub(crate) fn rekeys(&self) -> u64 {
        self.alice.endpoint.stats().rekeys + self.bob.endpoint.stats().rekeys
    }

    /// Lets time pass, and fires what is due.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        for end in [&mut self.alice, &mut self.bob] {
            if end.endpoint.poll_timeout().is_some_and(|due| due <= self.now) {
                end.endpoint.handle_timeout(self.now);
            }
        }
    }
}

/// The round-trip time is 100 us, as in one building.
const HALF_TRIP: Duration = Duration::from_micros(50);

/// A handshake takes two.
const TURNS_OF_A_HANDSHAKE: usize = 5;

/// More milliseconds than an acknowledgement waits.
const TURNS_OF_A_REST: usize = 50;
