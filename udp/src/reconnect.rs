//! Dialling again: when, and after which end.

use std::time::Duration;

use handfast_core::{DisconnectReason, EndReason, Refusal};

use crate::entropy;

/// How a peer that was lost, or not found, is dialled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconnect {
    /// How long to wait before the first try again, by default half a second. Each further wait is twice
    /// as long, and each is made shorter or longer at random, by a quarter at most: many that lost the
    /// same peer do not come back at once.
    pub first: Duration,
    /// The longest wait, by default 30 s.
    pub longest: Duration,
    /// Whether to come back to a peer that told us to go, by default not.
    pub after_disconnect: bool,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            after_disconnect: false,
        }
    }
}

impl Reconnect {
    /// Whether to dial again after such an end: after silence, where there was no place, or none any more, and where another
    /// shard of our endpoint had the peer. An end of our own making is final, and so are a violation and an endpoint that
    /// does not admit us.
    #[must_use]
    pub const fn applies_to(&self, reason: &EndReason) -> bool {
        match reason {
            EndReason::DialTimeout
            | EndReason::IdleTimeout
            | EndReason::OtherShard { .. }
            | EndReason::VersionMismatch { .. }
            | EndReason::Refused(Refusal::Full) => true,
            EndReason::PeerDisconnected { reason, .. } => {
                self.after_disconnect || reason.code == DisconnectReason::FULL
            }
            _ => false,
        }
    }
}

/// The waits between tries.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    reconnect: Reconnect,
    next: Duration,
}

impl Backoff {
    /// Begins with the first wait.
    #[must_use]
    pub const fn new(reconnect: Reconnect) -> Self {
        Self { reconnect, next: reconnect.first }
    }

    /// The choices it was made with.
    #[must_use]
    pub const fn reconnect(&self) -> &Reconnect {
        &self.reconnect
    }

    /// How long to wait now. The next wait is twice as long.
    pub fn advance(&mut self) -> Duration {
        let wait = self.next.min(self.reconnect.longest);
        self.next = wait.saturating_mul(2);
        // Without randomness they all come back at once, which is no reason not to come back.
        let random = entropy().map_or(128, |bytes| u32::from(bytes[0]));
        wait.saturating_mul(768 + random * 2) / 1024
    }

    /// The peer was met: the next wait is the first again.
    pub const fn reset(&mut self) {
        self.next = self.reconnect.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::DisconnectReason;

    #[test]
    fn waits_grow_to_the_longest_and_differ_and_begin_anew() {
        let mut backoff = Backoff::new(Reconnect::default());
        for wanted in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let wanted = Duration::from_millis(wanted);
            let wait = backoff.advance();
            assert!(wait >= wanted * 3 / 4 && wait <= wanted * 5 / 4, "{wait:?} of {wanted:?}");
        }
        let waits: Vec<_> = (0..20).map(|_| backoff.advance()).collect();
        assert!(waits.iter().any(|wait| *wait != waits[0]));
        backoff.reset();
        assert!(backoff.advance() < Duration::from_secs(1));
    }

    #[test]
    fn silence_is_tried_again_and_a_no_is_not() {
        let mut reconnect = Reconnect::default();
        let reason = DisconnectReason::new(1, "go");
        let no = EndReason::PeerDisconnected { reason, complete: true };
        assert!(reconnect.applies_to(&EndReason::IdleTimeout));
        assert!(reconnect.applies_to(&EndReason::Refused(Refusal::Full)));
        assert!(!reconnect.applies_to(&EndReason::Refused(Refusal::NotAdmitted)));
        assert!(!reconnect.applies_to(&no) && !reconnect.applies_to(&EndReason::OwnIdentity));
        let mut reason = DisconnectReason::default();
        reason.code = DisconnectReason::FULL;
        assert!(reconnect.applies_to(&EndReason::PeerDisconnected { reason, complete: false }));
        reconnect.after_disconnect = true;
        assert!(reconnect.applies_to(&no));
    }
}
