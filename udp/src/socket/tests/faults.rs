//! Sockets that fail.

use super::*;
use crate::faults::{Call, Fault, When};

const EIO: i32 = 5;
const EINVAL: i32 = 22;
/// Interrupted, no such device, not permitted, and Linux's numbers of: address not available,
/// network down, network unreachable, no buffer space, connection refused, host unreachable.
const LOST: [i32; 9] = [4, 19, 1, 99, 100, 101, 105, 111, 113];

fn inject(node: &Node, call: Call, errno: i32, when: When) {
    node.socket.system.faults().inject(Fault { call, errno, when });
}

#[test]
fn segments_of_a_failed_batch_go_out_one_by_one_and_offload_stays_off() {
    for errno in [EIO, EINVAL] {
        let (mut alice, mut bob) = (Node::dual(), Node::dual());
        if alice.socket.offered == 1 {
            return;
        }
        inject(&alice, Call::SendBatch, errno, When::Always);
        for round in 1..=3 {
            let bytes = batch();
            alice.send(transmit(bob.at("127.0.0.1"), bytes.len(), Some(1200)), &bytes);
            assert!(is_batch(&bob.receive()), "round {round}");
            assert_eq!(alice.socket.stats().sends, 11 * round);
        }
        assert_eq!(alice.socket.batch_len(), usize::from(handfast_core::MAX_DATAGRAM));
        let stats = alice.socket.stats();
        assert_eq!((stats.offload_failures, stats.datagrams_refused), (1, 0));
        assert_eq!(alice.socket.system.faults().hits(), 1, "offload was tried again");
    }
}

/// A firewall that rejects, a route that is missing: alone or in a batch, a datagram fails.
#[test]
fn offload_is_not_blamed_for_what_fails_alone_as_well() {
    let (mut alice, mut bob) = (Node::dual(), Node::dual());
    let to = bob.at("127.0.0.1");
    let bytes = batch();
    inject(&alice, Call::Send, EIO, When::Always);
    alice.send(transmit(to, bytes.len(), Some(1200)), &bytes);
    assert_eq!(alice.socket.stats().datagrams_refused, 11);
    alice.socket.system.faults().heal();
    // What `quinn-udp` concluded is forgotten after a second.
    alice.socket.restored = None;
    alice.send(transmit(to, bytes.len(), Some(1200)), &bytes);
    assert!(is_batch(&bob.receive()));
    assert_eq!(alice.socket.usable_segments(), alice.socket.offered);
}

#[test]
fn a_failure_costs_the_datagrams_of_one_call_and_nothing_else() {
    for errno in LOST.into_iter().chain([crate::failure::EMSGSIZE]) {
        let (mut alice, mut bob) = (Node::dual(), Node::dual());
        let (to, len) = (bob.at("127.0.0.1"), alice.socket.batch_len());
        inject(&alice, Call::Send, errno, When::Next(1));
        alice.send(transmit(to, 4, None), b"lost");
        assert_eq!(alice.socket.stats().datagrams_refused, 1, "{errno}");
        alice.send(transmit(to, 5, None), b"hello");
        assert_eq!(bob.receive_one().1, b"hello", "{errno}");
        assert_eq!(alice.socket.batch_len(), len, "{errno}");
    }
}

#[test]
fn a_full_buffer_keeps_the_rest_of_a_batch() {
    let (mut alice, mut bob) = (Node::dual(), Node::dual());
    alice.socket.segments = 1;
    let bytes = batch();
    let mut outbox = Outbox::new();
    outbox.load(transmit(bob.at("127.0.0.1"), bytes.len(), Some(1200)), &bytes);
    inject(&alice, Call::Send, EAGAIN, When::Every(4));
    let mut blocked = 0;
    while let Err(error) = outbox.flush(&mut alice.socket, SockRef::from(&alice.io)) {
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        blocked += 1;
    }
    assert_eq!((blocked, alice.socket.stats().sends_blocked), (3, 3));
    assert!(is_batch(&bob.receive()));
}

#[test]
fn news_of_datagrams_sent_earlier_never_breaks_a_receiver() {
    let (alice, mut bob) = (Node::dual(), Node::dual());
    let to = SocketAddr::new("::ffff:127.0.0.1".parse().expect("ip"), bob.at("::1").port());
    for errno in LOST.into_iter().filter(|errno| ![1, 19, 99, 105].contains(errno)) {
        inject(&bob, Call::Receive, errno, When::Next(2 * u64::from(FATAL_COUNT)));
        alice.io.send_to(b"hello", to).expect("sent");
        assert_eq!(bob.receive_one().1, b"hello", "{errno}");
    }
}

const EAGAIN: i32 = if cfg!(windows) {
    10_035
} else if cfg!(any(target_os = "linux", target_os = "android")) {
    11
} else {
    35
};
