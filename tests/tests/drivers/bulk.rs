//! 10 MiB over one percent of loss each way, 20 Mbit/s and a round trip of 50 ms.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use handfast_core::{Config, Delivery, Event, PeerHandle, Target};
use handfast_sim::{App, Conditions, Cx, NodeId, Probability, World};
use handfast_tests::{Node, Outgoing, Proxy, ProxyConfig, Runtime, Setup, What, digest, within};

#[test]
fn ten_mebibytes_cross_a_lossy_link_in_a_minute_of_virtual_time() {
    let mut world = World::new(1);
    world.network().set_all(conditions());
    let [client, server] = [1, 2].map(|number| {
        let address = SocketAddr::from(([10, 0, 0, number], 4263));
        world.add_node(Config::default(), [number; 32], &[address])
    });
    let address = world.addresses(server).next().expect("it has one");
    let mut bulk = Bulk { client, received: 0 };
    world
        .with_app(client, &mut bulk, |endpoint, now| endpoint.connect(now, Target::from(address)))
        .expect("a dial");
    while bulk.received < MESSAGES {
        let limit = Duration::from_secs(60);
        assert!(world.step(limit, &mut bulk), "{} of {MESSAGES} in {limit:?}", bulk.received);
    }
    assert!(world.faults().lost > 50, "{:?}", world.faults());
    println!("10 MiB in {:?} of virtual time", world.now());
}

/// The client sends all at once, the server counts.
struct Bulk {
    client: NodeId,
    received: u64,
}

impl App for Bulk {
    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) {
        let Some(peer) = event.peer() else { return };
        let now = cx.now();
        match event {
            Event::Connected { .. } if cx.node() == self.client => {
                for number in 0..MESSAGES {
                    let sent = cx.endpoint().send(now, peer, DELIVERY, digest::bytes(number, SIZE));
                    sent.expect("room");
                }
            }
            Event::Readable { .. } => {
                while let Some(message) = cx.endpoint().receive(now, peer) {
                    assert!(message.payload == digest::bytes(self.received, SIZE));
                    self.received += 1;
                }
            }
            Event::Ended { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
}

/// Both runtimes at once: they mostly wait.
#[test]
fn ten_mebibytes_cross_the_proxy_intact_and_in_order_on_both_runtimes() {
    let crossings =
        Runtime::ALL.map(|runtime| thread::spawn(move || within(HANG, move || cross(runtime))));
    for crossing in crossings {
        crossing.join().expect("crossed");
    }
}

fn cross(runtime: Runtime) {
    let server = Node::start(Setup::new(runtime, 2));
    let client = Node::start(Setup::new(runtime, 1));
    let config = ProxyConfig::both_ways(1, conditions());
    let proxy = Proxy::start(config, server.address()).expect("a proxy");
    let peer = client.connect(proxy.address()).expect("connected");
    for tag in 0..MESSAGES {
        client.send(peer, Outgoing { tag, delivery: DELIVERY, payload: digest::bytes(tag, SIZE) });
    }
    let initiator = server.accept();
    (0..MESSAGES).for_each(|number| expect(&server, initiator, number));
    let counters = proxy.counters();
    assert!(counters.faults.lost > 50, "{counters:?}");
}

fn expect(server: &Node, initiator: PeerHandle, number: u64) {
    let happening = server.next();
    assert_eq!(happening.peer, initiator);
    let What::Message(message) = happening.what else { panic!("{:?}", happening.what) };
    assert_eq!((message.delivery, message.sequence_number), (DELIVERY, number));
    assert!(message.payload == digest::bytes(number, SIZE), "message {number} is garbled");
}

fn conditions() -> Conditions {
    Conditions {
        latency: Duration::from_millis(25),
        loss: Probability::percent(1),
        rate: Some(20_000_000 / 8),
        ..Conditions::default()
    }
}

const DELIVERY: Delivery = Delivery::ordered(1);
const SIZE: usize = 64 << 10;
const MESSAGES: u64 = 100;
const HANG: Duration = Duration::from_secs(150);
