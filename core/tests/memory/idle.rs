//! What a peer costs that talked and is quiet now.
//!
//! `HANDFAST_PEERS=10000 cargo test --release -p handfast-core --test memory quiet -- --nocapture` has more of them.

use std::net::SocketAddr;
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

    /// Passes datagrams between the server and one client until both are silent.
    fn exchange(&mut self, at: usize) {
        loop {
            let Self { now, server, clients, buf } = self;
            *now += Duration::from_millis(1);
            let client = &mut clients[at];
            let mut passed = false;
            while let Some(sent) = client.endpoint.poll_transmit(*now, buf) {
                let from = Origin::from_remote(client.address);
                server.with(|it| it.handle_datagram(*now, from, &mut buf[..sent.len]));
                passed = true;
            }
            server.attend(*now);
            while let Some(sent) = server.with(|it| it.poll_transmit(*now, buf)) {
                // Those of others are lost.
                if sent.destination == client.address {
                    let from = Origin::from_remote(SERVER.parse().expect("an address"));
                    client.endpoint.handle_datagram(*now, from, &mut buf[..sent.len]);
                }
                passed = true;
            }
            while client.endpoint.poll_event().is_some() {}
            let Some(peer) = client.endpoint.peers().next().map(|peer| peer.handle) else { return };
            while client.endpoint.receive(*now, peer).is_some() {}
            if !passed {
                return;
            }
        }
    }

    fn tick(&mut self) {
        for at in 0..self.clients.len() {
            let (now, client) = (self.now, &mut self.clients[at]);
            if client.endpoint.poll_timeout().is_some_and(|due| due <= now) {
                client.endpoint.handle_timeout(now);
                self.exchange(at);
            }
        }
        let now = self.now;
        self.server.with(|it| {
            if it.poll_timeout().is_some_and(|due| due <= now) {
                it.handle_timeout(now);
            }
        });
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
        self.exchange(at);
        for n in 0..100_u8 {
            let (now, client) = (self.now, &mut self.clients[at].endpoint);
            let delivery = Delivery::ordered((n % 2).into());
            client.send(now, peer, delivery, Bytes::from(vec![n; 100])).expect("room");
            self.exchange(at);
        }
    }
}

const SERVER: &str = "192.0.2.1:4263";
/// Bytes of the heap for a quiet peer; raised only with a reason.
const MOST: isize = 1_400;

#[test]
fn a_peer_that_talked_and_is_quiet_takes_little_memory() {
    let peers = std::env::var("HANDFAST_PEERS")
        .map_or(64, |number| number.parse().expect("HANDFAST_PEERS is a number of peers"));
    let mut net = Net::new(peers);
    // Tables of the endpoint are made when the first one comes, which is not counted.
    net.talk(0);
    net.be_quiet(Duration::from_secs(60));
    let before = net.server.live;
    for at in 1..net.clients.len() {
        net.talk(at);
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
