//! The errors of a socket, injected below the drivers. Sends may fail in any way, and receives with
//! news of datagrams sent earlier, as often as they will: nobody ends, and once it stops all reliable
//! messages arrive. The same holds for receives that fail for want of memory, for a while: a socket
//! that fails for many seconds is given up, which the tests of `handfast-udp` show in virtual time.

#![cfg(target_os = "linux")]

use std::net::UdpSocket;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use handfast_core::{Delivery, DisconnectOptions, Fate, PeerHandle};
use handfast_tests::{Node, Outgoing, Runtime, Setup, What, digest, loopback, within};
use handfast_udp::SocketStats;
use handfast_udp::faults::{Call, Fault, Faults, When};

#[test]
fn a_send_that_fails_once_or_often_loses_nothing_reliable() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            for (name, errno) in LOST {
                for when in [When::Next(1), When::Next(4), When::Every(4)] {
                    let sum = endure(runtime, Fault { call: Call::Send, errno, when });
                    let counted = sum.datagrams_refused + sum.source_fallbacks;
                    assert!(counted > 0, "{runtime:?} {name} {when:?}: {sum:?}");
                }
            }
        });
    }
}

#[test]
fn a_socket_that_cannot_send_for_a_while_costs_no_peer() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            for (name, errno) in LOST.into_iter().filter(|(name, _)| OFFLINE.contains(name)) {
                let sum = endure(runtime, Fault { call: Call::Send, errno, when: When::Always });
                assert!(sum.datagrams_refused > 0, "{runtime:?} {name}: {sum:?}");
            }
        });
    }
}

/// Another interface, whose MTU is less.
#[test]
fn datagrams_that_become_too_long_for_the_interface_are_done_without() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            let nodes = [1, 2].map(|identity| start(runtime, identity));
            let to_server = nodes[0].connect(nodes[1].address()).expect("connected");
            let peers = [to_server, nodes[1].accept()];
            let size = || nodes[0].peer(to_server).expect("connected").path_stats.max_datagram;
            let mut progress = [(0, 0); 2];
            let mut exchange = |tags: std::ops::Range<u64>| {
                let all = [(0, tags.end), (tags.end, 0)];
                tags.for_each(|tag| nodes[0].send(to_server, message(tag)));
                for (at, node) in nodes.iter().enumerate().rev() {
                    while progress[at] != all[at] {
                        let happening = node.next();
                        note(&mut progress[at], peers[at], happening.peer, happening.what);
                    }
                }
            };
            exchange(0..MESSAGES);
            assert_eq!(size(), 1_452, "{runtime:?}");
            let faults = Faults::of(nodes[0].address()).expect("a socket");
            let when = When::LongerThan(1_250);
            faults.inject(Fault { call: Call::Send, errno: EMSGSIZE, when });
            exchange(MESSAGES..MESSAGES * 2);
            assert!(faults.hits() > 0 && size() <= 1_250, "{runtime:?}: {} bytes", size());
        });
    }
}

#[test]
fn offload_that_fails_is_done_without() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            for errno in [EIO, EINVAL] {
                let fault = Fault { call: Call::SendBatch, errno, when: When::Always };
                let sum = endure(runtime, fault);
                assert_eq!(sum.datagrams_refused, 0, "{runtime:?}: {sum:?}");
                assert!((1..=2).contains(&sum.offload_failures), "{runtime:?}: {sum:?}");
            }
        });
    }
}

#[test]
fn a_full_send_buffer_is_waited_for_and_costs_no_datagram() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            for when in [When::Next(1), When::Next(50), When::Every(2), When::Every(7)] {
                let sum = endure(runtime, Fault { call: Call::Send, errno: EAGAIN, when });
                assert!(sum.sends_blocked > 0, "{runtime:?} {when:?}: {sum:?}");
                assert_eq!((sum.datagrams_refused, sum.datagrams_overflowed), (0, 0), "{sum:?}");
            }
        });
    }
}

#[test]
fn news_of_datagrams_sent_earlier_does_not_stop_a_receiver() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            for (name, errno) in [
                ("ECONNRESET", 104),
                ("ECONNREFUSED", 111),
                ("EHOSTUNREACH", 113),
                ("ENETUNREACH", 101),
                ("ENETDOWN", 100),
                ("EINTR", 4),
                ("EMSGSIZE", 90),
            ] {
                for when in [When::Next(1), When::Next(500), When::Every(2), When::Always] {
                    let sum = endure(runtime, Fault { call: Call::Receive, errno, when });
                    assert!(sum.receive_errors > 0, "{runtime:?} {name} {when:?}: {sum:?}");
                }
            }
        });
    }
}

#[test]
fn a_receiver_that_is_out_of_memory_for_a_while_pauses_and_goes_on() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            for (name, errno) in FAILED {
                for when in [When::Next(1), When::Every(2), When::Always] {
                    let sum = endure(runtime, Fault { call: Call::Receive, errno, when });
                    assert!(sum.receive_errors > 0, "{runtime:?} {name} {when:?}: {sum:?}");
                    if when == When::Always {
                        // Without pauses thousands pass before anyone can heal it.
                        assert!(sum.receive_errors < 400, "{runtime:?} {name}: {sum:?}");
                    }
                }
            }
        });
    }
}

#[test]
fn a_socket_that_stays_blocked_holds_up_a_close_for_a_moment_only() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            let (client, server) = (start(runtime, 1), start(runtime, 2));
            let peer = client.connect(server.address()).expect("connected");
            let faults = Faults::of(client.address()).expect("a socket");
            faults.inject(Fault { call: Call::Send, errno: EAGAIN, when: When::Always });
            client.send(peer, message(0));
            while faults.hits() == 0 {
                thread::yield_now();
            }
            client.close(DisconnectOptions::default());
        });
    }
}

/// A dial begins while nothing can be sent, as on a machine that is not online yet.
#[test]
fn a_dial_that_begins_offline_succeeds_once_online() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            let (client, server) = (start(runtime, 1), start(runtime, 2));
            let faults = Faults::of(client.address()).expect("a socket");
            let fault = Fault { call: Call::Send, errno: ENETUNREACH, when: When::Next(4) };
            faults.inject(fault);
            // Each request is tried with and without a source address at most.
            client.connect(server.address()).expect("connected");
            assert_eq!(faults.hits(), 4);
        });
    }
}

/// Both ends talk while both their sockets fail. Returns what the sockets counted.
fn endure(runtime: Runtime, fault: Fault) -> SocketStats {
    let nodes = [1, 2].map(|identity| start(runtime, identity));
    let to_server = nodes[0].connect(nodes[1].address()).expect("connected");
    let peers = [to_server, nodes[1].accept()];
    let faults = [0, 1].map(|at| Faults::of(nodes[at].address()).expect("a socket"));
    faults.iter().for_each(|faults| faults.inject(fault));
    for (node, peer) in nodes.iter().zip(peers) {
        (0..MESSAGES).for_each(|tag| node.send(peer, message(tag)));
    }
    if fault.when == When::Always {
        while faults.iter().any(|faults| faults.hits() < enough(fault)) {
            // Commands are obeyed meanwhile.
            for (node, peer) in nodes.iter().zip(peers) {
                assert!(node.peer(peer).is_some(), "it ended");
            }
        }
        faults.iter().for_each(|faults| faults.heal());
    }
    // Tokio hears of room to send with the next event of the socket, which here is all that happens:
    // a socket that is really full has an event when it is not any more.
    let nudger = (fault.errno == EAGAIN).then(|| UdpSocket::bind(loopback()).expect("bound"));
    let mut progress = [(0, 0); 2];
    while progress != [(MESSAGES, MESSAGES); 2] {
        for (at, node) in nodes.iter().enumerate() {
            if let Some(nudger) = &nudger {
                nudger.send_to(b"nudge", node.address()).expect("sent");
                while let Some(happening) = node.try_next() {
                    note(&mut progress[at], peers[at], happening.peer, happening.what);
                }
                assert!(node.peer(peers[at]).is_some(), "it ended");
            } else if progress[at] != (MESSAGES, MESSAGES) {
                let happening = node.next();
                note(&mut progress[at], peers[at], happening.peer, happening.what);
            }
        }
    }
    let hits: u64 = faults.iter().map(|faults: &Arc<Faults>| faults.hits()).sum();
    assert!(hits > 0, "nothing failed");
    let mut sum = SocketStats::default();
    nodes.iter().for_each(|node| sum += node.report().sockets);
    sum
}

/// Counts messages and fates: the messages in order, the fates all `Acked`.
fn note(progress: &mut (u64, u64), expected: PeerHandle, peer: PeerHandle, what: What) {
    assert_eq!(peer, expected);
    match what {
        What::Message(message) => {
            assert_eq!(message.payload, digest::bytes(progress.0, LEN));
            progress.0 += 1;
        }
        What::Fate(_, Fate::Acked) => progress.1 += 1,
        other => panic!("{other:?}"),
    }
}

/// So many failures that there was time for everything else to go wrong. Sending backs off.
fn enough(fault: Fault) -> u64 {
    match fault.call {
        Call::Send => 4,
        // Once is enough for ever.
        Call::SendBatch => 1,
        // More than half a second of pauses.
        Call::Receive if FAILED.iter().any(|(_, errno)| *errno == fault.errno) => 12,
        Call::Receive => 1000,
    }
}

fn message(tag: u64) -> Outgoing {
    let delivery = Delivery::ordered(0).with_receipt();
    Outgoing { tag, delivery, payload: digest::bytes(tag, LEN) }
}

fn start(runtime: Runtime, identity: u8) -> Node {
    Node::start(Setup::new(runtime, identity))
}

/// Each message takes several datagrams, which leave as a batch.
const LEN: usize = 20_000;
const MESSAGES: u64 = 10;
const EAGAIN: i32 = 11;
const EIO: i32 = 5;
const EMSGSIZE: i32 = 90;
const EINVAL: i32 = 22;
const ENETUNREACH: i32 = 101;
/// What a send may fail with besides.
const LOST: [(&str, i32); 11] = [
    ("ECONNREFUSED", 111),
    ("EMSGSIZE", EMSGSIZE),
    ("ENOBUFS", 105),
    ("ENETUNREACH", ENETUNREACH),
    ("EHOSTUNREACH", 113),
    ("EPERM", 1),
    ("EIO", EIO),
    ("EINTR", 4),
    ("ENODEV", 19),
    ("EADDRNOTAVAIL", 99),
    ("ENETDOWN", 100),
];
/// What it fails with for longer, as when the interface is gone.
const OFFLINE: [&str; 4] = ["ENETUNREACH", "ENODEV", "EADDRNOTAVAIL", "EPERM"];
/// What a receive fails with when it is the system that fails.
const FAILED: [(&str, i32); 3] = [("ENOMEM", 12), ("ENOBUFS", 105), ("EPERM", 1)];
const HANG: Duration = Duration::from_secs(120);
