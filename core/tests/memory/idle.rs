//! What a peer costs that talked and is quiet now.
//!
//! `HANDFAST_PEERS=10000 cargo test --release -p handfast-core --test memory quiet -- --nocapture` has more of them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use handfast_core::{
    Bytes, Delivery, Endpoint, Event, Identity, Instant, Origin, Target, ValidConfig,
};

use crate::counting::LIVE;

/// The server, and the bytes that it has.
struct Server {
    endpoint: Endpoint,
    live: isize,
}

impl Server {
    fn with<R>(&mut self, act: impl FnOnce(&mut Endpoint) -> R) -> R {
        let before = LIVE.get();
        let result = act(&mut self.endpoint);
        self.live += LIVE.get() - before;
        result
    }

    /// Answers each message on its own channel.
    fn attend(&mut self, now: Instant) {
        self.with(|server| {
            while let Some(event) = server.poll_event() {
                let Event::Readable { peer } = event else { continue };
                while let Some(message) = server.receive(now, peer) {
                    server.send(now, peer, message.delivery, message.payload).expect("room");
                }
            }
        });
    }
}

struct Client {
    endpoint: Endpoint,
    address: SocketAddr,
}

impl Client {
    /// Takes a datagram, and reads all that there is.
    fn take(&mut self, now: Instant, datagram: &mut [u8]) {
        let from = Origin::from_remote(SERVER.parse().expect("an address"));
        self.endpoint.handle_datagram(now, from, datagram);
        while self.endpoint.poll_event().is_some() {}
        let peer = self.endpoint.peers().next().map(|peer| peer.handle);
        while peer.is_some_and(|peer| self.endpoint.receive(now, peer).is_some()) {}
    }
}

/// Which client is there.
fn number(address: SocketAddr) -> usize {
    let IpAddr::V4(ip) = address.ip() else { panic!("{address} is of IPv6") };
    (u32::from_be_bytes(ip.octets()) & 0x00ff_ffff) as usize
}

struct Net {
    now: Instant,
    server: Server,
    clients: Vec<Client>,
    buf: Vec<u8>,
}

impl Net {
    fn new(peers: u32) -> Self {
        let now = Instant::from_micros(1);
        let identity = Identity::from_seed([2; 32]);
        let server = Endpoint::new(ValidConfig::default(), identity, [2; 32], now);
        let clients = (0..peers).map(|number| {
            let mut seed = [7; 32];
            seed[..4].copy_from_slice(&number.to_le_bytes());
            let [_, b, c, d] = number.to_be_bytes();
            Client {
                endpoint: Endpoint::new(
                    ValidConfig::default(),
                    Identity::from_seed(seed),
                    seed,
                    now,
                ),
                address: SocketAddr::from(([10, b, c, d], 4263)),
            }
        });
        Self {
            now,
            server: Server { endpoint: server, live: 0 },
            clients: clients.collect(),
            buf: vec![0; 2048],
        }
    }

    /// Passes datagrams between the server and its clients, beginning with those of `at`, until all are silent.
    fn exchange(&mut self, at: Option<usize>) {
        let mut todo: Vec<usize> = at.into_iter().collect();
        loop {
            let Self { now, server, clients, buf } = self;
            *now += Duration::from_millis(1);
            if let Some(client) = todo.pop().map(|at| &mut clients[at]) {
                while let Some(sent) = client.endpoint.poll_transmit(*now, buf) {
                    let from = Origin::from_remote(client.address);
                    server.with(|it| it.handle_datagram(*now, from, &mut buf[..sent.len]));
                }
            }
            server.attend(*now);
            while let Some(sent) = server.with(|it| it.poll_transmit(*now, buf)) {
                let to = number(sent.destination);
                clients[to].take(*now, &mut buf[..sent.len]);
                if !todo.contains(&to) {
                    todo.push(to);
                }
            }
            if todo.is_empty() {
                return;
            }
        }
    }

    fn tick(&mut self) {
        for at in 0..self.clients.len() {
            let (now, client) = (self.now, &mut self.clients[at]);
            if client.endpoint.poll_timeout().is_some_and(|due| due <= now) {
                client.endpoint.handle_timeout(now);
                self.exchange(Some(at));
            }
        }
        let now = self.now;
        if self.server.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            self.server.with(|it| it.handle_timeout(now));
            self.exchange(None);
        }
    }

    fn be_quiet(&mut self, span: Duration) {
        let until = self.now + span;
        while self.now < until {
            self.now += Duration::from_millis(20);
            self.tick();
        }
    }

    /// Every client says something, and hears it back.
    fn talk(&mut self, at: usize) {
        let now = self.now;
        let client = &mut self.clients[at].endpoint;
        let server = Target::new(self.server.endpoint.id(), [SERVER.parse().expect("an address")]);
        let peer = client.connect(now, server).expect("room");
        self.exchange(Some(at));
        for n in 0..100_u8 {
            let (now, client) = (self.now, &mut self.clients[at].endpoint);
            let delivery = Delivery::ordered((n % 2).into());
            client.send(now, peer, delivery, Bytes::from(vec![n; 100])).expect("room");
            self.exchange(Some(at));
        }
    }
}

const SERVER: &str = "192.0.2.1:4263";
/// Bytes of the heap for a quiet peer; raised only with a reason. A few of them are awake for a heartbeat.
const MOST: isize = 1_100;

#[test]
fn a_peer_that_talked_and_is_quiet_takes_little_memory() {
    let peers = std::env::var("HANDFAST_PEERS")
        .map_or(128, |number| number.parse().expect("HANDFAST_PEERS is a number of peers"));
    let mut net = Net::new(peers);
    // Tables of the endpoint are made when the first one comes, which is not counted.
    net.talk(0);
    net.be_quiet(Duration::from_secs(60));
    let before = net.server.live;
    for at in 1..net.clients.len() {
        net.talk(at);
        // The others do not miss their heartbeats.
        net.tick();
    }
    let others = peers as isize - 1;
    let after_talk = (net.server.live - before) / others;
    net.be_quiet(Duration::from_secs(60));
    assert_eq!(net.server.endpoint.peers().count(), peers as usize);
    let quiet = (net.server.live - before) / others;
    println!(
        "bytes for each of {peers} peers: {after_talk} after it talked, {quiet} a minute later"
    );
    assert!(quiet <= MOST, "{quiet} bytes for a quiet peer");
}
