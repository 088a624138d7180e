//! Time that passes.

use super::links::HELLO;
use super::origin::Signer;
use super::{Origin, Router};
use crate::PeerId;
use crate::time::Instant;

impl Router {
    /// When `on_timeout` is to be called; `None`: not before something else happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let listening = !self.neighbours.is_empty();
        let own = self.origin.as_ref().filter(|_| listening).map(|origin| origin.renew_at);
        let agenda = self.agenda.first().map(|(at, _)| *at);
        [own, agenda, self.flush_at, self.hello_at].into_iter().flatten().min()
    }

    /// Acts on every deadline that `now` has reached.
    pub(crate) fn on_timeout(&mut self, now: Instant, signer: &impl Signer) {
        self.renew_own(now, signer);
        self.say_hello(now);
        while let Some((at, destination)) = self.agenda.first().copied() {
            if at > now {
                break;
            }
            self.agenda.pop_first();
            self.on_wake(now, destination);
        }
        let due = self.flush_at.is_some_and(|at| at <= now);
        if due {
            self.flush_at = None;
        }
        if due || self.has_urgent {
            self.flush(now, due);
        }
    }

    fn say_hello(&mut self, now: Instant) {
        if self.hello_at.is_none_or(|at| at > now) {
            return;
        }
        let transit = self.neighbours.iter().filter(|(_, neighbour)| neighbour.link.transit);
        self.pings.extend(transit.map(|(slot, _)| *slot));
        // In 1,024ths: a fifth more or less.
        let next = now + HELLO * (819 + self.draw() % 411) / 1024;
        self.hello_at = (!self.pings.is_empty()).then_some(next);
    }

    fn renew_own(&mut self, now: Instant, signer: &impl Signer) {
        let jitter = self.draw();
        let Some(origin) = self.origin.as_mut().filter(|origin| origin.renew_at <= now) else {
            return;
        };
        Origin::renew(origin, now, origin.claim.pair.next(), jitter, signer);
        self.tell_all(now, self.id, false);
    }

    /// Something about a destination ended, or it is time to ask again.
    fn on_wake(&mut self, now: Instant, destination: PeerId) {
        let Some(record) = self.records.get_mut(&destination) else { return };
        record.wake = Instant::MAX;
        if record.forget_at() <= now {
            self.forget(destination);
            return;
        }
        if record.starving.is_some_and(|starving| starving.again <= now) {
            self.starve(now, destination);
        }
        self.reselect(now, destination);
    }

    fn forget(&mut self, destination: PeerId) {
        let Some(record) = self.records.remove(&destination) else { return };
        if let Some(count) = self.introduced.get_mut(&record.introducer) {
            *count -= 1;
            if *count == 0 {
                self.introduced.remove(&record.introducer);
            }
        }
    }
}
