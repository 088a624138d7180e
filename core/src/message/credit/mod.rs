//! Credit: how much a peer may have on the way or waiting, seen from both ends.

mod receive;
mod returned;
mod send;
#[cfg(test)]
mod tests;

pub(crate) use receive::{FIRST_WINDOW, ReceiveCredit, Review};
pub(crate) use send::{Candidate, SendCredit};

/// What a message costs beyond its bytes, in the send buffer and in the receiver's credit: without
/// it, empty messages would be free.
pub(crate) const MESSAGE_CHARGE: u64 = 64;

/// What a message of `len` bytes takes of the send buffer and of the receiver's credit.
pub(crate) const fn cost(len: usize) -> u64 {
    len as u64 + MESSAGE_CHARGE
}
