//! The same conversation over the four pairings of runtimes, through one percent of loss, and in
//! the simulator: what is promised comes out the same everywhere.

use std::thread;
use std::time::Duration;

use handfast_core::{DisconnectReason, EndReason, Fate, ForwardingPolicy, Order, PeerHandle};
use handfast_sim::{Conditions, Probability};
use handfast_tests::script::{self, Action, Record, Side, Speaker};
use handfast_tests::{Node, Proxy, ProxyConfig, Rehearsal, Runtime, Setup, What, within};

#[test]
fn the_script_comes_out_the_same_on_every_runtime_and_in_the_simulator() {
    let [client, server] = rehearse(1);
    check_expectations(&client, &server);
    // A second seed of the simulator loses other datagrams.
    assert_eq!(rehearse(2), [client.clone(), server.clone()]);
    for server_on in Runtime::ALL {
        // Two at a time, each of which sleeps more than it works.
        let plays = Runtime::ALL.map(|client_on| {
            thread::spawn(move || within(HANG, move || play(client_on, server_on)))
        });
        for (client_on, play) in Runtime::ALL.into_iter().zip(plays) {
            let played = play.join().expect("a play");
            assert!(played == [client.clone(), server.clone()], "{client_on:?} to {server_on:?}");
        }
    }
}

/// Both ends know a relay and each other's identity, and lose one percent on the way to the relay.
#[test]
fn the_script_comes_out_the_same_by_way_of_a_relay() {
    let [client, server] = rehearse(1);
    for relay_on in Runtime::ALL {
        let plays = Runtime::ALL.map(|client_on| {
            let server_on = if client_on == relay_on { Runtime::ALL[0] } else { relay_on };
            thread::spawn(move || within(HANG, move || relayed([client_on, relay_on, server_on])))
        });
        for play in plays {
            let played = play.join().expect("a play");
            assert!(played == [client.clone(), server.clone()], "by way of {relay_on:?}");
        }
    }
}

/// As on a system that refuses all socket options: without offload, marks and local addresses.
#[cfg(target_os = "linux")]
#[test]
fn the_script_comes_out_the_same_without_offloads() {
    use handfast_tests::refusal::{OPTIONS, refusing};
    let expected = rehearse(1);
    for runtime in Runtime::ALL {
        let play = move || within(HANG, move || play(runtime, runtime));
        assert!(refusing(&OPTIONS, libc::EPERM, play) == expected, "{runtime:?}");
    }
}

fn rehearse(seed: u64) -> [Record; 2] {
    let loss = Probability::percent(1);
    let latency = Duration::from_millis(2);
    let conditions = Conditions { loss, latency, ..Conditions::default() };
    Rehearsal::play(SCRIPT, seed, conditions, Duration::from_secs(300))
}

/// What no two implementations could agree on by being wrong in the same way.
fn check_expectations(client: &Record, server: &Record) {
    assert_eq!(client.end, EndReason::Disconnected { heard: true });
    let reason = DisconnectReason::new(7, "the script is over");
    assert_eq!(server.end, EndReason::PeerDisconnected { reason, complete: true });
    for (hearer, speaks) in [(client, Side::Server), (server, Side::Client)] {
        let lines = script::lines(SCRIPT, speaks);
        for (stream, heard) in &hearer.heard {
            let of_stream =
                |d: handfast_core::Delivery| (d.channel, d.reliable, d.order) == *stream;
            let mut numbers = (0..lines.len()).filter(|n| of_stream(lines[*n].delivery));
            let expected: Vec<_> = match stream.2 {
                Order::Sequenced => numbers.next_back().into_iter().collect(),
                _ => numbers.collect(),
            };
            assert!(heard.iter().map(|(number, _)| *number).eq(expected), "{stream:?}");
        }
        assert_eq!(hearer.heard.len(), 6, "two channels, three orders");
        assert!(hearer.fates.values().all(|fate| *fate == Fate::Acked));
    }
}

fn play(client_on: Runtime, server_on: Runtime) -> [Record; 2] {
    let setup =
        |runtime, identity| Setup { config: script::config(), ..Setup::new(runtime, identity) };
    let server = Node::start(setup(server_on, 2));
    let client = Node::start(setup(client_on, 1));
    let proxy = Proxy::start(ProxyConfig::one_percent(3), server.address()).expect("a proxy");
    let peer = client.connect(proxy.address()).expect("connected");
    let speaking = thread::spawn(move || {
        let peer = server.accept();
        let spoken = speak(&server, peer, Side::Server);
        (server, spoken)
    });
    let by_client = speak(&client, peer, Side::Client);
    let (server, by_server) = speaking.join().expect("no panic");
    assert!(proxy.counters().faults.lost > 0, "nothing was lost");
    drop((client, server));
    [by_client.record(&by_server), by_server.record(&by_client)]
}

/// The same with a client, a relay and a server on these runtimes.
fn relayed([client_on, relay_on, server_on]: [Runtime; 3]) -> [Record; 2] {
    let setup =
        |runtime, identity| Setup { config: script::config(), ..Setup::new(runtime, identity) };
    let mut forwarding = setup(relay_on, 3);
    forwarding.config.forwarding.policy = ForwardingPolicy::Anyone;
    let relay = Node::start(forwarding);
    let server = Node::start(setup(server_on, 2));
    let client = Node::start(setup(client_on, 1));
    let proxy = Proxy::start(ProxyConfig::one_percent(4), relay.address()).expect("a proxy");
    for end in [&client, &server] {
        end.connect(proxy.address()).expect("the relay");
    }
    let peer = client.connect(server.id()).expect("by way of the relay");
    let route = client.peer(peer).and_then(|peer| peer.path?.route());
    assert_eq!(route.map(|route| route.neighbour), Some(relay.id()));
    let speaking = thread::spawn(move || {
        let peer = server.accept();
        let spoken = speak(&server, peer, Side::Server);
        (server, spoken)
    });
    let by_client = speak(&client, peer, Side::Client);
    let (server, by_server) = speaking.join().expect("no panic");
    drop((client, server, relay));
    [by_client.record(&by_server), by_server.record(&by_client)]
}

/// Speaks until the end.
fn speak(node: &Node, peer: PeerHandle, side: Side) -> Speaker {
    let mut speaker = Speaker::new(SCRIPT, side);
    let act = |action| match action {
        Action::Send(message) => node.send(peer, message),
        Action::Ping => node.ping(peer),
        Action::Disconnect(farewell) => node.disconnect(peer, farewell),
    };
    speaker.begin().into_iter().for_each(act);
    while !speaker.is_over() {
        let happening = node.next_or(|| speaker.missing());
        assert_eq!(happening.peer, peer);
        assert_ne!(happening.what, What::Accepted);
        speaker.hear(happening.what).into_iter().for_each(act);
    }
    speaker
}

/// Names the conversation.
const SCRIPT: u64 = 0x5c71;
const HANG: Duration = Duration::from_secs(120);
