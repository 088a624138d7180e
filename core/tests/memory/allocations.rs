//! How often memory is asked for once two peers talk: never for a packet, once for a message that arrives.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{
    Bytes, Delivery, Endpoint, Event, Identity, Instant, MAX_DATAGRAM, Order, Origin, PeerHandle,
    Target, ValidConfig,
};

use crate::counting::ASKED;

/// One endpoint, its peer, and how often its calls asked for memory.
struct End {
    endpoint: Endpoint,
    address: SocketAddr,
    peer: Option<PeerHandle>,
    asked: u64,
    received: Vec<Bytes>,
}

impl End {
    fn new(seed: u8, now: Instant) -> Self {
        let identity = Identity::from_seed([seed; 32]);
        Self {
            endpoint: Endpoint::new(ValidConfig::default(), identity, [seed + 100; 32], now),
            address: SocketAddr::from(([192, 0, 2, seed], 4263)),
            peer: None,
            asked: 0,
            received: Vec::with_capacity(64),
        }
    }

    fn call<T>(&mut self, run: impl FnOnce(&mut Endpoint) -> T) -> T {
        let before = ASKED.get();
        let result = run(&mut self.endpoint);
        self.asked += ASKED.get() - before;
        result
    }

    /// Reads all events and messages.
    fn read(&mut self, now: Instant) {
        while let Some(event) = self.call(Endpoint::poll_event) {
            match event {
                Event::Connected { peer, .. } => self.peer = Some(peer),
                Event::Readable { peer } => {
                    while let Some(message) = self.call(|endpoint| endpoint.receive(now, peer)) {
                        self.received.push(message.payload);
                    }
                }
                Event::Ended { reason, .. } => panic!("{reason}"),
                _ => {}
            }
        }
    }
}

struct Pair {
    ends: [End; 2],
    now: Instant,
    buffer: Vec<u8>,
}

impl Pair {
    fn connected() -> Self {
        let now = Instant::from_micros(1_000_000);
        let buffer = vec![0; usize::from(MAX_DATAGRAM)];
        let mut pair = Self { ends: [1, 2].map(|seed| End::new(seed, now)), now, buffer };
        let target = Target::new(pair.ends[1].endpoint.id(), [pair.ends[1].address]);
        pair.ends[0].endpoint.connect(now, target).expect("a dial may start");
        while pair.ends.iter().any(|end| end.peer.is_none()) {
            pair.turn();
        }
        pair
    }

    /// All that the ends have to say crosses, and a round trip passes.
    fn turn(&mut self) {
        for from in [0, 1] {
            let [first, second] = &mut self.ends;
            let (sender, receiver) = if from == 0 { (first, second) } else { (second, first) };
            let (now, buffer) = (self.now, &mut self.buffer);
            let origin = Origin::from_remote(sender.address);
            while let Some(sent) = sender.call(|end| end.poll_transmit(now, buffer)) {
                let datagram = &mut buffer[..sent.len];
                receiver.call(|end| end.handle_datagram(now, origin, datagram));
            }
            receiver.read(now);
            self.now += Duration::from_micros(500);
            for end in &mut self.ends {
                if end.endpoint.poll_timeout().is_some_and(|due| due <= self.now) {
                    let now = self.now;
                    end.call(|end| end.handle_timeout(now));
                }
            }
        }
    }

    /// The first end sends messages, one after the other. Returns how often the ends asked for memory meanwhile, what
    /// `send` itself asked for left out.
    fn exchange(&mut self, delivery: Delivery, len: usize, count: usize) -> [u64; 2] {
        let payload = Bytes::from(vec![0x5a; len]);
        self.ends.iter_mut().for_each(|end| end.asked = 0);
        for _ in 0..count {
            let sender = &mut self.ends[0];
            let peer = sender.peer.expect("they are connected");
            let sent = sender.endpoint.send(self.now, peer, delivery, payload.clone());
            sent.expect("there is room");
            let mut turns = 0;
            while self.ends[1].received.is_empty() {
                self.turn();
                turns += 1;
                assert!(turns < 1000, "{delivery:?} of {len} bytes does not arrive");
            }
            assert!(self.ends[1].received.pop().is_some_and(|came| came == payload));
        }
        self.ends.each_ref().map(|end| end.asked)
    }
}

/// Now and then something that is kept grows: a window, the list of what was sent.
const SELDOM: u64 = 20;

#[test]
fn a_message_that_arrives_asks_for_memory_once_and_a_packet_that_leaves_never() {
    for delivery in [Delivery::ordered(0), Delivery::new(3, false, Order::Ordered)] {
        for len in [1, 1200, 20_000, 65_536] {
            let mut pair = Pair::connected();
            // What is asked for once, and kept.
            pair.exchange(delivery, len, 50);
            let before = pair.ends[0].endpoint.stats().datagrams_sent;
            let [sender, receiver] = pair.exchange(delivery, len, 60);
            let packets = pair.ends[0].endpoint.stats().datagrams_sent - before;
            assert!(
                sender * SELDOM <= packets,
                "{sender} times for {packets} packets of {len} bytes"
            );
            assert!(receiver <= 60 + 6, "{receiver} times for 60 messages of {len} bytes");
        }
    }
}

#[test]
fn a_larger_message_asks_once_more_each_time_that_what_arrived_doubles() {
    for (len, most) in [(65_537, 2), (131_072, 2), (131_073, 3), (1 << 20, 5)] {
        let mut pair = Pair::connected();
        // Meanwhile the window grows, and what is kept of it with it.
        pair.exchange(Delivery::ordered(0), len, 8);
        let [_, receiver] = pair.exchange(Delivery::ordered(0), len, 4);
        assert!(receiver <= 4 * most + 2, "{receiver} times for 4 messages of {len} bytes");
    }
}

/// Messages on many channels at once take turns, packet by packet, and still ask about once.
#[test]
fn messages_that_arrive_side_by_side_ask_once_as_long_as_they_are_few() {
    let mut pair = Pair::connected();
    let payload = Bytes::from(vec![0x5a; 60_000]);
    for (round, channels) in [4, 4, 4, 4].into_iter().enumerate() {
        let sender = &mut pair.ends[0];
        let peer = sender.peer.expect("they are connected");
        for channel in 0..channels {
            let delivery = Delivery::reliable(channel);
            sender.endpoint.send(pair.now, peer, delivery, payload.clone()).expect("there is room");
        }
        pair.ends[1].asked = 0;
        while pair.ends[1].received.len() < usize::from(channels) {
            pair.turn();
        }
        pair.ends[1].received.clear();
        let asked = pair.ends[1].asked;
        assert!(
            round < 2 || asked <= u64::from(channels) + 1,
            "{asked} times for {channels} messages"
        );
    }
}
