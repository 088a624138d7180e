// What the examples of the guide talk through. It is no module: the examples include it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use handfast_core::{
    Bytes, Config, Delivery, EndReason, Endpoint, Event, DisconnectOptions, Fate, DisconnectReason, Identity,
    Instant, Order, Origin, PeerHandle, PeerId, PeerState, SendError, Target, ValidConfig,
};

/// Two endpoints, a network between them that loses nothing unless it is cut, and the time.
struct Pair {
    now: Instant,
    client: Endpoint,
    server: Endpoint,
    is_cut: bool,
}

impl Pair {
    fn new(config: Config) -> Self {
        let config = config.validate().expect("a valid configuration");
        let now = Instant::from_micros(1_000_000);
        let endpoint = |byte| {
            let identity = Identity::from_seed([byte; 32]);
            Endpoint::new(config.clone(), identity, [byte + 1; 32], now)
        };
        Self { now, client: endpoint(1), server: endpoint(3), is_cut: false }
    }

    /// Connects the client to the server: the client's handle and the server's.
    fn connect(&mut self) -> (PeerHandle, PeerHandle) {
        let target = Target::new(self.server.id(), [address(2)]);
        let server = self.client.connect(self.now, target).expect("a dial");
        self.run(Duration::from_millis(10));
        let client = self.server.peer_by_id(&self.client.id()).expect("connected");
        assert!(matches!(self.client.poll_event(), Some(Event::Connected { .. })));
        assert!(matches!(self.server.poll_event(), Some(Event::Connected { .. })));
        while self.client.poll_event().is_some() {}
        while self.server.poll_event().is_some() {}
        (server, client)
    }

    /// Lets time pass: delivers what is sent, and fires the deadlines that come up.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            while self.exchange() {}
            let deadlines = [self.client.poll_timeout(), self.server.poll_timeout()];
            match deadlines.into_iter().flatten().min() {
                Some(due) if due <= end => self.now = self.now.max(due),
                _ => break,
            }
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// Delivers what each end has to send. False if there was nothing.
    fn exchange(&mut self) -> bool {
        let Self { now, client, server, is_cut } = self;
        let sent = deliver(*now, client, server, address(1), *is_cut);
        deliver(*now, server, client, address(2), *is_cut) || sent
    }
}

fn deliver(
    now: Instant,
    from: &mut Endpoint,
    to: &mut Endpoint,
    source: SocketAddr,
    is_cut: bool,
) -> bool {
    let (mut sent, mut buffer) = (false, [0; 2048]);
    while let Some(transmit) = from.poll_transmit(now, &mut buffer) {
        sent = true;
        if !is_cut {
            to.handle_datagram(now, Origin::from_remote(source), &mut buffer[..transmit.len]);
        }
    }
    sent
}

/// All pending events.
fn events(endpoint: &mut Endpoint) -> Vec<Event> {
    std::iter::from_fn(|| endpoint.poll_event()).collect()
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 4263))
}

/// A non-blocking socket with the two calls of `std::net::UdpSocket` that a loop needs.
struct Socket {
    address: SocketAddr,
    other: SocketAddr,
    inbox: Rc<RefCell<VecDeque<Vec<u8>>>>,
    outbox: Rc<RefCell<VecDeque<Vec<u8>>>>,
}

impl Socket {
    /// Two sockets that reach each other.
    fn pair() -> (Self, Self) {
        let (here, there) = (Rc::default(), Rc::default());
        let one = Self {
            address: address(1),
            other: address(2),
            inbox: Rc::clone(&here),
            outbox: Rc::clone(&there),
        };
        (one, Self { address: address(2), other: address(1), inbox: there, outbox: here })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let datagram = self.inbox.borrow_mut().pop_front();
        let datagram = datagram.ok_or_else(|| io::Error::from(io::ErrorKind::WouldBlock))?;
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok((datagram.len(), self.other))
    }

    fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        assert_eq!(to, self.other, "there is no one else");
        let mut outbox = self.outbox.borrow_mut();
        if outbox.len() >= 8 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        outbox.push_back(datagram.to_vec());
        Ok(datagram.len())
    }
}
