//! Two paths side by side: to the address of a peer, and by way of a neighbour.

use super::*;

impl Relayed {
    /// They are connected directly, and both have a way by a neighbour beside it; both handles.
    fn with_standby(seed: u64, relays: usize) -> (Self, Link) {
        let mut relayed = Self::new(seed, relays);
        let link = relayed.net.link(relayed.a, relayed.b);
        relayed.net.run(24_000);
        for (node, peer) in [(link.a, link.ab), (link.b, link.ba)] {
            let info = relayed.net.endpoint(node).peer(peer).expect("connected");
            assert!(matches!(info.path, Some(Via::Direct(_))), "{info:?}");
            assert!(info.standby.as_ref().is_some_and(|standby| standby.is_answering), "{info:?}");
        }
        (relayed, link)
    }

    /// Nothing that a node sends to these reaches them directly.
    fn cut(&mut self, from: NodeId, to: NodeId) {
        let to = self.net.address(to);
        self.net.filter(from, move |sent| sent.to != to);
    }

    fn is_direct(&self, node: NodeId, peer: handfast_core::PeerHandle) -> bool {
        let path = self.net.endpoint(node).peer(peer).and_then(|peer| peer.path);
        matches!(path, Some(Via::Direct(_)))
    }

    fn changes(&mut self, node: NodeId) -> usize {
        self.net.count(node, |event| matches!(event, Event::PathChanged { .. }))
    }

    /// Each of the two knows two or more peers: the relays and the other one, who met it once.
    fn assert_never_ended(&mut self, link: &Link, relays_died: bool) {
        for (node, peer) in [(link.a, link.ab), (link.b, link.ba)] {
            let met =
                |event: &Event| matches!(event, Event::Connected { peer: one, .. } if *one == peer);
            assert_eq!(self.net.count(node, met), 1);
            let ends = self.net.ends(node);
            assert!(ends.iter().all(|(_, one, _)| *one != peer), "{ends:?}");
            assert!(relays_died || ends.is_empty(), "{ends:?}");
            assert!(self.net.fates(node).iter().all(|(_, fate)| *fate == Fate::Acked));
        }
    }

    /// Both send a message each 50 ms, `count` of them; then there is time for the last to arrive. Returns the
    /// longest that one was under way in a direction.
    fn talk(&mut self, link: &Link, count: u64) -> [Duration; 2] {
        self.talk_if(link, count, [true, true])
    }

    fn talk_if(&mut self, link: &Link, count: u64, who: [bool; 2]) -> [Duration; 2] {
        let ends = [(link.a, link.ab, link.b), (link.b, link.ba, link.a)];
        let before = ends.map(|(_, _, to)| self.net.got(to).len());
        let mut sent_at = Vec::new();
        for n in 0..count {
            sent_at.push(self.net.world.now());
            for ((node, peer, _), speaks) in ends.iter().zip(who) {
                if speaks {
                    self.net.send(*node, *peer, Delivery::ordered(0), payload(n, 400));
                }
            }
            self.net.run(50);
        }
        self.net.run(5000);
        let longest = |(at, (_, _, to)): (usize, &(NodeId, handfast_core::PeerHandle, NodeId))| {
            let got = self.net.got(*to).split_off(before[at]);
            let numbers: Vec<_> = got.iter().map(|got| number_of(&got.message.payload)).collect();
            let all = if who[at] { count } else { 0 };
            assert_eq!(numbers, (0..all).collect::<Vec<_>>());
            got.iter().zip(&sent_at).map(|(got, at)| got.at - *at).max().unwrap_or_default()
        };
        let mut ends = ends.iter().enumerate().map(longest);
        [ends.next().expect("two"), ends.next().expect("two")]
    }
}

#[test]
fn when_the_direct_path_is_cut_data_goes_by_way_of_the_neighbour_within_a_second_and_comes_back() {
    for seed in 1..=3 {
        for (a_to_b, b_to_a) in [(true, true), (true, false), (false, true)] {
            for who in [[true, true], [true, false], [false, true]] {
                let case = format!("seed {seed}, cut {a_to_b} {b_to_a}, speaking {who:?}");
                let (mut relayed, link) = Relayed::with_standby(seed, 1);
                let Link { a, b, ab, ba } = link;
                relayed.talk(&link, 10);
                if a_to_b {
                    relayed.cut(a, b);
                }
                if b_to_a {
                    relayed.cut(b, a);
                }
                let late = relayed.talk_if(&link, 60, who);
                assert!(late.iter().all(|late| *late <= SECOND), "{case}: {late:?}");
                for (node, peer) in [(a, ab), (b, ba)] {
                    assert!(relayed.changes(node) <= 1, "{case}");
                    assert!(!relayed.net.states(node).contains(&PeerState::Silent), "{case}");
                    assert!(node != a || !who[0] || !relayed.is_direct(node, peer), "{case}");
                }
                relayed.net.unmute(a);
                relayed.net.unmute(b);
                relayed.net.run(200_000);
                for (node, peer) in [(a, ab), (b, ba)] {
                    assert!(relayed.is_direct(node, peer), "{case}: it is back");
                    assert!(relayed.changes(node) <= 2, "{case}: {}", relayed.changes(node));
                }
                let late = relayed.talk(&link, 10);
                assert!(late.iter().all(|late| *late <= 15 * MS), "{case}: {late:?}");
                relayed.assert_never_ended(&link, false);
            }
        }
    }
}

#[test]
fn an_idle_pair_finds_a_broken_direct_path_with_its_next_heartbeat() {
    for seed in 1..=4 {
        let (mut relayed, link) = Relayed::with_standby(seed, 1);
        let Link { a, b, ab, ba } = link;
        relayed.net.run(60_000);
        relayed.cut(a, b);
        relayed.cut(b, a);
        relayed.net.run(27_000);
        for (node, peer) in [(a, ab), (b, ba)] {
            assert!(!relayed.is_direct(node, peer), "seed {seed}");
            assert!(!relayed.net.states(node).contains(&PeerState::Silent), "seed {seed}");
            assert_eq!(relayed.changes(node), 1, "seed {seed}");
        }
        let late = relayed.talk(&link, 10);
        assert!(late.iter().all(|late| *late <= 30 * MS), "seed {seed}: {late:?}");
    }
}

#[test]
fn a_standby_path_costs_an_idle_pair_few_packets() {
    let (mut relayed, Link { a, b, ab, .. }) = Relayed::with_standby(7, 1);
    let (direct, relay) = (relayed.net.address(b), relayed.net.address(relayed.relays[0]));
    let before = relayed.net.sent(a).len();
    let forwarded = forwards(relayed.net.endpoint(relayed.relays[0]));
    relayed.net.run(600_000);
    let sent = relayed.net.sent(a).split_off(before);
    let to = |address| sent.iter().filter(|sent| sent.to == address).count();
    assert!(to(direct) <= 4 * 30 + 10, "heartbeats each 20 s: {}", to(direct));
    let forwarded = forwards(relayed.net.endpoint(relayed.relays[0])) - forwarded;
    // A challenge each 55 s from both, its answer, and what acknowledges one of them.
    assert!(forwarded <= 6 * 12, "{forwarded}");
    assert!(to(relay) < 200, "{}", to(relay));
    assert!(relayed.is_direct(a, ab));
    assert_eq!((relayed.changes(a), relayed.changes(b)), (0, 0));
}

#[test]
fn a_relay_that_dies_while_it_is_not_needed_is_not_missed() {
    let (mut relayed, link) = Relayed::with_standby(8, 1);
    relayed.net.world.kill(relayed.relays[0]);
    let late = relayed.talk(&link, 100);
    assert!(late.iter().all(|late| *late <= 11 * MS), "{late:?}");
    relayed.net.run(200_000);
    let info = relayed.net.endpoint(link.a).peer(link.ab).expect("connected");
    assert!(info.standby.is_none(), "{info:?}");
    relayed.talk(&link, 20);
    assert_eq!((relayed.changes(link.a), relayed.changes(link.b)), (0, 0));
    relayed.assert_never_ended(&link, true);
}

#[test]
fn when_the_relay_that_carries_data_dies_another_does_or_the_direct_path_that_is_back() {
    for seed in 1..=4 {
        for other in [true, false] {
            let (mut relayed, link) = Relayed::with_standby(seed, if other { 2 } else { 1 });
            let Link { a, b, ab, .. } = link;
            relayed.cut(a, b);
            relayed.cut(b, a);
            relayed.talk(&link, 40);
            assert!(!relayed.is_direct(a, ab), "seed {seed}");
            let relay = relayed.by_way_of(a, b).expect("a route");
            if !other {
                relayed.net.unmute(a);
                relayed.net.unmute(b);
            }
            relayed.net.world.kill(relay);
            relayed.talk(&link, 100);
            assert_eq!(relayed.is_direct(a, ab), !other, "seed {seed}");
            relayed.assert_never_ended(&link, true);
        }
    }
}

#[test]
fn two_paths_last_for_ten_minutes_with_loss_changes_of_keys_and_cuts() {
    for seed in 1..=3 {
        let (mut relayed, link) = Relayed::with_standby(seed, 1);
        let Link { a, b, ab, ba } = link;
        relayed.net.conditions(Conditions {
            latency: 10 * MS,
            jitter: 5 * MS,
            loss: Probability::percent(3),
            ..Conditions::default()
        });
        let numbers = |relayed: &Relayed, node| -> Vec<u64> {
            relayed.net.payloads(node).iter().map(number_of).collect()
        };
        for n in 0..1200 {
            if n % 200 == 100 {
                relayed.cut(a, b);
                if n % 400 == 100 {
                    relayed.cut(b, a);
                }
            }
            if n % 200 == 180 {
                relayed.net.unmute(a);
                relayed.net.unmute(b);
            }
            relayed.net.send(a, ab, Delivery::ordered(0), payload(n, 300));
            relayed.net.send(b, ba, Delivery::ordered(1), payload(n, 3000));
            relayed.net.run(500);
        }
        relayed.net.run(10_000);
        assert_eq!(numbers(&relayed, a), (0..1200).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(numbers(&relayed, b), (0..1200).collect::<Vec<_>>(), "seed {seed}");
        let info = relayed.net.endpoint(a).peer(ab).expect("connected");
        assert!(info.stats.rekeys >= 3, "seed {seed}: {:?}", info.stats);
        assert!((2..=30).contains(&relayed.changes(a)), "seed {seed}: {}", relayed.changes(a));
        relayed.assert_never_ended(&link, false);
    }
}

#[test]
fn a_way_by_a_neighbour_is_found_also_when_none_was_open_before() {
    for seed in 1..=4 {
        let mut relayed = Relayed::new(seed, 1);
        let link = relayed.net.link(relayed.a, relayed.b);
        relayed.talk(&link, 20);
        let (a, b) = (link.a, link.b);
        relayed.cut(a, b);
        relayed.cut(b, a);
        let late = relayed.talk(&link, 100);
        assert!(late.iter().all(|late| *late <= 4 * SECOND), "seed {seed}: {late:?}");
        relayed.assert_never_ended(&link, false);
    }
}

#[test]
fn nothing_is_sent_to_find_a_way_where_no_neighbour_forwards() {
    let mut relayed = Relayed::with(9, &[Config::default()]);
    let link = relayed.net.link(relayed.a, relayed.b);
    relayed.net.run(100_000);
    let info = relayed.net.endpoint(link.a).peer(link.ab).expect("connected");
    assert!(info.standby.is_none());
    let stats = relayed.net.endpoint(relayed.relays[0]).stats();
    assert_eq!((stats.forwards_refused, stats.forwards_dropped, stats.forwards_passed), (0, 0, 0));
}

#[test]
fn who_was_dialled_at_an_address_and_answered_by_a_neighbour_is_looked_for_there() {
    for who_dials in [[true, false], [false, true], [true, true]] {
        let mut relayed = Relayed::new(7, 1);
        let (a, b) = (relayed.a, relayed.b);
        relayed.cut(a, b);
        relayed.cut(b, a);
        for ((from, to), dials) in [(a, b), (b, a)].into_iter().zip(who_dials) {
            if dials {
                let target = Target::new(relayed.net.id(to), [relayed.net.address(to)]);
                relayed.net.connect(from, target);
            }
        }
        relayed.net.run(10_000);
        let (ab, ba) = (relayed.net.handle(a, b), relayed.net.handle(b, a));
        assert!(!relayed.is_direct(a, ab) && !relayed.is_direct(b, ba), "{who_dials:?}");
        relayed.net.filter(a, |_| true);
        relayed.net.filter(b, |_| true);
        relayed.net.run(80_000);
        assert!(relayed.is_direct(a, ab) && relayed.is_direct(b, ba), "{who_dials:?}");
    }
}

#[test]
fn a_dialled_address_where_nobody_is_gets_few_packets() {
    let mut relayed = Relayed::new(8, 1);
    let (a, b) = (relayed.a, relayed.b);
    relayed.cut(a, b);
    let target = Target::new(relayed.net.id(b), [relayed.net.address(b)]);
    relayed.net.connect(a, target);
    relayed.net.run(10_000);
    let to = relayed.net.address(b);
    let to_it = |relayed: &Relayed| relayed.net.sent(a).iter().filter(|sent| sent.to == to).count();
    let dial = to_it(&relayed);
    relayed.net.run(2 * 3_600_000);
    assert_eq!(to_it(&relayed) - dial, 8, "challenges in the first half hour, and then none");
}
