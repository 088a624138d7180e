//! Systems that refuse socket options: each is done without, and one warning names it.

#![cfg(target_os = "linux")]

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use handfast_core::{Delivery, Fate};
use handfast_tests::refusal::{OPTIONS, SocketOption, refusing};
use handfast_tests::{Node, Outgoing, Runtime, Setup, What, digest, loopback, within};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

#[test]
fn each_refused_option_is_done_without() {
    for option in OPTIONS {
        for errno in [libc::ENOPROTOOPT, libc::EPERM] {
            for (runtime, listen) in every_kind_of_endpoint() {
                refusing(&[option], errno, move || {
                    within(HANG, move || converse(runtime, listen));
                });
            }
        }
    }
}

#[test]
fn all_of_them_can_be_done_without() {
    for (runtime, listen) in every_kind_of_endpoint() {
        refusing(&OPTIONS, libc::ENOPROTOOPT, move || {
            within(HANG, move || {
                let (datagrams, calls) = converse(runtime, listen);
                assert_eq!(datagrams, calls, "{runtime:?}: a batch, although none can be sent");
            });
        });
    }
}

/// The name of an option on the left, what the warning of a dual-stack socket says on the right.
#[test]
fn one_warning_names_what_is_done_without() {
    let expected = [
        ("UDP_SEGMENT", "segmentation offload (GSO)"),
        ("UDP_GRO", "coalesced reads (GRO)"),
        ("IP_RECVTOS", "ECN marks"),
        ("IPV6_DONTFRAG", "a ban on fragments"),
        ("IPV6_RECVPKTINFO", "local addresses"),
        ("IPV6_V6ONLY", "telling whether IPv4 is taken too"),
    ];
    for (name, words) in expected {
        let option = OPTIONS.into_iter().find(|option| option.name == name).expect("an option");
        for runtime in Runtime::ALL {
            let log =
                refusing(&[option], libc::ENOPROTOOPT, move || log_of_start(runtime, everywhere()));
            let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
            assert_eq!(warnings.len(), 1, "{log}");
            assert!(warnings[0].contains(words), "{name}: {}", warnings[0]);
        }
    }
}

#[test]
fn nothing_is_said_where_nothing_is_refused() {
    let none: [SocketOption; 0] = [];
    let only_v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    for runtime in Runtime::ALL {
        for listen in [everywhere(), loopback(), only_v6] {
            let log = refusing(&none, libc::EPERM, move || log_of_start(runtime, listen));
            assert!(!log.contains("WARN"), "{log}");
        }
    }
}

fn every_kind_of_endpoint() -> impl Iterator<Item = (Runtime, SocketAddr)> {
    Runtime::ALL
        .into_iter()
        .flat_map(|runtime| [loopback(), everywhere()].map(|listen| (runtime, listen)))
}

/// Every address, IPv6 and IPv4.
fn everywhere() -> SocketAddr {
    SocketAddr::from(([0_u16; 8], 0))
}

/// Two endpoints exchange messages of many packets. Returns how many datagrams they sent, and by how
/// many calls.
fn converse(runtime: Runtime, listen: SocketAddr) -> (u64, u64) {
    let nodes =
        [1, 2].map(|identity| Node::start(Setup { listen, ..Setup::new(runtime, identity) }));
    let server = SocketAddr::from(([127, 0, 0, 1], nodes[1].address().port()));
    let to_server = nodes[0].connect(server).expect("connected");
    let peers = [to_server, nodes[1].accept()];
    for (node, peer) in nodes.iter().zip(peers) {
        for tag in 0..MESSAGES {
            let delivery = Delivery::ordered(0).with_receipt();
            node.send(peer, Outgoing { tag, delivery, payload: digest::bytes(tag, LEN) });
        }
    }
    for node in &nodes {
        let (mut messages, mut acked) = (0, 0);
        while (messages, acked) != (MESSAGES, MESSAGES) {
            match node.next().what {
                What::Message(message) => {
                    assert_eq!(message.payload, digest::bytes(messages, LEN));
                    messages += 1;
                }
                What::Fate(_, Fate::Acked) => acked += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    let sockets = nodes.map(|node| node.report().sockets);
    let sum = |count: fn(&handfast_udp::SocketStats) -> u64| sockets.iter().map(count).sum();
    (sum(|socket| socket.datagrams_sent), sum(|socket| socket.sends))
}

/// What the driver logs while it opens its socket.
fn log_of_start(runtime: Runtime, listen: SocketAddr) -> String {
    // With one subscriber alone, `tracing` asks only the thread that meets a line first whether anybody wants it, and
    // that may be one of another test.
    let _second = Dispatch::new(NoSubscriber::new());
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
    tracing::subscriber::with_default(lines.finish(), || {
        drop(Node::start(Setup { listen, ..Setup::new(runtime, 1) }));
    });
    String::from_utf8(log.bytes().clone()).expect("text")
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const MESSAGES: u64 = 20;
const LEN: usize = 20_000;
const HANG: Duration = Duration::from_secs(120);
