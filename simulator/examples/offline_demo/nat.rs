//! Two peers behind NATs: they meet by way of a relay, and find a direct way.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{Config, Delivery, Event, ForwardingPolicy, Identity, PeerId, Target, Via};
use handfast_sim::nat::{Dependence, NatKind};
use handfast_sim::{App, Conditions, Cx, NodeId, NodeSetup, Probability, World};

/// Both applications.
struct Story {
    peers: [(NodeId, PeerId); 2],
    connected: Option<Duration>,
    /// When packets of each first went directly.
    direct: [Option<Duration>; 2],
    heard: Vec<String>,
}

impl App for Story {
    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) {
        let (now, time) = (cx.now(), cx.time());
        let Some(at) = self.peers.iter().position(|(node, _)| *node == cx.node()) else { return };
        match event {
            Event::Connected { peer, id, .. } if at == 0 && *id == self.peers[1].1 => {
                self.connected = Some(time);
                let text = "hello, by way of the relay".into();
                cx.endpoint().send(now, *peer, Delivery::ordered(0), text).expect("room for one");
            }
            Event::PathChanged { path: Via::Direct(_), .. } => {
                self.direct[at].get_or_insert(time);
            }
            Event::Readable { peer } => {
                while let Some(message) = cx.endpoint().receive(now, *peer) {
                    self.heard.push(String::from_utf8_lossy(&message.payload).into_owned());
                }
            }
            _ => {}
        }
    }
}

/// Runs the story of a seed and prints it. False if it did not end well.
pub(crate) fn tell(seed: u64) -> bool {
    println!("seed {seed}: two NATs that let in only who was sent to, 20 ms each way, 10 % loss\n");
    let mut world = World::new(seed);
    let relay_at = SocketAddr::from(([203, 0, 113, 1], 4263));
    let mut config = Config::default();
    config.forwarding.policy = ForwardingPolicy::Anyone;
    let relay = world.add_node(config, [9; 32], &[relay_at]);
    world.set_name(relay, "relay");
    // Bob's NAT takes what comes too early for its own, as some routers do: it opens only if Alice waits for it.
    let strict = Dependence::AddressAndPortDependent;
    let cone = NatKind { filtering: strict, ..NatKind::friendly() };
    let poisoned = NatKind { remembers_strangers: true, ..cone };
    let peers = [("alice", 1, cone), ("bob", 2, poisoned)].map(|(name, n, kind)| {
        let nat = world.add_nat(kind, [198, 51, 100, n].into());
        let mut config = Config::default();
        config.punching.enabled = true;
        let inside = SocketAddr::from(([192, 168, n, 2], 4263));
        let node = world.add_behind(nat, NodeSetup { config, identity: [n; 32] }, &[inside]);
        world.set_name(node, name);
        let target = Target::new(Identity::from_seed([9; 32]).id(), [relay_at]);
        world.with(node, |endpoint, now| endpoint.connect(now, target)).expect("a dial");
        (node, Identity::from_seed([n; 32]).id())
    });
    let latency = Duration::from_millis(20);
    world.network().set_all(Conditions {
        latency,
        loss: Probability::percent(10),
        ..Conditions::default()
    });
    let mut story = Story { peers, connected: None, direct: [None; 2], heard: Vec::new() };
    // Until both know the relay, nothing is shown.
    world.run_until_with(Duration::from_secs(5), &mut story);
    world.record(true);
    let dialled = world.now();
    let bob = Target::from(peers[1].1);
    let dial = world.with(peers[0].0, |endpoint, now| endpoint.connect(now, bob));
    dial.expect("nothing speaks against it");
    while story.direct.contains(&None) && world.now() < dialled + Duration::from_secs(60) {
        world.run_until_with(world.now() + Duration::from_millis(10), &mut story);
    }
    world.lines().iter().for_each(|line| println!("{line}"));

    println!("\nBob received: {}", story.heard.join(", "));
    let [Some(one), Some(other)] = story.direct else {
        println!("no direct way was found");
        return false;
    };
    let routed = story.connected.unwrap_or(dialled) - dialled;
    println!("routed in {} ms", routed.as_millis());
    println!("direct in {} ms", (one.max(other) - dialled).as_millis());
    println!(
        "\nThe same again: cargo run -p handfast-sim --example offline_demo -- --nat --seed {seed}"
    );
    !story.heard.is_empty()
}
