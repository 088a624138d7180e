//! Time as the driver passes it in: the next deadline, and what is done when it has passed.

use core::time::Duration;

use super::Endpoint;
use crate::peer::Peer;
use crate::time::{ABSENT, Instant};
use crate::timer::earlier;

impl Endpoint {
    /// When to call [`handle_timeout`](Self::handle_timeout); `None`: not before another call changes
    /// that. Ask again after every input and every drained output.
    #[inline]
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let peers = match self.unsettled {
            None => self.deadlines.peek().map(|(at, _)| at),
            // Its deadline may be another than is listed.
            Some(slot) => {
                let unsettled = self.peers.awake(slot).and_then(Peer::deadline);
                earlier(self.deadlines.first_beside(slot), unsettled)
            }
        };
        let first = earlier(peers, self.admission.deadline());
        if self.shared.router.is_some() { self.or_routes(first) } else { first }
    }

    /// The earlier of `first` and what the table of routes waits for. Apart: deadlines are asked for with every
    /// packet, and few endpoints know routes.
    #[cold]
    fn or_routes(&self, first: Option<Instant>) -> Option<Instant> {
        let routes = self.shared.router.as_ref().and_then(|router| router.deadline());
        earlier(first, routes)
    }

    /// Acts on every deadline that `now` has reached. A call that comes too early does nothing; one that
    /// comes late does no harm beyond the delay.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.touch(now);
        let slept = self.grace_until.is_some_and(|until| self.shared.now < until);
        self.admission.expire(&mut self.shared);
        if let Some(router) = &mut self.shared.router {
            router.on_timeout(self.shared.now, &self.shared.identity);
        }
        while let Some((at, slot)) = self.deadlines.peek() {
            if at > self.shared.now || self.shared.now == Instant::MAX {
                break;
            }
            let Some(peer) = self.peers.at_mut(slot) else {
                self.deadlines.set(slot, None);
                continue;
            };
            peer.handle_timeout(&mut self.shared, slept);
            self.refresh_indices(slot);
            let next = self.shared.now + Duration::from_micros(1);
            // A peer that wants to be called again at once would keep us here for ever.
            if self.peers.awake(slot).and_then(Peer::deadline).is_some_and(|at| at < next) {
                self.deadlines.set(slot, Some(next));
            }
        }
    }

    /// What calls begin with: lists and indices are brought up to date, and the clock moves.
    pub(super) fn touch(&mut self, now: Instant) {
        self.settle();
        self.advance(now);
    }

    /// The same with an unsettled peer that stays so.
    #[inline]
    pub(super) fn move_to(&mut self, now: Instant) {
        self.review_unsettled(now);
        self.advance(now);
    }

    /// The same before a message to or from the peer in `slot`, which may join those before it.
    #[inline]
    pub(super) fn touch_for(&mut self, now: Instant, slot: u32) {
        if self.unsettled != Some(slot) {
            self.settle();
        }
        self.move_to(now);
    }

    /// Moves the clock, and notices when the driver comes much too late for a deadline: then the
    /// host was asleep, and silence proves nothing.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant) {
        // Most calls come many at one time.
        if self.shared.now != now {
            self.advance_to(now);
        }
    }

    #[inline]
    fn advance_to(&mut self, now: Instant) {
        #[cfg(test)]
        if self.is_eager {
            self.punctual_until = now;
        }
        if now >= self.punctual_until {
            self.look_for_absence(now);
        }
        self.shared.advance(now);
    }

    /// Notes whether the driver comes late for what was due, and until when it cannot be: whatever becomes due from now on is
    /// due from now on.
    fn look_for_absence(&mut self, now: Instant) {
        let patience = self.shared.config.timers.idle_timeout / 4;
        let due = self.poll_timeout().filter(|due| *due < now);
        if let Some(due) = due {
            self.shared.absence.observe(due, now);
            if now > due + patience {
                self.grace_until = Some(now + patience);
            }
        }
        self.punctual_until = due.unwrap_or(now) + patience.min(ABSENT);
    }
}
