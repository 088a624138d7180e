//! Where the runtime asks for both at once.

use std::io;
use std::net::UdpSocket as StdSocket;
use std::task::{Context, Poll};

use handfast_udp::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A socket of the runtime.
pub(crate) struct Registration(UdpSocket);

impl Registration {
    /// Registers a socket that does not block.
    pub(crate) fn new(io: StdSocket) -> io::Result<Self> {
        UdpSocket::from_std(io).map(Self)
    }

    pub(crate) fn io(&self) -> SockRef<'_> {
        SockRef::from(&self.0)
    }

    /// Ready when there may be something to read.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // An error will be found by the call that follows.
        self.0.poll_recv_ready(cx).map(drop)
    }

    /// Ready when there may be room to send.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_send_ready(cx).map(drop)
    }

    /// Reads, unless it is known that there is nothing. `WouldBlock` is remembered.
    pub(crate) fn try_read(
        &self,
        read: impl FnOnce(SockRef<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.0.try_io(Interest::READABLE, || read(SockRef::from(&self.0)))
    }

    /// Sends, unless it is known that there is no room. `WouldBlock` is remembered.
    pub(crate) fn try_send(
        &mut self,
        send: impl FnOnce(SockRef<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.0.try_io(Interest::WRITABLE, || send(SockRef::from(&self.0)))
    }
}
