//! Sockets come and go.

use super::*;
use crate::net::{FourTuple, SocketId, Transmit, Via};
use crate::{CommandError, PeerInfo};

const FIRST: SocketId = SocketId(0);

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Two endpoints that shook hands. `a` has sockets, each at an address of its own; `b` has one.
struct Table {
    a: Node,
    b: Node,
    to_b: PeerHandle,
    to_a: PeerHandle,
    sockets: Vec<(SocketId, SocketAddr)>,
    ms: u64,
}

impl Table {
    fn new() -> Self {
        let mut pair = Pair::connected(&Config::default());
        let (to_b, to_a) = (pair.peer(), pair.initiator());
        pair.a.endpoint.socket_opened(pair.now, FIRST, pair.a.address);
        let sockets = vec![(FIRST, pair.a.address)];
        Self { a: pair.a, b: pair.b, to_b, to_a, sockets, ms: 1000 }
    }

    fn open(&mut self, bound: &str) -> SocketId {
        let socket = self.a.endpoint.request_socket(at(self.ms), address(bound)).expect("room");
        self.a.endpoint.socket_opened(at(self.ms), socket, address(bound));
        self.sockets.push((socket, address(bound)));
        socket
    }

    fn close(&mut self, socket: SocketId) {
        self.sockets.retain(|(open, _)| *open != socket);
        self.a.endpoint.socket_closed(at(self.ms), socket);
    }

    /// Everything that `a` sends now.
    fn polled(&mut self) -> Vec<(Transmit, Vec<u8>)> {
        let (mut all, mut buf) = (vec![], [0; 2048]);
        while let Some(transmit) = self.a.endpoint.poll_transmit(at(self.ms), &mut buf) {
            all.push((transmit, buf[..transmit.len].to_vec()));
        }
        all
    }

    /// For so many milliseconds. What names a socket that is closed, or goes to one, is lost; how many
    /// datagrams of `a` that were is returned.
    fn run(&mut self, ms: u64) -> usize {
        let mut lost = 0;
        for _ in 0..ms {
            self.ms += 1;
            let now = at(self.ms);
            for (transmit, bytes) in self.polled() {
                match self.sockets.iter().find(|(socket, _)| *socket == transmit.socket) {
                    Some((_, from)) => self.b.take(now, *from, &bytes),
                    None => lost += 1,
                }
            }
            for (to, mut bytes) in self.b.sent(now) {
                if let Some((socket, _)) = self.sockets.iter().find(|(_, bound)| *bound == to) {
                    let mut origin = Origin::from_remote(self.b.address);
                    origin.socket = *socket;
                    self.a.endpoint.handle_datagram(now, origin, &mut bytes);
                }
            }
            for node in [&mut self.a, &mut self.b] {
                node.wake(now);
            }
        }
        lost
    }

    fn info(&self) -> PeerInfo {
        self.a.endpoint.peer(self.to_b).expect("alive")
    }

    fn socket(&self) -> SocketId {
        let path = self.info().path;
        let Some(Via::Direct(FourTuple { socket, .. })) = path else { std::panic!("{path:?}") };
        socket
    }
}

#[test]
fn a_peer_whose_socket_closes_goes_on_by_another_and_nothing_reliable_is_lost() {
    let mut table = Table::new();
    for number in 0..50 {
        table.a.send(at(table.ms), table.to_b, Delivery::ordered(0), 2500);
        table.b.send(at(table.ms), table.to_a, Delivery::ordered(0), 2500);
        if number == 25 {
            let second = table.open("10.0.0.1:9000");
            assert_eq!(table.socket(), FIRST, "a socket that works is not left");
            table.close(FIRST);
            assert_eq!(table.socket(), second);
        }
        assert_eq!(table.run(5), 0, "a datagram left by a socket that is closed");
    }
    table.run(3000);
    assert_eq!(table.b.received(at(table.ms), table.to_a).len(), 50);
    assert_eq!(table.a.received(at(table.ms), table.to_b).len(), 50);
    let path = table.b.endpoint.peer(table.to_a).expect("alive").path.expect("a path");
    assert_eq!(path.remote(), Some(address("10.0.0.1:9000")));
}

#[test]
fn a_peer_that_is_idle_learns_at_once_that_its_socket_closed() {
    let mut table = Table::new();
    table.run(2000);
    let second = table.open("10.0.0.1:9000");
    assert!(table.polled().is_empty(), "a socket that opens is nobody's business");
    table.close(FIRST);
    let sent = table.polled();
    assert!(!sent.is_empty() && sent.iter().all(|(transmit, _)| transmit.socket == second));
}

#[test]
fn a_peer_that_no_socket_reaches_waits_for_one_that_does() {
    let mut table = Table::new();
    table.open("[2001:db8::1]:4263");
    table.open("127.0.0.1:4263");
    table.close(FIRST);
    table.a.send(at(table.ms), table.to_b, Delivery::ordered(0), 10);
    assert!(table.run(500) > 0, "they name the closed socket");
    assert_eq!(table.socket(), FIRST);
    let last = table.open("[::]:4263");
    assert_eq!(table.socket(), last);
    table.run(2000);
    assert_eq!(table.b.received(at(table.ms), table.to_a).len(), 1);
}

#[test]
fn an_answer_to_a_stranger_leaves_by_another_socket_if_its_own_is_gone() {
    let mut table = Table::new();
    let second = table.open("10.0.0.1:9000");
    let mut stranger = Node::new(3, Config::default());
    stranger.call(at(table.ms), &table.a);
    let mut request = stranger.sent_one(at(table.ms));
    let mut origin = Origin::from_remote(stranger.address);
    (origin.socket, origin.local) = (second, Some(address("10.0.0.1:9000").ip()));
    table.a.endpoint.handle_datagram(at(table.ms), origin, &mut request);
    table.close(second);
    let sent = table.polled();
    let answer = sent.iter().find(|(transmit, _)| transmit.destination == stranger.address);
    let (transmit, _) = answer.expect("an answer");
    assert_eq!((transmit.socket, transmit.source), (FIRST, None));
}

#[test]
fn a_dial_leaves_by_the_oldest_socket_that_reaches_its_address() {
    let mut table = Table::new();
    let v6 = table.open("[2001:db8::1]:4263");
    let loopback = table.open("127.0.0.1:4263");
    let any = table.open("[::]:4263");
    for (remote, socket) in [
        ("192.0.2.7:1", FIRST),
        ("[2001:db8::7]:1", v6),
        ("127.0.0.1:1", FIRST),
        ("[::ffff:192.0.2.8]:1", FIRST),
    ] {
        table.a.endpoint.connect(at(table.ms), address(remote).into()).expect("a dial");
        let sent = table.polled();
        assert!(!sent.is_empty() && sent.iter().all(|(one, _)| one.socket == socket), "{remote}");
    }
    table.close(FIRST);
    table.polled();
    for (remote, socket) in [("192.0.2.9:1", any), ("127.0.0.2:1", loopback)] {
        table.a.endpoint.connect(at(table.ms), address(remote).into()).expect("a dial");
        let sent = table.polled();
        assert!(!sent.is_empty() && sent.iter().all(|(one, _)| one.socket == socket), "{remote}");
    }
}

#[test]
fn a_request_is_told_once_before_all_else_and_not_once_it_is_answered() {
    let mut node = Node::new(1, Config::default());
    let bound = address("0.0.0.0:0");
    let mut request = || node.endpoint.request_socket(at(0), bound).expect("room");
    let [told, opened, refused] = [request(), request(), request()];
    let handle = node.call(at(0), &Node::new(2, Config::default()));
    node.endpoint.disconnect(at(0), handle, DisconnectOptions::default()).expect("it dials");
    node.endpoint.socket_opened(at(0), opened, bound);
    node.endpoint.socket_closed(at(0), refused);
    node.listen();
    assert_eq!(
        node.events[0],
        Event::OpenSocket { socket: told, address: bound, temporary: false }
    );
    assert_eq!((node.events[0].peer(), node.events[1].peer()), (None, Some(handle)));
    assert_eq!(node.count(|event| matches!(event, Event::OpenSocket { .. })), 1);
}

#[test]
fn ids_are_never_used_again_and_sockets_are_bounded() {
    let mut endpoint = Node::new(1, Config::default()).endpoint;
    let bound = address("0.0.0.0:0");
    let mut last = FIRST;
    for _ in 0..5000 {
        let next = endpoint.request_socket(at(0), bound).expect("room");
        assert!(next > last);
        last = next;
        endpoint.socket_opened(at(0), next, bound);
        endpoint.socket_closed(at(0), next);
    }
    endpoint.socket_opened(at(0), SocketId(9000), bound);
    assert_eq!(endpoint.request_socket(at(0), bound), Ok(SocketId(9001)));
    while endpoint.request_socket(at(0), bound).is_ok() {}
    assert_eq!(endpoint.request_socket(at(0), bound), Err(CommandError::TooMany));
    assert_eq!(std::iter::from_fn(|| endpoint.poll_event()).count(), 1022);
}
