//! A socket on which beacons arrive.

use std::io;
use std::net::{SocketAddr, UdpSocket as StdSocket};

use handfast_udp::BeaconPort;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

/// All of these sockets have one name: each is asked when one of them has news. The core gives out none as high.
pub(crate) const BEACONS: Token = Token(usize::MAX - 1);

/// A registered socket, and whether it may have something to read: that is told once.
pub(crate) struct BeaconSocket {
    io: UdpSocket,
    readable: bool,
}

impl BeaconSocket {
    pub(crate) fn new(std: StdSocket, registry: &Registry) -> io::Result<Self> {
        let mut io = UdpSocket::from_std(std);
        registry.register(&mut io, BEACONS, Interest::READABLE)?;
        Ok(Self { io, readable: true })
    }

    pub(crate) const fn is_readable(&self) -> bool {
        self.readable
    }

    pub(crate) const fn on_readable(&mut self) {
        self.readable = true;
    }
}

impl BeaconPort for BeaconSocket {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        if !self.readable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let received = self.io.recv_from(buffer);
        self.readable = received.is_ok();
        received
    }
}
