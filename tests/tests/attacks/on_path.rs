//! Somebody on the path, who sees everything and has no key.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{Config, Event, PeerHandle, PeerState, Target};
use handfast_sim::{Acts, Attacker, NodeId, Probability, World};

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
