//! A server under a hail of random, truncated, replayed and mutated datagrams goes on to serve its
//! client, and sends strangers no more bytes than they sent.
//!
//! `HANDFAST_HAIL_SECONDS` is how long it hails; the default is 2. `HANDFAST_HAIL_SEED` is what.

use std::collections::VecDeque;
use std::env;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use handfast_core::{Delivery, DisconnectOptions, EndReason, Fate, PeerHandle};
use handfast_sim::{Conditions, Rng};
use handfast_tests::{
    Node, Outgoing, Proxy, ProxyConfig, Runtime, Setup, Way, What, digest, within,
};

#[test]
fn a_server_on_tokio_survives_a_hail_and_serves_on() {
    within(HANG, || survive(Runtime::Tokio));
}

#[test]
fn a_server_on_mio_survives_a_hail_and_serves_on() {
    within(HANG, || survive(Runtime::Mio));
}

#[test]
fn every_sealed_packet_that_comes_again_is_dropped_as_a_duplicate() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            let (client, server) =
                (Node::start(Setup::new(runtime, 1)), Node::start(Setup::new(runtime, 2)));
            let config = ProxyConfig { capture: 100, ..ProxyConfig::both_ways(1, gentle()) };
            let proxy = Proxy::start(config, server.address()).expect("a proxy");
            let peer = client.connect(proxy.address()).expect("connected");
            let initiator = server.accept();
            (0..5).for_each(|round| exchange(&client, peer, &server, initiator, round));
            let before = [&server, &client].map(|node| node.report().drops.duplicate);
            let mut replayed = [0, 0];
            for (way, replayed) in [Way::ToServer, Way::ToClient].into_iter().zip(&mut replayed) {
                for packet in proxy.captured(way).into_iter().filter(|packet| packet[0] == SEALED) {
                    proxy.inject(0, way, packet);
                    *replayed += 1;
                }
            }
            // Behind the replayed ones on the same way.
            exchange(&client, peer, &server, initiator, 5);
            for at in 0..2 {
                let now = [&server, &client][at].report().drops.duplicate;
                assert!(replayed[at] >= 5, "{replayed:?}");
                assert_eq!(now - before[at], replayed[at], "{runtime:?}");
            }
        });
    }
}

fn survive(runtime: Runtime) {
    let server = Node::start(Setup::new(runtime, 2));
    let (client, proxy) = acquaint(&server);
    // All that passed so far is known to the attacker: handshake, messages, acknowledgements, goodbye.
    let loot = [Way::ToServer, Way::ToClient].map(|way| proxy.captured(way)).concat();
    let peer = client.connect(proxy.address()).expect("connected");
    let initiator = server.accept();
    let over = Arc::new(AtomicBool::new(false));
    let hails = (0..STRANGERS).map(|number| {
        let (loot, over, target) = (loot.clone(), Arc::clone(&over), server.address());
        thread::spawn(move || hail(number, &loot, target, &over))
    });
    let hails: Vec<_> = hails.collect();
    let (on_path, ending) = (Arc::clone(&proxy), Arc::clone(&over));
    let forger = thread::spawn(move || forge(&on_path, &ending));

    let (started, mut round) = (Instant::now(), 0);
    while started.elapsed() < hail_time() || round < 20 {
        exchange(&client, peer, &server, initiator, round);
        check_thrift(&server);
        round += 1;
    }
    over.store(true, Ordering::Relaxed);
    let sent: u64 = hails.into_iter().map(|hail| hail.join().expect("a hail")).sum();
    forger.join().expect("a forger");

    exchange(&client, peer, &server, initiator, round);
    check_thrift(&server);
    check_hit(&server, sent);
    let newcomer = Node::start(Setup::new(runtime, 9));
    newcomer.connect(server.address()).expect("the server takes newcomers");
    println!("{runtime:?}: {sent} datagrams, {round} rounds, {:?}", server.report().drops);
}

/// A whole conversation, so that there is something to replay.
fn acquaint(server: &Node) -> (Node, Arc<Proxy>) {
    let config = ProxyConfig::both_ways(1, gentle());
    let config = ProxyConfig { capture: 2000, ..config };
    let proxy = Proxy::start(config, server.address()).expect("a proxy");
    let client = Node::start(Setup::new(Runtime::Mio, 1));
    let peer = client.connect(proxy.address()).expect("connected");
    let initiator = server.accept();
    (0..20).for_each(|round| exchange(&client, peer, server, initiator, round));
    client.disconnect(peer, DisconnectOptions::default());
    let ended = |node: &Node| loop {
        if let What::Ended(reason) = node.next().what {
            return reason;
        }
    };
    assert!(matches!(ended(&client), EndReason::Disconnected { .. }));
    assert!(matches!(ended(server), EndReason::PeerDisconnected { .. }));
    (client, Arc::new(proxy))
}

/// A message there and one back, each exactly once and acknowledged.
fn exchange(client: &Node, to: PeerHandle, server: &Node, back: PeerHandle, round: u64) {
    for (from, to, at, peer) in [(client, to, server, back), (server, back, client, to)] {
        let (delivery, payload) = (Delivery::ordered(0).with_receipt(), digest::bytes(round, 3000));
        from.send(to, Outgoing { tag: round, delivery, payload: payload.clone() });
        let arrived = at.next();
        assert_eq!(arrived.peer, peer, "{arrived:?}");
        let What::Message(message) = arrived.what else { panic!("{:?}", arrived.what) };
        assert_eq!((message.sequence_number, message.payload), (round, payload));
        let acked = from.next();
        assert_eq!((acked.peer, acked.what), (to, What::Fate(round, Fate::Acked)));
    }
}

/// What the server says about itself.
fn check_thrift(server: &Node) {
    let stats = server.report().stats;
    assert!(stats.unverified_bytes_sent <= stats.unverified_bytes_received, "{stats:?}");
}

/// The hail was not dropped by the system on the way, and was dropped for many reasons.
fn check_hit(server: &Node, sent: u64) {
    let report = server.report();
    assert!(report.stats.datagrams_received > sent / 100, "{report:?}");
    let drops = report.drops;
    for (what, count) in [
        ("malformed", drops.malformed),
        ("unknown type", drops.unknown_type),
        ("unknown version", drops.unknown_version),
        ("unknown session", drops.unknown_session),
        ("bad mac", drops.bad_mac),
        ("duplicate", drops.duplicate),
        ("authentication", drops.authentication),
    ] {
        assert!(count > 0, "{what}: {drops:?}");
    }
}

/// Sends rubbish from an address of its own until it is over. Returns how many datagrams.
fn hail(number: u8, loot: &[Vec<u8>], target: SocketAddr, over: &AtomicBool) -> u64 {
    let socket = UdpSocket::bind((format!("127.0.0.{}", 2 + number), 0)).expect("bound");
    socket.set_nonblocking(true).expect("not blocking");
    let mut rng = Rng::from_seed(seed() + u64::from(number));
    let (mut sent, mut bytes_sent, mut bytes_back) = (0, 0, 0);
    let mut echo = VecDeque::new();
    let mut buffer = [0; 2048];
    while !over.load(Ordering::Relaxed) && sent < MOST {
        // What comes back may be mutated and returned.
        while let Ok(len) = socket.recv(&mut buffer) {
            bytes_back += len;
            echo.push_back(buffer[..len].to_vec());
        }
        let rubbish = match echo.pop_front() {
            Some(mut echo) if rng.index(2) == 0 => {
                mutate(&mut rng, &mut echo);
                echo
            }
            _ => rubbish(&mut rng, loot),
        };
        // Counted before it is sent: an answer cannot come before that.
        bytes_sent += rubbish.len();
        if socket.send_to(&rubbish, target).is_err() {
            bytes_sent -= rubbish.len();
        }
        assert!(bytes_back <= bytes_sent, "{bytes_back} bytes back for {bytes_sent}");
        sent += 1;
        if sent % BURST == 0 {
            thread::sleep(PAUSE);
        }
    }
    sent
}

/// The same under the address of the client, and of the server towards the client, as someone on
/// the path could: made of what passes now.
fn forge(proxy: &Proxy, over: &AtomicBool) {
    let mut rng = Rng::from_seed(seed() + 1000);
    while !over.load(Ordering::Relaxed) {
        for way in [Way::ToServer, Way::ToClient] {
            let loot = proxy.captured(way);
            for _ in 0..10 {
                let newest = loot.len() - rng.index(loot.len().min(20));
                proxy.inject(0, way, rubbish(&mut rng, &loot[..newest]));
                proxy.inject(0, way, rubbish(&mut rng, &loot[newest - 1..]));
            }
        }
        thread::sleep(PAUSE);
    }
}

fn rubbish(rng: &mut Rng, loot: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = loot[rng.index(loot.len())].clone();
    match rng.index(5) {
        0 => {
            let len = rng.index(1500);
            bytes = digest::bytes(rng.next_u64(), len).to_vec();
        }
        1 => bytes.truncate(rng.index(bytes.len() + 1)),
        2 => {}
        3 => mutate(rng, &mut bytes),
        _ => {
            // A good beginning and a bad end, of another length.
            bytes.truncate(32);
            bytes.extend(digest::bytes(rng.next_u64(), rng.index(1200)));
        }
    }
    bytes
}

fn mutate(rng: &mut Rng, bytes: &mut [u8]) {
    if bytes.is_empty() {
        return;
    }
    for _ in 0..=rng.index(3) {
        let len = if rng.index(2) == 0 { bytes.len() } else { bytes.len().min(16) };
        bytes[rng.index(len)] = rng.next_u64().to_le_bytes()[0];
    }
}

fn gentle() -> Conditions {
    Conditions { latency: Duration::from_millis(1), ..Conditions::default() }
}

fn hail_time() -> Duration {
    Duration::from_secs(variable("HANDFAST_HAIL_SECONDS").unwrap_or(2))
}

fn seed() -> u64 {
    variable("HANDFAST_HAIL_SEED").unwrap_or(1)
}

fn variable(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// The first byte of a sealed packet.
const SEALED: u8 = 0xc4;
const STRANGERS: u8 = 3;
/// Each stranger pauses after so many datagrams, or the system's queue is all that is tested.
const BURST: u64 = 50;
const PAUSE: Duration = Duration::from_millis(10);
/// Of each stranger.
const MOST: u64 = 1_000_000;
const HANG: Duration = Duration::from_secs(120);
