//! Following a peer to another address, and nobody else.

use std::net::SocketAddr;

use crate::common::*;
use handfast_core::{Config, Delivery, Event, PeerState, Via};

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 7, last], 7000 + u16::from(last)))
}

/// Where `node` believes its only peer to be.
fn place(net: &Net, node: handfast_sim::NodeId) -> Option<SocketAddr> {
    net.endpoint(node).peers().next()?.path.and_then(|path| path.remote())
}

#[test]
fn a_peer_behind_a_new_address_is_followed_once_it_proved_to_be_there() {
    for traffic_from_b in [false, true] {
        let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
        let old = net.address(a);
        assert_eq!(net.endpoint(b).peer_by_addr(old), Some(ba));
        net.world.rebind(a, at(1));
        net.send(a, ab, Delivery::ordered(0), "from elsewhere");
        if traffic_from_b {
            net.send(b, ba, Delivery::ordered(0), "to the old place");
        }
        let began = net.world.now();
        net.news(b);
        net.run(29);
        assert_eq!(place(&net, b), Some(old), "not proved yet");
        net.run(2000);
        let moved: Vec<_> = net
            .timed_events(b)
            .iter()
            .filter_map(|(at, event)| match event {
                Event::PathChanged { peer, path } => Some((*at, *peer, path.remote())),
                _ => None,
            })
            .collect();
        assert_eq!(moved, [(began + 30 * MS, ba, Some(at(1)))], "a challenge takes a round trip");
        assert_eq!(place(&net, b), Some(at(1)));
        assert_eq!(net.endpoint(b).peer_by_addr(at(1)), Some(ba));
        assert_eq!(net.endpoint(b).peer_by_addr(old), None);
        let info = net.endpoint(b).peer(ba).expect("alive");
        assert_eq!((info.state, info.stats.roams), (PeerState::Connected, 1));
        assert_eq!(net.payloads(b), ["from elsewhere"]);
        assert_eq!(net.payloads(a).len(), usize::from(traffic_from_b), "it heals by itself");
        let challenges = |net: &Net| net.sent(b).iter().filter(|sent| sent.to == at(1)).count();
        assert!(challenges(&net) > 0);
        for node in [a, b] {
            assert_eq!((net.connections(node), net.ends(node)), (1, vec![]));
            assert_eq!(net.endpoint(node).stats().handshakes, 1, "no new handshake was needed");
        }
    }
}

#[test]
fn a_peer_that_knows_of_its_new_address_is_followed_without_traffic() {
    let (mut net, Link { a, b, ba, .. }) = Net::usual_pair(1);
    net.world.roam(a, at(2));
    net.run(100);
    assert_eq!(net.endpoint(b).peer_by_addr(at(2)), Some(ba));
}

#[test]
fn both_may_move_at_once_if_one_of_them_can_still_be_reached_sometimes() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    for round in 0..20_u8 {
        let (mover, peer, stayer) = if round % 2 == 0 { (a, ab, b) } else { (b, ba, a) };
        net.world.rebind(mover, at(10 + round));
        net.send(mover, peer, Delivery::ordered(0), payload(round.into(), 300));
        net.run(3000);
        assert_eq!(place(&net, stayer), Some(at(10 + round)), "round {round}");
    }
    assert_eq!(net.payloads(a).len() + net.payloads(b).len(), 20);
}

#[test]
fn a_transfer_goes_on_while_its_sender_or_receiver_moves() {
    for mover in [0, 1] {
        let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
        for n in 0..400 {
            net.send(a, ab, Delivery::ordered(0), payload(n, 1000));
        }
        for round in 0..5 {
            net.run(30);
            net.world.rebind([a, b][mover], at(20 + round));
        }
        // A receiver that moved unawares is found again by its next heartbeat at the latest.
        net.run(40_000);
        let numbers: Vec<_> = net.payloads(b).iter().map(number_of).collect();
        assert_eq!(numbers, (0..400).collect::<Vec<_>>(), "mover {mover}");
    }
}

#[test]
fn a_packet_repeated_from_another_address_moves_nobody_and_floods_nobody() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    let (home, thief) = (net.address(a), at(66));
    let before = net.sent(a).len();
    // Packets that B knows, packets that it never got, and those that it gets first from elsewhere.
    for n in 0..30 {
        let withheld = n % 3;
        if withheld > 0 {
            net.filter(a, |sent| sent.kind() != SEALED);
        }
        net.send(a, ab, Delivery::ordered(0), payload(n, 100));
        let stolen = net.sent(a).pop().expect("just sent").bytes;
        net.unmute(a);
        if withheld == 0 {
            net.run(15);
        }
        net.inject(b, thief, &stolen);
        net.inject(b, thief, &stolen);
        if withheld == 2 {
            net.inject(b, home, &stolen);
        }
        net.send(b, ba, Delivery::unreliable(0), payload(n, 1100));
        net.run(200);
        assert_eq!(place(&net, b), Some(home), "moved by packet {n}");
        assert_eq!(net.endpoint(b).peer_by_addr(thief), None);
    }
    net.run(5000);
    let stolen: usize = net.sent(a)[before..].iter().map(|sent| sent.bytes.len()).sum();
    let mut to_thief = net.sent(b);
    to_thief.retain(|sent| sent.to == thief);
    let bytes: usize = to_thief.iter().map(|sent| sent.bytes.len()).sum();
    assert!(bytes > 0, "a challenge should have gone there, or this proves nothing");
    assert!(bytes <= 3 * stolen && to_thief.iter().all(|sent| sent.bytes.len() < 60), "{bytes}");
    assert_eq!(net.count(b, |event| matches!(event, Event::PathChanged { .. })), 0);
    assert_eq!(net.payloads(b).len(), 30);
    assert!(net.payloads(a).len() >= 30, "what B sent went to where A is");
}

#[test]
fn every_single_stolen_packet_gets_the_thief_at_most_three_times_its_size() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    for (n, size) in [1, 10, 50, 400, 1100].into_iter().enumerate() {
        let thief = at(40 + n as u8);
        net.mute(a);
        net.send(a, ab, Delivery::unreliable(0), payload(n as u64, size));
        let stolen = net.sent(a).pop().expect("just sent").bytes;
        net.inject(b, thief, &stolen);
        net.run(9000);
        net.unmute(a);
        let mut to_thief = net.sent(b);
        to_thief.retain(|sent| sent.to == thief);
        let bytes: usize = to_thief.iter().map(|sent| sent.bytes.len()).sum();
        assert!(bytes <= 3 * stolen.len(), "{bytes} for {}", stolen.len());
        assert!(to_thief.len() <= 3 && !to_thief.is_empty());
        net.run(30_000);
    }
    assert_eq!(net.count(b, |event| matches!(event, Event::PathChanged { .. })), 0);
}

#[test]
fn an_answer_to_a_challenge_counts_only_from_the_challenged_address() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    let (home, thief) = (net.address(a), at(50));
    net.filter(a, |sent| sent.kind() != SEALED);
    net.send(a, ab, Delivery::ordered(0), "stolen");
    let stolen = net.sent(a).pop().expect("just sent").bytes;
    net.unmute(a);
    net.inject(b, thief, &stolen);
    // The thief forwards the challenge to A, whose answer leaves from A's own address.
    let challenge = net.sent(b).into_iter().rfind(|sent| sent.to == thief);
    let challenge = challenge.expect("a challenge");
    let from_b = net.address(b);
    net.inject(a, from_b, &challenge.bytes);
    net.run(5000);
    assert_eq!(place(&net, b), Some(home));
    assert_eq!(net.count(b, |event| matches!(event, Event::PathChanged { .. })), 0);
}

#[test]
fn an_address_that_flaps_neither_kills_the_peer_nor_the_messages() {
    for pause in [5, 25, 60, 500, 3000] {
        let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
        let home = net.address(a);
        for n in 0..20 {
            net.world.rebind(a, if n % 2 == 0 { at(90) } else { home });
            net.send(a, ab, Delivery::ordered(0), payload(n, 200));
            net.send(b, ba, Delivery::ordered(0), payload(n, 200));
            net.run(pause);
        }
        net.run(30_000);
        for node in [a, b] {
            let numbers: Vec<_> = net.payloads(node).iter().map(number_of).collect();
            assert_eq!(numbers, (0..20).collect::<Vec<_>>(), "pause {pause}");
            assert_eq!((net.connections(node), net.ends(node)), (1, vec![]), "pause {pause}");
        }
        assert_eq!(place(&net, b), Some(home), "pause {pause}");
    }
}

#[test]
fn a_peer_that_moved_can_still_be_told_goodbye() {
    let (mut net, Link { a, b, ab, .. }) = Net::pair(1, Config::default(), Config::default());
    net.world.rebind(a, at(3));
    net.run(100);
    net.with(a, |endpoint, now| endpoint.disconnect(now, ab, Default::default())).expect("alive");
    net.run(3000);
    assert_eq!((net.ends(a).len(), net.ends(b).len()), (1, 1));
    let path = net.events(b).iter().find_map(|event| match event {
        Event::Connected { path, .. } => Some(*path),
        _ => None,
    });
    assert!(matches!(path, Some(Via::Direct(_))));
}
