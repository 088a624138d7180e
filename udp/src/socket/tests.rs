//! Real sockets on loopback.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;

use handfast_core::{Origin, SocketId, canonical};

use super::*;
use crate::failure::{FATAL_COUNT, FATAL_TIME};
use crate::{Inbox, Listen, Outbox};

#[cfg(target_os = "linux")]
mod faults;

struct Node {
    io: UdpSocket,
    socket: Socket,
}

impl Node {
    fn on(address: &str) -> Self {
        let listen = Listen::from(address.parse::<SocketAddr>().expect("an address"));
        let io = listen.bind().expect("bound").remove(0);
        Self { socket: Socket::new(SockRef::from(&io)).expect("a socket"), io }
    }

    fn dual() -> Self {
        Self::on("[::]:0")
    }

    fn at(&self, ip: &str) -> SocketAddr {
        let port = self.io.local_addr().expect("an address").port();
        SocketAddr::new(ip.parse().expect("an address"), port)
    }

    fn send(&mut self, transmit: Transmit, bytes: &[u8]) {
        let mut outbox = Outbox::new();
        outbox.load(transmit, bytes);
        outbox.flush(&mut self.socket, SockRef::from(&self.io)).expect("room to send");
        assert_eq!(outbox.pending(), None);
    }

    /// Everything there is to read. Loopback delivers before `send` returns.
    fn receive(&mut self) -> Vec<(Origin, Vec<u8>)> {
        self.receive_reads().0
    }

    /// The same, and by how many reads (a coalesced one counts once).
    fn receive_reads(&mut self) -> (Vec<(Origin, Vec<u8>)>, usize) {
        let (mut inbox, mut all, mut reads) = (Inbox::new(), Vec::new(), 0);
        while inbox.receive(&mut self.socket, SockRef::from(&self.io)).is_ok() {
            reads += inbox.filled();
            while let Some((origin, bytes)) = inbox.take(SocketId(3)) {
                all.push((origin, bytes.to_vec()));
            }
        }
        (all, reads)
    }

    fn receive_one(&mut self) -> (Origin, Vec<u8>) {
        let mut datagrams = self.receive();
        assert_eq!(datagrams.len(), 1);
        datagrams.remove(0)
    }
}

fn transmit(destination: SocketAddr, len: usize, segment: Option<u16>) -> Transmit {
    let mut transmit = Transmit::new(destination, len);
    transmit.segment = segment.and_then(NonZeroU16::new);
    transmit
}

/// Ten datagrams of 1,200 bytes and one of 77, each filled with its number.
fn batch() -> Vec<u8> {
    let sizes = [1200; 10].into_iter().chain([77]);
    (0_u8..).zip(sizes).flat_map(|(number, size)| vec![number; size]).collect()
}

fn is_batch(datagrams: &[(Origin, Vec<u8>)]) -> bool {
    let expected = batch();
    datagrams.iter().map(|(_, bytes)| bytes.as_slice()).eq(expected.chunks(1200))
}

#[test]
fn a_batch_arrives_whole_and_keeps_its_boundaries_and_its_mark() {
    for ip in ["127.0.0.1", "::1"] {
        let (mut alice, mut bob) = (Node::dual(), Node::dual());
        for mark in [Ecn::Ect0, Ecn::Ect1, Ecn::Ce] {
            let bytes = batch();
            let mut transmit = transmit(bob.at(ip), bytes.len(), Some(1200));
            transmit.ecn = Some(mark);
            alice.send(transmit, &bytes);
            let (datagrams, reads) = bob.receive_reads();
            assert!(is_batch(&datagrams), "{ip} {mark:?}");
            // Where the system sends in batches it also receives in batches.
            assert!(alice.socket.offered == 1 || reads == 1, "{reads} reads: nothing coalesced");
            let mark = (!bob.socket.system.is_plain()).then_some(mark);
            assert!(datagrams.iter().all(|(origin, _)| origin.ecn == mark), "{ip} {mark:?}");
        }
        assert_eq!(bob.socket.stats().datagrams_received, 33);
        if alice.socket.offered > 1 {
            assert_eq!(alice.socket.stats().sends, 3, "offload was offered and not used");
        }
    }
}

/// However many wait, and however many buffers the reads before had.
#[test]
fn the_batch_that_says_so_is_the_last_and_nothing_is_left_behind_it() {
    let mut bob = Node::dual();
    let to = bob.at("127.0.0.1");
    let mut inbox = Inbox::new();
    let mut said = 0;
    for count in [1, 3, 4, 5, 1, 70, 33, 64, 2, 0] {
        // From as many sockets, so that nothing is coalesced.
        for _ in 0..count {
            UdpSocket::bind("127.0.0.1:0").expect("bound").send_to(b"x", to).expect("sent");
        }
        let mut received = 0;
        while inbox.receive(&mut bob.socket, SockRef::from(&bob.io)).is_ok() {
            while inbox.take(SocketId(3)).is_some() {
                received += 1;
            }
            if inbox.is_last() {
                said += 1;
                assert_eq!(received, count, "some were left behind");
            }
        }
        assert_eq!(received, count);
    }
    assert!(said > 5 || !bob.socket.reads_to_the_end(), "said {said} times");
}

#[test]
fn a_batch_goes_out_one_by_one_when_offload_fails() {
    let (mut alice, mut bob) = (Node::dual(), Node::dual());
    alice.socket.segments = 1;
    assert_eq!(alice.socket.batch_len(), usize::from(handfast_core::MAX_DATAGRAM));
    let bytes = batch();
    alice.send(transmit(bob.at("127.0.0.1"), bytes.len(), Some(1200)), &bytes);
    let datagrams = bob.receive();
    assert!(is_batch(&datagrams));
    assert_eq!(alice.socket.stats().sends, 11);
}

#[test]
fn offload_is_given_up_only_when_a_datagram_alone_passes() {
    let (mut alice, bob) = (Node::dual(), Node::dual());
    if alice.socket.offered == 1 {
        return;
    }
    alice.socket.on_trial = true;
    alice.send(transmit(bob.at("127.0.0.1"), 5, None), b"hello");
    assert!(!alice.socket.on_trial);
    assert_eq!(alice.socket.usable_segments(), 1);
}

#[test]
fn a_source_that_is_gone_costs_neither_the_datagram_nor_offload() {
    for (ip, gone) in [("127.0.0.1", "192.0.2.77"), ("::1", "2001:db8::77")] {
        let (mut alice, mut bob) = (Node::dual(), Node::dual());
        let bytes = batch();
        let mut transmit = transmit(bob.at(ip), bytes.len(), Some(1200));
        transmit.source = Some(gone.parse().expect("an address"));
        alice.send(transmit, &bytes);
        let datagrams = bob.receive();
        assert!(is_batch(&datagrams), "{ip}");
        let plain = alice.socket.system.is_plain();
        assert!(plain || alice.socket.stats().source_fallbacks > 0, "{ip}");
    }
}

/// On Windows the next receive then fails (`WSAECONNRESET`).
#[test]
fn a_datagram_to_a_closed_port_keeps_nothing_from_arriving() {
    for ip in ["127.0.0.1", "::1"] {
        let (mut alice, mut bob) = (Node::dual(), Node::dual());
        let closed = Node::dual().at(ip);
        for _ in 0..10 {
            alice.send(transmit(closed, 5, None), b"hello");
        }
        bob.send(transmit(alice.at(ip), 5, None), b"hello");
        let received = (0..100).find_map(|_| alice.receive().pop()).expect("it arrived");
        assert_eq!(received.1, b"hello");
    }
}

#[test]
fn an_empty_datagram_stalls_nothing() {
    let (mut alice, mut bob) = (Node::dual(), Node::dual());
    let to = bob.at("127.0.0.1");
    alice
        .io
        .send_to(&[], SocketAddr::new("::ffff:127.0.0.1".parse().expect("ip"), to.port()))
        .expect("sent");
    alice.send(transmit(to, 5, None), b"hello");
    assert_eq!(bob.receive_one().1, b"hello");
    assert_eq!(bob.socket.stats().datagrams_received, 2, "it counts as a datagram");
}

#[test]
fn a_reply_leaves_from_the_address_that_was_reached() {
    let (mut alice, mut bob) = (Node::on("127.0.0.1:0"), Node::dual());
    alice.send(transmit(bob.at("127.0.0.5"), 5, None), b"hello");
    let (origin, _) = bob.receive_one();
    if bob.socket.system.is_plain() {
        assert_eq!(origin.local, None);
        return;
    }
    assert_eq!(origin.socket, SocketId(3));
    assert_eq!(origin.local, Some(IpAddr::from([127, 0, 0, 5])));
    assert_eq!(canonical(origin.remote), alice.at("127.0.0.1"));

    let mut reply = transmit(canonical(origin.remote), 3, None);
    reply.source = origin.local;
    bob.send(reply, b"bye");
    let (origin, bytes) = alice.receive_one();
    assert_eq!(bytes, b"bye");
    assert_eq!(origin.remote, bob.at("127.0.0.5"));
}

#[test]
fn a_hop_limit_holds_for_one_transmit() {
    let (mut alice, mut bob) = (Node::dual(), Node::dual());
    let before = SockRef::from(&alice.io).ttl_v4().expect("a limit");
    let mut transmit = transmit(bob.at("127.0.0.1"), 5, None);
    transmit.hop_limit = Some(1);
    alice.send(transmit, b"hello");
    assert_eq!(bob.receive_one().1, b"hello");
    assert_eq!(SockRef::from(&alice.io).ttl_v4().expect("a limit"), before);
}

#[test]
fn what_cannot_be_sent_is_counted_and_forgotten() {
    let mut alice = Node::on("127.0.0.1:0");
    for destination in ["[::1]:9", "127.0.0.1:0"] {
        alice.send(transmit(destination.parse().expect("an address"), 5, None), b"hello");
    }
    let bytes = vec![0; MAX_BATCH];
    // Nobody can be sent a datagram of this size over a link of less; loopback may take it.
    alice.send(transmit("127.0.0.1:9".parse().expect("an address"), bytes.len(), None), &bytes);
    assert!(alice.socket.stats().datagrams_refused >= 2);
    assert_eq!(alice.socket.usable_segments(), alice.socket.offered);
}

#[test]
fn a_socket_is_given_up_only_after_many_failures_in_a_row_and_a_long_time() {
    let mut node = Node::dual();
    let mut now = Instant::now();
    let mut note = |socket: &mut Socket, result: io::Result<usize>, pause: Duration| {
        now += pause;
        socket.note_received(result, &[], || now)
    };
    let broken = || Err(io::Error::other("bad descriptor"));
    let drained = || Err(io::ErrorKind::WouldBlock.into());
    let (millisecond, second) = (Duration::from_millis(1), Duration::from_secs(1));
    // Many, but all at once.
    for _ in 0..10 * FATAL_COUNT {
        assert_eq!(note(&mut node.socket, broken(), millisecond).expect("bearable"), 0);
    }
    assert_eq!(note(&mut node.socket, Ok(0), millisecond).expect("a success"), 0);
    assert!(node.socket.pauses_until().is_none());
    // For long, but few.
    for _ in 1..FATAL_COUNT {
        assert_eq!(note(&mut node.socket, broken(), second).expect("bearable"), 0);
    }
    note(&mut node.socket, drained(), second).expect_err("nothing to read");
    assert!(node.socket.pauses_until().is_none(), "a socket that answers is whole");
    // No failures of the socket.
    for _ in 0..2 * FATAL_COUNT {
        let reset = Err(io::ErrorKind::ConnectionReset.into());
        assert_eq!(note(&mut node.socket, reset, second).expect("a notice"), 0);
        assert!(node.socket.pauses_until().is_none());
    }
    for _ in 1..FATAL_COUNT {
        assert_eq!(note(&mut node.socket, broken(), second).expect("bearable"), 0);
    }
    note(&mut node.socket, broken(), second).expect_err("many, and for long");
}

#[test]
fn a_socket_that_failed_pauses_ever_longer_but_never_long() {
    let mut node = Node::dual();
    let mut now = Instant::now();
    let start = now;
    let mut pauses = Vec::new();
    while let Ok(0) = node.socket.note_received(Err(io::Error::other("no memory")), &[], || now) {
        let until = node.socket.pauses_until().expect("a pause");
        pauses.push((until - now).as_millis());
        now = until;
    }
    assert_eq!(pauses[..9], [1, 2, 4, 8, 16, 32, 64, 128, 128]);
    assert!(pauses.is_sorted() && pauses.last() == Some(&128));
    // A driver that obeys gives up after the number and not long after the time.
    assert_eq!(pauses.len() + 1, FATAL_COUNT as usize);
    assert!((FATAL_TIME..2 * FATAL_TIME).contains(&(now - start)));
}
