//! Sessions: changing keys, surviving restarts, and not being ended by anyone who lacks the keys.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::*;
use handfast_core::{
    Config, Delivery, Direction, DisconnectOptions, EndReason, Event, Fate, Instant, PeerState,
    SendError,
};
use handfast_sim::{Conditions, NodeId, Probability, Rng};

const PACKETS: u64 = 16;

fn short_lived_keys() -> Config {
    let mut config = Config::default();
    config.keys.rekey_after_packets = PACKETS;
    config.keys.rekey_after = SECOND;
    config.keys.rekey_after_idle = SECOND * 5;
    config
}

/// No keys sealed more packets or for longer than one and a half times the limit.
fn assert_no_key_is_worn(net: &Net, node: NodeId) {
    let mut keys: BTreeMap<u32, Vec<Instant>> = BTreeMap::new();
    for sent in net.sent_of(node, SEALED) {
        keys.entry(sent.index()).or_default().push(sent.at);
    }
    for (index, uses) in keys {
        assert!(uses.len() as u64 <= PACKETS * 3 / 2, "{index:x} sealed {} packets", uses.len());
        let age = uses[uses.len() - 1].saturating_since(uses[0]);
        assert!(age <= SECOND * 15 / 2, "{index:x} sealed for {age:?}");
    }
}

fn assert_all_arrived(net: &Net, node: NodeId, count: u64, what: &str) {
    let numbers: Vec<_> = net.payloads(node).iter().map(number_of).collect();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "{what}");
}

#[test]
fn keys_change_from_both_ends_at_once_under_loss_and_every_message_arrives_once() {
    for seed in 0..10 {
        let (mut net, Link { a, b, ab, ba }) =
            Net::pair(seed, short_lived_keys(), short_lived_keys());
        let loss = Probability::percent(seed as u32 * 2);
        let (jitter, duplication) = (MS * 5, Probability::percent(5));
        net.conditions(Conditions { loss, jitter, duplication, ..Conditions::default() });
        for n in 0..400 {
            net.send(a, ab, Delivery::ordered(0), payload(n, 900));
            net.send(b, ba, Delivery::ordered(0), payload(n, 900));
            net.run(50);
        }
        net.run(20_000);
        for (node, peer) in [(a, ab), (b, ba)] {
            assert_all_arrived(&net, node, 400, &format!("seed {seed}"));
            assert_no_key_is_worn(&net, node);
            let stats = net.endpoint(node).peer(peer).expect("alive").stats;
            assert!(stats.rekeys > 20, "seed {seed}: {} rekeys", stats.rekeys);
            assert_eq!((net.connections(node), net.ends(node)), (1, vec![]));
        }
    }
}

#[test]
fn keys_change_with_time_alone_and_the_quiet_pair_notices_nothing() {
    let (mut net, Link { a, b, ab, ba }) = Net::pair(1, short_lived_keys(), short_lived_keys());
    net.run(120_000);
    for (node, peer) in [(a, ab), (b, ba)] {
        let stats = net.endpoint(node).peer(peer).expect("alive").stats;
        assert!((15..=30).contains(&stats.rekeys), "{} rekeys in 2 min", stats.rekeys);
        assert_eq!(stats.handshakes, 1);
        assert_eq!(net.events(node).len(), 2, "connected, and the state");
        assert_no_key_is_worn(&net, node);
    }
}

#[test]
fn worn_keys_seal_nothing_while_they_cannot_be_changed() {
    for cut_both_ways in [true, false] {
        let (mut net, Link { a, b, ab, ba }) = Net::pair(1, short_lived_keys(), short_lived_keys());
        net.run(500);
        net.world.network().block(b, a);
        if cut_both_ways {
            net.world.network().block(a, b);
        }
        for n in 0..100 {
            net.send(a, ab, Delivery::ordered(0), payload(n, 1000));
            net.send(b, ba, Delivery::ordered(0), payload(n, 1000));
            net.run(200);
        }
        for node in [a, b] {
            assert_no_key_is_worn(&net, node);
        }
        net.world.network().heal();
        net.run(20_000);
        for node in [a, b] {
            assert_all_arrived(&net, node, 100, "after the partition");
            assert_no_key_is_worn(&net, node);
            assert_eq!((net.connections(node), net.ends(node)), (1, vec![]));
            assert_eq!(net.count(node, |event| matches!(event, Event::Restarted { .. })), 0);
        }
    }
}

/// Every message that was accepted arrived exactly once, or its fate is `Unknown` and it arrived
/// at most once.
fn assert_exactly_once(net: &mut Net, from: NodeId, to: NodeId, count: u64, what: &str) -> usize {
    let mut arrived = BTreeMap::new();
    for number in net.payloads(to).iter().map(number_of) {
        *arrived.entry(number).or_insert(0) += 1;
    }
    let fates: BTreeMap<_, _> = net.fates(from).into_iter().collect();
    assert_eq!(fates.len() as u64, count, "{what}: every receipt came");
    let mut unknown = 0;
    for (number, (message, fate)) in fates.into_iter().enumerate() {
        assert_eq!(message.as_u64(), number as u64, "{what}");
        let times = arrived.get(&(number as u64)).copied().unwrap_or(0);
        match fate {
            Fate::Acked => assert_eq!(times, 1, "{what}: {number} was acknowledged"),
            Fate::Unknown => assert!(times <= 1, "{what}: {number} came {times} times"),
            fate => panic!("{what}: {number} ended as {fate:?}"),
        }
        unknown += usize::from(fate == Fate::Unknown);
    }
    unknown
}

#[test]
fn a_restart_amid_traffic_leaves_what_was_under_way_unknown_and_sends_the_rest_once() {
    let mut unknown = 0;
    for seed in 0..20 {
        let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(seed);
        let jitter = MS * (seed as u32 % 4) * 10;
        net.conditions(Conditions { jitter, ..Conditions::default() });
        for n in 0..600 {
            net.send(a, ab, Delivery::ordered(0).with_receipt(), payload(n, 1000));
        }
        net.run(11 + seed * 5);
        let read_before = net.payloads(b).len();
        net.world.restart(b);
        net.run(20_000);
        let what = format!("seed {seed}");
        unknown += assert_exactly_once(&mut net, a, b, 600, &what);
        let restarts = net.count(a, |event| matches!(event, Event::Restarted { .. }));
        assert_eq!((restarts, net.connections(a)), (1, 1), "{what}");
        assert_eq!(net.connections(b), 2, "{what}: once in each life");
        assert!(read_before < 600, "{what}: nothing was left to do");
        let numbers: Vec<_> = net.payloads(b).iter().map(number_of).collect();
        assert!(numbers.is_sorted(), "{what}: the order of sending");
    }
    assert!(unknown > 20, "the restarts met messages under way");
}

#[test]
fn a_restart_of_a_sender_is_noticed_by_its_receiver() {
    for (seed, traffic_back) in [(1, false), (2, true)] {
        let (mut net, Link { a, b, ba, .. }) = Net::usual_pair(seed);
        net.world.restart(a);
        if traffic_back {
            for n in 0..20 {
                net.send(b, ba, Delivery::ordered(0).with_receipt(), payload(n, 1000));
            }
            net.run(3000);
            let fates = net.fates(b);
            assert_eq!(fates.len(), 20);
            assert_eq!(
                net.payloads(a).len(),
                20 - fates.iter().filter(|(_, f)| *f == Fate::Unknown).count()
            );
        } else {
            let again = net.call(a, b);
            net.send(a, again, Delivery::ordered(0), payload(0, 50));
            net.run(1000);
            assert_all_arrived(&net, b, 1, "the first message of the new life");
        }
        assert_eq!(net.count(b, |event| matches!(event, Event::Restarted { .. })), 1);
        assert_eq!((net.connections(b), net.ends(b)), (1, vec![]));
        assert_eq!(net.handle(b, a), ba, "the handle survives");
    }
}

#[test]
fn a_restart_between_quiet_peers_is_noticed_by_a_heartbeat() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    net.world.restart(b);
    net.run(25_000);
    assert_eq!(net.count(a, |event| matches!(event, Event::Restarted { .. })), 1);
    assert_eq!((net.connections(b), net.ends(a)), (2, vec![]));
    let message = net.send(a, ab, Delivery::ordered(0).with_receipt(), "hello again");
    net.run(1000);
    assert_eq!(net.fates(a), [(message, Fate::Acked)]);
}

#[test]
fn both_ends_may_restart_again_and_again() {
    let (mut net, Link { a, b, .. }) = Net::usual_pair(1);
    for n in 0..10 {
        net.world.restart(if n % 3 == 0 { a } else { b });
        net.run(n * 17);
        net.world.restart(if n % 2 == 0 { a } else { b });
        // What is sent before the other's restart is noticed may be lost with its old life.
        net.run(30_000);
        let peer = net.call(a, b);
        net.run(1000);
        net.send(a, peer, Delivery::ordered(0), payload(n, 100));
        net.run(1000);
        assert_all_arrived(&net, b, n + 1, "another life");
    }
}

#[test]
fn a_peer_given_up_by_one_end_is_met_again_as_one_that_lost_its_state() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    net.send(b, ba, Delivery::ordered(0), payload(0, 10));
    net.run(1000);
    // B gives A up; A never hears of it.
    net.world.network().partition(a, b);
    let under_way = net.send(a, ab, Delivery::ordered(0).with_receipt(), payload(0, 10));
    net.with(b, |endpoint, now| endpoint.disconnect(now, ba, DisconnectOptions::default()))
        .expect("alive");
    net.run(5000);
    assert_eq!(net.ends(b).len(), 1);
    assert!(net.endpoint(a).peer(ab).is_some());
    net.world.network().heal();
    let again = net.call(b, a);
    net.send(b, again, Delivery::ordered(0), payload(1, 10));
    net.run(3000);
    assert_ne!(again, ba);
    assert_eq!((net.connections(a), net.connections(b)), (1, 2));
    assert_eq!(net.count(a, |event| matches!(event, Event::Restarted { .. })), 1);
    assert_eq!(net.fates(a), [(under_way, Fate::Unknown)]);
    assert_eq!(net.payloads(b), Vec::<bytes::Bytes>::new(), "never sent again on its own");
    assert_all_arrived(&net, a, 2, "the streams of B start over");
    let message = net.send(a, ab, Delivery::ordered(0).with_receipt(), payload(1, 10));
    net.run(1000);
    assert!(net.fates(a).contains(&(message, Fate::Acked)), "the old handle works");
}

#[test]
fn a_handshake_anew_with_the_same_lives_continues_streams_exactly_once() {
    // Silence makes an end shake hands anew; nobody lost any state.
    let mut handshakes = 0;
    for seed in 0..10 {
        let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(seed);
        let loss = Probability::percent(10);
        net.conditions(Conditions { loss, ..Conditions::default() });
        for n in 0..200 {
            net.send(a, ab, Delivery::ordered(0).with_receipt(), payload(n, 1000));
            net.send(b, ba, Delivery::ordered(0).with_receipt(), payload(n, 1000));
        }
        for pause in [40, 90] {
            net.run(pause);
            net.world.network().partition(a, b);
            net.run(8000);
            net.world.network().heal();
        }
        net.run(30_000);
        for (node, other) in [(a, b), (b, a)] {
            assert_all_arrived(&net, node, 200, &format!("seed {seed}"));
            assert!(net.fates(node).iter().all(|(_, fate)| *fate == Fate::Acked));
            handshakes += net.endpoint(node).stats().handshakes - 1;
            assert_eq!(net.count(node, |event| matches!(event, Event::Restarted { .. })), 0);
            assert_eq!(net.handle(node, other), [ab, ba][usize::from(node == b)]);
        }
    }
    assert!(handshakes > 10, "{handshakes} handshakes anew prove nothing");
}

#[test]
fn nothing_that_lacks_the_keys_ends_or_changes_a_session() {
    for always in [false, true] {
        let mut config = Config::default();
        if always {
            config.retry = handfast_core::Retry::Always;
        }
        let mut net = Net::new(1);
        let (a, b) = (net.add(config.clone()), net.add(config));
        net.dial(a, b);
        net.run(500);
        let (ab, ba) = (net.handle(a, b), net.handle(b, a));
        let heard = [(b, net.address(a), net.sent(a)), (a, net.address(b), net.sent(b))];
        let (news_a, news_b) = (net.events(a).len(), net.events(b).len());
        let mut rng = Rng::from_seed(1);
        for round in 0..600 {
            let (to, from, packets) = &heard[round % 2];
            let mut bytes = packets[rng.index(packets.len())].bytes.clone();
            match rng.index(4) {
                0 => {}
                1 => bytes[8 + rng.index(8)] ^= 1 << rng.index(8),
                2 => {
                    let at = rng.index(bytes.len());
                    bytes[at] ^= 1 << rng.index(8);
                }
                _ => bytes.truncate(rng.index(bytes.len()) + 1),
            }
            let elsewhere = std::net::SocketAddr::from(([10, 3, 3, 3], 1));
            let from = if rng.index(3) == 0 { elsewhere } else { *from };
            net.inject(*to, from, &bytes);
            net.run(rng.range(0..=50));
        }
        assert_eq!((net.events(a).len(), net.events(b).len()), (news_a, news_b), "nothing to tell");
        for (node, peer) in [(a, ab), (b, ba)] {
            let info = net.endpoint(node).peer(peer).expect("alive");
            assert_eq!((info.state, info.stats.roams), (PeerState::Connected, 0));
            assert_eq!((net.endpoint(node).peers().count(), info.stats.handshakes), (1, 1));
            let message = net.send(node, peer, Delivery::ordered(0).with_receipt(), "intact");
            net.run(200);
            assert_eq!(net.fates(node), [(message, Fate::Acked)]);
        }
    }
}

#[test]
fn a_forged_hint_hastens_a_handshake_now_and_then_and_does_nothing_else() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    let (from, before) = (net.address(b), net.events(a).len());
    for round in 0..300 {
        let last = net.sent_of(a, SEALED).pop().expect("sealed before");
        let mut hint = last.bytes[..16].to_vec();
        hint[0] = UNKNOWN_SESSION;
        for _ in 0..10 {
            net.inject(a, from, &hint);
        }
        // The acknowledgement of a message that leaves with a handshake comes first, and ends it.
        let pause = if round % 2 == 0 { 60 } else { 0 };
        net.run(pause);
        net.send(a, ab, Delivery::ordered(0), payload(round, 100));
        net.run(100 - pause);
    }
    net.run(1000);
    assert_all_arrived(&net, b, 300, "messages do not mind");
    let handshakes = net.endpoint(a).stats().handshakes;
    assert!((2..=8).contains(&handshakes), "{handshakes} handshakes in 31 s, at most one in 5 s");
    assert_eq!(net.events(a).len(), before, "nothing to tell");
    assert_eq!((net.connections(b), net.ends(b)), (1, vec![]));
    // A hint from elsewhere, or for a packet that was never sent, is nothing at all.
    net.run(6000);
    let last = net.sent_of(a, SEALED).pop().expect("sealed before");
    let mut hint = last.bytes[..16].to_vec();
    hint[0] = UNKNOWN_SESSION;
    net.inject(a, std::net::SocketAddr::from(([10, 9, 9, 9], 9)), &hint);
    hint[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    net.inject(a, from, &hint);
    net.run(1000);
    assert_eq!(net.endpoint(a).stats().handshakes, handshakes);
}

#[test]
fn a_hint_makes_a_restart_known_within_two_round_trips_and_its_loss_only_delays() {
    for hints in [true, false] {
        let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
        net.world.restart(b);
        net.filter(b, move |sent| hints || sent.kind() != UNKNOWN_SESSION);
        net.send(a, ab, Delivery::ordered(0).with_receipt(), "are you new here?");
        let began = net.world.now();
        net.run(10_000);
        let restarted = net.timed_events(a).iter().find_map(|(at, event)| match event {
            Event::Restarted { .. } => Some(*at - began),
            _ => None,
        });
        let took = restarted.expect("noticed");
        if hints {
            assert_eq!(took, MS * 60, "a hint, an answer of one who does not know us, a handshake");
        } else {
            // A second after the last sign of life, which was up to 300 ms before.
            assert!(took >= MS * 700 && took < SECOND * 5, "{took:?} by silence");
        }
        assert_eq!(net.fates(a).len(), 1);
    }
}

#[test]
fn an_old_call_of_a_peer_is_not_taken_for_a_new_one() {
    // The peer called twice: the first call is repeated by somebody else after the second.
    let (mut net, Link { a, b, .. }) = Net::usual_pair(1);
    let old = net.sent_of(a, REQUEST)[0].bytes.clone();
    net.world.restart(a);
    net.call(a, b);
    net.run(500);
    let (from, handshakes) = (net.address(a), net.endpoint(b).stats().handshakes);
    net.news(b);
    for _ in 0..100 {
        net.inject(b, from, &old);
        net.run(100);
    }
    assert_eq!(net.news(b), []);
    assert_eq!(net.endpoint(b).stats().handshakes, handshakes);
    let ba = net.handle(b, a);
    let message = net.send(b, ba, Delivery::ordered(0).with_receipt(), "fine");
    net.run(100);
    assert_eq!(net.fates(b), [(message, Fate::Acked)]);
    assert!(net.ends(b).iter().all(|(_, _, reason)| *reason != EndReason::IdleTimeout));
}

#[test]
fn an_endpoint_whose_last_peer_left_closes_at_once() {
    for seed in 0..30 {
        let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(seed);
        if seed % 2 == 0 {
            net.send(b, ba, Delivery::ordered(0), payload(1, 8));
            net.run(1000);
        }
        let farewell = DisconnectOptions::default();
        net.with(a, |a, now| a.disconnect(now, ab, farewell.clone())).expect("it leaves");
        while net.ends(b).is_empty() {
            net.run(1);
        }
        net.with(b, |b, now| b.close(now, farewell));
        net.run(0);
        assert!(net.endpoint(b).is_closed(), "seed {seed}: it waits for nobody");
        // The one that left heard what it waited for.
        net.run(5000);
        let [(_, peer, reason)] = &net.ends(a)[..] else { panic!("one end") };
        assert_eq!((*peer, reason), (ab, &EndReason::Disconnected { heard: true }));
    }
}

/// Whoever reads all is told of the end last; whoever does not, at once, with what waits.
#[test]
fn the_end_comes_after_the_last_message_for_those_who_read_and_waits_for_nobody_else() {
    for (seed, reads) in (0..20).map(|seed| (seed, seed % 2 == 0)) {
        let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(seed);
        if !reads {
            net.be_lazy(b);
        }
        for number in 0..300 {
            net.send(a, ab, Delivery::ordered((number % 3) as u16), payload(number, 40));
        }
        net.run(1000);
        let farewell = DisconnectOptions::default();
        net.with(a, |a, now| a.disconnect(now, ab, farewell)).expect("it leaves");
        net.run(1000);
        let ends = net.timed_events(b).iter().filter_map(|(at, event)| match event {
            Event::Ended { unread, .. } => Some((*at, *unread)),
            _ => None,
        });
        let [(ended, unread)] = ends.collect::<Vec<_>>()[..] else { panic!("one end") };
        if reads {
            assert_eq!((unread, net.got(b).len()), (0, 300));
            assert!(net.got(b).iter().all(|got| got.at <= ended));
        } else {
            assert_eq!((unread, net.got(b).len()), (300, 0));
            let first = net.read_from(b, ba, 1);
            let except = BTreeSet::from([1]);
            let mut others = 0;
            while net.with(b, |b, now| b.receive_except(now, ba, &except)).is_some() {
                others += 1;
            }
            assert_eq!((first.len(), others), (100, 200));
            assert!(net.read(b, ba).is_empty());
        }
    }
}

#[test]
fn what_is_known_of_a_peer_tells_who_began_since_when_and_what_waits() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    net.latency(20);
    net.send(a, ab, Delivery::ordered(0), payload(1, 1000));
    let info = |net: &Net, node, peer| net.endpoint(node).peer(peer).expect("connected");
    let waiting = info(&net, a, ab);
    assert_eq!(waiting.queued, 1064);
    net.run(2000);
    let (here, there) = (info(&net, a, ab), info(&net, b, ba));
    let directions = [Some(Direction::Outbound), Some(Direction::Inbound)];
    assert_eq!([here.direction, there.direction], directions);
    assert!(here.connected_since.is_some_and(|since| since < net.world.clock(a)));
    assert_eq!((here.queued, here.room), (0, u64::from(here.max_message)));
    let (least, latest) = (here.path_stats.least_rtt, here.path_stats.latest_rtt);
    assert!(least <= latest && latest >= Some(40 * MS), "{least:?} {latest:?}");
    assert_eq!(here.stats.loss(), 0.0);

    // Room is what a message may have on a channel that holds none.
    net.mute(a);
    for channel in 1..20 {
        while net.try_send(a, ab, Delivery::reliable(channel), payload(2, 1 << 20)).is_ok() {}
    }
    let room = usize::try_from(info(&net, a, ab).room).expect("small");
    assert!(room < 1 << 20);
    let one_more = net.try_send(a, ab, Delivery::reliable(0), vec![0; room + 1]);
    assert_eq!(one_more, Err(SendError::Blocked));
    net.try_send(a, ab, Delivery::reliable(0), vec![0; room]).expect("so much fits");
}
