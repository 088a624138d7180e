//! `handfast send` and `handfast receive`: one file, whole or not at all.
//!
//! The protocol is in this crate's README; [`frame`] has its messages. [`source`] is the file at the sender,
//! [`partial`] what there is of it at the receiver. [`name`] says which names are taken, [`consent`] whom files
//! are taken of, and [`progress`] shows how far it is.

mod consent;
mod frame;
mod name;
mod partial;
mod progress;
pub(crate) mod receive;
pub(crate) mod send;
mod source;

use handfast_tokio::{Delivery, EndReason, Peer, SendError};

use frame::Frame;

/// The channel of the protocol: "ft".
const CHANNEL: u16 = 0x6674;

/// Why a transfer did not come to its end.
#[derive(Debug)]
enum Failure {
    /// The peer has ended: another connection can go on.
    Lost(EndReason),
    /// The other end does not want it.
    Refused(String),
    /// Something failed here, or the other end does not keep to the protocol.
    Broken(String),
}

/// Sends a frame; waits while there is no room.
async fn tell(peer: &Peer, frame: &Frame) -> Result<(), Failure> {
    tell_bytes(peer, frame.encode()).await
}

async fn tell_bytes(peer: &Peer, bytes: Vec<u8>) -> Result<(), Failure> {
    match peer.send(Delivery::ordered(CHANNEL), bytes).await {
        Ok(()) => Ok(()),
        Err(SendError::Ended(reason)) => Err(Failure::Lost(reason)),
        Err(error) => Err(Failure::Broken(error.to_string())),
    }
}

/// The next frame of the peer.
async fn hear(peer: &Peer) -> Result<Frame, Failure> {
    match peer.recv_from(CHANNEL).await {
        Some(message) => Frame::decode(&message.payload)
            .map_err(|error| Failure::Broken(format!("the other end {error}"))),
        None => Err(Failure::Lost(peer.closed().await)),
    }
}
