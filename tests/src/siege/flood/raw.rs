//! Datagrams from addresses that are not ours.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};

use socket2::{Domain, Protocol, Socket, Type};

/// Sends with any source address. Only the administrator of a network may.
pub(super) struct Spoofer {
    socket: Socket,
    packet: Vec<u8>,
}

impl Spoofer {
    pub(super) fn open() -> io::Result<Self> {
        // Protocol 255 leaves the IP header to us (raw(7)).
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)))?;
        Ok(Self { socket, packet: Vec::new() })
    }

    pub(super) fn send(
        &mut self,
        from: SocketAddrV4,
        to: SocketAddrV4,
        payload: &[u8],
    ) -> io::Result<()> {
        let len = |head: usize| u16::try_from(head + payload.len()).unwrap_or(u16::MAX);
        let packet = &mut self.packet;
        packet.clear();
        // Version and header length, service; the system fills in length, name and checksum.
        packet.extend_from_slice(&[0x45, 0]);
        packet.extend_from_slice(&len(28).to_be_bytes());
        // Name, no fragments, 64 hops, UDP.
        packet.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0]);
        packet.extend_from_slice(&from.ip().octets());
        packet.extend_from_slice(&to.ip().octets());
        packet.extend_from_slice(&from.port().to_be_bytes());
        packet.extend_from_slice(&to.port().to_be_bytes());
        packet.extend_from_slice(&len(8).to_be_bytes());
        // No checksum.
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(payload);
        self.socket.send_to(packet, &SocketAddr::V4(to).into()).map(drop)
    }
}
