//! Cores on real sockets, some of which block.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use handfast_core::{
    Config, CongestionControl, Delivery, DisconnectOptions, Event, Identity, PeerHandle, SendError,
    Target,
};
use socket2::SockRef;

use super::*;
use crate::faults::{Call, Fault, Faults, When};
use crate::{Listen, Socket, SocketError, entropy};

mod sockets;

struct StdPort {
    io: UdpSocket,
    socket: Socket,
}

impl Port for StdPort {
    fn receive(&mut self, inbox: &mut Inbox) -> io::Result<bool> {
        unless_blocked(inbox.receive(&mut self.socket, SockRef::from(&self.io)))
    }

    fn flush(&mut self, outbox: &mut Outbox) -> io::Result<bool> {
        unless_blocked(outbox.flush(&mut self.socket, SockRef::from(&self.io)))
    }

    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn address(&self) -> SocketAddr {
        self.io.local_addr().expect("an address")
    }
}

fn port(_: SocketId, io: UdpSocket) -> io::Result<StdPort> {
    Ok(StdPort { socket: Socket::new(SockRef::from(&io))?, io })
}

fn unless_blocked(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        other => other.map(|()| true),
    }
}

struct Node {
    core: Endpoint,
    clock: Clock,
    traffic: Traffic<StdPort>,
    received: usize,
    connected: Vec<PeerHandle>,
}

impl Node {
    fn new(sockets: usize) -> Self {
        let listen = Listen::from(vec![loopback(); sockets]);
        let clock = Clock::start();
        let mut config = Config::default();
        // More at once than may wait for a socket.
        config.congestion = CongestionControl::Fixed(1 << 30);
        let identity = Identity::from_seed(entropy().expect("entropy"));
        let seed = entropy().expect("entropy");
        let config = config.validate().expect("valid");
        let mut core = Endpoint::new(config, identity, seed, clock.now());
        Self {
            traffic: Traffic::bind(&mut core, clock.now(), &listen, TURN, port).expect("bound"),
            core,
            clock,
            received: 0,
            connected: Vec::new(),
        }
    }

    fn address(&self, socket: u32) -> SocketAddr {
        self.traffic.lanes[&SocketId(socket)].port.address()
    }

    fn faults(&self, socket: u32) -> Arc<Faults> {
        Faults::of(self.address(socket)).expect("a socket")
    }

    fn add(&mut self, address: SocketAddr) -> Result<SocketId, SocketError> {
        self.traffic.add(&mut self.core, self.clock.now(), address, port)
    }

    fn remove(&mut self, socket: SocketId) -> Result<(), SocketError> {
        self.traffic.remove(&mut self.core, self.clock.now(), socket).map(drop)
    }

    fn turn(&mut self) {
        let Self { core, clock, traffic, .. } = self;
        traffic.receive(core, clock).expect("no fatal error");
        fire_timers(core, clock.now());
        while let Some(event) = traffic.poll_event(core, clock, port, drop) {
            match event {
                Event::Connected { peer, .. } => self.connected.push(peer),
                Event::Readable { peer } => {
                    while core.receive(clock.now(), peer).is_some() {
                        self.received += 1;
                    }
                }
                Event::Ended { reason, .. } => panic!("{reason}"),
                _ => {}
            }
        }
        traffic.transmit(core, clock).expect("no fatal error");
    }

    fn call(&mut self, address: SocketAddr) {
        self.core.connect(self.clock.now(), Target::from(address)).expect("a dial");
    }

    fn send(&mut self, peer: PeerHandle, len: usize) {
        let payload = vec![7; len].into();
        let sent = self.core.send(self.clock.now(), peer, Delivery::reliable(0), payload);
        assert!(sent.is_ok() || sent == Err(SendError::Blocked), "{sent:?}");
    }
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

fn turn_until(nodes: &mut [Node; 3], done: impl Fn(&[Node; 3]) -> bool) {
    let start = Instant::now();
    while !done(nodes) {
        assert!(start.elapsed() < Duration::from_secs(60), "hangs");
        nodes.iter_mut().for_each(Node::turn);
    }
}

#[test]
fn a_blocked_socket_holds_back_nobody_else_and_loses_nothing_reliable() {
    // The server has two sockets; alice calls the first, bob the second.
    let mut nodes = [Node::new(2), Node::new(1), Node::new(1)];
    for (socket, name) in [(0, 1), (1, 2)] {
        let address = nodes[0].address(socket);
        nodes[name].call(address);
        turn_until(&mut nodes, |[server, ..]| server.connected.len() == name);
    }
    turn_until(&mut nodes, |[_, alice, bob]| {
        [alice, bob].into_iter().all(|node| node.connected.len() == 1)
    });
    let [to_alice, to_bob] = [0, 1].map(|at| nodes[0].connected[at]);
    let faults = nodes[0].faults(0);
    faults.inject(Fault { call: Call::Send, errno: EAGAIN, when: When::Always });

    nodes[0].send(to_alice, 4 << 20);
    turn_until(&mut nodes, |[server, ..]| server.traffic.is_waiting(FIRST));
    for round in 1..=50 {
        nodes[0].send(to_bob, 3000);
        turn_until(&mut nodes, |[.., bob]| bob.received == round);
    }
    let overflowed = |server: &Node| server.traffic.stats().datagrams_overflowed;
    turn_until(&mut nodes, |[server, ..]| overflowed(server) > 0);
    assert_eq!(nodes[1].received, 0);
    assert_eq!(nodes[0].traffic.lanes[&FIRST].waiting.len(), MAX_WAITING);

    faults.heal();
    turn_until(&mut nodes, |[server, alice, _]| alice.received == 1 && server.traffic.is_idle());
}

#[test]
fn a_driver_with_one_blocked_socket_takes_nothing_more_from_the_core() {
    let mut nodes = [Node::new(1), Node::new(1), Node::new(1)];
    let address = nodes[0].address(0);
    nodes[1].call(address);
    turn_until(&mut nodes, |[server, alice, _]| {
        [server, alice].into_iter().all(|node| node.connected.len() == 1)
    });
    let (to_alice, faults) = (nodes[0].connected[0], nodes[0].faults(0));
    faults.inject(Fault { call: Call::Send, errno: EAGAIN, when: When::Always });
    nodes[0].send(to_alice, 4 << 20);
    turn_until(&mut nodes, |[server, ..]| server.traffic.is_waiting(FIRST));
    let sent = nodes[0].core.stats().datagrams_sent;
    let mut turns = 0;
    let before = faults.hits();
    while turns < 1000 {
        nodes.iter_mut().for_each(Node::turn);
        turns += 1;
    }
    assert_eq!(nodes[0].core.stats().datagrams_sent, sent);
    assert_eq!(faults.hits() - before, turns, "one attempt per turn");
    faults.heal();
    turn_until(&mut nodes, |[_, alice, _]| alice.received == 1);

    let spare = |server: &Node| server.traffic.spare.is_some();
    assert!(spare(&nodes[0]), "the batch that waited was thrown away");
    faults.inject(Fault { call: Call::Send, errno: EAGAIN, when: When::Always });
    nodes[0].send(to_alice, 3000);
    turn_until(&mut nodes, |[server, ..]| server.traffic.is_waiting(FIRST));
    assert!(!spare(&nodes[0]), "another was made");
}

#[test]
fn at_the_end_a_blocked_socket_has_a_second_and_no_more() {
    let mut nodes = [Node::new(1), Node::new(1), Node::new(1)];
    let address = nodes[0].address(0);
    let faults = nodes[1].faults(0);
    faults.inject(Fault { call: Call::Send, errno: EAGAIN, when: When::Always });
    nodes[1].call(address);
    nodes[1].turn();
    let Node { core, traffic, clock, .. } = &mut nodes[1];
    assert!(traffic.is_waiting(FIRST));
    let long_after = clock.now() + 2 * LAST_CHANCE;
    assert!(!traffic.shutdown(core, long_after), "it is not to close");
    assert_eq!(traffic.deadline(clock), None);
    core.close(clock.now(), DisconnectOptions::default());
    while core.poll_event().is_some() {}
    assert!(core.is_closed(), "a dial ends at once");
    let end = clock.now();
    for millis in [0, 1, 999] {
        assert!(!traffic.shutdown(core, end + Duration::from_millis(millis)));
        assert_eq!(traffic.deadline(clock), Some(end + LAST_CHANCE));
    }
    assert!(traffic.shutdown(core, end + LAST_CHANCE));
    assert!(traffic.is_closed(core));
    assert_eq!(traffic.deadline(clock), None);
    assert_eq!(traffic.stats().datagrams_overflowed, 1);
}

/// However long it took to read them: a turn that did nothing would be followed by another such.
#[test]
fn a_turn_that_is_over_at_once_takes_in_one_datagram_all_the_same() {
    let mut node = Node::new(1);
    node.traffic.turn = Turn::begin(node.clock.now(), Duration::ZERO);
    let stranger = UdpSocket::bind(loopback()).expect("bound");
    for _ in 0..5 {
        stranger.send_to(b"noise", node.address(0)).expect("sent");
    }
    for taken in 1..=5 {
        node.traffic.receive(&mut node.core, &node.clock).expect("no fatal error");
        assert_eq!(node.traffic.stats().datagrams_received, taken);
        // Only where one call reads several is anything left of it.
        assert_eq!(node.traffic.is_behind(), quinn_udp::BATCH_SIZE > 1 && taken < 5);
    }
}

/// Else who asks would be read, and wait for an answer behind ever more who ask.
#[test]
fn what_answers_a_turn_leaves_in_it() {
    // Each socket is read once in a turn.
    let mut node = Node::new(2);
    let stranger = UdpSocket::bind(loopback()).expect("bound");
    // A handshake of another version, which is answered without effort.
    let mut request = [0; 64];
    request[..2].copy_from_slice(&[0xc1, 0xff]);
    for number in 0..128 {
        stranger.send_to(&request, node.address(number % 2)).expect("sent");
    }
    // Only datagrams end these turns.
    node.traffic.turn = Turn::begin(node.clock.now(), Duration::from_secs(60));
    let stats = |node: &Node| node.traffic.stats();
    while stats(&node).datagrams_received < 128 {
        node.turn();
        assert_eq!(stats(&node).datagrams_sent, stats(&node).datagrams_received);
    }
}

const FIRST: SocketId = SocketId(0);

const EAGAIN: i32 = if cfg!(windows) {
    10_035
} else if cfg!(any(target_os = "linux", target_os = "android")) {
    11
} else {
    35
};
const TURN: Duration = Duration::from_micros(50);
