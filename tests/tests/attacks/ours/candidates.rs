//! A peer that is reached by way of a relay, and lies about where else it is.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use handfast_core::wire::{
    CandidateEntry, CandidatesFrame, FORWARD_PATH, ForwardFrame, Frame, PROBE_PATH,
};
use handfast_core::{
    Config, Delivery, Endpoint, ForwardingPolicy, Instant, PeerHandle, PeerState, SocketId, Target,
};
use handfast_sim::{Datagram, NodeId, World};

use crate::kit::frame;
use crate::net::Net;

/// A victim that looks for direct ways, and a liar that it talks to by way of a relay.
struct Scene {
    net: Net,
    relay: NodeId,
    victim: NodeId,
    liar: NodeId,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut net = Net::new(seed);
        let (mut forwarding, mut punching) = (Config::default(), Config::default());
        forwarding.forwarding.policy = ForwardingPolicy::Anyone;
        punching.punching.enabled = true;
        let (relay, victim) = (net.add(forwarding), net.add(punching));
        // It looks for no way itself: all that the victim hears of addresses is lies.
        let liar = net.add(Config::default());
        net.link(victim, relay);
        net.link(liar, relay);
        let target = Target::from(net.id(liar));
        let peer = net.connect(victim, target);
        net.run(300);
        let mut scene = Self { net, relay, victim, liar };
        assert_eq!(scene.state(), Some(PeerState::Connected));
        scene.net.send(victim, peer, Delivery::ordered(0), "so it is a peer that I talk to");
        scene.net.run(300);
        scene
    }

    fn state(&self) -> Option<PeerState> {
        let peer = self.net.handle(self.victim, self.liar);
        self.net.endpoint(self.victim).peer(peer).map(|peer| peer.state)
    }

    /// The victim gets these frames from the liar, by way of the relay.
    fn lie(&mut self, path: u8, content: &[u8]) {
        let Self { net, relay, victim, liar } = self;
        let (to_victim, to_relay) = (net.handle(*liar, *victim), net.handle(*liar, *relay));
        let (source, destination) = (net.id(*liar), net.id(*victim));
        let (from, to) = (net.address(*liar), net.address(*relay));
        let seal = |endpoint: &mut Endpoint, now: Instant| {
            let packet = endpoint.seal_carried_for_test(now, to_victim, path, content)?;
            let (source, destination) = (source.as_bytes(), destination.as_bytes());
            let forward =
                ForwardFrame { hop_limit: 12, ecn: 0, source, destination, packet: &packet };
            endpoint.seal_for_test(now, to_relay, FORWARD_PATH, &frame(Frame::Forward(forward)))
        };
        let (_, bytes) = net.with(*liar, seal).expect("a session");
        assert!(net.world.deliver(Datagram::forged(from, to, bytes)));
    }

    /// Names addresses in a list and a round with this number, and says that they are ready.
    fn name(&mut self, number: u64, addresses: &[SocketAddr]) {
        let list: Vec<_> = (1..)
            .zip(addresses)
            .map(|(n, address)| CandidateEntry { kind: 1 + n % 4, address: (*address).into() })
            .collect();
        let candidates = CandidatesFrame { seq: number, round: number, flags: 0, list: &list };
        let opened = frame(Frame::Opened { round: number, list: u64::MAX >> 2 });
        self.lie(1, &[frame(Frame::Candidates(candidates)), opened].concat());
    }

    /// When the victim sent to whom, of those that are neither the relay nor the liar.
    fn targets(&self) -> Vec<(Instant, SocketAddr)> {
        // The relay is asked at its further ports, too, what our NAT does.
        let known = [self.relay, self.liar].map(|node| self.net.address(node).ip());
        let sent = self.net.sent(self.victim).into_iter();
        sent.filter(|sent| !known.contains(&sent.to.ip())).map(|sent| (sent.at, sent.to)).collect()
    }
}

/// The most of `times`, which are in order, that are within `span`.
fn most_within(times: &[Instant], span: Duration) -> usize {
    let at =
        |start: usize| times[start..].iter().take_while(|at| **at < times[start] + span).count();
    (0..times.len()).map(at).max().unwrap_or_default()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn ours_candidates_that_name_an_innocent_bring_it_no_more_than_the_budgets_however_many_rounds() {
    for (flood, pause) in [(0..60_u64, 1_000), (0..1_500, 20)] {
        let mut scene = Scene::new(1);
        // Many ports of one, in other orders each time.
        let ports = |n: u64| -> Vec<SocketAddr> {
            (0..16).map(|k| ([198, 51, 100, 9], 1000 + ((n * 7 + k) % 64) as u16).into()).collect()
        };
        for n in flood {
            scene.name(n + 1, &ports(n));
            scene.net.run(pause);
        }
        let targets = scene.targets();
        let times: Vec<_> = targets.iter().map(|(at, _)| *at).collect();
        assert!(times.len() > 20, "the lie is believed at first: {}", times.len());
        assert!(most_within(&times, SECOND * 5) <= 64, "{}", most_within(&times, SECOND * 5));
        assert!(most_within(&times, SECOND * 300) <= 600);
        // Twelve rounds at most, and neither of them with more than a hundred packets.
        assert!(times.len() <= 1_300, "{}", times.len());
        for port in 1000..1064 {
            let of_port: Vec<_> =
                targets.iter().filter(|(_, to)| to.port() == port).map(|(at, _)| *at).collect();
            assert!(most_within(&of_port, SECOND * 600) <= 84, "{port}");
        }
        assert_eq!(scene.state(), Some(PeerState::Connected), "a list is no violation");
    }
}

#[test]
fn ours_forged_candidates_lead_to_nobody_in_the_own_network_and_to_nothing_that_is_nobody() {
    let mut scene = Scene::new(2);
    let refused: Vec<SocketAddr> = [
        "0.0.0.0:7",
        "127.0.0.1:53",
        "224.0.0.251:5353",
        "255.255.255.255:9",
        "192.168.1.1:80",
        "172.16.0.1:80",
        "169.254.169.254:80",
        "100.64.0.1:80",
        "198.51.100.9:0",
        "[::1]:53",
        "[::]:7",
        "[ff02::fb]:5353",
        "[fe80::1]:80",
        "[fd00::1]:80",
        "[::ffff:127.0.0.1]:53",
    ]
    .map(|text| text.parse().expect("an address"))
    .into();
    for n in 1..=60 {
        // Four of a kind are looked at: each has its turn.
        let mut list = refused.clone();
        list.rotate_left(n as usize % refused.len());
        scene.name(n, &list);
        scene.net.run(1_000);
    }
    assert_eq!(scene.targets(), [], "nobody is sent anything");
    assert_eq!(scene.state(), Some(PeerState::Connected));
}

#[test]
fn ours_floods_of_openings_and_of_what_others_are_said_to_see_are_ignored() {
    let mut scene = Scene::new(3);
    let public: SocketAddr = ([198, 51, 100, 9], 7).into();
    scene.name(1, &[public]);
    scene.net.run(20_000);
    let (before, told) = (scene.targets().len(), scene.net.sent(scene.victim).len());
    for n in 0..2_000 {
        // Of rounds that were, are, and never will be.
        scene.lie(1, &frame(Frame::Opened { round: n % 7, list: n }));
        let address = SocketAddr::from(([203, 0, 113, (n % 250) as u8], 9)).into();
        scene.lie(PROBE_PATH, &frame(Frame::Observed { address }));
        scene.net.run(5);
    }
    let targets = scene.targets().len() - before;
    assert!(targets <= 40, "{targets} packets for what was said before");
    let observed = IpAddr::from([203, 0, 113, 7]);
    assert!(scene.targets().iter().all(|(_, to)| to.ip() != observed));
    // Those that must be acknowledged are, and nothing else is said.
    let said = scene.net.sent(scene.victim).len() - told;
    assert!(said <= 2_200, "{said} packets");
    assert_eq!(scene.state(), Some(PeerState::Connected));
}

#[test]
fn ours_a_flood_of_requests_for_probes_is_answered_with_less_than_it_is_and_by_known_sockets_only()
{
    let mut world = World::new(4);
    let at = |host: u8, port: u16| SocketAddr::from(([203, 0, 113, host], port));
    let server = world.add_node(Config::default(), [1; 32], &[at(1, 4263), at(1, 4264)]);
    let liar = world.add_node(Config::default(), [2; 32], &[at(2, 4263)]);
    world.with(server, |server, now| {
        for (socket, port) in (0..2).zip(4263..) {
            server.socket_opened(now, SocketId(socket), at(1, port));
        }
        server.set_probe_sockets([SocketId(1)]);
    });
    let peer = world.with(liar, |liar, now| liar.connect(now, Target::from(at(1, 4263))));
    let peer: PeerHandle = peer.expect("a dial");
    world.run_for(SECOND);
    let counts = |world: &World| {
        let stats = world.endpoint(server).expect("up").stats();
        (stats.datagrams_received, stats.datagrams_sent, stats.bytes_received, stats.bytes_sent)
    };
    let before = counts(&world);
    for n in 0..1_000_u32 {
        // One that is there, one that is not, and many in one packet.
        let ask = |index| frame(Frame::ProbeMe { index, token: [n as u8; 8] });
        let content = match n % 3 {
            0 => ask(0),
            1 => ask(1 + (n % 250) as u8),
            _ => (0..40).flat_map(|_| ask(0)).collect(),
        };
        let seal = |liar: &mut Endpoint, now| liar.seal_for_test(now, peer, 0, &content);
        let (_, bytes) = world.with(liar, seal).expect("a session");
        assert!(world.deliver(Datagram::forged(at(2, 4263), at(1, 4263), bytes)));
        world.run_for(Duration::from_millis(1));
    }
    world.run_for(SECOND);
    let after = counts(&world);
    let (came, left) = (after.0 - before.0, after.1 - before.1);
    assert!(came >= 1_000, "{came}");
    // A probe for a packet at most, and acknowledgements.
    assert!(left <= 2 * came, "{left} datagrams for {came}");
    assert!(after.3 - before.3 <= after.2 - before.2, "{after:?} after {before:?}");
    let state = world.endpoint(server).and_then(|it| it.peers().next()).map(|peer| peer.state);
    assert_eq!(state, Some(PeerState::Connected));
}

/// Lists come for ten minutes, two a second, and each is acknowledged: neither end is silent for the other.
#[test]
fn ours_a_flood_of_lists_ends_the_session_for_neither_end() {
    let mut scene = Scene::new(1);
    for n in 0..1_200 {
        let port = |k: u64| ([198, 51, 100, 9], 1000 + ((n * 7 + k) % 64) as u16).into();
        scene.name(n + 1, &(0..16).map(port).collect::<Vec<_>>());
        scene.net.run(500);
    }
    let (victim, liar) = (scene.victim, scene.liar);
    for node in [victim, liar] {
        assert_eq!(scene.net.ends(node), [], "nobody is given up");
        assert!(!scene.net.states(node).contains(&PeerState::Silent));
    }
    // What the liar hears are acknowledgements, one for a list, and heartbeats.
    let peer = scene.net.handle(liar, victim);
    let heard = scene.net.endpoint(liar).peer(peer).expect("connected").stats.datagrams_received;
    assert!((1_200..1_400).contains(&heard), "{heard}");
}
