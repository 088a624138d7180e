//! Whether the peer is at an address: challenges to it and answers to its own.

use crate::net::Via;

/// An address that a peer seems to have moved to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) via: Via,
    pub(crate) token: [u8; 8],
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) tries: u8,
    pub(crate) due: bool,
}

impl Candidate {
    /// Whether `cost` more bytes may go there; they count as sent then.
    pub(crate) const fn charge(&mut self, cost: u64) -> bool {
        let allowed = self.sent + cost <= self.received * AMPLIFICATION;
        if allowed {
            self.sent += cost;
        }
        allowed
    }
}

/// A challenge that the peer sent, to be answered to where it came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answering {
    pub(crate) token: [u8; 8],
    pub(crate) via: Via,
}

/// Bytes sent to an address not proved, per byte received from it.
const AMPLIFICATION: u64 = 3;
