//! Two endpoints and the wire between them, on which every datagram can be lost, held back or
//! forged. The only network inside the core: tests of the public interface use the simulator.

use core::net::SocketAddr;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::vec;

use crate::{
    Bytes, Config, Delivery, Endpoint, Event, Identity, Instant, Origin, PeerHandle, Target,
    ValidConfig,
};

/// How long a datagram of a [`Pair`] travels, in milliseconds.
pub(crate) const LATENCY: u64 = 10;

/// Where it goes, or comes from, and what it holds.
pub(crate) type Datagram = (SocketAddr, Vec<u8>);

/// The instant `ms` milliseconds into a test.
pub(crate) fn at(ms: u64) -> Instant {
    Instant::from_micros(1_000_000 + ms * 1000)
}

pub(crate) fn message(len: usize) -> Bytes {
    Bytes::from(vec![7; len])
}

/// The usual address of the node with this number.
pub(crate) fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 4263))
}

/// An endpoint, where it is, and what it told so far.
pub(crate) struct Node {
    pub(crate) endpoint: Endpoint,
    pub(crate) address: SocketAddr,
    pub(crate) events: Vec<Event>,
}

impl Node {
    pub(crate) fn new(number: u8, config: Config) -> Self {
        Self::born(number, config, at(0))
    }

    /// The same at another time than the beginning of a test.
    pub(crate) fn born(number: u8, config: Config, now: Instant) -> Self {
        let identity = Identity::from_seed([number; 32]);
        Self::with(
            Endpoint::new(config.validate().expect("valid"), identity, [number; 32], now),
            address(number),
        )
    }

    /// The same identity at the same address, with nothing remembered.
    pub(crate) fn restarted(number: u8, now: Instant) -> Self {
        let identity = Identity::from_seed([number; 32]);
        let endpoint = Endpoint::new(ValidConfig::default(), identity, [number + 100; 32], now);
        Self::with(endpoint, address(number))
    }

    pub(crate) const fn with(endpoint: Endpoint, address: SocketAddr) -> Self {
        Self { endpoint, address, events: vec![] }
    }

    pub(crate) fn call(&mut self, now: Instant, responder: &Self) -> PeerHandle {
        let target = Target::new(responder.endpoint.id(), [responder.address]);
        self.endpoint.connect(now, target).expect("room for a peer")
    }

    pub(crate) fn send(&mut self, now: Instant, peer: PeerHandle, delivery: Delivery, len: usize) {
        self.endpoint.send(now, peer, delivery, message(len)).expect("taken");
    }

    /// Everything that is to be sent now.
    pub(crate) fn sent(&mut self, now: Instant) -> Vec<Datagram> {
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
    pub(crate) fn sent_one(&mut self, now: Instant) -> Vec<u8> {
        let mut all = self.sent(now);
        assert_eq!(all.len(), 1, "one datagram");
        all.remove(0).1
    }

    pub(crate) fn take(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let mut copy = datagram.to_vec();
        self.endpoint.handle_datagram(now, Origin::from_remote(from), &mut copy);
        self.listen();
    }

    pub(crate) fn wake(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        self.listen();
    }

    pub(crate) fn listen(&mut self) {
        self.events.extend(std::iter::from_fn(|| self.endpoint.poll_event()));
    }

    /// Its handle of `other`.
    pub(crate) fn knows(&self, other: &Self) -> Option<PeerHandle> {
        self.endpoint.peer_by_id(&other.endpoint.id())
    }

    /// All messages of `peer` that wait.
    pub(crate) fn received(&mut self, now: Instant, peer: PeerHandle) -> Vec<Bytes> {
        let next = || self.endpoint.receive(now, peer).map(|message| message.payload);
        std::iter::from_fn(next).collect()
    }

    pub(crate) fn count(&self, matches: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| matches(event)).count()
    }

    pub(crate) fn pongs(&self) -> usize {
        self.count(|event| matches!(event, Event::Pong { .. }))
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.count(|event| matches!(event, Event::Ended { .. })) > 0
    }

    fn is_due(&self, now: Instant) -> bool {
        self.endpoint.poll_timeout().is_some_and(|due| due <= now)
    }
}

/// A datagram under way.
pub(crate) struct Letter {
    arrival: Instant,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// Two nodes; the wire between them delays every datagram by [`LATENCY`].
pub(crate) struct Pair {
    pub(crate) a: Node,
    pub(crate) b: Node,
    pub(crate) now: Instant,
    /// What `a` calls `b`, once it called.
    peer: Option<PeerHandle>,
    wire: Vec<Letter>,
}

impl Pair {
    /// Two that did not call each other.
    pub(crate) const fn strangers(a: Node, b: Node, now: Instant) -> Self {
        Self { a, b, now, peer: None, wire: vec![] }
    }

    /// Node 1 calls node 2: nothing is under way yet.
    pub(crate) fn new(config_a: Config, config_b: Config) -> Self {
        let mut pair = Self::strangers(Node::new(1, config_a), Node::new(2, config_b), at(0));
        pair.peer = Some(pair.a.call(at(0), &pair.b));
        pair
    }

    /// A pair that shook hands, one second ago.
    pub(crate) fn connected(config: &Config) -> Self {
        let mut pair = Self::new(config.clone(), config.clone());
        pair.run(1000);
        pair
    }

    pub(crate) fn run(&mut self, until: u64) {
        self.run_with(until, |_, _, _| true);
    }

    /// Runs until `until` ms; `keep(ms, from_a, datagram)` says which datagrams are not lost.
    pub(crate) fn run_with(&mut self, until: u64, mut keep: impl FnMut(u64, bool, &[u8]) -> bool) {
        let end = at(until);
        while self.now < end {
            self.exchange(&mut keep);
            let deadlines = [&self.a, &self.b].map(|node| node.endpoint.poll_timeout());
            let arrivals = self.wire.iter().map(|letter| letter.arrival);
            let next = deadlines.into_iter().flatten().chain(arrivals).min().unwrap_or(end);
            self.now = next.max(self.now + Duration::from_micros(1)).min(end);
            self.wake_due();
            self.deliver();
        }
        self.exchange(&mut keep);
    }

    /// Wakes whoever asked for it.
    pub(crate) fn wake_due(&mut self) {
        for node in [&mut self.a, &mut self.b] {
            if node.is_due(self.now) {
                node.wake(self.now);
            }
        }
    }

    /// Hands over what has arrived.
    pub(crate) fn deliver(&mut self) {
        let now = self.now;
        for letter in self.wire.extract_if(.., |letter| letter.arrival <= now) {
            let nodes = [&mut self.a, &mut self.b].into_iter();
            for node in nodes.filter(|node| node.address == letter.to) {
                node.take(now, letter.from, &letter.bytes);
            }
        }
    }

    /// Puts on the wire what both send now and `keep` does not lose. What goes elsewhere is returned.
    pub(crate) fn exchange(
        &mut self,
        keep: &mut impl FnMut(u64, bool, &[u8]) -> bool,
    ) -> Vec<Letter> {
        let ms = self.now.saturating_since(at(0)).as_millis() as u64;
        let arrival = self.now + Duration::from_millis(LATENCY);
        let (at_a, at_b) = (self.a.address, self.b.address);
        let mut astray = vec![];
        for (from_a, node, other) in [(true, &mut self.a, at_b), (false, &mut self.b, at_a)] {
            for (to, bytes) in node.sent(self.now) {
                if to != other {
                    astray.push(Letter { arrival, from: node.address, to, bytes });
                } else if keep(ms, from_a, &bytes) {
                    self.wire.push(Letter { arrival, from: node.address, to, bytes });
                }
            }
        }
        astray
    }

    /// What `a` calls `b`.
    pub(crate) fn peer(&self) -> PeerHandle {
        self.peer.expect("a called b")
    }

    /// What `b` calls `a`.
    pub(crate) fn initiator(&self) -> PeerHandle {
        self.b.knows(&self.a).expect("a peer of b")
    }

    pub(crate) fn received_by_b(&mut self) -> Vec<Bytes> {
        let initiator = self.initiator();
        self.b.received(self.now, initiator)
    }
}
