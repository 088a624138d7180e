//! Two endpoints and a network in which every datagram can be lost, held back or forged. What is
//! tested here went wrong once.

mod admit;
mod flood;
mod hostile;
mod life;
mod reconnect;
mod rekey;
mod repair;
mod siege;
mod sockets;

use core::net::SocketAddr;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::vec;

use crate::{
    Bytes, Config, Delivery, Endpoint, Event, Farewell, Flow, Identity, Instant, KeyUpdates,
    Limits, Origin, PeerHandle, Target, Timing, ValidConfig,
};

/// Types of datagrams, as their first byte tells.
const REQUEST: u8 = 0xc1;
const RESPONSE: u8 = 0xc2;
const RETRY: u8 = 0xc3;
const SEALED: u8 = 0xc4;
const HINT: u8 = 0xc6;

/// How long a datagram of a [`Pair`] travels, in milliseconds.
const LATENCY: u64 = 10;

type Datagram = (SocketAddr, Vec<u8>);

/// The instant `ms` milliseconds into a test.
fn at(ms: u64) -> Instant {
    Instant::from_micros(1_000_000 + ms * 1000)
}

fn message(len: usize) -> Bytes {
    Bytes::from(vec![7; len])
}

fn lingering() -> Farewell {
    Farewell { linger: Duration::from_secs(60), ..Farewell::default() }
}

/// An endpoint, where it is, and what it told so far.
struct Node {
    endpoint: Endpoint,
    address: SocketAddr,
    events: Vec<Event>,
}

impl Node {
    fn new(number: u8, config: Config) -> Self {
        let (config, identity) = (config.validate().expect("valid"), [number; 32]);
        let endpoint = Endpoint::new(config, Identity::from_seed(identity), [number; 32], at(0));
        let address = SocketAddr::from(([10, 0, 0, number], 4263));
        Self { endpoint, address, events: vec![] }
    }

    /// The same identity at the same address, with nothing remembered.
    fn restarted(number: u8, now: Instant) -> Self {
        let identity = Identity::from_seed([number; 32]);
        let endpoint = Endpoint::new(ValidConfig::default(), identity, [number + 100; 32], now);
        Self { endpoint, ..Self::new(number, Config::default()) }
    }

    fn call(&mut self, now: Instant, callee: &Self) -> PeerHandle {
        let target = Target::new(callee.endpoint.id(), [callee.address]);
        self.endpoint.connect(now, target).expect("room for a peer")
    }

    fn send(&mut self, now: Instant, peer: PeerHandle, delivery: Delivery, len: usize) {
        self.endpoint.send(now, peer, delivery, message(len)).expect("taken");
    }

    /// Everything that is to be sent now.
    fn sent(&mut self, now: Instant) -> Vec<Datagram> {
        let (mut all, mut buf) = (vec![], [0; 2048]);
        while let Some(transmit) = self.endpoint.poll_transmit(now, &mut buf) {
            let size = transmit.segment.map_or(transmit.len, |size| usize::from(size.get()));
            let datagrams = buf[..transmit.len].chunks(size);
            all.extend(datagrams.map(|bytes| (transmit.destination, bytes.to_vec())));
        }
        self.listen();
        all
    }

    /// The one datagram that is to be sent now.
    fn sent_one(&mut self, now: Instant) -> Vec<u8> {
        let mut all = self.sent(now);
        assert_eq!(all.len(), 1, "one datagram");
        all.remove(0).1
    }

    fn take(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let mut copy = datagram.to_vec();
        self.endpoint.handle_datagram(now, Origin::from_remote(from), &mut copy);
        self.listen();
    }

    fn wake(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        self.listen();
    }

    fn listen(&mut self) {
        self.events.extend(std::iter::from_fn(|| self.endpoint.poll_event()));
    }

    /// Its handle of `other`.
    fn knows(&self, other: &Self) -> Option<PeerHandle> {
        self.endpoint.peer_by_id(&other.endpoint.id())
    }

    /// All messages of `peer` that wait.
    fn received(&mut self, now: Instant, peer: PeerHandle) -> Vec<Bytes> {
        let next = || self.endpoint.receive(now, peer).map(|message| message.payload);
        std::iter::from_fn(next).collect()
    }

    fn count(&self, matches: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| matches(event)).count()
    }

    fn pongs(&self) -> usize {
        self.count(|event| matches!(event, Event::Pong { .. }))
    }

    fn has_ended(&self) -> bool {
        self.count(|event| matches!(event, Event::Ended { .. })) > 0
    }
}

/// `a` calls `b`; the wire between them delays every datagram by [`LATENCY`].
struct Pair {
    a: Node,
    b: Node,
    /// What `a` calls `b`.
    peer: PeerHandle,
    wire: Vec<(Instant, bool, Vec<u8>)>,
    now: Instant,
}

impl Pair {
    fn new(config_a: Config, config_b: Config) -> Self {
        let (mut a, b) = (Node::new(1, config_a), Node::new(2, config_b));
        let peer = a.call(at(0), &b);
        Self { a, b, peer, wire: vec![], now: at(0) }
    }

    /// A pair that shook hands, one second ago.
    fn connected(config: &Config) -> Self {
        let mut pair = Self::new(config.clone(), config.clone());
        pair.run(1000);
        pair
    }

    fn run(&mut self, until: u64) {
        self.run_with(until, |_, _, _| true);
    }

    /// Runs until `until` ms; `keep(ms, from_a, datagram)` says which datagrams are not lost.
    fn run_with(&mut self, until: u64, mut keep: impl FnMut(u64, bool, &[u8]) -> bool) {
        let end = at(until);
        while self.now < end {
            self.exchange(&mut keep);
            let deadlines = [&self.a, &self.b].map(|node| node.endpoint.poll_timeout());
            let arrivals = self.wire.iter().map(|(when, ..)| *when);
            let next = deadlines.into_iter().flatten().chain(arrivals).min().unwrap_or(end);
            self.now = next.max(self.now + Duration::from_micros(1)).min(end);
            for node in [&mut self.a, &mut self.b] {
                if node.endpoint.poll_timeout().is_some_and(|due| due <= self.now) {
                    node.wake(self.now);
                }
            }
            self.deliver();
        }
        self.exchange(&mut keep);
    }

    fn deliver(&mut self) {
        let now = self.now;
        for (_, from_a, datagram) in self.wire.extract_if(.., |(when, ..)| *when <= now) {
            if from_a {
                self.b.take(now, self.a.address, &datagram);
            } else {
                self.a.take(now, self.b.address, &datagram);
            }
        }
    }

    fn exchange(&mut self, keep: &mut impl FnMut(u64, bool, &[u8]) -> bool) {
        let ms = self.now.saturating_since(at(0)).as_millis() as u64;
        let arrival = self.now + Duration::from_millis(LATENCY);
        let (at_a, at_b) = (self.a.address, self.b.address);
        for (from_a, node, other) in [(true, &mut self.a, at_b), (false, &mut self.b, at_a)] {
            for (destination, datagram) in node.sent(self.now) {
                if destination == other && keep(ms, from_a, &datagram) {
                    self.wire.push((arrival, from_a, datagram));
                }
            }
        }
    }

    /// What `b` calls `a`.
    fn caller(&self) -> PeerHandle {
        self.b.knows(&self.a).expect("a peer of b")
    }

    fn received_by_b(&mut self) -> Vec<Bytes> {
        let caller = self.caller();
        self.b.received(self.now, caller)
    }
}
