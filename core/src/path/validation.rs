//! Whether the peer is at an address: challenges to it (RFC 9000 section 8.2), and what may be sent there
//! before it answers (section 8.1).

use crate::net::Via;

/// A challenge to write: to whom, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The path id under which it is sealed.
    pub(crate) path: u8,
    pub(crate) via: Via,
    pub(crate) token: [u8; 8],
}

/// A place from which packets of the peer come, not validated yet.
///
/// Nothing goes there but challenges and answers to the peer's own, and no more than three times what
/// came from there (RFC 9000 sections 8.1 and 9.3.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    via: Via,
    token: [u8; 8],
    received: u64,
    sent: u64,
    tries: u8,
    due: bool,
}

impl Candidate {
    /// A packet of `len` bytes came from a new place. `token` is random.
    pub(super) const fn new(via: Via, token: [u8; 8], len: u64) -> Self {
        Self { via, token, received: len, sent: 0, tries: 0, due: true }
    }

    pub(super) const fn via(&self) -> Via {
        self.via
    }

    /// Another packet of `len` bytes came from there.
    pub(super) const fn on_received(&mut self, len: u64) {
        self.received += len;
    }

    /// Whether a challenge is to be sent now.
    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    /// Whether no further challenge will be sent.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.tries >= MAX_TRIES
    }

    /// The challenge was not answered in time: the next one is due.
    pub(super) const fn expire(&mut self) {
        self.due = true;
    }

    /// Takes the challenge that is due. `None` if its `len` bytes are too many to send there.
    pub(super) fn take_challenge(&mut self, len: u64) -> Option<[u8; 8]> {
        self.due = false;
        self.tries += 1;
        self.charge(len).then_some(self.token)
    }

    /// Whether `token` came back from where the challenge was sent.
    pub(super) fn is_validated_by(&self, via: &Via, token: [u8; 8]) -> bool {
        self.token == token && self.via.is_same_remote(via)
    }

    /// Whether `len` more bytes may go there; they count as sent then.
    pub(super) const fn charge(&mut self, len: u64) -> bool {
        let allowed = self.sent + len <= self.received * AMPLIFICATION;
        if allowed {
            self.sent += len;
        }
        allowed
    }
}

/// How often a candidate is challenged.
const MAX_TRIES: u8 = 3;
/// Bytes sent to an address that is not validated, per byte received from it (RFC 9000 section 8.1).
const AMPLIFICATION: u64 = 3;
