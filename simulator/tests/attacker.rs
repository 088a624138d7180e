//! What an attacker on the path cannot do, and nonces that are used once.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use handfast_core::{
    Config, Endpoint, Event, Identity, Instant, Origin, PeerHandle, PeerState, Target, Transmit,
};
use handfast_sim::{Acts, Attacker, Machine, NodeId, NodeSetup, Probability, World};

const SECOND: Duration = Duration::from_secs(1);

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 4263))
}

fn attacker(acts: Acts) -> Option<Attacker> {
    Some(Attacker::new(1, at(66), acts))
}

/// Two connected nodes that speak often, and their handles of each other.
fn pair() -> (World, [(NodeId, PeerHandle); 2]) {
    let mut config = Config::default();
    config.timers.heartbeat = SECOND / 2;
    let mut world = World::new(5);
    let a = world.add_node(config.clone(), [1; 32], &[at(1)]);
    let b = world.add_node(config, [2; 32], &[at(2)]);
    let ab = world.with(a, |a, now| a.connect(now, Target::from(at(2)))).expect("a dial");
    world.run_for(SECOND);
    let ba = world.endpoint(b).and_then(|b| b.peers().next()).expect("a peer").handle;
    (world, [(a, ab), (b, ba)])
}

fn place(world: &World, (node, peer): (NodeId, PeerHandle)) -> Option<SocketAddr> {
    world.endpoint(node)?.peer(peer)?.path?.remote()
}

#[test]
fn one_that_stood_between_two_nodes_and_left_does_not_keep_them_apart() {
    let (mut world, ends) = pair();
    world.set_attacker(attacker(Acts {
        race: Probability::ALWAYS,
        relay: true,
        ..Acts::default()
    }));
    world.run_for(SECOND * 5);
    assert_eq!(ends.map(|end| place(&world, end)), [Some(at(66)); 2], "both believe in it");
    world.set_attacker(None);
    world.run_for(SECOND * 10);
    assert_eq!(ends.map(|end| place(&world, end)), [Some(at(2)), Some(at(1))]);
    for (node, peer) in ends {
        let state = world.endpoint(node).and_then(|it| it.peer(peer)).map(|it| it.state);
        assert_eq!(state, Some(PeerState::Connected));
        let lost = |(_, event): &(Duration, Event)| {
            matches!(event, Event::Ended { .. } | Event::Restarted { .. })
        };
        assert!(!world.take_events(node).iter().any(lost));
    }
}

/// Two endpoints that are one: the same identity and the same seed, which is the mistake that makes
/// ephemeral keys come twice.
struct Twins([Endpoint; 2]);

impl Machine for Twins {
    type Setup = (NodeSetup, bool);
    type Event = Event;

    fn make((setup, same): &Self::Setup, seed: [u8; 32], now: Instant, age: Duration) -> Self {
        let other = if *same { seed } else { seed.map(|byte| !byte) };
        Self([seed, other].map(|seed| <Endpoint as Machine>::make(setup, seed, now, age)))
    }

    fn handle_datagram(&mut self, _now: Instant, _origin: Origin, _datagram: &mut [u8]) {}

    fn handle_timeout(&mut self, now: Instant) {
        self.0.iter_mut().for_each(|twin| twin.handle_timeout(now));
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        self.0.iter_mut().find_map(|twin| twin.poll_transmit(now, buf))
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.0.iter_mut().find_map(Endpoint::poll_event)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.iter().filter_map(Endpoint::poll_timeout).min()
    }

    fn max_datagram((setup, _): &Self::Setup) -> usize {
        <Endpoint as Machine>::max_datagram(setup)
    }
}

#[test]
fn a_nonce_that_is_used_twice_under_one_key_stops_the_world() {
    for same in [false, true] {
        let mut world = World::<Twins>::of(1);
        let setup = NodeSetup { config: Config::default(), identity: [1; 32] };
        let node = world.add((setup, same), &[at(1)]);
        let call = |world: &mut World<Twins>| {
            world.with(node, |twins, now| {
                for twin in &mut twins.0 {
                    let target = Target::new(Identity::from_seed([2; 32]).id(), [at(2)]);
                    twin.connect(now, target).expect("a dial");
                }
            });
        };
        let called = catch_unwind(AssertUnwindSafe(|| call(&mut world)));
        match called {
            Ok(()) => assert!(!same && world.seals() == 4, "two seals in each request"),
            Err(panic) => {
                let text = panic.downcast::<String>().expect("words");
                assert!(same && text.contains("sealed under nonce"), "{text}");
            }
        }
    }
}
