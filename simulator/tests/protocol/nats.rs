//! Endpoints behind NATs of every kind.

mod punching;
mod recovery;
mod swallow;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use handfast_core::{
    CommandError, Config, Delivery, EndReason, Endpoint, Event, Identity, NatEvidence,
    NatFiltering, NatMapping, PeerHandle, PeerState, SocketId, Target,
};
use handfast_sim::nat::{Dependence, NatKind, Ports};
use handfast_sim::{NatId, NodeId, NodeSetup, World};

const SECOND: Duration = Duration::from_secs(1);
const PUBLIC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
const ALL: [Dependence; 3] = [
    Dependence::EndpointIndependent,
    Dependence::AddressDependent,
    Dependence::AddressAndPortDependent,
];

fn config() -> Config {
    let mut config = Config::default();
    config.timers.heartbeat = SECOND * 5;
    config.timers.idle_timeout = SECOND * 60;
    config
}

fn setup(number: u8) -> NodeSetup {
    NodeSetup { config: config(), identity: [number; 32] }
}

fn inside(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 0, host], 4263))
}

/// A hub that everyone can reach, a NAT, and so many leaves behind it.
fn home(kind: NatKind, leaves: u8) -> (World, NodeId, NatId, Vec<NodeId>) {
    let mut world = World::new(3);
    let hub = world.add(setup(100), &[SocketAddr::from(([203, 0, 113, 1], 4263))]);
    let nat = world.add_nat(kind, PUBLIC);
    let leaves = (1..=leaves).map(|n| world.add_behind(nat, setup(n), &[inside(n)])).collect();
    (world, hub, nat, leaves)
}

fn call(world: &mut World, from: NodeId, number: u8, address: SocketAddr) -> PeerHandle {
    let target = Target::new(Identity::from_seed([number; 32]).id(), [address]);
    world.with(from, |endpoint, now| endpoint.connect(now, target)).expect("a dial")
}

fn call_hub(world: &mut World, leaf: NodeId, hub: NodeId) -> PeerHandle {
    let address = world.addresses(hub).next().expect("an address");
    call(world, leaf, 100, address)
}

fn state(world: &World, node: NodeId, peer: PeerHandle) -> Option<PeerState> {
    world.endpoint(node).and_then(|endpoint| endpoint.peer(peer)).map(|peer| peer.state)
}

/// Where a node believes its peers to be.
fn places(world: &World, node: NodeId) -> Vec<SocketAddr> {
    let peers = world.endpoint(node).into_iter().flat_map(Endpoint::peers);
    peers.filter_map(|peer| peer.path.and_then(|path| path.remote())).collect()
}

/// The only peer of the hub sends a word; whether the leaf gets it.
fn reaches(world: &mut World, hub: NodeId, leaf: NodeId) -> bool {
    let peer = world.endpoint(hub).and_then(|hub| hub.peers().next()).expect("a peer").handle;
    let word = Delivery::reliable(0);
    world.with(hub, |endpoint, now| endpoint.send(now, peer, word, "word".into())).expect("sent");
    world.run_for(SECOND);
    world.with(leaf, |endpoint, now| {
        let peer = endpoint.peers().next().expect("the hub").handle;
        endpoint.receive(now, peer).is_some()
    })
}

#[test]
fn a_leaf_behind_any_nat_reaches_the_hub_and_is_reached_at_its_public_address() {
    for mapping in ALL {
        for filtering in ALL {
            for ports in [Ports::Preserving, Ports::Sequential, Ports::Random] {
                let kind = NatKind { mapping, filtering, ports, ..NatKind::friendly() };
                let (mut world, hub, _, leaves) = home(kind, 1);
                let peer = call_hub(&mut world, leaves[0], hub);
                world.run_for(SECOND);
                assert_eq!(state(&world, leaves[0], peer), Some(PeerState::Connected), "{kind:?}");
                let seen = world.address_seen_by(leaves[0], hub).expect("a mapping");
                assert_eq!((seen.ip(), places(&world, hub)), (PUBLIC, vec![seen]));
                assert!(reaches(&mut world, hub, leaves[0]), "{kind:?}");
            }
        }
    }
}

#[test]
fn nobody_reaches_a_leaf_that_has_not_called() {
    let (mut world, hub, _, leaves) = home(NatKind::friendly(), 1);
    assert_eq!(world.address_seen_by(leaves[0], hub), None);
    for address in [inside(1), SocketAddr::new(PUBLIC, 4263)] {
        let peer = call(&mut world, hub, 1, address);
        world.run_for(SECOND * 11);
        let timed_out = |event: &Event| matches!(event, Event::Ended { reason: EndReason::DialTimeout, peer: of, .. } if *of == peer);
        assert!(world.take_events(hub).iter().any(|(_, event)| timed_out(event)), "{address}");
    }
    assert_eq!(world.take_events(leaves[0]), []);
}

#[test]
fn a_leaf_whose_mapping_expired_is_followed_to_the_next_one_by_its_heartbeat() {
    for inbound_refreshes in [false, true] {
        let timeout = SECOND * 3;
        let kind = NatKind { timeout, inbound_refreshes, ..NatKind::symmetric() };
        let (mut world, hub, _, leaves) = home(kind, 1);
        let peer = call_hub(&mut world, leaves[0], hub);
        world.run_for(SECOND);
        let before = places(&world, hub);
        world.run_for(SECOND * 20);
        assert_ne!(places(&world, hub), before, "seen elsewhere");
        assert!(world.faults().nat_expiries > 0);
        assert_eq!(state(&world, leaves[0], peer), Some(PeerState::Connected));
        assert_eq!(world.endpoint(hub).map(|hub| hub.stats().handshakes), Some(1), "no new one");
    }
}

#[test]
fn a_nat_that_reboots_costs_no_connection() {
    let (mut world, hub, nat, leaves) = home(NatKind::symmetric(), 2);
    for leaf in &leaves {
        call_hub(&mut world, *leaf, hub);
    }
    world.run_for(SECOND);
    for _ in 0..3 {
        let before = places(&world, hub);
        world.reboot_nat(nat);
        world.run_for(SECOND * 12);
        let after = places(&world, hub);
        assert!(after.len() == 2 && after.iter().all(|place| !before.contains(place)), "{after:?}");
    }
    assert_eq!(world.faults().nat_reboots, 3);
    assert_eq!(world.endpoint(hub).map(|hub| hub.stats().handshakes), Some(2));
}

#[test]
fn leaves_that_share_a_nat_have_a_port_each_and_reach_each_other_directly() {
    let (mut world, hub, nat, leaves) = home(NatKind::friendly(), 2);
    for leaf in &leaves {
        call_hub(&mut world, *leaf, hub);
    }
    let neighbours = call(&mut world, leaves[0], 2, inside(2));
    world.run_for(SECOND);
    let places = places(&world, hub);
    assert!(places.len() == 2 && places[0] != places[1], "{places:?}");
    assert_eq!(state(&world, leaves[0], neighbours), Some(PeerState::Connected));
    assert_eq!(world.nat(nat).counts().mapped, 2, "neighbours need no mapping");
}

#[test]
fn neighbours_reach_each_other_by_public_addresses_if_the_nat_turns_datagrams_back() {
    for hairpinning in [false, true] {
        let kind = NatKind { hairpinning, ..NatKind::friendly() };
        let (mut world, hub, _, leaves) = home(kind, 2);
        call_hub(&mut world, leaves[1], hub);
        world.run_for(SECOND);
        let seen = world.address_seen_by(leaves[1], hub).expect("a mapping");
        let peer = call(&mut world, leaves[0], 2, seen);
        world.run_for(SECOND);
        let expected = if hairpinning { PeerState::Connected } else { PeerState::Connecting };
        assert_eq!(state(&world, leaves[0], peer), Some(expected), "{hairpinning}");
    }
}

/// A server with two further ports, of which `open` can be asked for a probe, and a client behind a NAT that has
/// tested it.
fn tested(kind: Option<NatKind>, open: u32) -> (Vec<(Duration, Event)>, NatEvidence) {
    let mut world = World::new(5);
    let ports = [4263, 4264, 4265].map(|port| SocketAddr::from(([203, 0, 113, 1], port)));
    let sockets = usize::try_from(open + 1).expect("few");
    let server = world.add(setup(100), &ports[..sockets]);
    world.with(server, |server, now| {
        for (socket, address) in (0..=open).zip(ports) {
            server.socket_opened(now, SocketId(socket), address);
        }
        server.set_probe_sockets((1..=open).map(SocketId));
    });
    let client = match kind {
        Some(kind) => {
            let nat = world.add_nat(kind, PUBLIC);
            world.add_behind(nat, setup(1), &[inside(1)])
        }
        None => world.add(setup(1), &[SocketAddr::new(PUBLIC, 4263)]),
    };
    let peer = call_hub(&mut world, client, server);
    world.run_for(SECOND);
    let test = |client: &mut Endpoint, now| client.test_nat(now, peer, [4264, 4265]);
    world.with(client, test).expect("a test");
    assert_eq!(world.with(client, test), Err(CommandError::TooMany));
    let sent = world.datagrams();
    world.run_for(SECOND * 4);
    let datagrams = world.datagrams() - sent;
    assert!(datagrams <= 40, "{datagrams} datagrams for one test");
    let events = world.take_events(client);
    let mut found = events.iter().filter_map(|(_, event)| match event {
        Event::NatTested { evidence, .. } => Some(evidence.clone()),
        _ => None,
    });
    let evidence = found.next().expect("an end of the test");
    assert_eq!(found.next(), None);
    (events, evidence)
}

#[test]
fn a_test_tells_how_a_nat_behaves() {
    for mapping in ALL {
        for filtering in ALL {
            for ports in [Ports::Preserving, Ports::Sequential, Ports::Random] {
                for remembers_strangers in [false, true] {
                    let usual = NatKind::friendly();
                    let kind = NatKind { mapping, filtering, ports, remembers_strangers, ..usual };
                    let (_, found) = tested(Some(kind), 2);
                    // The server has one address: what depends on addresses alone looks the same to all its ports.
                    let same = mapping != Dependence::AddressAndPortDependent;
                    let open = filtering != Dependence::AddressAndPortDependent && same;
                    let expected = if same { NatMapping::Same } else { NatMapping::Differs };
                    assert_eq!(found.mapping, Some(expected), "{kind:?}");
                    let filter =
                        if open { NatFiltering::OtherPorts } else { NatFiltering::SamePort };
                    if same {
                        assert_eq!(found.filtering, Some(filter), "{kind:?}");
                        let sensitive = remembers_strangers && !open;
                        assert_eq!(found.order_sensitive, Some(sensitive), "{kind:?}");
                    }
                    assert_eq!(found.observed.map(|seen| seen.ip()), Some(PUBLIC));
                    assert!(found.silent_ports.is_empty(), "{found}");
                }
            }
        }
    }
    let (_, found) = tested(None, 2);
    assert_eq!(found.observed, Some(SocketAddr::new(PUBLIC, 4263)));
    assert_eq!(found.mapping, Some(NatMapping::Same));
    assert_eq!(
        (found.filtering, found.order_sensitive),
        (Some(NatFiltering::OtherPorts), Some(false))
    );
}

#[test]
fn a_test_says_which_ports_are_closed_and_guesses_nothing() {
    let cone = NatKind { filtering: Dependence::AddressAndPortDependent, ..NatKind::friendly() };
    let (_, found) = tested(Some(cone), 0);
    assert_eq!(found.silent_ports[..], [4264, 4265]);
    assert_eq!((found.mapping, found.filtering, found.order_sensitive), (None, None, None));
    let (_, found) = tested(Some(cone), 1);
    assert_eq!(found.silent_ports[..], [4265]);
    assert_eq!((found.mapping, found.filtering), (Some(NatMapping::Same), None));
}

#[test]
fn a_test_moves_no_path_and_needs_a_direct_one() {
    for kind in [NatKind::friendly(), NatKind::symmetric()] {
        let (events, _) = tested(Some(kind), 2);
        let moved = events.iter().any(|(_, event)| matches!(event, Event::PathChanged { .. }));
        assert!(!moved, "{events:?}");
    }
    let mut world = World::new(1);
    let lone = world.add(setup(1), &[inside(1)]);
    let nobody = call(&mut world, lone, 2, inside(2));
    let test = |lone: &mut Endpoint, now| lone.test_nat(now, nobody, [1, 2]);
    assert_eq!(world.with(lone, test), Err(CommandError::NotDirect));
}
