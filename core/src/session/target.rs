//! An address to which a dial sends its handshake, and what it may be sent before it answers: whoever
//! is there may never have heard of us.

use core::time::Duration;

use crate::net::Via;
use crate::time::Instant;

/// An address to which a handshake is sent.
#[derive(Clone, Debug)]
pub(crate) struct HandshakeTarget {
    pub(super) via: Via,
    /// It sent what only the receiver of our packets could send, now or before.
    answered: bool,
    /// When it was sent the last packets, oldest at `next`.
    sent: [Option<Instant>; BUDGET],
    next: usize,
}

/// Packets to an address that has not answered, in any [`WINDOW`]: less than 2 KB.
const BUDGET: usize = 8;
const WINDOW: Duration = Duration::from_secs(10);

impl HandshakeTarget {
    pub(crate) fn new(via: Via, answered: bool) -> Self {
        Self { via, answered, sent: [None; BUDGET], next: 0 }
    }

    /// Whether `via` leads here.
    pub(crate) fn is_at(&self, via: &Via) -> bool {
        self.via.is_same_remote(via)
    }

    pub(crate) fn on_answer(&mut self) {
        self.answered = true;
    }

    /// How long ago it was sent the only packet so far: an answer took so long. `None` if there were more.
    pub(crate) fn asked_for(&self, now: Instant) -> Option<Duration> {
        let mut sent = self.sent.iter().flatten();
        let only = sent.next().filter(|_| sent.next().is_none());
        only.map(|at| now.saturating_since(*at))
    }

    /// Takes a packet out of the budget; false if none is left, or `may_go` says so of an address that did not answer.
    pub(crate) fn spend(&mut self, now: Instant, may_go: &mut impl FnMut(&Via) -> bool) -> bool {
        let oldest = self.sent[self.next];
        let is_within = oldest.is_none_or(|oldest| now >= oldest + WINDOW);
        let allowed = self.answered || (is_within && may_go(&self.via));
        if allowed {
            self.sent[self.next] = Some(now);
            self.next = (self.next + 1) % BUDGET;
        }
        allowed
    }
}
