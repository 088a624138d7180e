//! A server process is killed in the middle of traffic and started again with the same key at the
//! same port. Its clients, busy and idle, on either runtime, are back without any action, and for
//! every reliable message it holds: it is in the journal of one life at most, in that of the second
//! if it was sent only then, and its fate is told.

#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use handfast_core::{Bytes, Delivery, Fate, PeerHandle, Target};
use handfast_sim::{Conditions, Probability};
use handfast_tests::siege::{ServeOptions, Server};
use handfast_tests::{
    Happening, Node, Outgoing, Proxy, ProxyConfig, Runtime, Setup, What, digest, within,
};

#[test]
fn clients_of_a_killed_server_are_back_and_their_messages_are_accounted_for() {
    let plays =
        Runtime::ALL.map(|server_on| thread::spawn(move || within(HANG, move || play(server_on))));
    for play in plays {
        play.join().expect("a play");
    }
}

fn play(server_on: Runtime) {
    let scratch = Scratch::new(&format!("{server_on:?}"));
    // Nobody else is at this address: the port is still free when the server wants it back.
    let listen = SocketAddr::from(([127, 77, 0, 1], 0));
    let server = start(server_on, listen, scratch.journal(1));
    let (address, id) = (server.address(), server.id());
    let mut busy: Vec<_> = (0..4).map(|number| Busy::start(number, address)).collect();
    let idle: Vec<_> = (4..8).map(|number| idle(number, Target::new(id, [address]))).collect();
    busy.iter_mut().for_each(Busy::wait_for_echoes);
    let (cut, others) = busy.split_at(Runtime::ALL.len());
    others.iter().for_each(|client| client.say(EARLY..BEFORE));
    cut.iter().for_each(Busy::leave_something_under_way);
    server.kill().expect("killed");
    cut.iter().for_each(Busy::hear_again);
    busy.iter().for_each(|client| client.say(BEFORE..ALL));
    let again = start(server_on, address, scratch.journal(2));
    let bound = Instant::now();
    assert_eq!((again.address(), again.id()), (address, id));
    let busy = busy.into_iter().map(|client| thread::spawn(move || client.see_it_through(bound)));
    let idle =
        idle.into_iter().map(|client| thread::spawn(move || wait_for_restart(&client, bound)));
    let (busy, idle): (Vec<_>, Vec<_>) = (busy.collect(), idle.collect());
    let fates: Vec<_> = busy.into_iter().map(|client| client.join().expect("no panic")).collect();
    idle.into_iter().for_each(|client| client.join().expect("no panic"));
    for (client, fates) in &fates[..Runtime::ALL.len()] {
        let unknown = fates.values().any(|fate| *fate == Fate::Unknown);
        assert!(unknown, "nothing of {client} was under way");
    }
    let names = names(fates.iter().map(|(client, _)| *client));
    let first = journal(&scratch.journal(1), &names);
    println!("{server_on:?}: {} of {} messages in its first life", first.len(), names.len());
    for (client, fates) in fates {
        // What is acknowledged is about to be written.
        let sent_later = (BEFORE..ALL).filter(|number| fates[number] == Fate::Acked);
        let promised: BTreeSet<_> = sent_later.map(|number| (client, number)).collect();
        let second = loop {
            let second = journal(&scratch.journal(2), &names);
            if promised.is_subset(&second) {
                break second;
            }
            thread::yield_now();
        };
        check(client, &fates, &first, &second);
    }
}

fn check(client: u8, fates: &BTreeMap<u64, Fate>, first: &Journal, second: &Journal) {
    let twice: Vec<_> = first.intersection(second).collect();
    assert!(twice.is_empty(), "{twice:?} came twice");
    for (&number, fate) in fates {
        let message = (client, number);
        match fate {
            Fate::Unknown => assert!(!second.contains(&message), "{number} was given up"),
            // The endpoint may have died with it before the application saw it.
            Fate::Acked if number < BEFORE => {}
            Fate::Acked => assert!(second.contains(&message), "{number} was lost"),
            fate => panic!("{number} ended as {fate:?}"),
        }
    }
    // The last ones were certainly not sent when the server died.
    assert!((ALL - 10..ALL).all(|number| fates[&number] == Fate::Acked), "{fates:?}");
}

fn start(runtime: Runtime, listen: SocketAddr, journal: PathBuf) -> Server {
    let options = ServeOptions { runtime, listen, identity: 2, journal: Some(journal) };
    Server::start(Path::new(env!("CARGO_BIN_EXE_siege")), &options).expect("a server")
}

/// Has nothing to say: it finds out by its heartbeat.
fn idle(number: u8, target: Target) -> (Node, PeerHandle) {
    let mut setup = Setup::new(runtime_of(number), 10 + number);
    setup.config.timers.heartbeat = Duration::from_millis(300);
    let client = Node::start(setup);
    let peer = client.connect(target).expect("connected");
    (client, peer)
}

fn wait_for_restart((client, peer): &(Node, PeerHandle), bound: Instant) {
    let Happening { peer: about, what } = client.next();
    assert_eq!((about, what), (*peer, What::Restarted));
    println!("an idle client is back {:?} after the port was", bound.elapsed());
}

/// Both runtimes in turn.
fn runtime_of(number: u8) -> Runtime {
    Runtime::ALL[usize::from(number) % 2]
}

/// A client that sends more than can go out at once.
struct Busy {
    number: u8,
    client: Node,
    peer: PeerHandle,
    /// Of messages, as far as they are told.
    fates: BTreeMap<u64, Fate>,
    /// Slow, so that not everything is sent when the server dies.
    proxy: Proxy,
}

impl Busy {
    fn start(number: u8, server: SocketAddr) -> Self {
        let proxy = Proxy::start(ProxyConfig::both_ways(1, slow()), server).expect("a proxy");
        let client = Node::start(Setup::new(runtime_of(number), 10 + number));
        let peer = client.connect(proxy.address()).expect("connected");
        let busy = Self { number, client, peer, fates: BTreeMap::new(), proxy };
        busy.say(0..EARLY);
        busy
    }

    /// Ordered or not in turn.
    fn say(&self, numbers: std::ops::Range<u64>) {
        for tag in numbers {
            let delivery = [Delivery::ordered(0), Delivery::reliable(1)][(tag % 2) as usize];
            let (delivery, payload) = (delivery.with_receipt(), payload(self.number, tag));
            self.client.send(self.peer, Outgoing { tag, delivery, payload });
        }
    }

    /// From now on it hears nothing: what it sends stays without an answer.
    fn leave_something_under_way(&self) {
        self.proxy.set(slow(), Conditions { loss: Probability::ALWAYS, ..slow() });
        let sent = || self.proxy.counters().from_clients;
        let before = sent();
        self.say(EARLY..BEFORE);
        // More than acknowledgements of what it had heard.
        while sent() < before + 10 {
            thread::yield_now();
        }
    }

    fn hear_again(&self) {
        self.proxy.set(slow(), slow());
    }

    fn wait_for_echoes(&mut self) {
        let mut echoes = 0;
        while echoes < 10 {
            match self.client.next().what {
                What::Message(_) => echoes += 1,
                What::Fate(number, fate) => assert_eq!(self.fates.insert(number, fate), None),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits for the restart and all fates.
    fn see_it_through(self, bound: Instant) -> (u8, BTreeMap<u64, Fate>) {
        let (mut fates, mut restarts) = (self.fates, 0);
        while fates.len() < ALL as usize || restarts == 0 {
            let happening = self.client.next();
            assert_eq!(happening.peer, self.peer);
            match happening.what {
                What::Fate(number, fate) => assert_eq!(fates.insert(number, fate), None),
                What::Restarted => {
                    restarts += 1;
                    println!("a busy client is back {:?} after the port was", bound.elapsed());
                }
                What::Message(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(restarts, 1);
        (self.number, fates)
    }
}

fn slow() -> Conditions {
    let latency = Duration::from_millis(5);
    Conditions { latency, rate: Some(1_000_000), ..Conditions::default() }
}

fn payload(client: u8, number: u64) -> Bytes {
    digest::bytes(u64::from(client) << 32 | number, 5_000)
}

/// Whose message has which digest.
type Names = BTreeMap<u64, (u8, u64)>;

fn names(clients: impl Iterator<Item = u8>) -> Names {
    let messages = clients.flat_map(|client| (0..ALL).map(move |number| (client, number)));
    messages
        .map(|(client, number)| (digest::of(&payload(client, number)), (client, number)))
        .collect()
}

/// The messages that a server wrote down in one life.
type Journal = BTreeSet<(u8, u64)>;

/// Reads a journal, in which each message stands once.
fn journal(path: &Path, names: &Names) -> Journal {
    let text = fs::read_to_string(path).expect("a journal");
    let mut messages = BTreeSet::new();
    // The last line may be about to be written.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let (len, digest) = line.trim_end().split_once(' ').expect("two words");
        let digest = u64::from_str_radix(digest, 16).expect("a number");
        let message = names.get(&digest).expect("a message that somebody sent");
        assert_eq!(len, "5000");
        assert!(messages.insert(*message), "{message:?} came twice");
    }
    messages
}

/// A directory of the test's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("handfast-kill-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn journal(&self, life: u8) -> PathBuf {
        self.0.join(format!("life-{life}"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Messages sent at first, those sent before the server dies, and all.
const EARLY: u64 = 80;
const BEFORE: u64 = 100;
const ALL: u64 = 200;
const HANG: Duration = Duration::from_secs(90);
