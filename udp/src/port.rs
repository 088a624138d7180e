//! What a runtime does with each of its sockets.

use std::io;
use std::net::SocketAddr;

use crate::{Inbox, Outbox, Socket};

/// A socket of a runtime.
pub trait Port {
    /// Reads one batch. False when there is nothing to read. Not called while the socket
    /// [pauses](Socket::is_pausing), which is no reason to wake the driver either.
    ///
    /// # Errors
    /// When the socket failed for good.
    fn receive(&mut self, inbox: &mut Inbox) -> io::Result<bool>;

    /// Sends what is pending. False when the system's send buffer is full: then the rest stays
    /// pending, and the runtime waits for room.
    ///
    /// # Errors
    /// When the runtime failed.
    fn flush(&mut self, outbox: &mut Outbox) -> io::Result<bool>;

    /// What is known about the socket.
    fn socket(&self) -> &Socket;

    /// The address that the socket is bound to.
    fn address(&self) -> SocketAddr;
}
