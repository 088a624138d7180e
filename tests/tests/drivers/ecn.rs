//! ECN marks survive a coalesced read.
//!
//! An application on a runtime does not see marks; its peer does: they come back in
//! acknowledgements, and "congestion experienced" slows the peer down. So the peer here is a core
//! driven by hand, which marks its datagrams as a router would and sends them in batches that the
//! receiver's kernel hands over in one read. That it does is shown by the tests of `handfast-udp`,
//! together with the marks at the level of its `Inbox`.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use handfast_core::{
    Config, Delivery, Ecn, Endpoint, Event, Identity, PeerHandle, PeerStats, SocketId, Target,
    Transmit,
};
use handfast_tests::{Node, Outgoing, Runtime, Setup, What, digest, within};
use handfast_udp::{Clock, Inbox, SockRef, Socket, bind};
use quinn_udp::{EcnCodepoint, UdpSocketState};

#[test]
fn a_mark_on_a_batch_reaches_the_core_on_both_runtimes() {
    for runtime in Runtime::ALL {
        let marked = within(HANG, move || send_batches(runtime, EcnCodepoint::Ce));
        assert!(marked.congestion_events > 0, "{runtime:?} lost the marks: {marked:?}");
        assert_eq!(marked.packets_lost, 0, "{runtime:?}: not by losses");
        let clean = within(HANG, move || send_batches(runtime, EcnCodepoint::Ect0));
        assert_eq!(clean.congestion_events, 0, "{runtime:?}: marks out of nowhere");
    }
}

#[test]
fn what_a_runtime_sends_asks_for_marks() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            let server = Node::start(Setup::new(runtime, 2));
            let mut client = Marking::new(EcnCodepoint::Ect0);
            client.dial(server.address());
            let initiator = server.accept();
            let (delivery, payload) = (Delivery::ordered(0), digest::bytes(1, 100_000));
            server.send(initiator, Outgoing { tag: 1, delivery, payload });
            client.run_until(|event| matches!(event, Event::Readable { .. }));
            assert!(client.capable > 50, "{runtime:?}: {} marked datagrams", client.capable);
        });
    }
}

/// Sends batches with this mark to a node, until every message in them is acknowledged.
fn send_batches(runtime: Runtime, mark: EcnCodepoint) -> PeerStats {
    let server = Node::start(Setup::new(runtime, 2));
    let mut client = Marking::new(mark);
    let peer = client.dial(server.address());
    // The congestion window sets the size of batches: only after some there are large ones.
    for _ in 0..20 {
        let message = digest::bytes(1, 100_000);
        client
            .core
            .send(client.clock.now(), peer, Delivery::ordered(0).with_receipt(), message)
            .expect("room");
        client.run_until(|event| matches!(event, Event::Fate { .. }));
    }
    let initiator = server.accept();
    let message = server.next();
    assert_eq!(message.peer, initiator);
    assert!(matches!(message.what, What::Message(_)));
    let gso = client.state.max_gso_segments() > 1;
    assert!(!gso || client.largest_batch >= 5, "batches of {} at most", client.largest_batch);
    client.core.peer(peer).expect("connected").stats
}

/// A core with a socket that marks the batches it sends.
struct Marking {
    core: Endpoint,
    clock: Clock,
    io: UdpSocket,
    socket: Socket,
    /// Sends: the house's own socket sends the marks that the core asks for.
    state: UdpSocketState,
    inbox: Inbox,
    mark: EcnCodepoint,
    largest_batch: usize,
    /// Datagrams that arrived with the mark that asks for others.
    capable: u64,
}

impl Marking {
    fn new(mark: EcnCodepoint) -> Self {
        let (clock, config) = (Clock::start(), Config::default());
        let io = bind(handfast_tests::loopback()).expect("bound");
        Self {
            core: Endpoint::new(
                config.validate().expect("valid"),
                Identity::from_seed([1; 32]),
                [3; 32],
                clock.now(),
            ),
            clock,
            socket: Socket::new(SockRef::from(&io)).expect("a socket"),
            state: UdpSocketState::new((&io).into()).expect("a socket"),
            io,
            inbox: Inbox::new(),
            mark,
            largest_batch: 0,
            capable: 0,
        }
    }

    fn dial(&mut self, address: SocketAddr) -> PeerHandle {
        let peer = self.core.connect(self.clock.now(), Target::from(address)).expect("a dial");
        self.run_until(|event| matches!(event, Event::Connected { .. }));
        peer
    }

    /// Runs the loop until something is told.
    fn run_until(&mut self, awaited: impl Fn(&Event) -> bool) {
        let mut buffer = vec![0; 60_000];
        loop {
            while let Some(transmit) = self.core.poll_transmit(self.clock.now(), &mut buffer) {
                self.send(&transmit, &buffer[..transmit.len]);
            }
            while let Some(event) = self.core.poll_event() {
                if awaited(&event) {
                    return;
                }
            }
            self.receive();
            if self.core.poll_timeout().is_some_and(|deadline| deadline <= self.clock.now()) {
                self.core.handle_timeout(self.clock.now());
            }
        }
    }

    fn send(&mut self, transmit: &Transmit, contents: &[u8]) {
        let segment_size = transmit.segment.map(|size| usize::from(size.get()));
        let count = segment_size.map_or(1, |size| contents.len().div_ceil(size));
        self.largest_batch = self.largest_batch.max(count);
        // Marks of datagrams that travel alone would hide that those of batches get lost.
        let mark = if count > 1 { self.mark } else { EcnCodepoint::Ect0 };
        let (destination, ecn) = (transmit.destination, transmit.ecn.map(|_| mark));
        let batch = quinn_udp::Transmit { destination, ecn, contents, segment_size, src_ip: None };
        self.state.try_send((&self.io).into(), &batch).expect("sent");
    }

    fn receive(&mut self) {
        let due =
            self.core.poll_timeout().map_or(Duration::from_secs(1), |at| self.clock.until(at));
        // Blocks until something comes or is due; at least the shortest time a socket can wait.
        self.io.set_nonblocking(false).expect("blocking");
        self.io.set_read_timeout(Some(due.max(Duration::from_millis(1)))).expect("a timeout");
        let any = self.io.peek(&mut [0]).is_ok();
        self.io.set_nonblocking(true).expect("not blocking");
        if any {
            self.inbox.receive(&mut self.socket, SockRef::from(&self.io)).expect("a datagram");
            while let Some((origin, datagram)) = self.inbox.take(SocketId(0)) {
                self.capable += u64::from(origin.ecn == Some(Ecn::Ect0));
                self.core.handle_datagram(self.clock.now(), origin, datagram);
            }
        }
    }
}

const HANG: Duration = Duration::from_secs(30);
