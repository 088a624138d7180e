//! Handshakes with a peer: ours, what comes of them, and what comes of those of the peer.

mod dialing;
mod establish;
mod refused;

pub(super) use dialing::Dialing;
