//! Processes that stop for a while and go on with the state they had.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{Config, Delivery, Endpoint, Event, PeerHandle, PeerState, Target};
use handfast_sim::{NodeId, World};

const SECOND: Duration = Duration::from_secs(1);

/// Two connected nodes and their handles of each other.
fn pair() -> (World, [NodeId; 2], [PeerHandle; 2]) {
    let mut config = Config::default();
    (config.timers.heartbeat, config.timers.idle_timeout) = (SECOND * 2, SECOND * 10);
    let mut world = World::new(5);
    let at = |host| SocketAddr::from(([10, 0, 0, host], 4263));
    let a = world.add_node(config.clone(), [1; 32], &[at(1)]);
    let b = world.add_node(config, [2; 32], &[at(2)]);
    let ab = world.with(a, |a, now| a.connect(now, Target::from(at(2)))).expect("a dial");
    world.run_for(SECOND);
    let ba = world.endpoint(b).and_then(|b| b.peers().next()).expect("a peer").handle;
    (world, [a, b], [ab, ba])
}

fn say(world: &mut World, node: NodeId, peer: PeerHandle, count: usize) {
    for _ in 0..count {
        let said = world.with(node, |endpoint, now| {
            endpoint.send(now, peer, Delivery::ordered(0), vec![7; 500].into())
        });
        said.expect("sent");
    }
}

fn hear(world: &mut World, node: NodeId, peer: PeerHandle) -> usize {
    world.with(node, |endpoint, now| std::iter::from_fn(|| endpoint.receive(now, peer)).count())
}

fn handshakes(world: &World, node: NodeId) -> u64 {
    world.endpoint(node).map_or(0, |endpoint| endpoint.stats().handshakes)
}

#[test]
fn a_suspended_node_does_nothing_and_goes_on_where_it_was() {
    for clock_stops in [false, true] {
        for buffer in [0, 1_000, 100_000] {
            let (mut world, [a, b], [ab, ba]) = pair();
            let (began, sent) = (world.clock(b), world.datagrams());
            world.suspend(b, buffer, clock_stops);
            world.run_for(SECOND / 2);
            assert_eq!(world.datagrams(), sent, "nobody has anything to say");
            say(&mut world, a, ab, 5);
            world.run_for(SECOND * 4);
            let faults = *world.faults();
            assert_eq!(faults.held > 0, buffer > 0, "{faults:?}");
            assert_eq!(faults.overflowed > 0, buffer < 100_000, "{faults:?}");
            world.resume(b);
            let away = if clock_stops { Duration::ZERO } else { SECOND * 9 / 2 };
            assert_eq!(world.clock(b), began + away);
            world.run_for(SECOND * 3);
            assert_eq!(hear(&mut world, b, ba), 5);
            for (node, peer) in [(a, ab), (b, ba)] {
                let state = world.endpoint(node).and_then(|it| it.peer(peer)).map(|it| it.state);
                assert_eq!(state, Some(PeerState::Connected));
                // One that fell silent is called anew, and remembers.
                assert!(handshakes(&world, node) <= 2);
                let lost = |(_, event): &(Duration, Event)| {
                    matches!(event, Event::Ended { .. } | Event::Restarted { .. })
                };
                assert!(!world.take_events(node).iter().any(lost), "nothing was lost");
            }
        }
    }
}

#[test]
fn one_that_slept_beyond_the_idle_timeout_finds_that_it_was_given_up() {
    for clock_stops in [false, true] {
        let (mut world, [a, b], _) = pair();
        world.suspend(b, 0, clock_stops);
        world.run_for(SECOND * 13);
        assert_eq!(world.endpoint(a).map(|a| a.peers().count()), Some(0), "it gave up");
        world.resume(b);
        world.run_for(SECOND * 4);
        // What it says is answered by a hint, and it shakes hands anew.
        let restarted = |(_, event): &(Duration, Event)| matches!(event, Event::Restarted { .. });
        assert!(world.take_events(b).iter().any(restarted), "clock_stops: {clock_stops}");
        assert_eq!(world.endpoint(a).map(|a| a.peers().count()), Some(1));
    }
}

#[test]
fn timers_of_applications_wait_with_their_node() {
    struct Fired(Vec<Duration>);
    impl handfast_sim::App for Fired {
        fn on_event(&mut self, _cx: &mut handfast_sim::Cx<'_, Endpoint>, _event: &Event) {}
        fn on_timer(&mut self, cx: &mut handfast_sim::Cx<'_, Endpoint>, _token: u64) {
            self.0.push(cx.time());
        }
    }
    let (mut world, [a, _], _) = pair();
    let mut fired = Fired(Vec::new());
    world.set_timer(a, SECOND * 2, 0);
    world.suspend(a, 0, false);
    world.run_until_with(SECOND * 3, &mut fired);
    assert_eq!(fired.0, []);
    world.resume(a);
    world.run_until_with(SECOND * 4, &mut fired);
    assert_eq!(fired.0, [SECOND * 3]);
}
