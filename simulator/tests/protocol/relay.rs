//! Peers that reach each other by way of a neighbour of both.

mod paths;
mod routes;

use std::time::Duration;

use crate::common::*;
use handfast_core::{
    Config, ConnectError, Delivery, DisconnectOptions, EndReason, Endpoint, Event, Fate,
    ForwardRefusal, ForwardingPolicy, PeerState, Target, Via,
};
use handfast_sim::{Conditions, NodeId, Probability};

/// A configuration that forwards for everyone.
fn forwarding() -> Config {
    let mut config = Config::default();
    config.forwarding.policy = ForwardingPolicy::Anyone;
    config
}

/// Two clients that are connected to the same relays, and know each other's identity.
struct Relayed {
    net: Net,
    a: NodeId,
    b: NodeId,
    relays: Vec<NodeId>,
}

impl Relayed {
    fn new(seed: u64, relays: usize) -> Self {
        Self::with(seed, &vec![forwarding(); relays])
    }

    fn with(seed: u64, relays: &[Config]) -> Self {
        let mut net = Net::new(seed);
        let (a, b) = (net.add(Config::default()), net.add(Config::default()));
        let relays: Vec<_> = relays.iter().map(|config| net.add(config.clone())).collect();
        for relay in &relays {
            net.link(a, *relay);
            net.link(b, *relay);
        }
        Self { net, a, b, relays }
    }

    /// `a` dials `b` by its identity.
    fn dial(&mut self) -> handfast_core::PeerHandle {
        let target = Target::from(self.net.id(self.b));
        self.net.connect(self.a, target)
    }

    /// They are connected; both handles.
    fn connected(seed: u64, relays: usize) -> (Self, Link) {
        let mut relayed = Self::new(seed, relays);
        let ab = relayed.dial();
        relayed.net.run(300);
        let (a, b) = (relayed.a, relayed.b);
        let ba = relayed.net.handle(b, a);
        (relayed, Link { a, b, ab, ba })
    }

    /// The neighbour by way of which `node` reaches its only peer that is no relay.
    fn by_way_of(&self, node: NodeId, other: NodeId) -> Option<NodeId> {
        let peer = self.net.endpoint(node).peer(self.net.handle(node, other))?;
        let route = peer.path?.route()?;
        self.relays.iter().copied().find(|relay| self.net.id(*relay) == route.neighbour)
    }
}

#[test]
fn two_that_know_each_others_identity_alone_talk_after_one_relayed_round_trip() {
    let mut relayed = Relayed::new(1, 1);
    let began = relayed.net.world.now();
    let ab = relayed.dial();
    let (a, b, relay) = (relayed.a, relayed.b, relayed.relays[0]);
    relayed.net.send(a, ab, Delivery::ordered(0), "by way of another");
    relayed.net.run(300);
    let net = &mut relayed.net;
    let connected =
        |event: &(Duration, Event)| matches!(event.1, Event::Connected { peer, .. } if peer == ab);
    let at = net.timed_events(a).iter().find(|event| connected(event)).map(|(at, _)| *at);
    assert_eq!(at, Some(began + 40 * MS), "two hops there and two back, 10 ms each");
    assert_eq!(net.payloads(b), ["by way of another"]);
    let ba = net.handle(b, a);
    net.send(b, ba, Delivery::ordered(0), "and back");
    net.run(200);
    assert_eq!(net.payloads(a), ["and back"]);
    for (node, other) in [(a, b), (b, a)] {
        assert_eq!(relayed.by_way_of(node, other), Some(relay));
        let to_others =
            relayed.net.sent(node).iter().any(|sent| sent.to == relayed.net.address(other));
        assert!(!to_others, "nothing goes directly");
        assert!(relayed.net.sent(node).iter().all(|sent| sent.bytes.len() <= 1200));
    }
    let stats = relayed.net.endpoint(relay).stats();
    assert!(stats.forwards_passed >= 6 && stats.forwards_dropped == 0, "{stats:?}");
    relayed
        .net
        .with(a, |endpoint, now| endpoint.disconnect(now, ab, DisconnectOptions::default()))
        .expect("connected");
    relayed.net.run(500);
    let ends = relayed.net.ends(b);
    let [(_, peer, reason)] = &ends[..] else { panic!("{ends:?}") };
    assert!(*peer == ba && reason.is_complete(), "{ends:?}");
}

#[test]
fn messages_of_all_kinds_cross_a_relay_that_loses_and_reorders() {
    for seed in 1..=4 {
        let (mut relayed, link) = Relayed::connected(seed, 1);
        let Link { a, b, ab, ba } = link;
        let conditions = Conditions {
            latency: 10 * MS,
            jitter: 10 * MS,
            loss: Probability::percent(3),
            ..Conditions::default()
        };
        relayed.net.conditions(conditions);
        for n in 0..300 {
            let len = if n % 20 == 0 { 40_000 } else { 300 };
            relayed.net.send(a, ab, Delivery::ordered(0), payload(n, len));
            relayed.net.send(b, ba, Delivery::reliable(1), payload(n, len / 2));
            relayed.net.run(10);
        }
        relayed.net.run(20_000);
        let numbers =
            |node| -> Vec<u64> { relayed.net.payloads(node).iter().map(number_of).collect() };
        assert_eq!(numbers(b), (0..300).collect::<Vec<_>>(), "seed {seed}");
        let mut unordered = numbers(a);
        unordered.sort_unstable();
        assert_eq!(unordered, (0..300).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn a_relayed_pair_stays_connected_for_ten_minutes_and_changes_its_keys() {
    let (mut relayed, Link { a, b, ab, .. }) = Relayed::connected(5, 1);
    for n in 0..600 {
        relayed.net.send(a, ab, Delivery::ordered(0), payload(n, 100));
        relayed.net.run(1000);
    }
    assert_eq!(relayed.net.payloads(b).len(), 600);
    for node in [a, b] {
        assert_eq!(relayed.net.ends(node), []);
        let silent = relayed.net.states(node).contains(&PeerState::Silent);
        assert!(!silent);
    }
    let peer = relayed.net.endpoint(a).peer(ab).expect("connected");
    assert!(peer.stats.rekeys >= 3, "{:?}", peer.stats);
}

#[test]
fn when_a_relay_disappears_another_takes_over_and_nothing_is_lost() {
    for seed in 1..=8 {
        let (mut relayed, Link { a, b, ab, .. }) = Relayed::connected(seed, 2);
        let first = relayed.by_way_of(a, b).expect("a route");
        for n in 0..100 {
            relayed.net.send(a, ab, Delivery::ordered(0), payload(n, 500));
            relayed.net.run(50);
            if n == 30 {
                relayed.net.world.kill(first);
            }
        }
        relayed.net.run(10_000);
        let numbers: Vec<_> = relayed.net.payloads(b).iter().map(number_of).collect();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>(), "seed {seed}");
        for (node, other) in [(a, b), (b, a)] {
            let now = relayed.by_way_of(node, other).expect("a route");
            assert_ne!(now, first, "seed {seed}");
            let of_peer = relayed.net.handle(node, other);
            assert!(relayed.net.ends(node).iter().all(|(_, peer, _)| *peer != of_peer));
        }
        assert!(!relayed.net.fates(a).iter().any(|(_, fate)| *fate != Fate::Acked));
    }
}

#[test]
fn a_relay_that_passes_nothing_on_in_one_direction_is_left_for_another() {
    for seed in 1..=4 {
        for cut_off_first in [true, false] {
            let (mut relayed, Link { a, b, ab, .. }) = Relayed::connected(seed, 2);
            let relay = relayed.by_way_of(a, b).expect("a route");
            let cut_off = relayed.net.address(if cut_off_first { a } else { b });
            for n in 0..60 {
                relayed.net.send(a, ab, Delivery::ordered(0), payload(n, 500));
                relayed.net.run(50);
                if n == 20 {
                    relayed.net.filter(relay, move |sent| sent.to != cut_off);
                }
            }
            relayed.net.run(10_000);
            let numbers: Vec<_> = relayed.net.payloads(b).iter().map(number_of).collect();
            assert_eq!(numbers, (0..60).collect::<Vec<_>>(), "seed {seed} {cut_off_first}");
            assert!(!relayed.net.fates(a).iter().any(|(_, fate)| *fate != Fate::Acked));
        }
    }
}

#[test]
fn what_a_relay_says_again_counts_once() {
    let (mut relayed, Link { a, b, ab, .. }) = Relayed::connected(6, 1);
    let relay = relayed.relays[0];
    let (from, mut said) = (relayed.net.address(relay), 0);
    for n in 0..40 {
        relayed.net.send(a, ab, Delivery::ordered(0), payload(n, 3000));
        relayed.net.send(a, ab, Delivery::unreliable(1), payload(n, 300));
        relayed.net.run(60);
        let sent = relayed.net.sent(relay);
        let to_b = relayed.net.address(b);
        let again: Vec<_> = sent[said..].iter().filter(|sent| sent.to == to_b).cloned().collect();
        said = sent.len();
        for datagram in again.iter().rev() {
            relayed.net.inject(b, from, &datagram.bytes);
        }
    }
    relayed.net.run(1000);
    let mut numbers: Vec<_> = relayed.net.payloads(b).iter().map(number_of).collect();
    numbers.sort_unstable();
    let twice: Vec<_> = (0..40).flat_map(|n| [n, n]).collect();
    assert_eq!(numbers, twice, "each on its channel, once");
    assert!(relayed.net.endpoint(b).drops().duplicate > 40);
}

#[test]
fn who_is_not_passed_on_hears_why() {
    let refused = |relay: Config, known: bool| {
        let mut relayed = Relayed::with(7, &[relay]);
        let target = if known {
            relayed.net.id(relayed.b)
        } else {
            handfast_core::Identity::from_seed([77; 32]).id()
        };
        let ab = relayed.net.connect(relayed.a, Target::from(target));
        relayed.net.run(25_000);
        relayed
            .net
            .ends(relayed.a)
            .into_iter()
            .find(|(_, peer, _)| *peer == ab)
            .map(|(_, _, reason)| reason)
    };
    let not_connected = EndReason::NotForwarded(ForwardRefusal::NotConnected);
    assert_eq!(refused(forwarding(), false), Some(not_connected.clone()));
    let mut only = forwarding();
    only.forwarding.policy =
        ForwardingPolicy::Only([handfast_core::Identity::from_seed([1; 32]).id()].into());
    assert_eq!(refused(only, true), Some(not_connected), "it does not forward to b");
    let mut only = forwarding();
    only.forwarding.policy =
        ForwardingPolicy::Only([handfast_core::Identity::from_seed([2; 32]).id()].into());
    assert_eq!(refused(only, true), Some(EndReason::NotForwarded(ForwardRefusal::NotForwarding)));
}

#[test]
fn without_an_address_or_a_neighbour_that_forwards_nobody_is_dialled() {
    let mut relayed = Relayed::with(8, &[Config::default()]);
    let target = Target::from(relayed.net.id(relayed.b));
    let dialled = relayed.net.with(relayed.a, |endpoint, now| endpoint.connect(now, target));
    assert_eq!(dialled, Err(ConnectError::NoAddress), "this neighbour does not forward");
}

#[test]
fn a_relay_that_is_connected_again_passes_packets_on_also_when_the_old_peer_is_forgotten() {
    let mut relayed = Relayed::new(14, 1);
    let (a, b, relay) = (relayed.a, relayed.b, relayed.relays[0]);
    let old = relayed.net.handle(a, relay);
    relayed.net.with(a, |a, now| a.disconnect(now, old, DisconnectOptions::now())).expect("there");
    relayed.net.run(25);
    relayed.net.link(a, relay);
    relayed.net.run(5000);
    let target = Target::from(relayed.net.id(b));
    let dialled = relayed.net.with(a, |endpoint, now| endpoint.connect(now, target));
    assert!(dialled.is_ok(), "{dialled:?}");
    relayed.net.run(300);
    assert_eq!(relayed.by_way_of(a, b), Some(relay));
}

#[test]
fn a_relay_that_restarts_is_noticed_by_the_packets_that_it_cannot_pass_on() {
    for seed in 1..=8 {
        let (mut relayed, Link { a, b, ab, ba }) = Relayed::connected(seed, 1);
        relayed.net.run(3000);
        for n in 0..100 {
            relayed.net.send(a, ab, Delivery::ordered(0), payload(n, 500));
            relayed.net.send(b, ba, Delivery::ordered(0), payload(n, 500));
            relayed.net.run(50);
            if n == 30 {
                relayed.net.world.restart(relayed.relays[0]);
            }
        }
        for node in [a, b] {
            let got = relayed.net.got(node);
            let numbers: Vec<_> = got.iter().map(|got| number_of(&got.message.payload)).collect();
            assert!(
                numbers.iter().copied().eq(0..numbers.len() as u64),
                "seed {seed}: {numbers:?}"
            );
            assert!(numbers.len() >= 95, "seed {seed}: {} arrived", numbers.len());
        }
    }
}

#[test]
fn a_dial_waits_for_a_neighbour_that_is_still_being_dialled() {
    let mut net = Net::new(9);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    let relay = net.add(forwarding());
    net.link(b, relay);
    net.call(a, relay);
    let target = Target::from(net.id(b));
    let ab = net.connect(a, target);
    net.send(a, ab, Delivery::ordered(0), "once there is a way");
    net.run(1000);
    assert_eq!(net.payloads(b), ["once there is a way"]);
}

#[test]
fn marks_of_a_queue_on_either_hop_slow_the_end_down_and_a_relay_marks_before_it_drops() {
    let bulk = |change: &dyn Fn(&mut Relayed)| {
        let (mut relayed, Link { a, b, ab, .. }) = Relayed::connected(13, 1);
        change(&mut relayed);
        for n in 0..60 {
            relayed.net.send(a, ab, Delivery::ordered(0), payload(n, 20_000));
        }
        relayed.net.run(20_000);
        assert_eq!(relayed.net.payloads(b).len(), 60);
        let peer = relayed.net.endpoint(a).peer(ab).expect("connected");
        let relay = *relayed.net.endpoint(relayed.relays[0]).stats();
        (peer, relay)
    };
    let queue = Conditions { rate: Some(200_000), ce_threshold: Some(8_000), ..Default::default() };
    let hop = |from, to| {
        bulk(&|relayed| {
            let nodes = [relayed.a, relayed.relays[0], relayed.b];
            relayed.net.world.network().set_link(nodes[from], nodes[to], queue);
        })
    };
    for (from, to) in [(0, 1), (1, 2)] {
        let (peer, _) = hop(from, to);
        assert!(peer.path_stats.is_ecn_capable, "hop {from}: {peer:?}");
        assert!(peer.stats.congestion_marks > 0, "hop {from}: {peer:?}");
        assert_eq!(peer.stats.packets_lost, 0, "hop {from}: {peer:?}");
    }
    // 2.5 MB/s pass, with 64 KiB at once: more than 16 KiB of that is a queue. A start that doubles is past it before
    // the mark is back.
    let (peer, relay) = bulk(&|_| {});
    assert!(peer.stats.congestion_marks > 0, "{peer:?}");
    assert!(relay.forwards_refused * 30 < relay.forwards_passed, "{relay:?}");
}

#[test]
fn a_relay_lets_no_more_through_than_its_rate_and_says_so() {
    let mut slow = forwarding();
    slow.forwarding.pair_rate = 50_000;
    let mut relayed = Relayed::with(10, &[slow]);
    let ab = relayed.dial();
    let (a, b, relay) = (relayed.a, relayed.b, relayed.relays[0]);
    relayed.net.run(300);
    for n in 0..40 {
        relayed.net.send(a, ab, Delivery::ordered(0), payload(n, 20_000));
    }
    relayed.net.run(60_000);
    assert_eq!(relayed.net.payloads(b).len(), 40, "congestion control finds the rate");
    let stats = *relayed.net.endpoint(relay).stats();
    assert!(stats.forwards_refused > 0, "{stats:?}");
    let told = relayed.net.endpoint(a).stats().packets_not_forwarded;
    assert!((1..=60).contains(&told), "once a second: {told}");
    assert_eq!(relayed.net.endpoint(a).peer(ab).map(|peer| peer.state), Some(PeerState::Connected));
}

#[test]
fn a_peer_that_can_be_reached_directly_is_reached_so_although_a_neighbour_forwards() {
    let mut relayed = Relayed::new(11, 1);
    let ab = relayed.net.call(relayed.a, relayed.b);
    relayed.net.run(3000);
    let path = relayed.net.endpoint(relayed.a).peer(ab).and_then(|peer| peer.path);
    assert!(matches!(path, Some(Via::Direct(_))), "{path:?}");
    assert_eq!(relayed.net.endpoint(relayed.relays[0]).stats().forwards_passed, 0);
}

#[test]
fn when_the_address_is_cut_off_a_dial_goes_by_way_of_a_neighbour() {
    let mut relayed = Relayed::new(12, 1);
    let (a, b) = (relayed.a, relayed.b);
    let direct = relayed.net.address(b);
    relayed.net.filter(a, move |sent| sent.to != direct);
    let ab = relayed.net.call(a, b);
    relayed.net.send(a, ab, Delivery::ordered(0), "around");
    relayed.net.run(3000);
    assert_eq!(relayed.net.payloads(b), ["around"]);
}

fn forwards(endpoint: &Endpoint) -> u64 {
    endpoint.stats().forwards_passed
}

#[test]
fn nothing_is_forwarded_by_default() {
    let mut relayed = Relayed::with(13, &[Config::default()]);
    let target = Target::new(relayed.net.id(relayed.b), [relayed.net.address(relayed.b)]);
    let address = relayed.net.address(relayed.b);
    relayed.net.filter(relayed.a, move |sent| sent.to != address);
    let ab = relayed.net.connect(relayed.a, target);
    relayed.net.run(25_000);
    assert_eq!(
        relayed.net.ends(relayed.a).last().map(|(_, peer, reason)| (*peer, reason.clone())),
        Some((ab, EndReason::DialTimeout))
    );
    assert_eq!(forwards(relayed.net.endpoint(relayed.relays[0])), 0);
}
