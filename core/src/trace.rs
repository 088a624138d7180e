//! One log line per frame and per unsealed packet, in the names of the protocol. Payloads and keys
//! never appear.

use tracing::Level;
use tracing::level_filters::LevelFilter;

use crate::PeerId;
use crate::net::Via;
use crate::wire::{Frames, Packet, PacketNumber, kind};

/// Logs the frames of a packet about to be sealed.
#[inline]
pub(crate) fn sent(peer: Option<&PeerId>, number: PacketNumber, plaintext: &[u8]) {
    if may_be_wanted() {
        frames("sent", peer, number, plaintext);
    }
}

/// Logs the frames of a packet that was opened.
#[inline]
pub(crate) fn received(peer: Option<&PeerId>, number: PacketNumber, plaintext: &[u8]) {
    if may_be_wanted() {
        frames("received", peer, number, plaintext);
    }
}

/// Whether anybody may want such lines. Every packet asks.
#[inline]
fn may_be_wanted() -> bool {
    LevelFilter::current() >= Level::DEBUG
}

#[cold]
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
#[inline]
pub(crate) fn unsealed(what: &str, via: &Via, datagram: &[u8]) {
    if may_be_wanted() {
        packet(what, via, datagram);
    }
}

#[cold]
fn packet(what: &str, via: &Via, datagram: &[u8]) {
    if !tracing::enabled!(target: "handfast::packet", Level::DEBUG) {
        return;
    }
    let name = match (Packet::parse(datagram), datagram.first()) {
        (Ok(Packet::Sealed(_)) | Err(_), _) | (_, None) => return,
        (Ok(_), Some(kind)) => kind::name(*kind),
    };
    let remote = via.remote().map(tracing::field::display);
    tracing::debug!(target: "handfast::packet", remote, "{what} {}", name.unwrap_or_default());
}
