//! Datagrams one by one, as every system sends and receives them.

use std::io::{self, IoSliceMut};
use std::net::UdpSocket;

use quinn_udp::{RecvMeta, Transmit};
use socket2::SockRef;

/// A second handle to a socket, for the standard library's calls: no offload, no ECN marks, and
/// the system chooses the source address.
#[derive(Debug)]
pub(super) struct Plain {
    io: UdpSocket,
}

impl Plain {
    pub(super) fn new(io: &SockRef<'_>) -> io::Result<Self> {
        let io = UdpSocket::from(io.try_clone()?);
        io.set_nonblocking(true)?;
        Ok(Self { io })
    }

    /// Sends one datagram. Its mark and its source address are left out.
    pub(super) fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.send_to(transmit.contents, transmit.destination).map(drop)
    }

    /// Reads datagrams until there are no more, or no more buffers.
    pub(super) fn receive(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> io::Result<usize> {
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            match self.io.recv_from(buffer) {
                Ok((len, addr)) => {
                    *meta = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None }
                }
                // What was read comes first. An error that lasts will be met again.
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            }
            count += 1;
        }
        Ok(count)
    }
}
