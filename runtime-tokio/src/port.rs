//! A socket of the runtime.

use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use handfast_udp::{Inbox, Outbox, SockRef, Socket};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A socket registered with tokio, which remembers readiness until a call says `WouldBlock`.
pub(crate) struct Port {
    io: UdpSocket,
    socket: Socket,
    address: SocketAddr,
    /// There is something to read, though tokio may not know yet.
    peeked: AtomicBool,
}

impl Port {
    pub(crate) fn new(std: StdSocket) -> io::Result<Self> {
        let io = UdpSocket::from_std(std)?;
        let (socket, address) = (Socket::new(SockRef::from(&io))?, io.local_addr()?);
        Ok(Self { io, socket, address, peeked: AtomicBool::new(false) })
    }

    /// Ready when there may be something to read or, if `to_send`, room to send.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>, to_send: bool) -> Poll<()> {
        // An error will be found by the call that follows.
        let readable = !self.socket.is_pausing() && self.io.poll_recv_ready(cx).is_ready();
        let writable = to_send && self.io.poll_send_ready(cx).is_ready();
        if readable || writable { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether there is something to read: the system is asked, whatever tokio knows.
    pub(crate) fn peek(&self) -> bool {
        if self.socket.is_pausing() {
            return false;
        }
        let peeked = SockRef::from(&self.io).peek(&mut [MaybeUninit::uninit()]);
        // An error will be found by the read that follows.
        let is_there = !peeked.is_err_and(|error| is_blocked(&error));
        self.peeked.fetch_or(is_there, Ordering::Relaxed);
        is_there
    }
}

impl handfast_udp::Port for Port {
    fn receive(&mut self, inbox: &mut Inbox) -> io::Result<bool> {
        let Self { io, socket, peeked, .. } = self;
        if std::mem::take(peeked.get_mut()) {
            return unless_blocked(inbox.receive(socket, SockRef::from(&*io)));
        }
        let mut has_read = false;
        let read = io.try_io(Interest::READABLE, || {
            inbox.receive(socket, SockRef::from(&*io))?;
            has_read = true;
            // The socket would say so if it was asked once more.
            if inbox.is_last() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        Ok(unless_blocked(read)? || has_read)
    }

    fn flush(&mut self, outbox: &mut Outbox) -> io::Result<bool> {
        let Self { io, socket, .. } = self;
        unless_blocked(io.try_io(Interest::WRITABLE, || outbox.flush(socket, SockRef::from(&*io))))
    }

    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn address(&self) -> SocketAddr {
        self.address
    }
}

fn unless_blocked(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if is_blocked(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_blocked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "linux")]
    use handfast_core::{Identity, Instant, ValidConfig};
    #[cfg(target_os = "linux")]
    use handfast_udp::faults::{Call, Fault, Faults, When};
    use handfast_udp::{Listen, Port as _};
    use std::future::poll_fn;

    /// More than one batch of reads, from as many sockets, so that nothing is coalesced.
    const SENDERS: usize = 100;

    #[tokio::test]
    async fn a_port_stays_ready_until_it_is_drained() {
        let listen = Listen::from("127.0.0.1:0".parse::<SocketAddr>().expect("an address"));
        let mut port = Port::new(listen.bind().expect("bound").remove(0)).expect("a port");
        let mut inbox = Inbox::new();
        assert!(!port.receive(&mut inbox).expect("nothing to read"));
        for _ in 0..SENDERS {
            let sender = StdSocket::bind("127.0.0.1:0").expect("bound");
            sender.send_to(b"x", port.address()).expect("sent");
        }
        let mut received = 0;
        while received < SENDERS {
            // Hangs if a batch cut short is slept over.
            poll_fn(|cx| port.poll_ready(cx, false)).await;
            if port.receive(&mut inbox).expect("a batch") {
                received += usize::try_from(inbox.left()).expect("few");
            }
        }
        assert!(!port.receive(&mut inbox).expect("nothing to read"));
        let now = poll_fn(|cx| Poll::Ready(port.poll_ready(cx, false).is_ready())).await;
        assert!(!now);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_port_that_was_emptied_leaves_the_system_alone_until_tokio_tells_of_more() {
        let listen = Listen::from("127.0.0.1:0".parse::<SocketAddr>().expect("an address"));
        let mut port = Port::new(listen.bind().expect("bound").remove(0)).expect("a port");
        let (mut inbox, faults) = (Inbox::new(), Faults::of(port.address()).expect("a socket"));
        let stranger = StdSocket::bind("127.0.0.1:0").expect("bound");
        for _ in 0..3 {
            stranger.send_to(b"x", port.address()).expect("sent");
            // Hangs if the end of what was there before hides this.
            poll_fn(|cx| port.poll_ready(cx, false)).await;
            assert!(port.receive(&mut inbox).expect("a batch"));
            assert_eq!(inbox.left(), 1);
        }
        faults.inject(Fault { call: Call::Receive, errno: EAGAIN, when: When::Next(1) });
        assert!(!port.receive(&mut inbox).expect("nothing to read"));
        assert_eq!(faults.hits(), 0, "the system was asked for what it had said");
        let now = poll_fn(|cx| Poll::Ready(port.poll_ready(cx, false).is_ready())).await;
        assert!(!now, "nobody told of more");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_blocked_port_leaves_the_system_alone_until_tokio_tells_of_room() {
        let listen = Listen::from("127.0.0.1:0".parse::<SocketAddr>().expect("an address"));
        let mut port = Port::new(listen.bind().expect("bound").remove(0)).expect("a port");
        let (mut outbox, mut core) = (Outbox::new(), dialling(port.address()));
        assert!(outbox.fill(&mut core, Instant::from_micros(1), port.socket().batch_len()));
        poll_fn(|cx| port.poll_ready(cx, true)).await;
        let faults = Faults::of(port.address()).expect("a socket");
        faults.inject(Fault { call: Call::Send, errno: EAGAIN, when: When::Next(1) });
        for _ in 0..10 {
            assert!(!port.flush(&mut outbox).expect("it waits"));
        }
        assert_eq!(faults.hits(), 1);
        let now = poll_fn(|cx| Poll::Ready(port.poll_ready(cx, true).is_ready())).await;
        assert!(!now, "nobody told of room");
        // The next event of the socket, whatever it is about, tells of the room that is there.
        let stranger = StdSocket::bind("127.0.0.1:0").expect("bound");
        stranger.send_to(b"x", port.address()).expect("sent");
        poll_fn(|cx| port.io.poll_send_ready(cx)).await.expect("room");
        assert!(port.flush(&mut outbox).expect("sent"));
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
