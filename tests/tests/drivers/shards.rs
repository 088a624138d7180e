//! Several shards behind one address: the application and its peers see one endpoint.

mod mio;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{
    Config, Delivery, DisconnectOptions, EndReason, Event, ForwardingPolicy, Identity, PeerId,
    SocketId,
};
use handfast_tests::{loopback, within};
use handfast_tokio::{Endpoint, EndpointStats, Events, Peer, SocketError};
use handfast_udp::faults::steer_in_kernel;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

#[test]
fn sixty_four_clients_of_shards_meet_one_endpoint() {
    let count = |shards, steered| {
        let stats = within(HANG, move || {
            steer_in_kernel(steered);
            threads(2).block_on(meet(shards))
        });
        let sockets = stats.sockets;
        println!(
            "{shards} shards, steered {steered}: {} handed over",
            sockets.datagrams_handed_over
        );
        assert_eq!(sockets.handovers_dropped, 0);
        sockets.datagrams_handed_over
    };
    let (steered, spread) = (count(4, true), count(3, false));
    // Requests of who restarts elsewhere, and little else; two of three packets of those that moved.
    assert!(steered < spread / 2, "{steered} of {spread}");
}

/// They know each other by name, and meet at the server, whichever shards have them.
#[test]
fn clients_of_different_shards_meet_at_the_server() {
    let stats = within(HANG, || threads(2).block_on(introduce(3)));
    assert!(stats.stats.forwards_passed > 0 && stats.sockets.datagrams_handed_over > 0);
    assert_eq!(stats.sockets.handovers_dropped, 0);
}

async fn introduce(shards: u16) -> EndpointStats {
    let mut config = Config::default();
    config.forwarding.policy = ForwardingPolicy::Anyone;
    let server = Endpoint::bind_shards(config, Identity::from_seed([99; 32]), loopback(), shards);
    let server = server.expect("bound");
    let address = server.local_addresses()[0];
    let mut clients = Vec::new();
    // Among so many, some are of different shards, but for one time in 10^7.
    for number in 0..16 {
        clients.push(client(number, address).await);
        tokio::spawn(echo(clients[clients.len() - 1].0.clone()));
    }
    let of: BTreeSet<u8> = hosts(&server).await.values().map(|(shard, _)| *shard).collect();
    assert!(of.len() > 1);
    for (one, _) in &clients[..4] {
        for (other, _) in &clients[4..] {
            exchange(&one.connect(other.id()).await.expect("connected")).await;
        }
    }
    server.close(DisconnectOptions::default()).await.expect("closed");
    server.stats().await.expect("the last")
}

fn threads(workers: usize) -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    runtime.expect("a runtime")
}

fn identity(client: u8) -> Identity {
    Identity::from_seed([client + 1; 32])
}

/// A client in a runtime of its own, so that it can be killed without a word.
struct Client {
    runtime: Runtime,
    endpoint: Endpoint,
    peer: Peer,
}

impl Client {
    fn start(number: u8, server: SocketAddr) -> Self {
        let runtime = threads(1);
        let (endpoint, peer) = runtime.block_on(async {
            let endpoint = Endpoint::bind(Config::default(), identity(number), loopback());
            let endpoint = endpoint.expect("bound");
            let peer = endpoint.connect(server).await.expect("connected");
            (endpoint, peer)
        });
        Self { runtime, endpoint, peer }
    }

    /// Its driver is gone before its handles are, so that nobody says goodbye. Who it was.
    fn kill(self) -> PeerId {
        let Self { runtime, endpoint, peer } = self;
        runtime.shutdown_timeout(HANG);
        drop(peer);
        endpoint.id()
    }
}

async fn client(number: u8, server: SocketAddr) -> (Endpoint, Peer) {
    let endpoint = Endpoint::bind(Config::default(), identity(number), loopback()).expect("bound");
    let peer = endpoint.connect(server).await.expect("connected");
    (endpoint, peer)
}

/// Sends numbers, and waits until they have come back in order.
async fn exchange(peer: &Peer) {
    for number in 0..MESSAGES {
        peer.send(Delivery::ordered(0), vec![number]).await.expect("sent");
    }
    for number in 0..MESSAGES {
        let message = peer.recv().await.expect("an echo");
        assert_eq!(&message.payload[..], [number]);
    }
}

async fn echo(server: Endpoint) {
    while let Some(peer) = server.accept().await {
        tokio::spawn(async move {
            while let Some(message) = peer.recv().await {
                peer.send(Delivery::ordered(0), message.payload).await.ok();
            }
        });
    }
}

async fn meet(shards: u16) -> EndpointStats {
    let (own, config) = (Identity::from_seed([99; 32]), Config::default());
    let server = Endpoint::bind_shards(config, own, loopback(), shards).expect("bound");
    let address = server.local_addresses()[0];
    let events = server.events().await.expect("events");
    tokio::spawn(echo(server.clone()));
    let mut arriving = JoinSet::new();
    for number in 1..CLIENTS {
        arriving.spawn(async move {
            let (endpoint, peer) = client(number, address).await;
            exchange(&peer).await;
            (number, (endpoint, peer))
        });
    }
    let mut clients: BTreeMap<u8, (Endpoint, Peer)> =
        arriving.join_all().await.into_iter().collect();
    let doomed = tokio::task::spawn_blocking(move || Client::start(0, address));
    let doomed = doomed.await.expect("started");
    exchange(&doomed.peer).await;

    let before = hosts(&server).await;
    assert_eq!(before.len(), usize::from(CLIENTS));
    let used: BTreeSet<u8> = before.values().map(|shard| shard.0).collect();
    assert_eq!(used.len(), usize::from(shards), "all shards have peers");

    // One is killed, and comes back from elsewhere; others move to other ports.
    let killed = tokio::task::spawn_blocking(|| doomed.kill()).await.expect("killed");
    let back = client(0, address).await;
    exchange(&back.1).await;
    assert_eq!(back.0.id(), killed);
    clients.insert(0, back);
    for (endpoint, peer) in clients.values().skip(1).take(8) {
        endpoint.add_socket(loopback()).await.expect("added");
        endpoint.remove_socket(SocketId(0)).await.expect("removed");
        for _ in 0..16 {
            exchange(peer).await;
        }
    }
    let after = hosts(&server).await;
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for (id, (shard, _)) in &after {
        assert_eq!(*shard, before[id].0, "nobody goes to another shard");
    }

    // Whichever shard dials, there is one peer with that identity.
    let (endpoint, _) = &clients[&1];
    for _ in 0..shards {
        let again = server.connect(endpoint.local_addresses()[0]).await.expect("it is a peer");
        assert_eq!((again.handle().shard(), again.handle()), after[&endpoint.id()]);
    }
    let refused = server.add_socket(loopback()).await;
    assert!(matches!(refused, Err(SocketError::Sharded)), "{refused:?}");

    server.close(DisconnectOptions::default()).await.expect("closed");
    for (_, peer) in clients.values() {
        let reason = peer.closed().await;
        assert!(matches!(reason, EndReason::PeerDisconnected { .. }), "{reason}");
    }
    check(events, &before).await;
    server.stats().await.expect("the last")
}

/// Which peer has which handle.
async fn hosts(server: &Endpoint) -> BTreeMap<PeerId, (u8, handfast_core::PeerHandle)> {
    let peers = server.peers().await.expect("peers");
    let place =
        |peer: handfast_core::PeerInfo| Some((peer.id?, (peer.handle.shard(), peer.handle)));
    peers.into_iter().filter_map(place).collect()
}

/// Of each peer the application was told that it came and went, in turn, and nothing else of the kind.
async fn check<T>(mut events: Events, expected: &BTreeMap<PeerId, T>) {
    let (mut names, mut told) = (BTreeMap::new(), BTreeMap::<PeerId, Vec<bool>>::new());
    while let Some(event) = events.recv().await {
        match event {
            Event::Connected { peer, id, .. } => {
                assert_eq!(names.insert(peer, id), None, "told twice");
                told.entry(id).or_default().push(true);
            }
            Event::Ended { peer, .. } => {
                if let Some(id) = names.get(&peer) {
                    told.entry(*id).or_default().push(false);
                }
            }
            _ => {}
        }
    }
    assert!(told.keys().eq(expected.keys()));
    for (id, told) in told {
        let in_turn = told.iter().enumerate().all(|(at, came)| *came == at.is_multiple_of(2));
        assert!(in_turn && told.len().is_multiple_of(2), "{id}: {told:?}");
    }
}

const CLIENTS: u8 = 64;
const MESSAGES: u8 = 20;
const HANG: Duration = Duration::from_secs(300);
