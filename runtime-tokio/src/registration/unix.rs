//! Where reading and sending can be asked for apart.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::task::{Context, Poll};

use handfast_udp::SockRef;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A socket of the system, registered.
pub(crate) struct Registration {
    reading: AsyncFd<UdpSocket>,
    /// While a send is blocked.
    sending: Option<AsyncFd<Arc<UdpSocket>>>,
    /// The same socket by another name: under one it cannot be registered twice.
    duplicate: Arc<UdpSocket>,
}

impl Registration {
    /// Registers a socket that does not block.
    pub(crate) fn new(io: UdpSocket) -> io::Result<Self> {
        let duplicate = Arc::new(io.try_clone()?);
        Ok(Self { reading: register(io, Interest::READABLE)?, sending: None, duplicate })
    }

    pub(crate) fn io(&self) -> SockRef<'_> {
        SockRef::from(self.reading.get_ref())
    }

    /// Ready when there may be something to read.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // What is not cleared stays ready. An error will be found by the call that follows.
        self.reading.poll_read_ready(cx).map(drop)
    }

    /// Ready when there may be room to send.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let sending = self.sending.as_ref();
        sending.map_or(Poll::Ready(()), |sending| sending.poll_write_ready(cx).map(drop))
    }

    /// Whether the runtime was told of room to send, though nobody waits for it.
    #[cfg(test)]
    pub(crate) fn is_told_of_room(&self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        self.sending.is_some() || self.reading.poll_write_ready(&mut cx).is_ready()
    }

    /// Reads, unless it is known that there is nothing. `WouldBlock` is remembered.
    pub(crate) fn try_read(
        &self,
        read: impl FnOnce(SockRef<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.reading.try_io(Interest::READABLE, |io| read(SockRef::from(io)))
    }

    /// Sends, unless it is known that there is no room. `WouldBlock` is remembered.
    pub(crate) fn try_send(
        &mut self,
        send: impl FnOnce(SockRef<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(sending) = &self.sending else {
            let sent = send(self.io());
            if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                // It is told of room that is there by now. After that, whatever happens at the socket tells of room as well: a
                // system may say that there is none though nothing of ours waits there that could make some.
                let any = Interest::READABLE | Interest::WRITABLE;
                self.sending = Some(register(Arc::clone(&self.duplicate), any)?);
            }
            return sent;
        };
        sending.try_io(Interest::WRITABLE, |io| send(SockRef::from(&**io)))?;
        self.sending = None;
        Ok(())
    }
}

#[allow(deprecated, reason = "what takes its place is unsafe; a `UdpSocket` keeps its descriptor")]
fn register<T: std::os::fd::AsRawFd>(io: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(io, interest)
}
