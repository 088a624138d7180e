//! A socket and what is known of its readiness.

use std::io;
use std::net::{SocketAddr, UdpSocket as StdSocket};

use handfast_core::SocketId;
use handfast_udp::{Inbox, Outbox, SockRef, Socket, explain};
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

/// A registered socket.
///
/// mio tells of readiness once, at the moment it begins ("edge-triggered"). So it is remembered
/// here until the socket says `WouldBlock`; whoever stops earlier must come back without waiting.
/// Writability is only asked for while a send is blocked: asked for always, every datagram that
/// leaves the kernel would wake the loop.
pub(crate) struct Port {
    io: UdpSocket,
    socket: Socket,
    token: Token,
    address: SocketAddr,
    readable: bool,
    blocked: bool,
    /// Registered for writability.
    armed: bool,
}

impl Port {
    pub(crate) fn new(std: StdSocket, id: SocketId, registry: &Registry) -> io::Result<Self> {
        let token = Token(id.0 as usize);
        let mut io = UdpSocket::from_std(std);
        let socket = Socket::new(SockRef::from(&io))?;
        let address = io.local_addr()?;
        registry.register(&mut io, token, Interest::READABLE)?;
        // Datagrams may be waiting since before the registration.
        Ok(Self { io, socket, token, address, readable: true, blocked: false, armed: false })
    }

    /// Closes the socket. The poll tells no more of it.
    pub(crate) fn close(mut self, registry: &Registry) {
        if let Err(error) = registry.deregister(&mut self.io) {
            let error = explain(&error);
            tracing::debug!(target: "handfast::driver", %error, "closed though still registered");
        }
    }

    /// Whether there may be something to read, and now is the time.
    pub(crate) fn is_readable(&self) -> bool {
        self.readable && !self.socket.is_pausing()
    }

    pub(crate) fn on_readable(&mut self) {
        self.readable = true;
    }

    pub(crate) fn on_writable(&mut self) {
        self.blocked = false;
    }

    /// Has the next poll tell of room to send exactly if that is waited for.
    pub(crate) fn arm(&mut self, registry: &Registry) -> io::Result<()> {
        if self.armed == self.blocked {
            return Ok(());
        }
        let mut interest = Interest::READABLE;
        if self.blocked {
            interest |= Interest::WRITABLE;
        }
        registry.reregister(&mut self.io, self.token, interest)?;
        self.armed = self.blocked;
        // Registering anew may swallow news of the read side on some systems.
        self.readable = true;
        Ok(())
    }
}

impl handfast_udp::Port for Port {
    fn receive(&mut self, inbox: &mut Inbox) -> io::Result<bool> {
        if !self.readable {
            return Ok(false);
        }
        let Self { io, socket, .. } = self;
        match io.try_io(|| inbox.receive(socket, SockRef::from(&*io))) {
            Ok(()) => {
                self.readable = !inbox.is_last();
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn flush(&mut self, outbox: &mut Outbox) -> io::Result<bool> {
        if self.blocked {
            // The poll will tell when to go on.
            return Ok(false);
        }
        let Self { io, socket, .. } = self;
        match io.try_io(|| outbox.flush(socket, SockRef::from(&*io))) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The socket that a registration stands for.
pub(crate) fn socket_of(token: Token) -> Option<SocketId> {
    u32::try_from(token.0).ok().map(SocketId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::SocketId;
    #[cfg(target_os = "linux")]
    use handfast_core::{Identity, Instant, ValidConfig};
    #[cfg(target_os = "linux")]
    use handfast_udp::faults::{Call, Fault, Faults, When};
    use handfast_udp::{Listen, Port as _};
    use mio::{Events, Poll};
    use std::time::Duration;

    /// More than one batch of reads, from as many sockets, so that nothing is coalesced.
    const SENDERS: usize = 100;

    #[test]
    fn a_port_stays_readable_until_it_is_drained() {
        let mut poll = Poll::new().expect("a poll");
        let listen = Listen::from("127.0.0.1:0".parse::<SocketAddr>().expect("an address"));
        let socket = listen.bind().expect("bound").remove(0);
        let mut port = Port::new(socket, SocketId(0), poll.registry()).expect("a port");
        let (mut inbox, mut events) = (Inbox::new(), Events::with_capacity(8));
        assert!(!port.receive(&mut inbox).expect("nothing to read"));
        assert!(!port.is_readable());

        for _ in 0..SENDERS {
            let sender = StdSocket::bind("127.0.0.1:0").expect("bound");
            sender.send_to(b"x", port.address()).expect("sent");
        }
        poll.poll(&mut events, Some(Duration::from_secs(60))).expect("polled");
        assert!(events.iter().any(mio::event::Event::is_readable));
        port.on_readable();

        assert!(port.receive(&mut inbox).expect("a batch"));
        let mut received = usize::try_from(inbox.left()).expect("few");
        assert!((1..SENDERS).contains(&received), "one batch has all {received}: send more");
        poll.poll(&mut events, Some(Duration::ZERO)).expect("polled");
        assert!(events.is_empty(), "the edge was told once");
        assert!(port.is_readable(), "the rest would be slept over");
        while port.receive(&mut inbox).expect("a batch") {
            received += usize::try_from(inbox.left()).expect("few");
        }
        assert_eq!(received, SENDERS);
        assert!(!port.is_readable());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_port_that_was_emptied_leaves_the_system_alone_until_the_poll_tells_of_more() {
        let mut poll = Poll::new().expect("a poll");
        let listen = Listen::from("127.0.0.1:0".parse::<SocketAddr>().expect("an address"));
        let socket = listen.bind().expect("bound").remove(0);
        let mut port = Port::new(socket, SocketId(0), poll.registry()).expect("a port");
        let (mut inbox, mut events) = (Inbox::new(), Events::with_capacity(8));
        let faults = Faults::of(port.address()).expect("a socket");
        let stranger = StdSocket::bind("127.0.0.1:0").expect("bound");
        for _ in 0..3 {
            stranger.send_to(b"x", port.address()).expect("sent");
            poll.poll(&mut events, Some(Duration::from_secs(60))).expect("polled");
            assert!(events.iter().any(mio::event::Event::is_readable));
            port.on_readable();
            assert!(port.receive(&mut inbox).expect("a batch"));
            assert_eq!(inbox.left(), 1);
        }
        faults.inject(Fault { call: Call::Receive, errno: EAGAIN, when: When::Next(1) });
        assert!(!port.is_readable());
        assert!(!port.receive(&mut inbox).expect("nothing to read"));
        assert_eq!(faults.hits(), 0, "the system was asked for what it had said");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_blocked_port_leaves_the_system_alone_until_the_poll_tells_of_room() {
        let mut poll = Poll::new().expect("a poll");
        let listen = Listen::from("127.0.0.1:0".parse::<SocketAddr>().expect("an address"));
        let socket = listen.bind().expect("bound").remove(0);
        let mut port = Port::new(socket, SocketId(0), poll.registry()).expect("a port");
        let (mut outbox, mut core) = (Outbox::new(), dialling(port.address()));
        assert!(outbox.fill(&mut core, Instant::from_micros(1), port.socket().batch_len()));
        let faults = Faults::of(port.address()).expect("a socket");
        faults.inject(Fault { call: Call::Send, errno: EAGAIN, when: When::Next(1) });
        for _ in 0..10 {
            assert!(!port.flush(&mut outbox).expect("it waits"));
        }
        assert_eq!(faults.hits(), 1);
        port.arm(poll.registry()).expect("registered");
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::from_secs(60))).expect("polled");
        assert!(events.iter().any(mio::event::Event::is_writable));
        port.on_writable();
        assert!(port.flush(&mut outbox).expect("sent"));
        port.arm(poll.registry()).expect("registered");
        assert!(!port.armed, "every datagram that leaves would wake the loop");
    }

    /// A core that has something to send.
    #[cfg(target_os = "linux")]
    fn dialling(address: SocketAddr) -> handfast_core::Endpoint {
        let now = Instant::from_micros(1);
        let identity = Identity::from_seed([1; 32]);
        let mut core = handfast_core::Endpoint::new(ValidConfig::default(), identity, [2; 32], now);
        core.connect(now, address.into()).expect("a dial");
        core
    }

    #[cfg(target_os = "linux")]
    const EAGAIN: i32 = 11;
}
