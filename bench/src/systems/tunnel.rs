//! WireGuard as boringtun speaks it, ChaCha20-Poly1305 of ring: a tunnel for IP packets, each in a datagram, not sent again.

use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};

use super::Pair;
use crate::payload::Inbox;

/// A client and a server.
pub(super) struct Tunnel {
    client: End,
    server: End,
    /// What the client is to send.
    queue: Vec<Vec<u8>>,
    /// Buffers that were sent: the next packets are written there.
    spare: Vec<Vec<u8>>,
}

struct End {
    tunnel: Tunn,
    is_connected: bool,
    outgoing: Vec<Vec<u8>>,
    /// What was sent: the next datagrams are written there.
    spare: Vec<Vec<u8>>,
    buffer: Box<[u8; ROOM]>,
}

impl Pair for Tunnel {
    type Kind = ();

    fn strangers((): (), number: u32) -> Self {
        let mut seed = [1; 32];
        let server = StaticSecret::from(seed);
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let client = StaticSecret::from(seed);
        let keys = (PublicKey::from(&client), PublicKey::from(&server));
        Self {
            client: End::new(client, keys.1, 1),
            server: End::new(server, keys.0, 2),
            queue: Vec::new(),
            spare: Vec::new(),
        }
    }

    fn dial(&mut self) {
        self.client.write(|tunnel, buffer| tunnel.format_handshake_initiation(buffer, false));
    }

    fn is_connected(&self) -> bool {
        self.client.is_connected && self.server.is_connected
    }

    fn send(&mut self, payload: &'static [u8]) -> usize {
        let mut packet = self.spare.pop().unwrap_or_default();
        packet.clear();
        packet.extend_from_slice(&header(payload.len()));
        packet.extend_from_slice(payload);
        self.queue.push(packet);
        payload.len()
    }

    fn turn(&mut self, inbox: &mut Inbox<'_>) {
        for packet in self.queue.drain(..) {
            self.client.write(|tunnel, buffer| tunnel.encapsulate(&packet, buffer));
            self.spare.push(packet);
        }
        self.client.deliver(&mut self.server, inbox);
        self.server.deliver(&mut self.client, inbox);
    }
}

impl End {
    fn new(own: StaticSecret, peer: PublicKey, index: u32) -> Self {
        Self {
            tunnel: Tunn::new(own, peer, None, None, index, None),
            is_connected: false,
            outgoing: Vec::new(),
            spare: Vec::new(),
            buffer: Box::new([0; ROOM]),
        }
    }

    /// Keeps the datagram that the tunnel writes.
    fn write<'a>(&'a mut self, act: impl FnOnce(&'a mut Tunn, &'a mut [u8]) -> TunnResult<'a>) {
        if let TunnResult::WriteToNetwork(datagram) = act(&mut self.tunnel, &mut self.buffer[..]) {
            let mut copy = self.spare.pop().unwrap_or_default();
            copy.clear();
            copy.extend_from_slice(datagram);
            self.outgoing.push(copy);
        }
    }

    /// What it wrote reaches the other end.
    fn deliver(&mut self, other: &mut Self, inbox: &mut Inbox<'_>) {
        for datagram in self.outgoing.drain(..) {
            other.take(&datagram, inbox);
            self.spare.push(datagram);
        }
    }

    fn take(&mut self, datagram: &[u8], inbox: &mut Inbox<'_>) {
        let is_last = match self.tunnel.decapsulate(None, datagram, &mut self.buffer[..]) {
            TunnResult::WriteToNetwork(answer) => {
                // The initiator answers the response with an empty packet, and is connected.
                let is_last = answer.len() == EMPTY;
                let mut copy = self.spare.pop().unwrap_or_default();
                copy.clear();
                copy.extend_from_slice(answer);
                self.outgoing.push(copy);
                is_last
            }
            TunnResult::WriteToTunnelV4(packet, _) => {
                inbox.take(&packet[HEADER..]);
                true
            }
            // The empty packet came.
            TunnResult::Done => true,
            other => panic!("{other:?}"),
        };
        self.is_connected |= is_last;
    }
}

/// Of an IPv4 packet whose payload has this length.
fn header(payload: usize) -> [u8; HEADER] {
    let len = u16::try_from(HEADER + payload).expect("a small message").to_be_bytes();
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&[0x45, 0, len[0], len[1]]);
    // From 10.0.0.1 to 10.0.0.2, 64 hops, UDP.
    header[8..10].copy_from_slice(&[64, 17]);
    header[12..].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    header
}

/// Bytes of an IPv4 header.
const HEADER: usize = 20;
/// Bytes of a datagram without a payload.
const EMPTY: usize = 32;
/// More than any datagram needs here.
const ROOM: usize = 2048;
