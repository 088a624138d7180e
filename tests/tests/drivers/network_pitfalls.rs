//! What a network does to a driver, as far as loopback can.
//!
//! A full send buffer is not among it: loopback takes every datagram at once, so `WouldBlock` on
//! send cannot be provoked here.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use handfast_core::{Config, Delivery, EndReason, Fate, Identity, PeerHandle, canonical};
use handfast_sim::Conditions;
use handfast_tests::{
    Node, Outgoing, Proxy, ProxyConfig, Runtime, Setup, Way, What, digest, loopback, within,
};
use handfast_udp::entropy;

/// The edge of a mio poll, or of tokio's readiness, comes once for all of them.
#[test]
fn a_datagram_behind_more_than_one_read_takes_is_answered() {
    within(HANG, || {
        let request = key_request();
        let identity = || Identity::from_seed(entropy().expect("entropy"));
        let mut mio =
            handfast_mio::Endpoint::bind(Config::default(), identity(), loopback()).expect("bound");
        // Nothing is read while the datagrams come.
        let initiator = heap(mio.local_addresses()[0], &request);
        while !has_answer(&initiator) {
            mio.turn(None).expect("no fatal error");
        }

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let tokio = handfast_tokio::Endpoint::bind(Config::default(), identity(), loopback())
                .expect("bound");
            // This thread drives the endpoint as well, so nothing is read meanwhile.
            let initiator = heap(tokio.local_addresses()[0], &request);
            let initiator = tokio::net::UdpSocket::from_std(initiator).expect("a socket");
            initiator.recv(&mut [0; 2048]).await.expect("an answer");
        });
    });
}

/// What a dial by address begins with.
fn key_request() -> Vec<u8> {
    let nobody = UdpSocket::bind(loopback()).expect("bound");
    let address = nobody.local_addr().expect("an address");
    let config = ProxyConfig { capture: 1, ..ProxyConfig::one_percent(1) };
    let proxy = Proxy::start(config, address).expect("a proxy");
    let mut setup = Setup::new(Runtime::Mio, 1);
    setup.config.timers.connect_timeout = Duration::from_millis(100);
    assert_eq!(Node::start(setup).connect(proxy.address()), Err(EndReason::DialTimeout));
    proxy.captured(Way::ToServer).remove(0)
}

/// Rubbish of many addresses, so that nothing is coalesced, and at the end a request. Returns the
/// socket that waits for the answer.
fn heap(target: SocketAddr, request: &[u8]) -> UdpSocket {
    for _ in 0..200 {
        let stranger = UdpSocket::bind(loopback()).expect("bound");
        stranger.send_to(b"rubbish", target).expect("sent");
    }
    let initiator = UdpSocket::bind(loopback()).expect("bound");
    initiator.set_nonblocking(true).expect("not blocking");
    initiator.send_to(request, target).expect("sent");
    initiator
}

fn has_answer(initiator: &UdpSocket) -> bool {
    initiator.recv(&mut [0; 2048]).is_ok()
}

#[test]
fn empty_datagrams_stop_neither_end() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            let (client, server) = (start(runtime, 1), start(runtime, 2));
            let stranger = UdpSocket::bind(loopback()).expect("bound");
            let peer = client.connect(server.address()).expect("connected");
            let initiator = server.accept();
            for round in 0..20 {
                for target in [client.address(), server.address()] {
                    for _ in 0..10 {
                        stranger.send_to(&[], target).expect("sent");
                    }
                }
                exchange(&client, peer, &server, initiator, round);
            }
        });
    }
}

/// Sending to a closed port earns ICMP errors, which the system reports at the next call.
#[test]
fn a_dead_peer_does_not_stop_the_talk_with_a_living_one() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            let (client, dying, living) = (start(runtime, 1), start(runtime, 2), start(runtime, 3));
            let to_dying = client.connect(dying.address()).expect("connected");
            let nowhere = dying.address();
            assert!(dying.kill().len() <= 1, "the initiator alone");
            let lost = Outgoing { tag: 0, delivery: DELIVERY, payload: digest::bytes(0, 100_000) };
            client.send(to_dying, lost);
            let to_living = client.connect(living.address()).expect("connected");
            let initiator = living.accept();
            (1..50).for_each(|round| exchange(&client, to_living, &living, initiator, round - 1));

            // The other way round: the dead one comes back to the same port as someone else.
            let other = Node::start(Setup { listen: nowhere, ..Setup::new(runtime, 4) });
            let peer = other.connect(living.address()).expect("connected");
            let newcomer = living.accept();
            exchange(&other, peer, &living, newcomer, 0);
        });
    }
}

#[test]
fn answers_leave_from_the_address_that_was_reached() {
    for runtime in Runtime::ALL {
        for any in [SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), (Ipv6Addr::UNSPECIFIED, 0).into()]
        {
            within(HANG, move || {
                let server = Node::start(Setup { listen: any, ..Setup::new(runtime, 2) });
                let client = start(runtime, 1);
                let reached = SocketAddr::from(([127, 0, 0, 7], server.address().port()));
                // A client takes no answer to a dial from anywhere else.
                let peer = client.connect(reached).expect("connected");
                let initiator = server.accept();
                exchange(&client, peer, &server, initiator, 0);
                let path = client.peer(peer).and_then(|info| info.path).expect("a path");
                assert_eq!(path.remote(), Some(reached));
                let path = server.peer(initiator).and_then(|info| info.path).expect("a path");
                assert_eq!(path.remote().map(canonical), Some(client.address()));
            });
        }
    }
}

/// Large messages in both directions at once, through a queue that overflows.
#[test]
fn an_overflowing_queue_only_slows_down() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            let (client, server) = (start(runtime, 1), start(runtime, 2));
            let narrow = Conditions {
                latency: Duration::from_millis(2),
                rate: Some(4_000_000),
                queue: 20_000,
                ..Conditions::default()
            };
            let proxy = Proxy::start(ProxyConfig::both_ways(1, narrow), server.address());
            let proxy = proxy.expect("a proxy");
            let peer = client.connect(proxy.address()).expect("connected");
            let initiator = server.accept();
            let payload = digest::bytes(1, 1 << 20);
            for (node, to) in [(&client, peer), (&server, initiator)] {
                node.send(to, Outgoing { tag: 1, delivery: DELIVERY, payload: payload.clone() });
            }
            for node in [&client, &server] {
                let (mut arrived, mut acked) = (false, false);
                while !(arrived && acked) {
                    match node.next().what {
                        What::Message(message) => arrived = message.payload == payload,
                        What::Fate(1, Fate::Acked) => acked = true,
                        other => panic!("{other:?}"),
                    }
                }
            }
            assert!(proxy.counters().faults.queue_drops > 0, "{:?}", proxy.counters());
        });
    }
}

fn start(runtime: Runtime, identity: u8) -> Node {
    Node::start(Setup::new(runtime, identity))
}

/// A message there and one back, acknowledged.
fn exchange(client: &Node, to: PeerHandle, server: &Node, back: PeerHandle, round: u64) {
    for (from, to, at, peer) in [(client, to, server, back), (server, back, client, to)] {
        let payload = digest::bytes(round, 2000);
        from.send(to, Outgoing { tag: round, delivery: DELIVERY, payload: payload.clone() });
        let arrived = at.next();
        assert_eq!(arrived.peer, peer);
        let What::Message(message) = arrived.what else { panic!("{:?}", arrived.what) };
        assert_eq!((message.sequence_number, message.payload), (round, payload));
        assert_eq!(from.next().what, What::Fate(round, Fate::Acked));
    }
}

const DELIVERY: Delivery = Delivery::ordered(0).with_receipt();
const HANG: Duration = Duration::from_secs(60);
