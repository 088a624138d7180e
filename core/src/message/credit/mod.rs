//! Credit: how much a peer may have on the way or waiting, seen from both ends.

mod receive;
mod send;

pub(crate) use receive::{FIRST_WINDOW, ReceiveCredit, Review};
pub(crate) use send::{Candidate, SendCredit};
