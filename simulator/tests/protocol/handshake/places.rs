//! Who gets the places for peers when there are fewer than those who want one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{
    Config, Delivery, DisconnectOptions, DisconnectReason, EndReason, Endpoint, Event, Refusal,
    Target,
};
use handfast_sim::{App, Conditions, Cx, NodeId, World};

use crate::common::{MS, Net, SEALED, SECOND, Sent};

/// What each node was told, in order. Whoever gets a message at the server sends it back.
#[derive(Default)]
struct Hall {
    told: BTreeMap<NodeId, Vec<Event>>,
}

const SERVER: NodeId = NodeId(0);

impl App<Endpoint> for Hall {
    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) {
        let (node, now) = (cx.node(), cx.now());
        if let Event::Readable { peer } = *event {
            while let Some(message) = cx.endpoint().receive(now, peer) {
                if node == SERVER {
                    cx.endpoint().send(now, peer, message.delivery, message.payload).expect("room");
                }
            }
        }
        self.told.entry(node).or_default().push(event.clone());
    }
}

impl Hall {
    fn of(&self, node: NodeId) -> &[Event] {
        self.told.get(&node).map_or(&[], |told| told)
    }

    fn is_connected(&self, node: NodeId) -> bool {
        self.of(node).iter().any(|event| matches!(event, Event::Connected { .. }))
    }

    /// Why the peers of a node ended.
    fn ends(&self, node: NodeId) -> Vec<EndReason> {
        let end = |event: &Event| match event {
            Event::Ended { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        self.of(node).iter().filter_map(end).collect()
    }
}

/// A server, everybody's applications, and those who dial it.
struct Town {
    world: World,
    hall: Hall,
    places: usize,
    dialled: u64,
    next_port: u16,
}

impl Town {
    /// A server with so many places.
    fn with_places(seed: u64, places: usize) -> Self {
        let mut config = Config::default();
        (config.limits.max_peers, config.limits.max_peers_per_source) = (places, 4);
        let mut world = World::new(seed);
        world.add_node(config, [1; 32], &[SocketAddr::from(([10, 0, 0, 1], 4263))]);
        world.network().set_all(Conditions { latency: MS * 20, ..Conditions::default() });
        Self { world, hall: Hall::default(), places, dialled: 0, next_port: 1000 }
    }

    /// Lets somebody at this address dial the server.
    fn dial(&mut self, from: ([u8; 4], u16)) -> NodeId {
        self.dialled += 1;
        let mut identity = [9; 32];
        identity[..8].copy_from_slice(&self.dialled.to_le_bytes());
        let node = self.world.add_node(Config::default(), identity, &[SocketAddr::from(from)]);
        let server = self.world.addresses(SERVER).next().expect("an address");
        let dial = |endpoint: &mut Endpoint, now| endpoint.connect(now, Target::from(server));
        self.world.with_app(node, &mut self.hall, dial).expect("a dial");
        node
    }

    /// So many dial from one address, one every 100 ms.
    fn crowd(&mut self, address: [u8; 4], size: u16) -> Vec<NodeId> {
        let join = |_| {
            self.next_port += 1;
            let node = self.dial((address, self.next_port));
            self.run(MS * 100);
            node
        };
        (0..size).map(join).collect()
    }

    /// The application of each says something.
    fn talk(&mut self, nodes: &[NodeId]) {
        for node in nodes {
            let talk = |endpoint: &mut Endpoint, now| {
                let peer = endpoint.peers().next().expect("the server").handle;
                endpoint.send(now, peer, Delivery::ordered(0), "hello".into()).expect("room");
            };
            self.world.with_app(*node, &mut self.hall, talk);
        }
        self.run(SECOND);
    }

    fn run(&mut self, span: Duration) {
        let until = self.world.now() + span;
        self.world.run_until_with(until, &mut self.hall);
        assert!(self.peers() <= self.places, "{} peers", self.peers());
    }

    fn peers(&self) -> usize {
        self.world.endpoint(SERVER).expect("it is up").peers().count()
    }

    fn evictions(&self) -> u64 {
        self.world.endpoint(SERVER).expect("it is up").stats().peers_evicted
    }
}

/// Fills the places: 16 who talk behind one address, many from another, four from each of others.
fn besieged(seed: u64) -> (Town, Vec<NodeId>, Vec<NodeId>) {
    let mut town = Town::with_places(seed, 64);
    let honest = town.crowd([192, 0, 2, 1], 16);
    town.talk(&honest);
    let mut idle = town.crowd([198, 51, 100, 1], 64);
    for n in 0..10 {
        idle.extend(town.crowd([198, 18, n, 1], 4));
    }
    town.talk(&honest);
    assert_eq!(town.peers(), 64, "every place is taken");
    idle.retain(|node| town.hall.is_connected(*node) && town.hall.ends(*node).is_empty());
    (town, honest, idle)
}

#[test]
fn newcomers_get_the_places_of_those_who_say_nothing_and_who_talks_stays() {
    for seed in 0..4 {
        let (mut town, honest, mut idle) = besieged(seed);
        town.run(SECOND * 11);
        town.talk(&honest);
        idle.retain(|node| town.hall.ends(*node).is_empty());
        let (before, evicted) = (town.hall.of(SERVER).len(), town.evictions());
        let newcomers: Vec<_> = (0..8).map(|n| town.dial(([203, 0, n, 1], 1))).collect();
        town.run(SECOND * 3);
        for node in &newcomers {
            assert!(town.hall.is_connected(*node), "seed {seed}: {:?}", town.hall.of(*node));
            assert_eq!(town.hall.ends(*node), []);
        }
        // The place is free before somebody else has it, as the application sees it.
        let mut free = 0_u32;
        for event in &town.hall.of(SERVER)[before..] {
            match event {
                Event::Ended { reason, .. } => {
                    assert_eq!(*reason, EndReason::Evicted);
                    free += 1;
                }
                Event::Connected { .. } => free = free.checked_sub(1).expect("a free place"),
                _ => {}
            }
        }
        assert_eq!((free, town.evictions() - evicted, town.peers()), (0, 8, 64));
        // Those who had to go are those who said nothing, and they were told why.
        for node in &honest {
            assert_eq!(town.hall.ends(*node), []);
        }
        let ends: Vec<_> = idle.iter().flat_map(|node| town.hall.ends(*node)).collect();
        assert_eq!(ends.len(), 8);
        for end in ends {
            let EndReason::PeerDisconnected { reason, .. } = end else { panic!("{end:?}") };
            assert_eq!(reason.code, DisconnectReason::FULL);
        }
    }
}

#[test]
fn evictions_stop_when_no_network_has_two_more_than_that_of_the_newcomer() {
    for seed in 0..2 {
        let (mut town, honest, _) = besieged(seed);
        // From where most are, nobody gets the place of another, and who comes is told.
        town.run(SECOND * 11);
        let before = town.evictions();
        let beside = town.dial(([192, 0, 2, 1], 7));
        town.run(SECOND * 12);
        assert_eq!(town.hall.ends(beside), [EndReason::Refused(Refusal::Full)]);
        assert_eq!(town.evictions(), before);
        // Whoever comes from elsewhere gets one while there are such networks.
        let mut refused = 0;
        for n in 0..50 {
            town.talk(&honest);
            let late = town.dial(([203, 0, n, 1], 1));
            let before = town.evictions();
            town.run(SECOND);
            let came = town.hall.is_connected(late);
            assert_eq!(u64::from(came), town.evictions() - before, "seed {seed}, {n}");
            refused += u32::from(!came);
            assert!(refused == 0 || !came, "seed {seed}, {n}: a place after there was none");
        }
        assert!((5..30).contains(&refused), "seed {seed}: {refused} refused");
        // Whoever was sent away and comes again finds it so, too.
        let evictions = town.evictions();
        let beside = town.crowd([192, 0, 2, 1], 2);
        town.crowd([198, 51, 100, 1], 20);
        town.run(SECOND * 20);
        assert_eq!(town.evictions(), evictions);
        for node in beside {
            assert_eq!(town.hall.ends(node), [EndReason::Refused(Refusal::Full)]);
        }
        for node in &honest {
            assert_eq!(town.hall.ends(*node), [], "who talks stays");
        }
    }
}

#[test]
fn however_many_come_no_more_than_fifty_a_second_have_to_go_and_all_who_may_come_do() {
    let mut town = Town::with_places(1, 400);
    let mut idle = town.crowd([198, 51, 100, 1], 200);
    for n in 0..50 {
        idle.extend(town.crowd([198, 18, n, 1], 4));
    }
    town.run(SECOND * 11);
    assert_eq!(town.peers(), 400);
    let (begun, before) = (town.world.now(), town.evictions());
    let newcomers: Vec<_> = (0..150).map(|n| town.dial(([203, 0, n, 1], 1))).collect();
    let mut counts = vec![before];
    while town.world.now() < begun + SECOND * 10 {
        town.run(MS * 50);
        counts.push(town.evictions());
    }
    for second in counts.windows(20) {
        assert!(second[19] - second[0] <= 50, "{counts:?}");
    }
    let came = newcomers.iter().filter(|node| town.hall.is_connected(**node)).count();
    let ended: usize = newcomers.iter().map(|node| town.hall.ends(*node).len()).sum();
    assert!(came >= 140, "{came} of 150 came, {ended} of them ended");
}

/// The place was free when the request came, and is taken when the handshake is complete.
#[test]
fn who_is_confirmed_when_no_place_is_left_is_told_so_under_the_new_keys() {
    for lost in [0, 1, 3] {
        let mut config = Config::default();
        config.limits.max_peers = 1;
        let mut net = Net::new(lost);
        let hub = net.add(config);
        let [first, late] = [(); 2].map(|()| net.add(Config::default()));
        net.latency(20);
        net.call(first, hub);
        net.run(1);
        let dial = net.call(late, hub);
        // What says so is lost so many times.
        let (to, mut left) = (net.address(late), lost);
        net.filter(hub, move |sent| {
            let is_it = sent.to == to && sent.kind() == SEALED;
            left -= u64::from(is_it && left > 0);
            !is_it || left == 0
        });
        net.run(100);
        let sealed = net.sent_of(hub, SEALED).iter().filter(|sent| sent.to == to).count();
        assert!(sealed > 0, "only {:?}", net.sent(hub).iter().map(Sent::kind).collect::<Vec<_>>());
        net.run(5000);
        let reason = DisconnectReason::FULL;
        let ends = net.ends(late);
        let [(_, peer, EndReason::PeerDisconnected { reason: said, complete: false })] = &ends[..]
        else {
            panic!("lost {lost}: {ends:?}")
        };
        assert_eq!((*peer, said.code, net.connections(late)), (dial, reason, 1));
        // At the hub somebody was refused, and nobody was a peer.
        assert_eq!(net.connections(hub), 1);
        let is_full = |event: &Event| matches!(event, Event::Refused { reason: Refusal::Full, .. });
        assert_eq!(net.count(hub, is_full), 1, "lost {lost}");
        assert_eq!(net.ends(hub), []);
        // Who dials again is a newcomer: once there is a place, it is let in.
        let free = |endpoint: &mut Endpoint, now| {
            let peer = endpoint.peers().next().expect("the first").handle;
            endpoint.disconnect(now, peer, DisconnectOptions::now()).expect("connected");
        };
        net.with(hub, free);
        net.run(3000);
        net.call(late, hub);
        net.run(200);
        assert_eq!((net.connections(hub), net.connections(late)), (2, 2));
    }
}
