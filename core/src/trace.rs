//! One log line per frame and per unsealed packet, in the names of the protocol. Payloads and keys
//! never appear.

use tracing::Level;

use crate::PeerId;
use crate::net::Via;
use crate::wire::{Frames, Packet, PacketNumber};

/// Logs the frames of a packet about to be sealed.
pub(crate) fn sent(peer: Option<&PeerId>, number: PacketNumber, plaintext: &[u8]) {
    frames("sent", peer, number, plaintext);
}

/// Logs the frames of a packet that was opened.
pub(crate) fn received(peer: Option<&PeerId>, number: PacketNumber, plaintext: &[u8]) {
    frames("received", peer, number, plaintext);
}

fn frames(what: &str, peer: Option<&PeerId>, number: PacketNumber, plaintext: &[u8]) {
    if !tracing::enabled!(target: "handfast::packet", Level::DEBUG) {
        return;
    }
    for frame in Frames::new(plaintext).flatten() {
        let peer = peer.map(tracing::field::debug);
        tracing::debug!(target: "handfast::packet", peer, packet_number = %number, "{what} {frame}");
    }
}

/// Logs a packet that is not sealed, seen as `what`, with what is at the far end of `via`.
pub(crate) fn unsealed(what: &str, via: &Via, datagram: &[u8]) {
    if !tracing::enabled!(target: "handfast::packet", Level::DEBUG) {
        return;
    }
    let name = match Packet::parse(datagram) {
        Ok(Packet::KeyRequest(_)) => "KeyRequest",
        Ok(Packet::HandshakeRequest(_)) => "HandshakeRequest",
        Ok(Packet::HandshakeResponse(_)) => "HandshakeResponse",
        Ok(Packet::HandshakeRetry(_)) => "HandshakeRetry",
        Ok(Packet::UnknownSession(_)) => "UnknownSession",
        Ok(Packet::Sealed(_)) | Err(_) => return,
    };
    let remote = via.remote().map(tracing::field::display);
    tracing::debug!(target: "handfast::packet", remote, "{what} {name}");
}
