//! A server dies without a word in the middle of a transfer and comes back under the same identity
//! at the same address: its client is back by itself, what was not sent yet arrives, what was under
//! way is `Acked` or `Unknown`, and nothing arrives twice.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use handfast_core::{Bytes, Delivery, Fate, PeerHandle};
use handfast_sim::Conditions;
use handfast_tests::{
    Happening, Node, Outgoing, Proxy, ProxyConfig, Runtime, Setup, What, digest, within,
};

#[test]
fn a_client_is_back_by_itself_when_its_server_restarts() {
    let plays = Runtime::ALL.map(|server_on| {
        Runtime::ALL.map(|client_on| {
            thread::spawn(move || within(HANG, move || restart(client_on, server_on)))
        })
    });
    for play in plays.into_iter().flatten() {
        play.join().expect("a restart");
    }
}

fn restart(client_on: Runtime, server_on: Runtime) {
    let setup = Setup::new(server_on, 2);
    let server = Node::start(setup.clone());
    let (address, id) = (server.address(), server.id());
    let client = Node::start(Setup::new(client_on, 1));
    // Slow enough that there is something under way, and something not sent, when the server dies.
    let conditions = Conditions {
        latency: Duration::from_millis(5),
        rate: Some(2_000_000),
        ..Conditions::default()
    };
    let proxy = Proxy::start(ProxyConfig::both_ways(1, conditions), address).expect("a proxy");
    let peer = client.connect(proxy.address()).expect("connected");
    (0..BEFORE).for_each(|number| say(&client, peer, number));
    let initiator = server.accept();
    let mut first_life = Heard::default();
    while first_life.numbers.len() < 20 {
        first_life.take(server.next(), initiator);
    }
    server.kill().into_iter().for_each(|happening| first_life.take(happening, initiator));

    (BEFORE..ALL).for_each(|number| say(&client, peer, number));
    let server = Node::start(Setup { listen: address, ..setup });
    assert_eq!((server.address(), server.id()), (address, id));
    let initiator = server.accept();
    let fates = fates(&client, peer);
    let mut second_life = Heard::default();
    let acked = |number: &u64| fates[number] == Fate::Acked;
    let promised: BTreeSet<_> = (BEFORE..ALL).filter(acked).collect();
    while !promised.is_subset(&second_life.numbers) {
        second_life.take(server.next(), initiator);
    }
    while let Some(happening) = server.try_next() {
        second_life.take(happening, initiator);
    }
    check(&fates, &first_life.numbers, &second_life.numbers);
    let unknown = fates.values().filter(|fate| **fate == Fate::Unknown).count();
    println!("{client_on:?} to {server_on:?}: {unknown} of {ALL} unknown");
}

fn check(fates: &BTreeMap<u64, Fate>, first: &BTreeSet<u64>, second: &BTreeSet<u64>) {
    assert!(first.is_disjoint(second), "{:?} twice", first.intersection(second));
    let all = |wanted: Fate| fates.iter().filter(move |(_, fate)| **fate == wanted);
    assert_eq!(all(Fate::Acked).count() + all(Fate::Unknown).count(), fates.len(), "{fates:?}");
    for (number, _) in all(Fate::Unknown) {
        assert!(!second.contains(number), "{number} was given up and sent again");
    }
    // The last ones were certainly not sent when the server died, the one heard last was.
    assert!((ALL - 10..ALL).all(|number| fates[&number] == Fate::Acked), "{fates:?}");
    assert!(all(Fate::Unknown).count() > 0, "nothing was under way");
}

/// Tells of every message, ordered or not in turn.
fn say(client: &Node, peer: PeerHandle, number: u64) {
    let mut payload = number.to_le_bytes().to_vec();
    payload.extend_from_slice(&digest::bytes(number, 5_000));
    let delivery =
        if number.is_multiple_of(2) { Delivery::ordered(0) } else { Delivery::reliable(1) };
    let payload = Bytes::from(payload);
    client.send(peer, Outgoing { tag: number, delivery: delivery.with_receipt(), payload });
}

/// Waits for the fates of all messages. The client notices the restart, once, and never an end.
fn fates(client: &Node, peer: PeerHandle) -> BTreeMap<u64, Fate> {
    let (mut fates, mut restarts) = (BTreeMap::new(), 0);
    while fates.len() < usize::try_from(ALL).expect("few") || restarts == 0 {
        let happening = client.next();
        assert_eq!(happening.peer, peer);
        match happening.what {
            What::Fate(number, fate) => assert_eq!(fates.insert(number, fate), None),
            What::Restarted => restarts += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(restarts, 1);
    fates
}

/// What a server heard in one life.
#[derive(Default)]
struct Heard {
    numbers: BTreeSet<u64>,
    last_ordered: Option<u64>,
}

impl Heard {
    fn take(&mut self, happening: Happening, initiator: PeerHandle) {
        assert_eq!(happening.peer, initiator);
        let What::Message(message) = happening.what else { panic!("{:?}", happening.what) };
        let (number, rest) = message.payload.split_first_chunk().expect("a number");
        let number = u64::from_le_bytes(*number);
        assert!(rest == digest::bytes(number, 5_000), "{number} is garbled");
        assert!(self.numbers.insert(number), "{number} twice");
        if message.delivery.channel == 0 {
            let before = self.last_ordered.replace(number);
            assert!(before < Some(number), "{number} after {before:?}");
        }
    }
}

const BEFORE: u64 = 200;
const ALL: u64 = 300;
const HANG: Duration = Duration::from_secs(60);
