//! Shaking hands: how long it takes, who may, and that nothing on the way can prevent it.

mod places;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::*;
use handfast_core::{
    Admission, Config, ConnectError, Delivery, EndReason, Endpoint, Event, Fate, Identity, Instant,
    NetworkSecret, Origin, PeerState, Refusal, Retry, Target,
};
use handfast_sim::{Conditions, NodeId, Rng};

fn always_retry() -> Config {
    let mut config = Config::default();
    config.retry = Retry::Always;
    config
}

/// How a node names whom it dials.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Key,
    Address,
}

impl By {
    const BOTH: [Self; 2] = [Self::Key, Self::Address];

    fn dial(self, net: &mut Net, from: NodeId, to: NodeId) -> handfast_core::PeerHandle {
        match self {
            Self::Key => net.call(from, to),
            Self::Address => net.dial(from, to),
        }
    }
}

#[test]
fn a_known_key_costs_one_round_trip_an_address_two_and_a_retry_one_more() {
    for (by, config, trips) in [
        (By::Key, Config::default(), 1),
        (By::Address, Config::default(), 2),
        (By::Key, always_retry(), 2),
        // The answer that told the key brought a cookie with it.
        (By::Address, always_retry(), 2),
    ] {
        let mut net = Net::new(1);
        let (a, b) = (net.add(Config::default()), net.add(config));
        net.latency(50);
        by.dial(&mut net, a, b);
        net.run(1000);
        let done = 100 * MS * trips;
        assert_eq!(net.connected_at(a), Some(done), "{by:?}, {trips} round trips");
        assert_eq!(net.connected_at(b), Some(done + 50 * MS), "the answering end, {by:?}");
    }
}

#[test]
fn both_ends_know_the_round_trip_of_their_handshake_though_one_says_nothing() {
    // At a longer one the request is sent twice.
    for ms in [1, 10, 60] {
        let mut net = Net::new(1);
        let (a, b) = (net.add(Config::default()), net.add(Config::default()));
        net.latency(ms);
        let ab = net.call(a, b);
        net.run(8 * ms);
        for (node, peer) in [(a, ab), (b, net.handle(b, a))] {
            let stats = net.endpoint(node).peer(peer).expect("connected").path_stats;
            assert_eq!(stats.least_rtt, Some(2 * ms as u32 * MS), "{node:?}");
        }
    }
}

#[test]
fn what_is_sent_while_dialling_travels_with_the_first_packet_after_the_handshake() {
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    net.latency(50);
    let peer = net.call(a, b);
    net.send(a, peer, Delivery::ordered(0), "early");
    net.run(1000);
    let got = net.got(b);
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].at, &got[0].message.payload[..]), (150 * MS, &b"early"[..]));
}

#[test]
fn strangers_to_the_network_or_the_application_get_no_answer_and_learn_no_key() {
    let with = |secret: Option<u8>, application: u8| {
        let mut config = Config::default();
        config.network_secret = secret.map(|byte| NetworkSecret::new([byte; 32]));
        config.application = [application; 16];
        config
    };
    let home = with(Some(1), 1);
    for stranger in [with(None, 1), with(Some(2), 1), with(Some(1), 2), with(Some(1), 0)] {
        for by in By::BOTH {
            let mut net = Net::new(1);
            let (a, b) = (net.add(stranger.clone()), net.add(home.clone()));
            let peer = by.dial(&mut net, a, b);
            net.run(11_000);
            assert_eq!(net.sent(b), [], "an answer to a stranger");
            let (drops, stats) = (net.endpoint(b).drops(), net.endpoint(b).stats());
            assert!(stats.datagrams_received > 3);
            assert_eq!(drops.bad_mac, stats.datagrams_received);
            assert_eq!(net.events(b), []);
            let end = net.events(a).pop();
            let id = (by == By::Key).then(|| net.id(b));
            let reason = EndReason::DialTimeout;
            let ended = Event::Ended { peer, id, reason, undeliverable: 0, unread: 0 };
            assert_eq!(end, Some(ended));
        }
    }
    let mut net = Net::new(1);
    let (a, b) = (net.add(home.clone()), net.add(home));
    net.dial(a, b);
    net.run(100);
    assert_eq!((net.connections(a), net.connections(b)), (1, 1), "members are no strangers");
}

#[test]
fn an_identity_that_is_not_disclosed_must_be_known() {
    let mut shy = Config::default();
    shy.disclose_identity = false;
    let mut net = Net::new(1);
    let (a, b, c) = (net.add(Config::default()), net.add(shy), net.add(Config::default()));
    net.dial(a, b);
    net.run(11_000);
    assert_eq!((net.sent(b), net.connections(a)), (vec![], 0));
    assert_eq!(net.endpoint(b).drops().admission, net.endpoint(b).stats().datagrams_received);
    net.call(c, b);
    net.run(100);
    assert_eq!((net.connections(c), net.connections(b)), (1, 1));
}

#[test]
fn who_is_not_admitted_never_becomes_a_peer() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let mut sample = Net::new(1);
    let (initiator, _) = (sample.add(Config::default()), sample.add(Config::default()));
    let (caller_id, caller_address) = (sample.id(initiator), sample.address(initiator));
    let ask: Admission = Admission::Ask(Arc::new(move |id, origin| {
        ASKED.fetch_add(1, Ordering::Relaxed);
        *id != caller_id || origin.remote() != Some(caller_address)
    }));
    for admission in [Admission::Nobody, Admission::Only(BTreeSet::new()), ask] {
        for by in By::BOTH {
            let mut picky = Config::default();
            picky.admission = admission.clone();
            let mut net = Net::new(1);
            let (a, b) = (net.add(Config::default()), net.add(picky));
            by.dial(&mut net, a, b);
            net.watch(11_000, |net| assert_eq!(net.endpoint(b).peers().count(), 0));
            // It is told so, once, and nobody shook hands.
            assert_eq!(net.sent_of(b, RESPONSE).len(), 1);
            assert_eq!(refused(&mut net, b, a, Refusal::NotAdmitted), 1);
            assert_eq!(net.endpoint(b).stats().handshakes, 0);
            assert!(net.endpoint(b).drops().admission > 0);
            let ends: Vec<_> = net.ends(a).into_iter().map(|end| end.2).collect();
            assert_eq!(ends, [EndReason::Refused(Refusal::NotAdmitted)]);
        }
    }
    assert!(ASKED.load(Ordering::Relaxed) > 0);
    let mut picky = Config::default();
    picky.admission = Admission::Only(BTreeSet::from([caller_id]));
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(picky));
    net.dial(a, b);
    net.run(100);
    assert_eq!(net.connections(b), 1, "the one who is on the list");
}

/// How often `node` reported that it refused `who`, for this reason. It reported nothing else.
fn refused(net: &mut Net, node: NodeId, who: NodeId, why: Refusal) -> usize {
    let (who, address) = (net.id(who), net.address(who));
    let events = net.events(node);
    for event in &events {
        let Event::Refused { id, path, reason, .. } = event else { panic!("{event:?}") };
        assert_eq!((*id, path.remote(), *reason), (who, Some(address), why));
    }
    events.len()
}

#[test]
fn an_initiator_for_whom_there_is_no_place_is_reported_and_no_flood_fills_the_memory() {
    let mut small = Config::default();
    small.limits.max_peers = 1;
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(small));
    net.call(a, b);
    net.run(100);
    assert_eq!(net.connections(b), 1);
    net.news(b);
    let late = net.add(Config::default());
    net.call(late, b);
    net.run(1000);
    let news = net.news(b);
    assert!(!news.is_empty());
    for event in news {
        let Event::Refused { id, reason, .. } = event else { panic!("{event:?}") };
        assert_eq!((id, reason), (net.id(late), Refusal::Full));
    }

    // In a core by itself whose events nobody polls.
    let mut nobody = Config::default();
    nobody.admission = Admission::Nobody;
    let now = Instant::from_micros(1);
    let open = |config: Config, seed| {
        let config = config.validate().expect("valid");
        Endpoint::new(config, Identity::from_seed([seed; 32]), [seed; 32], now)
    };
    let mut server = open(nobody, 100);
    let at = |port| SocketAddr::from(([192, 0, 2, 1], port));
    let mut buf = [0; 1500];
    for seed in 0..90 {
        let mut client = open(Config::default(), seed);
        client.connect(now, Target::new(server.id(), [at(1)])).expect("a dial");
        let sent = client.poll_transmit(now, &mut buf).expect("a request");
        let origin = Origin::from_remote(at(2000 + u16::from(seed)));
        server.handle_datagram(now, origin, &mut buf[..sent.len]);
    }
    let reported = std::iter::from_fn(|| server.poll_event()).count();
    assert!((10..=64).contains(&reported), "{reported}");
}

#[test]
fn admission_can_change_and_what_was_answered_before_is_void() {
    for by in By::BOTH {
        let mut net = Net::new(1);
        let (a, b) = (net.add(Config::default()), net.add(Config::default()));
        net.latency(50);
        by.dial(&mut net, a, b);
        // The answer is on its way.
        let until = if by == By::Key { 75 } else { 175 };
        net.run(until);
        assert_eq!(net.sent_of(b, RESPONSE).len(), 1, "{by:?}");
        net.with(b, |endpoint, _| endpoint.set_admission(Admission::Nobody));
        net.run(2000);
        assert_eq!(net.connections(b), 0, "{by:?}: it was answered by the old rule");
        assert!(refused(&mut net, b, a, Refusal::NotAdmitted) > 0);
        net.with(b, |endpoint, _| endpoint.set_admission(Admission::Anyone));
        by.dial(&mut net, a, b);
        net.run(1000);
        assert_eq!(net.connections(b), 1, "{by:?}");

        // Who is a peer stays one.
        net.with(b, |endpoint, _| endpoint.set_admission(Admission::Nobody));
        net.run(120_000);
        assert_eq!(net.endpoint(b).peers().count(), 1);
    }
}

#[test]
fn a_network_secret_is_replaced_step_by_step_without_a_gap() {
    let secret = |byte: Option<u8>| byte.map(|byte| NetworkSecret::new([byte; 32]));
    let member = |(current, previous)| {
        let mut config = Config::default();
        config.network_secret = secret(current);
        config.previous_network_secret = secret(previous);
        config
    };
    let (old, new) = (Some(1), Some(2));
    let steps = [(old, None), (old, new), (new, old), (new, None)];
    let meets = |from: (Option<u8>, Option<u8>), to: (Option<u8>, Option<u8>)| {
        By::BOTH.map(|by| {
            let mut net = Net::new(1);
            let (a, b) = (net.add(member(from)), net.add(member(to)));
            by.dial(&mut net, a, b);
            net.run(11_000);
            assert_eq!(net.connections(a), net.connections(b));
            net.connections(a) == 1
        })
    };
    for (from, steps_from) in steps.iter().enumerate() {
        for (to, steps_to) in steps.iter().enumerate() {
            let accepts = [steps_to.0, steps_to.1].contains(&steps_from.0);
            let neighbours = from.abs_diff(to) <= 1;
            assert!(accepts || !neighbours, "a gap");
            assert_eq!(meets(*steps_from, *steps_to), [accepts; 2], "{from} to {to}");
        }
    }
    assert_eq!(meets((None, None), (new, old)), [false; 2], "a stranger");
}

#[test]
fn secrets_change_while_peers_talk_and_while_they_shake_hands() {
    let secret = |byte| Some(NetworkSecret::new([byte; 32]));
    let member = || {
        let mut config = Config::default();
        config.network_secret = secret(1);
        config
    };
    // The dialling end, the answering one, or both are given a new secret meanwhile.
    for (first, second) in [(true, false), (false, true), (true, true)] {
        for at in (0..=400).step_by(20) {
            let mut net = Net::new(at);
            let (a, b) = (net.add(member()), net.add(member()));
            net.latency(50);
            By::Address.dial(&mut net, a, b);
            net.run(at);
            for (node, changes) in [(a, first), (b, second)] {
                let change = |endpoint: &mut Endpoint, _| {
                    endpoint.set_secrets(secret(2), secret(1)).expect("sound");
                };
                if changes {
                    net.with(node, change);
                }
            }
            // Whoever dials with the new secret only meets members who have it.
            let meets = second || !first || at > 200;
            net.run(10_000);
            let connected = (net.connections(a), net.connections(b)) == (1, 1);
            assert!(connected || !meets, "{first} {second} after {at} ms");
            if !connected {
                continue;
            }
            // The old one goes: who is there stays, who comes needs the new one.
            net.with(b, |endpoint, _| endpoint.set_secrets(secret(2), None).expect("sound"));
            let late = net.add(member());
            net.call(late, b);
            net.run(120_000);
            assert_eq!((net.connections(late), net.endpoint(b).peers().count()), (0, 1));
        }
    }
    let mut net = Net::new(1);
    let a = net.add(member());
    for (current, previous) in [(None, secret(1)), (secret(0), None), (secret(1), secret(0))] {
        let refused = net.with(a, |endpoint, _| endpoint.set_secrets(current, previous));
        assert!(refused.is_err());
    }
    let kept = net.endpoint(a).config().previous_network_secret.is_none();
    assert!(kept, "a refused choice changes nothing");
}

/// Both ends got to know exactly one peer, once, by handles that work.
fn assert_one_session(net: &mut Net, a: NodeId, b: NodeId, what: &str) {
    for (one, other) in [(a, b), (b, a)] {
        assert_eq!(net.connections(one), 1, "{what}: {:?}", net.events(one));
        let peers: Vec<_> = net.endpoint(one).peers().collect();
        assert_eq!(peers.len(), 1, "{what}");
        assert_eq!(peers[0].state, PeerState::Connected, "{what}");
        assert_eq!(peers[0].handle, net.handle(one, other), "{what}");
        let merged = |event: &Event| match event {
            Event::Ended { reason, .. } => {
                assert_eq!(*reason, EndReason::Merged { into: peers[0].handle }, "{what}");
                true
            }
            _ => false,
        };
        assert!(net.count(one, merged) <= 1, "{what}");
        assert_eq!(net.count(one, |event| matches!(event, Event::Restarted { .. })), 0, "{what}");
        net.send(one, peers[0].handle, Delivery::ordered(9), payload(one.0.into(), 100));
    }
    net.run(2000);
    for (one, other) in [(a, b), (b, a)] {
        assert_eq!(net.payloads(one).iter().filter(|got| got.len() == 100).count(), 1, "{what}");
        assert_eq!(number_of(net.payloads(one).last().expect("one")), u64::from(other.0), "{what}");
    }
}

#[test]
fn a_simultaneous_open_settles_on_one_session_however_the_packets_interleave() {
    const LATENCIES: [u64; 3] = [1, 20, 70];
    for (there, back) in LATENCIES.iter().flat_map(|x| LATENCIES.map(|y| (*x, y))) {
        for (first, second) in By::BOTH.iter().flat_map(|x| By::BOTH.map(|y| (*x, y))) {
            for delay in [0, 1, 15, 35, 90, 145, 215] {
                for (config, seed) in [
                    (Config::default(), Some([5; 32])),
                    (Config::default(), None),
                    (always_retry(), None),
                ] {
                    let what = format!("{there} {back} {first:?} {second:?} {delay} {seed:?}");
                    let mut net = Net::new(delay);
                    let a = net.add_seeded(config.clone(), seed);
                    let b = net.add_seeded(config.clone(), seed);
                    for (from, to, ms) in [(a, b, there), (b, a, back)] {
                        let latency = Duration::from_millis(ms);
                        let conditions = Conditions { latency, ..Conditions::default() };
                        net.world.network().set_link(from, to, conditions);
                    }
                    first.dial(&mut net, a, b);
                    net.run(delay);
                    second.dial(&mut net, b, a);
                    net.run(3000);
                    assert_one_session(&mut net, a, b, &what);
                }
            }
        }
    }
}

#[test]
fn messages_queued_on_both_ends_of_a_simultaneous_open_arrive_once() {
    for seed in 0..20 {
        let mut net = Net::new(seed);
        let (a, b) = (net.add(Config::default()), net.add(Config::default()));
        let jitter = 30 * MS;
        net.conditions(Conditions { jitter, ..Conditions::default() });
        let (ab, ba) = (net.call(a, b), net.call(b, a));
        for n in 0..50 {
            net.send(a, ab, Delivery::ordered(0), payload(n, 700));
            net.send(b, ba, Delivery::ordered(0), payload(n, 700));
        }
        net.run(5000);
        for node in [a, b] {
            let numbers: Vec<_> = net.payloads(node).iter().map(number_of).collect();
            assert_eq!(numbers, (0..50).collect::<Vec<_>>(), "seed {seed}");
        }
    }
}

#[test]
fn any_single_lost_packet_heals() {
    for by in By::BOTH {
        for config in [Config::default(), always_retry()] {
            for (loser, n) in (0..24).map(|n| (n % 2, n / 2)) {
                let mut net = Net::new(7);
                let (a, b) = (net.add(config.clone()), net.add(config.clone()));
                net.lose_nth([a, b][loser], n);
                let peer = by.dial(&mut net, a, b);
                net.send(a, peer, Delivery::ordered(0), payload(1, 100));
                net.run(2000);
                let what = format!("{by:?}, {:?}, loss {n} of {loser}", config.retry);
                assert_eq!(net.payloads(b), [payload(1, 100)], "{what}");
                assert_eq!((net.connections(a), net.connections(b)), (1, 1), "{what}");
                let back = net.handle(b, a);
                net.send(b, back, Delivery::ordered(0), payload(2, 100));
                net.run(2000);
                assert_eq!(net.payloads(a), [payload(2, 100)], "{what}");
            }
        }
    }
}

#[test]
fn every_packet_of_a_handshake_may_come_twice_and_late_again() {
    for by in By::BOTH {
        for config in [Config::default(), always_retry()] {
            let mut net = Net::new(3);
            let (a, b) = (net.add(config.clone()), net.add(config));
            by.dial(&mut net, a, b);
            let mut seen = [0, 0];
            for again in [0, 1, 0, 1, 0, 1, 3000, 8000] {
                // Whatever was sent since is delivered once more, beside the network.
                net.run(10 + again);
                for (slot, from, to) in [(0, a, b), (1, b, a)] {
                    let (sent, address) = (net.sent(from), net.address(from));
                    let first = if again > 1 { 0 } else { seen[slot] };
                    seen[slot] = sent.len();
                    for datagram in &sent[first..] {
                        net.inject(to, address, &datagram.bytes);
                    }
                }
            }
            assert_one_session(&mut net, a, b, "repeated");
            for node in [a, b] {
                assert_eq!(net.endpoint(node).stats().handshakes, 1);
            }
        }
    }
}

/// Every datagram that differs from `bytes` in one bit.
fn one_bit_off(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..bytes.len() * 8).map(|bit| {
        let mut forged = bytes.to_vec();
        forged[bit / 8] ^= 1 << (bit % 8);
        forged
    })
}

fn total_drops(net: &Net, node: NodeId) -> u64 {
    net.endpoint(node).drops().iter().map(|(_, count)| count).sum()
}

/// Runs until `from` wants to send a packet of `kind`, which is withheld and returned.
fn intercept(net: &mut Net, from: NodeId, kind: u8) -> Vec<u8> {
    net.filter(from, move |sent| sent.kind() != kind);
    while net.sent_of(from, kind).is_empty() {
        net.run(1);
    }
    net.unmute(from);
    net.sent_of(from, kind)[0].bytes.clone()
}

#[test]
fn a_bit_flipped_anywhere_in_an_answer_is_noticed_and_the_genuine_one_still_counts() {
    for (by, kind) in [(By::Key, RESPONSE), (By::Address, RESPONSE), (By::Address, RETRY)] {
        let mut net = Net::new(1);
        let (a, b) = (net.add(Config::default()), net.add(Config::default()));
        let peer = by.dial(&mut net, a, b);
        let genuine = intercept(&mut net, b, kind);
        let (from, before, sent) = (net.address(b), total_drops(&net, a), net.sent(a).len());
        let info = net.endpoint(a).peer(peer);
        for forged in one_bit_off(&genuine) {
            net.inject(a, from, &forged);
            assert_eq!(net.endpoint(a).peer(peer), info);
        }
        let forgeries = genuine.len() as u64 * 8;
        assert_eq!(total_drops(&net, a) - before, forgeries);
        assert_eq!((net.events(a), net.sent(a).len()), (vec![], sent), "forgeries changed nothing");
        net.inject(a, from, &genuine);
        net.run(60);
        assert_one_session(&mut net, a, b, "after forgeries");
    }
}

#[test]
fn a_bit_flipped_anywhere_in_a_call_makes_it_unanswered() {
    for (by, kind) in [(By::Key, REQUEST), (By::Address, REQUEST), (By::Address, KEY_REQUEST)] {
        let mut net = Net::new(1);
        let (a, b) = (net.add(Config::default()), net.add(Config::default()));
        by.dial(&mut net, a, b);
        let genuine = intercept(&mut net, a, kind);
        let (from, before, sent) = (net.address(a), total_drops(&net, b), net.sent(b).len());
        for forged in one_bit_off(&genuine) {
            net.inject(b, from, &forged);
        }
        let forgeries = genuine.len() as u64 * 8;
        assert_eq!(total_drops(&net, b) - before, forgeries);
        assert_eq!(net.events(b), []);
        let answers: Vec<_> = net.sent(b).drain(sent..).map(|answer| answer.kind()).collect();
        // A bit of the type makes a sealed packet for a session that is unknown, and each bit of the
        // version one of another version.
        let count = |kind| answers.iter().filter(|answer| **answer == kind).count();
        let (unknown, other) = (count(UNKNOWN_SESSION), count(UNSUPPORTED_VERSION));
        assert_eq!((unknown + other, other), (answers.len(), 8), "{answers:?}");
        assert!(unknown <= 1, "{answers:?}");
        net.inject(b, from, &genuine);
        let answer = net.sent(b).pop().expect("an answer").kind();
        assert!([RESPONSE, RETRY].contains(&answer), "{answer:x}");
    }
}

#[test]
fn a_thousand_forged_responses_do_not_delay_the_genuine_one() {
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    net.call(a, b);
    let index = net.sent(a)[0].bytes[4..8].to_vec();
    let (from, mut rng) = (net.address(b), Rng::from_seed(1));
    for _ in 0..1000 {
        let mut forged: Vec<u8> = (0..140).map(|_| rng.next_u64() as u8).collect();
        forged[..4].copy_from_slice(&[RESPONSE, VERSION, 0, 0]);
        forged[4..8].copy_from_slice(&index);
        forged[12..16].fill(0);
        net.inject(a, from, &forged);
    }
    assert_eq!(net.endpoint(a).drops().authentication, 1000);
    net.run(100);
    assert_eq!(net.connected_at(a), Some(20 * MS));
}

#[test]
fn a_caller_whose_call_was_copied_and_sent_first_from_elsewhere_is_still_answered() {
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    net.call(a, b);
    let copy = net.sent(a)[0].bytes.clone();
    net.inject(b, ([10, 9, 9, 9], 9).into(), &copy);
    net.run(1000);
    assert_eq!(net.connected_at(a), Some(40 * MS), "at the cost of a round trip");
    assert_one_session(&mut net, a, b, "copied");
}

#[test]
fn a_retry_for_somebody_else_is_ignored() {
    let mut net = Net::new(1);
    let nodes: Vec<_> = (0..4).map(|_| net.add(Config::default())).collect();
    let (a, b, c) = (nodes[0], nodes[1], nodes[2]);
    let (ab, ac) = (net.dial(a, b), net.dial(a, c));
    let to_a = intercept(&mut net, b, RETRY);
    net.mute(b);
    net.mute(c);
    let indices: Vec<_> = net.sent(a).iter().map(|sent| sent.bytes[4..8].to_vec()).collect();
    // From elsewhere, to another dial, to another dial with its index, to someone who called nobody.
    let mut stolen = to_a.clone();
    stolen[4..8].copy_from_slice(&indices[1]);
    let (at_b, at_c, elsewhere) = (net.address(b), net.address(c), net.address(nodes[3]));
    net.inject(a, elsewhere, &to_a);
    net.inject(a, at_c, &to_a);
    net.inject(a, at_c, &stolen);
    net.inject(a, at_b, &stolen);
    net.inject(nodes[3], at_b, &to_a);
    assert_eq!(net.endpoint(a).drops().unsolicited, 4);
    assert_eq!(net.endpoint(nodes[3]).drops().unsolicited, 1);
    for peer in [ab, ac] {
        assert_eq!(net.endpoint(a).peer(peer).and_then(|info| info.id), None);
    }
    net.inject(a, at_b, &to_a);
    assert_eq!(net.endpoint(a).peer(ab).and_then(|info| info.id), Some(net.id(b)));
}

#[test]
fn nobody_shakes_hands_with_himself() {
    let mut net = Net::new(1);
    let a = net.add(Config::default());
    let own = Target::new(net.id(a), [net.address(a)]);
    let refused = net.with(a, |endpoint, now| endpoint.connect(now, own));
    assert_eq!(refused, Err(ConnectError::OwnIdentity));
    let peer = net.dial(a, a);
    net.run(20_000);
    assert_eq!(net.ends(a), [(20 * MS, peer, EndReason::OwnIdentity)]);
    assert_eq!((net.connections(a), net.endpoint(a).peers().count()), (0, 0));
}

#[test]
fn a_dial_that_nobody_answers_ends_at_its_deadline_within_its_budget() {
    let nobody: SocketAddr = ([10, 0, 9, 9], 4263).into();
    for seconds in [1, 10, 60] {
        for seed in 0..100 {
            let mut config = Config::default();
            config.timers.connect_timeout = SECOND * seconds;
            let mut net = Net::new(seed);
            let (a, b) = (net.add(config), net.add(Config::default()));
            let id = net.id(b);
            let by_address = net.connect(a, Target::from(nobody));
            let other = SocketAddr::from(([10, 0, 9, 8], 4263));
            let by_key = net.connect(a, Target::new(id, [other]));
            net.run(100_000);
            let mut ends = net.ends(a);
            ends.sort_by_key(|end| end.1);
            let end = |peer| (SECOND * seconds, peer, EndReason::DialTimeout);
            assert_eq!(ends, [end(by_address), end(by_key)]);
            for address in [nobody, other] {
                let mut sent = net.sent(a);
                sent.retain(|sent| sent.to == address);
                let what = format!("seed {seed}, {seconds} s");
                assert!(sent.len() >= 3, "{what}: {} packets give up too soon", sent.len());
                for (n, first) in sent.iter().enumerate() {
                    let lately =
                        sent[n..].iter().take_while(|sent| sent.at < first.at + SECOND * 10);
                    let bytes: Vec<_> = lately.map(|sent| sent.bytes.len()).collect();
                    let (packets, bytes) = (bytes.len(), bytes.iter().sum::<usize>());
                    assert!(packets <= 12 && bytes <= 2048, "{what}: {packets} packets, {bytes} B");
                }
            }
        }
    }
}

#[test]
fn no_more_peers_than_allowed_and_room_is_used_again() {
    let mut small = Config::default();
    small.limits.max_peers = 3;
    let mut net = Net::new(1);
    let b = net.add(small);
    let initiators: Vec<_> = (0..8).map(|_| net.add(Config::default())).collect();
    let calls: Vec<_> = initiators.iter().map(|a| (*a, net.dial(*a, b))).collect();
    net.watch(2000, |net| assert!(net.endpoint(b).peers().count() <= 3));
    assert_eq!((net.endpoint(b).peers().count(), net.connections(b)), (3, 3));
    assert!(net.endpoint(b).drops().full > 0);
    let refused = Target::from(net.address(initiators[7]));
    let refused = net.with(b, |endpoint, now| endpoint.connect(now, refused));
    assert_eq!(refused, Err(ConnectError::TooManyPeers));
    // All asked while there was room; who was too late with the rest was told so.
    let (lucky, late): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|(a, _)| net.ends(*a).is_empty());
    assert_eq!((lucky.len(), late.len()), (3, 5));
    let (lucky, peer) = lucky[0];
    // Who dials again keeps calling, and gets the next place.
    let dial = net.dial(late[0].0, b);
    net.run(1000);
    net.with(lucky, |endpoint, now| endpoint.disconnect(now, peer, Default::default()))
        .expect("connected");
    net.watch(6000, |net| assert!(net.endpoint(b).peers().count() <= 3));
    assert_eq!(net.connections(b), 4, "the room was taken by one who kept calling");
    assert!(net.ends(late[0].0).iter().all(|end| end.1 != dial));
}

#[test]
fn no_more_half_open_handshakes_than_allowed_and_they_are_forgotten() {
    let mut small = Config::default();
    small.limits.max_half_open = 2;
    let mut net = Net::new(1);
    let b = net.add(small);
    let initiators: Vec<_> = (0..5).map(|_| net.add(Config::default())).collect();
    for initiator in &initiators {
        // They get an answer and never use it.
        net.filter(*initiator, |sent| sent.kind() != SEALED);
        net.call(*initiator, b);
    }
    net.run(450);
    let answered: BTreeSet<_> = net.sent_of(b, RESPONSE).iter().map(|sent| sent.to).collect();
    assert_eq!(answered.len(), 2);
    assert!(net.endpoint(b).drops().full > 0);
    assert_eq!((net.endpoint(b).peers().count(), net.connections(b)), (0, 0));
    // Those who were answered give up: the others get their places after half a second.
    for initiator in &initiators {
        if answered.contains(&net.address(*initiator)) {
            net.mute(*initiator);
        }
    }
    net.run(8000);
    let answered: BTreeSet<_> = net.sent_of(b, RESPONSE).iter().map(|sent| sent.to).collect();
    assert!(answered.len() > 2, "the places were given away");
    for initiator in &initiators {
        net.mute(*initiator);
    }
    net.run(5100);
    assert_eq!(net.endpoint(b).poll_timeout(), None, "all were forgotten after 5 s");
}

#[test]
fn every_address_gets_at_most_what_it_sent_until_it_is_proved() {
    for config in [Config::default(), always_retry()] {
        for by in By::BOTH {
            let mut net = Net::new(1);
            let (a, b) = (net.add(Config::default()), net.add(config.clone()));
            net.filter(a, |sent| sent.kind() != SEALED);
            by.dial(&mut net, a, b);
            net.run(2000);
            // The same packets again, from many places, in any order.
            let mut heard = net.sent(a);
            heard.retain(|sent| sent.kind() != SEALED);
            let mut rng = Rng::from_seed(1);
            for round in 0..200 {
                let from = SocketAddr::from(([10, 1, 0, (round % 7) as u8], 1000));
                let bytes = heard[rng.index(heard.len())].bytes.clone();
                let before: usize = net.sent(b).iter().map(|sent| sent.bytes.len()).sum();
                net.inject(b, from, &bytes);
                let after: usize = net.sent(b).iter().map(|sent| sent.bytes.len()).sum();
                assert!(after - before <= bytes.len(), "{} for {}", after - before, bytes.len());
                net.run(rng.range(0..=100));
            }
            let stats = net.endpoint(b).stats();
            assert_eq!(stats.unverified_bytes_sent, stats.bytes_sent, "nobody was proved");
            assert!(stats.unverified_bytes_sent <= stats.unverified_bytes_received);
            assert_eq!(net.endpoint(b).peers().count(), 0);
        }
    }
}

#[test]
fn of_two_dials_to_one_peer_the_older_handle_lives() {
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    let older = net.dial(a, b);
    net.run(3);
    let newer = net.dial(a, b);
    net.run(1000);
    assert_eq!(net.handle(a, b), older);
    let ends: Vec<_> = net.ends(a).into_iter().map(|(_, peer, reason)| (peer, reason)).collect();
    assert_eq!(ends, [(newer, EndReason::Merged { into: older })]);
    assert_one_session(&mut net, a, b, "merged");
    let named = net.call(a, b);
    assert_eq!(named, older, "a dial to a peer that is known names it");
}

#[test]
fn the_older_handle_lives_even_if_the_newer_dial_learns_first_whom_it_reached() {
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    net.latency(150);
    net.lose_nth(a, 0);
    let older = net.dial(a, b);
    net.run(3);
    let newer = net.dial(a, b);
    net.run(2000);
    assert_eq!(net.handle(a, b), older);
    let ends: Vec<_> = net.ends(a).into_iter().map(|(_, peer, reason)| (peer, reason)).collect();
    assert_eq!(ends, [(newer, EndReason::Merged { into: older })]);
}

#[test]
fn a_dial_that_reaches_a_connected_peer_merges_into_it_and_its_messages_are_lost_not_forgotten() {
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    net.lose_nth(a, 0);
    let late = net.dial(a, b);
    let message = net.send(a, late, Delivery::ordered(0), "never sent");
    net.run(3);
    let connected = net.dial(a, b);
    net.run(2000);
    assert_eq!(net.handle(a, b), connected);
    let ends: Vec<_> = net.ends(a).into_iter().map(|(_, peer, reason)| (peer, reason)).collect();
    assert_eq!(ends, [(late, EndReason::Merged { into: connected })]);
    assert_eq!(net.fates(a), [(message, Fate::Lost)]);
    assert_one_session(&mut net, a, b, "merged");
}

#[test]
fn the_first_sealed_packet_from_elsewhere_does_not_make_us_send_there() {
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    net.be_lazy(b);
    net.call(a, b);
    let first = intercept(&mut net, a, SEALED);
    let victim = SocketAddr::from(([10, 9, 9, 9], 1));
    net.mute(a);
    net.inject(b, victim, &first);
    let back = net.handle(b, a);
    for n in 0..100 {
        net.send(b, back, Delivery::ordered(0), payload(n, 1000));
    }
    net.run(1000);
    let mut to_victim = net.sent(b);
    to_victim.retain(|sent| sent.to == victim);
    let bytes: usize = to_victim.iter().map(|sent| sent.bytes.len()).sum();
    assert!(bytes <= 3 * first.len(), "flooded an address that validated nothing");
}

#[test]
fn whoever_dials_another_version_learns_it_when_nothing_else_answers() {
    for by in [By::Key, By::Address] {
        for (is_secret, forged) in [(false, false), (true, false), (false, true)] {
            let mut home = Config::default();
            home.network_secret = is_secret.then(|| NetworkSecret::new([7; 32]));
            let mut net = Net::new(1);
            let (a, b) = (net.add(Config::default()), net.add(home));
            net.filter(a, move |_| forged);
            let peer = by.dial(&mut net, a, b);
            let mut request = net.sent(a)[0].bytes.clone();
            request[1] = VERSION + 1;
            let from = net.address(a);
            net.inject(b, from, &request);
            assert_eq!(net.endpoint(b).drops().unknown_version, 1);
            // The answer is that of an endpoint of this version to one of the next.
            let mut answers = net.sent_of(b, UNSUPPORTED_VERSION);
            assert_eq!(answers.len(), usize::from(!is_secret));
            let told = answers.pop().map(|mut answer| {
                answer.bytes[1] = VERSION + 1;
                let home = net.address(b);
                net.inject(a, home, &answer.bytes);
            });
            net.run(11_000);
            if forged {
                assert!(net.connected_at(a).is_some(), "a hint only");
                continue;
            }
            let reason = match told {
                Some(()) => EndReason::VersionMismatch { theirs: VERSION + 1 },
                None => EndReason::DialTimeout,
            };
            let ended = net.ends(a).pop().map(|(_, of, reason)| (of, reason));
            assert_eq!(ended, Some((peer, reason)));
        }
    }
}
