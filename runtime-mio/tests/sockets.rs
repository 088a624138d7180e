//! Sockets come and go while traffic flows.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use handfast_mio::{
    Config, ConnectError, Delivery, Endpoint, Event, Identity, Listen, PeerHandle, SendError,
    SocketError, SocketId, entropy,
};

const HANG: Duration = Duration::from_secs(120);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// An endpoint that sends numbers to its first peer while it is to talk, and expects the same from it.
struct Node {
    endpoint: Endpoint,
    peer: Option<PeerHandle>,
    talks: bool,
    connected: usize,
    sent: u32,
    received: u32,
    /// The only one there is.
    socket: SocketId,
}

impl Node {
    fn new() -> Self {
        let identity = Identity::from_seed(entropy().expect("entropy"));
        let endpoint = Endpoint::bind(Config::default(), identity, Listen::from(loopback()));
        let endpoint = endpoint.expect("bound");
        let socket = SocketId(0);
        Self { endpoint, peer: None, talks: true, connected: 0, sent: 0, received: 0, socket }
    }

    fn turn(&mut self) {
        self.endpoint.turn(Some(Duration::ZERO)).expect("no fatal error");
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Connected { peer, .. } => {
                    self.connected += 1;
                    self.peer.get_or_insert(peer);
                }
                Event::Readable { peer } => self.receive(peer),
                Event::Ended { peer, reason, .. } => assert_ne!(self.peer, Some(peer), "{reason}"),
                _ => {}
            }
        }
        self.send();
    }

    fn send(&mut self) {
        let Some(peer) = self.peer else { return };
        while self.talks {
            let payload = self.sent.to_le_bytes().to_vec();
            match self.endpoint.send(peer, Delivery::ordered(1), payload) {
                Ok(_) => self.sent += 1,
                Err(SendError::Blocked) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn receive(&mut self, peer: PeerHandle) {
        while let Some(message) = self.endpoint.receive(peer) {
            assert_eq!(message.payload.as_ref(), self.received.to_le_bytes());
            self.received += 1;
        }
    }

    fn knows_where_is(&self, other: &Self) -> bool {
        let path = self.peer.and_then(|peer| self.endpoint.peer(peer)?.path);
        path.and_then(|path| path.remote()) == Some(other.endpoint.local_addresses()[0])
    }

    /// Puts a socket in the place of the only one there is.
    fn exchange_socket(&mut self) {
        let before = self.endpoint.local_addresses();
        let new = self.endpoint.add_socket(loopback()).expect("added");
        let address = self.endpoint.local_address(new).expect("open");
        assert_eq!(self.endpoint.local_addresses(), [before[0], address]);
        let connected = self.connected;
        let mut visitor = Self { talks: false, ..Self::new() };
        visitor.endpoint.connect(address).expect("a dial");
        turn_until(&mut [self, &mut visitor], |nodes| nodes[0].connected > connected);

        self.endpoint.remove_socket(self.socket).expect("removed");
        assert_eq!(self.endpoint.local_addresses(), [address]);
        assert_eq!(self.endpoint.local_address(self.socket), None);
        UdpSocket::bind(before[0]).expect("the socket is closed");
        self.socket = new;
    }
}

fn turn_until(nodes: &mut [&mut Node], done: impl Fn(&[&mut Node]) -> bool) {
    let start = Instant::now();
    while !done(nodes) {
        assert!(start.elapsed() < HANG, "hangs");
        nodes.iter_mut().for_each(|node| node.turn());
    }
}

/// Whether each of the two knows where the other is now. One that leaves its address before could not
/// be found any more by the other, nor find it.
fn are_in_touch(nodes: &[&mut Node]) -> bool {
    nodes[0].knows_where_is(nodes[1]) && nodes[1].knows_where_is(nodes[0])
}

#[test]
fn sockets_come_and_go_under_traffic_and_nothing_reliable_is_lost() {
    let (mut alice, mut bob) = (Node::new(), Node::new());
    alice.endpoint.connect(bob.endpoint.local_addresses()[0]).expect("a dial");
    for round in 1..=6 {
        let before = [alice.received, bob.received];
        turn_until(&mut [&mut alice, &mut bob], |nodes| {
            let mut progress = nodes.iter().zip(before);
            are_in_touch(nodes) && progress.all(|(node, before)| node.received > before + 3000)
        });
        let node = if round % 2 == 0 { &mut alice } else { &mut bob };
        node.exchange_socket();
    }
    (alice.talks, bob.talks) = (false, false);
    turn_until(&mut [&mut alice, &mut bob], |nodes| {
        let all_arrived = |one: usize, other: usize| nodes[one].received == nodes[other].sent;
        are_in_touch(nodes) && all_arrived(0, 1) && all_arrived(1, 0)
    });
    for node in [&alice, &bob] {
        let (seen, taken) = (node.endpoint.socket_stats(), node.endpoint.stats());
        assert_eq!(seen.datagrams_received, taken.datagrams_received, "removed sockets count");
    }
}

#[test]
fn a_socket_that_cannot_come_or_go_is_an_error_that_says_why() {
    let mut endpoint = Node::new().endpoint;
    let taken = endpoint.local_addresses();
    let error = endpoint.add_socket(taken[0]).expect_err("taken");
    assert!(error.to_string().contains(&taken[0].to_string()), "{error}");
    let SocketError::Open(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let unknown = endpoint.remove_socket(SocketId(7));
    assert!(matches!(unknown, Err(SocketError::Unknown(SocketId(7)))));
    let last = endpoint.remove_socket(SocketId(0));
    assert!(matches!(last, Err(SocketError::Last(SocketId(0)))));
    assert_eq!(endpoint.local_addresses(), taken);
}

/// What is read was written to a socket that was added: the poll tells of it.
#[test]
fn a_socket_that_was_added_wakes_the_loop_and_one_that_was_removed_does_not() {
    let mut endpoint = Node::new().endpoint;
    let new = endpoint.add_socket(loopback()).expect("added");
    let address = endpoint.local_address(new).expect("open");
    endpoint.turn(Some(Duration::ZERO)).expect("no fatal error");
    let stranger = UdpSocket::bind(loopback()).expect("bound");
    let received = endpoint.socket_stats().datagrams_received;
    stranger.send_to(b"x", address).expect("sent");
    endpoint.turn(Some(HANG)).expect("no fatal error");
    assert_eq!(endpoint.socket_stats().datagrams_received, received + 1);

    endpoint.remove_socket(new).expect("removed");
    // Perhaps the system tells that nobody is there.
    stranger.send_to(b"x", address).ok();
    let start = Instant::now();
    endpoint.turn(Some(Duration::from_millis(200))).expect("no fatal error");
    assert!(start.elapsed() >= Duration::from_millis(200), "woken by nothing");
    assert_eq!(endpoint.socket_stats().datagrams_received, received + 1);
}

/// Two endpoints in one foreign poll, which waits for as long as they allow.
#[cfg(unix)]
#[test]
fn an_endpoint_is_driven_from_a_foreign_poll() {
    use mio::{Events, Interest, Poll, Token};

    let (mut alice, mut bob) = (Node::new(), Node::new());
    let (mut poll, mut events) = (Poll::new().expect("a poll"), Events::with_capacity(8));
    for (number, node) in [&mut alice, &mut bob].into_iter().enumerate() {
        let registry = poll.registry();
        registry
            .register(&mut node.endpoint, Token(number), Interest::READABLE)
            .expect("registered");
    }
    let peer = alice.endpoint.connect(bob.endpoint.local_addresses()[0]).expect("a dial");
    let start = Instant::now();
    while alice.received < 3000 || bob.received < 3000 {
        assert!(start.elapsed() < HANG, "hangs");
        let mut wait = Some(HANG);
        for node in [&mut alice, &mut bob] {
            wait = node.endpoint.prepare(wait).expect("no fatal error");
        }
        poll.poll(&mut events, wait).expect("polled");
        alice.turn();
        bob.turn();
    }
    // A command from elsewhere wakes the poll.
    (alice.talks, bob.talks) = (false, false);
    let remote = alice.endpoint.remote();
    let thread = std::thread::spawn(move || remote.run(|alice| alice.close(Default::default())));
    while alice.endpoint.peer(peer).is_some() {
        assert!(start.elapsed() < HANG, "hangs");
        let wait =
            alice.endpoint.prepare(bob.endpoint.prepare(Some(HANG)).expect("no fatal error"));
        poll.poll(&mut events, wait.expect("no fatal error")).expect("polled");
        bob.endpoint.turn(Some(Duration::ZERO)).expect("no fatal error");
        alice.endpoint.turn(Some(Duration::ZERO)).expect("no fatal error");
        while alice.endpoint.poll_event().is_some() {}
        while bob.endpoint.poll_event().is_some() {}
    }
    thread.join().expect("no panic").expect("room");
}

#[test]
fn a_dial_of_a_connected_peer_says_so_and_names_it() {
    let (mut alice, mut bob) = (Node::new(), Node::new());
    let id = bob.endpoint.id();
    let peer = alice.endpoint.connect(bob.endpoint.local_addresses()[0]).expect("a dial");
    turn_until(&mut [&mut alice, &mut bob], |nodes| nodes[0].connected == 1);
    assert_eq!(alice.endpoint.connect(id), Err(ConnectError::AlreadyConnected(peer)));
}
