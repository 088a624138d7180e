//! A socket on which beacons arrive.

use std::io;
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::task::{Context, Poll};

use handfast_udp::BeaconPort;
use tokio::net::UdpSocket;

/// A socket registered with tokio, which remembers readiness until a read says `WouldBlock`.
pub(crate) struct BeaconSocket(UdpSocket);

impl BeaconSocket {
    pub(crate) fn new(std: StdSocket) -> io::Result<Self> {
        UdpSocket::from_std(std).map(Self)
    }

    /// Ready when there may be something to read.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        // An error will be found by the read that follows.
        self.0.poll_recv_ready(cx).map(drop)
    }
}

impl BeaconPort for BeaconSocket {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.try_recv_from(buffer)
    }
}
