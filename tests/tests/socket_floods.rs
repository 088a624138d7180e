//! A socket that always has more to read: commands, timers and peers have their turn all the same.
//!
//! `HANDFAST_FLOOD_DATAGRAMS` is how many the server reads in each flood; the default is 100,000.

use std::env;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use handfast_core::{Delivery, EndReason, Fate, PeerHandle};
use handfast_sim::Rng;
use handfast_tests::{Node, Outgoing, Runtime, Setup, Vitals, What, digest, loopback, within};

#[test]
fn a_flood_of_junk_holds_back_neither_commands_nor_timers_nor_peers() {
    for runtime in Runtime::ALL {
        alone(move || endure(runtime, &junk(1)));
    }
}

/// Each takes a place in a read and says nothing: not that there is no more, nor that it is over.
#[test]
fn a_flood_of_empty_datagrams_holds_back_neither_commands_nor_timers_nor_peers() {
    for runtime in Runtime::ALL {
        alone(move || endure(runtime, &[Vec::new()]));
    }
}

/// Floods need the machine, and memory is the whole process's.
fn alone(test: impl FnOnce() + Send + 'static) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    within(HANG, test);
}

fn endure(runtime: Runtime, kinds: &[Vec<u8>]) {
    let (server, client) = (start(runtime, 2), start(runtime, 1));
    let peer = client.connect(server.address()).expect("connected");
    let initiator = server.accept();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..FLOODERS {
            let (target, over) = (server.address(), &over);
            scope.spawn(move || flood(number, kinds, target, over));
        }
        // However this ends, the floods do.
        let _guard = Raise(&over);
        let first = server.report().sockets.datagrams_received;
        let received = || server.report().sockets.datagrams_received - first;
        // Until buffers have grown to what they will be.
        while received() < datagrams() / 10 {}
        let before = Vitals::now();
        // However soon the flood is read, it goes on for as long as these take.
        exchange(&client, peer, &server, initiator, 0);
        // Commands and timers of the server itself: nobody answers this dial.
        dial_nobody(&server);
        let mut rounds = 1;
        while received() < datagrams() {
            exchange(&client, peer, &server, initiator, rounds);
            rounds += 1;
        }
        Vitals::assert_back(before, 32 << 20);
        println!("{runtime:?}: {rounds} rounds, {} datagrams", received());
    });
    exchange(&client, peer, &server, initiator, 0);
}

/// A ping and a message there, each answered. What the system drops for want of room is repeated.
fn exchange(client: &Node, peer: PeerHandle, server: &Node, initiator: PeerHandle, round: u64) {
    let payload = digest::bytes(round, 2000);
    let delivery = Delivery::ordered(0).with_receipt();
    client.send(peer, Outgoing { tag: round, delivery, payload: payload.clone() });
    client.ping(peer);
    let mut heard = [client.next().what, client.next().what];
    heard.sort_by_key(|what| matches!(what, What::Pong));
    assert_eq!(heard, [What::Fate(round, Fate::Acked), What::Pong]);
    let arrived = server.next();
    assert_eq!(arrived.peer, initiator);
    let What::Message(message) = arrived.what else { panic!("{:?}", arrived.what) };
    assert_eq!(message.payload, payload);
}

fn dial_nobody(server: &Node) {
    let nobody = UdpSocket::bind(loopback()).expect("bound");
    let address = nobody.local_addr().expect("an address");
    assert_eq!(server.connect(address), Err(EndReason::DialTimeout));
}

/// As fast as it can.
fn flood(number: u8, kinds: &[Vec<u8>], target: SocketAddr, over: &AtomicBool) {
    let socket = UdpSocket::bind((format!("127.0.0.{}", 2 + number), 0)).expect("bound");
    let mut at = usize::from(number);
    while !over.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            at = (at + 1) % kinds.len();
            // A full buffer of the server's is not told here.
            socket.send_to(&kinds[at], target).expect("sent");
        }
        // On few processors somebody has to read as well.
        thread::yield_now();
    }
}

/// Datagrams of all sizes; among them some that look like ours at first sight.
fn junk(seed: u64) -> Vec<Vec<u8>> {
    let mut rng = Rng::from_seed(seed);
    let junk = (0..1000).map(|number| {
        let len = if number % 3 == 0 { rng.index(20) } else { rng.index(1400) };
        let mut bytes = digest::bytes(rng.next_u64(), len).to_vec();
        if let Some(kind) = bytes.first_mut().filter(|_| number % 2 == 0) {
            *kind = 0xc0 | (*kind & 0x0f);
        }
        bytes
    });
    junk.collect()
}

fn start(runtime: Runtime, identity: u8) -> Node {
    let mut setup = Setup::new(runtime, identity);
    setup.config.timers.connect_timeout =
        Duration::from_millis(if identity == 2 { 300 } else { 10_000 });
    Node::start(setup)
}

fn datagrams() -> u64 {
    let wanted = env::var("HANDFAST_FLOOD_DATAGRAMS").ok();
    wanted.map_or(100_000, |wanted| wanted.parse().expect("a number"))
}

/// Raised when dropped.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const FLOODERS: u8 = 2;
const BURST: usize = 64;
const HANG: Duration = Duration::from_secs(120);
