//! A socket and what is known of its readiness.

use std::io;
use std::net::{SocketAddr, UdpSocket as StdSocket};

use handfast_udp::{Inbox, Outbox, SockRef, Socket, SocketStats};
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
}

impl Port {
    pub(crate) fn new(std: StdSocket, token: Token, registry: &Registry) -> io::Result<Self> {
        let mut io = UdpSocket::from_std(std);
        let socket = Socket::new(SockRef::from(&io))?;
        let address = io.local_addr()?;
        registry.register(&mut io, token, Interest::READABLE)?;
        // Datagrams may be waiting since before the registration.
        Ok(Self { io, socket, token, address, readable: true, blocked: false })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) const fn stats(&self) -> &SocketStats {
        self.socket.stats()
    }

    pub(crate) fn batch_len(&self) -> usize {
        self.socket.batch_len()
    }

    /// Whether there may be something to read.
    pub(crate) const fn is_readable(&self) -> bool {
        self.readable
    }

    /// Whether the system's send buffer was full and has not been heard of since.
    pub(crate) const fn is_blocked(&self) -> bool {
        self.blocked
    }

    pub(crate) fn on_readable(&mut self) {
        self.readable = true;
    }

    pub(crate) fn on_writable(&mut self, registry: &Registry) -> io::Result<()> {
        if self.blocked {
            self.blocked = false;
            registry.reregister(&mut self.io, self.token, Interest::READABLE)?;
            // Registering anew may swallow news of the read side on some systems.
            self.readable = true;
        }
        Ok(())
    }

    /// Reads one batch if there may be one. False when there was nothing to read.
    pub(crate) fn receive(&mut self, inbox: &mut Inbox) -> io::Result<bool> {
        if !self.readable {
            return Ok(false);
        }
        let Self { io, socket, .. } = self;
        match io.try_io(|| inbox.receive(socket, SockRef::from(&*io))) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends what is pending. False when the system's send buffer is full: the rest stays pending
    /// and the poll will tell when to go on.
    pub(crate) fn flush(&mut self, outbox: &mut Outbox, registry: &Registry) -> io::Result<bool> {
        let Self { io, socket, .. } = self;
        match io.try_io(|| outbox.flush(socket, SockRef::from(&*io))) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                let both = Interest::READABLE | Interest::WRITABLE;
                registry.reregister(&mut self.io, self.token, both)?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::SocketId;
    use handfast_udp::Listen;
    use mio::{Events, Poll};
    use std::time::Duration;

    /// More than one batch of reads, from as many sockets, so that nothing is coalesced.
    const SENDERS: usize = 100;

    #[test]
    fn a_port_stays_readable_until_it_is_drained() {
        let mut poll = Poll::new().expect("a poll");
        let listen = Listen::from("127.0.0.1:0".parse::<SocketAddr>().expect("an address"));
        let socket = listen.bind().expect("bound").remove(0);
        let mut port = Port::new(socket, Token(0), poll.registry()).expect("a port");
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
        let mut received = inbox.datagrams(SocketId(0)).count();
        assert!((1..SENDERS).contains(&received), "one batch has all {received}: send more");
        poll.poll(&mut events, Some(Duration::ZERO)).expect("polled");
        assert!(events.is_empty(), "the edge was told once");
        assert!(port.is_readable(), "the rest would be slept over");
        while port.receive(&mut inbox).expect("a batch") {
            received += inbox.datagrams(SocketId(0)).count();
        }
        assert_eq!(received, SENDERS);
        assert!(!port.is_readable());
    }
}
