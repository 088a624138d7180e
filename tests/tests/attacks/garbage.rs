//! Garbage, truncations and flipped bits: counted by reason, otherwise without effect.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use handfast_core::{Config, Delivery, Endpoint, Fate, PeerState};
use handfast_sim::{Conditions, NodeId, Probability, Rng};

use crate::net::*;

/// The reasons for which datagrams were dropped, and how often.
fn drops(endpoint: &Endpoint) -> BTreeMap<&'static str, u64> {
    endpoint.drops().iter().filter(|(_, count)| *count > 0).collect()
}

/// Hands `node` a datagram; the one reason for which it was dropped.
fn reason(net: &mut Net, node: NodeId, from: SocketAddr, bytes: &[u8]) -> Option<&'static str> {
    let before = drops(net.endpoint(node));
    net.inject(node, from, bytes);
    let after = drops(net.endpoint(node));
    let mut grown = after.iter().filter(|(name, count)| before.get(**name) != Some(*count));
    let first = grown.next().map(|(name, _)| *name);
    assert_eq!(grown.next(), None, "one datagram, one reason");
    first
}

fn stranger() -> SocketAddr {
    SocketAddr::from(([10, 66, 6, 6], 666))
}

#[test]
fn each_kind_of_bad_datagram_is_counted_under_its_own_name() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    net.send(a, ab, Delivery::ordered(0), "hello");
    let home = net.address(a);
    net.run(100);
    let request = net.sent_of(a, REQUEST)[0].bytes.clone();
    let response = net.sent_of(b, RESPONSE)[0].bytes.clone();
    let sealed = net.sent_of(a, SEALED).pop().expect("sealed").bytes;
    let changed = |bytes: &[u8], at: usize, to: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = to;
        bytes
    };
    let flipped = |bytes: &[u8], at: usize| changed(bytes, at, bytes[at] ^ 0x55);
    let mut fresh = sealed.clone();
    fresh[8..16].copy_from_slice(&1000_u64.to_le_bytes());
    let mut retry = vec![0; 80];
    retry[..2].copy_from_slice(&[RETRY, VERSION]);
    let mut hint = sealed[..16].to_vec();
    hint[0] = UNKNOWN_SESSION;
    let mut beacon = vec![7; 72];
    beacon[..4].copy_from_slice(&[0xc5, VERSION, 0, 0]);
    for (bytes, name, expected) in [
        (vec![], "empty", "malformed"),
        (vec![SEALED], "cut before its version", "malformed"),
        (vec![0], "type 0", "unknown_type"),
        (beacon, "a beacon where none belongs", "unsolicited"),
        (vec![0xc8; 100], "type 200", "unknown_type"),
        (vec![0xff; 1200], "type 255", "unknown_type"),
        (changed(&request, 1, VERSION + 1), "a request of a later version", "unknown_version"),
        (changed(&sealed, 1, 0), "a sealed packet of version 0", "unknown_version"),
        (request[..239].to_vec(), "a short request", "malformed"),
        ([&request[..], &[0]].concat(), "a long request", "malformed"),
        (changed(&request, 2, 1), "a reserved byte", "malformed"),
        (sealed[..32].to_vec(), "a sealed packet without frames", "malformed"),
        (flipped(&request, 100), "a flipped request", "bad_mac"),
        (response, "a response to nothing", "unsolicited"),
        (retry, "a retry to nothing", "unsolicited"),
        (hint, "a hint out of the blue", "unsolicited"),
        (sealed.clone(), "a repeated packet", "duplicate"),
        (flipped(&sealed, 5), "an unknown index", "unknown_session"),
        (fresh, "another packet number", "authentication"),
    ] {
        assert_eq!(reason(&mut net, b, home, &bytes), Some(expected), "{name}");
    }
    // The request of the session that stands, once more: it is not answered at all.
    let sent = net.sent(b).len();
    assert_eq!(reason(&mut net, b, home, &request), Some("duplicate"));
    assert_eq!(net.sent(b).len(), sent);
}

#[test]
fn every_flipped_bit_of_a_sealed_packet_is_noticed_and_the_genuine_one_still_counts() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    net.mute(a);
    net.send(a, ab, Delivery::ordered(0), payload(1, 60));
    let genuine = net.sent(a).pop().expect("sealed").bytes;
    net.unmute(a);
    let (home, info) = (net.address(a), net.endpoint(b).peer(ba));
    for bit in 0..genuine.len() * 8 {
        let mut forged = genuine.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let reason = reason(&mut net, b, home, &forged);
        let expected: &[_] = match bit / 8 {
            0 => &["unknown_type", "malformed"],
            1 => &["unknown_version"],
            2..4 => &["malformed"],
            4..8 => &["unknown_session"],
            // A number that was seen is dropped before it is opened; so is one of an unknown kind.
            8..16 => &["authentication", "duplicate"],
            _ => &["authentication"],
        };
        assert!(reason.is_some_and(|reason| expected.contains(&reason)), "bit {bit}: {reason:?}");
        assert_eq!(net.endpoint(b).peer(ba), info, "bit {bit}");
    }
    net.inject(b, home, &genuine);
    assert_eq!(net.payloads(b), [payload(1, 60)]);
}

#[test]
fn random_garbage_at_any_moment_changes_nothing_and_is_all_counted() {
    for seed in 0..10 {
        let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(seed);
        let mut rng = Rng::from_seed(seed);
        let home = net.address(a);
        let mut injected = 0;
        for n in 0..200 {
            net.send(a, ab, Delivery::ordered(0), payload(n, 300));
            for _ in 0..10 {
                let len = [0, 1, 16, 33, 80, 140, 240, 1200, 1500][rng.index(9)];
                let mut bytes: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
                if len > 8 && rng.index(2) == 0 {
                    let kind = 0xc0 + rng.index(8) as u8;
                    bytes[..4].copy_from_slice(&[kind, VERSION, 0, 0]);
                }
                let from = [home, stranger()][rng.index(2)];
                net.inject(b, from, &bytes);
                injected += 1;
            }
            net.run(rng.range(0..=20));
        }
        net.run(2000);
        let total: u64 = drops(net.endpoint(b)).values().sum();
        assert_eq!(total, injected, "seed {seed}");
        let numbers: Vec<_> = net.payloads(b).iter().map(number_of).collect();
        assert_eq!(numbers, (0..200).collect::<Vec<_>>(), "seed {seed}");
        let info = net.endpoint(b).peer(ba).expect("alive");
        assert_eq!(
            (info.state, info.stats.roams, info.stats.handshakes),
            (PeerState::Connected, 0, 1)
        );
        assert_eq!(net.endpoint(b).peers().count(), 1);
        let to_stranger: usize =
            net.sent(b).iter().filter(|s| s.to == stranger()).map(|s| s.bytes.len()).sum();
        assert!(to_stranger <= 30 * 16 * 10, "hints are few: {to_stranger} B");
    }
}

#[test]
fn mangled_copies_of_real_packets_do_not_disturb_the_real_ones() {
    for seed in 0..10 {
        let mut net = Net::new(seed);
        let (a, b) = (net.add(Config::default()), net.add(Config::default()));
        let peer = net.dial(a, b);
        let mut rng = Rng::from_seed(seed);
        let (mut known, mut receipts) = ([0, 0], Vec::new());
        for n in 0..150 {
            let delivery = [Delivery::ordered(0), Delivery::reliable(1)][n as usize % 2];
            receipts.push(net.send(a, peer, delivery.with_receipt(), payload(n, 700)));
            // What was just sent arrives mangled before it arrives.
            for (slot, from, to) in [(0, a, b), (1, b, a)] {
                let (sent, address) = (net.sent(from), net.address(from));
                for datagram in &sent[known[slot]..] {
                    let mut bytes = datagram.bytes.clone();
                    for _ in 0..=rng.index(3) {
                        let at = rng.index(bytes.len());
                        bytes[at] ^= 1 << rng.index(8);
                    }
                    if rng.index(3) == 0 {
                        bytes.truncate(rng.index(bytes.len()) + 1);
                    }
                    if bytes != datagram.bytes {
                        let source = [address, stranger()][rng.index(2)];
                        net.inject(to, source, &bytes);
                    }
                }
                known[slot] = sent.len();
            }
            net.run(7);
        }
        net.run(5000);
        for node in [a, b] {
            assert_eq!((net.connections(node), net.ends(node)), (1, vec![]), "seed {seed}");
            assert_eq!(net.endpoint(node).stats().handshakes, 1, "seed {seed}");
        }
        let mut numbers: Vec<_> = net.payloads(b).iter().map(number_of).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..150).collect::<Vec<_>>(), "seed {seed}");
        let acked = net.fates(a).iter().filter(|(_, fate)| *fate == Fate::Acked).count();
        assert_eq!(acked, receipts.len(), "seed {seed}");
    }
}

#[test]
fn replaying_everything_ever_sent_delivers_nothing_twice() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    for n in 0..300 {
        let all = [Delivery::ordered(0), Delivery::unreliable(0), Delivery::sequenced(0)];
        net.send(a, ab, all[n as usize % 3], payload(n, 500));
        net.run(3);
    }
    net.run(1000);
    let (home, before) = (net.address(a), net.payloads(b).len());
    assert_eq!(before, 300);
    let stats = net.endpoint(b).peer(ba).expect("alive").stats;
    let mut everything = net.sent_of(a, SEALED);
    everything.reverse();
    for datagram in &everything {
        net.inject(b, home, &datagram.bytes);
        net.inject(b, stranger(), &datagram.bytes);
    }
    assert_eq!(net.endpoint(b).peer(ba).expect("alive").stats, stats);
    assert_eq!(net.endpoint(b).drops().duplicate, 2 * everything.len() as u64);
    net.run(1000);
    assert_eq!(net.payloads(b).len(), before);
    assert_eq!(net.endpoint(b).peer_by_addr(home), Some(ba));
}

#[test]
fn a_storm_of_strangers_makes_no_peer_and_gets_back_less_than_it_sent() {
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    net.mute(a);
    net.dial(a, b);
    net.call(a, b);
    let samples = net.sent(a);
    assert!(samples.len() == 1 || samples.len() == 2, "a question, or a call as well");
    let (mut rng, mut sent) = (Rng::from_seed(1), 0);
    for n in 0..3000_u32 {
        let mut bytes = samples[rng.index(samples.len())].bytes.clone();
        match rng.index(3) {
            0 => {}
            1 => bytes[4 + rng.index(4)] ^= 0xff,
            _ => bytes[rng.index(240)] ^= 0x10,
        }
        sent += bytes.len();
        let [.., high, low] = n.to_be_bytes();
        net.inject(b, SocketAddr::from(([10, 77, high, low], 77)), &bytes);
        if n % 100 == 0 {
            net.run(10);
        }
        assert_eq!(net.endpoint(b).peers().count(), 0);
    }
    net.run(20_000);
    let got: usize = net.sent(b).iter().map(|sent| sent.bytes.len()).sum();
    assert!(got <= sent, "{got} bytes for {sent}");
    assert_eq!(net.events(b), []);
    assert_eq!(net.endpoint(b).poll_timeout(), None, "nothing is kept");
    // The door is still open.
    net.unmute(a);
    net.dial(a, b);
    net.run(5000);
    assert_eq!((net.connections(a), net.connections(b)), (1, 1));
}

#[test]
fn a_path_that_corrupts_a_third_of_everything_is_only_slow() {
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    let corruption = Probability::percent(33);
    net.conditions(Conditions { corruption, ..Conditions::default() });
    let peer = net.dial(a, b);
    for n in 0..50 {
        net.send(a, peer, Delivery::ordered(0), payload(n, 1000));
    }
    net.run(50_000);
    let numbers: Vec<_> = net.payloads(b).iter().map(number_of).collect();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    assert_eq!((net.connections(a), net.connections(b)), (1, 1));
}
