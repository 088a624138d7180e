//! Who seems to be where in the local network.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::PeerId;
use crate::bucket::{Limit, TokenBucket};
use crate::event::Event;
use crate::time::Instant;

/// The most that are remembered.
const MAX_HINTS: usize = 64;
/// The most of them from one host.
const MAX_OF_ONE_HOST: usize = 8;
/// Who was not heard of for so long is forgotten: twelve beacons.
const LIFE: Duration = Duration::from_secs(60);
/// New ones, 4 a second.
const NEWS: Limit = Limit::every(250_000, 64);

/// What a beacon said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) id: PeerId,
    pub(super) address: SocketAddr,
    pub(super) forwards: bool,
}

/// Somebody of whom a beacon told: a hint that nothing proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discovered {
    /// The identity.
    pub id: PeerId,
    /// Where it takes handshakes.
    pub address: SocketAddr,
    /// Whether it passes packets on between its peers.
    pub forwards: bool,
    /// When the last beacon came.
    pub heard: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hint: Hint,
    heard: Instant,
    is_told: bool,
}

/// What beacons said lately, as long as there is room.
#[derive(Debug)]
pub(super) struct Hints {
    entries: Vec<Entry>,
    news: TokenBucket,
    has_news: bool,
}

impl Default for Hints {
    fn default() -> Self {
        Self { entries: Vec::new(), news: TokenBucket::FULL, has_news: false }
    }
}

impl Hints {
    /// A beacon said so. False if too many say something new.
    pub(super) fn note(&mut self, hint: Hint, now: Instant) -> bool {
        self.entries.retain(|entry| now < entry.heard + LIFE);
        if let Some(known) = self.entries.iter_mut().find(|entry| entry.hint == hint) {
            known.heard = now;
            return true;
        }
        if !self.news.take(now, &NEWS, 0) {
            return false;
        }
        let entry = Entry { hint, heard: now, is_told: false };
        self.has_news = true;
        match self.place_taken(hint) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        true
    }

    /// Whose place a new one takes: that of what the same peer said before about this address, else of the oldest, of
    /// its host if that has many. `None` while there is room.
    fn place_taken(&mut self, hint: Hint) -> Option<&mut Entry> {
        let ip = hint.address.ip();
        let is_same =
            |entry: &Entry| (entry.hint.id, entry.hint.address) == (hint.id, hint.address);
        if let Some(at) = self.entries.iter().position(is_same) {
            return self.entries.get_mut(at);
        }
        let of_host = |entry: &Entry| entry.hint.address.ip() == ip;
        let is_many = self.entries.iter().filter(|entry| of_host(entry)).count() >= MAX_OF_ONE_HOST;
        if !is_many && self.entries.len() < MAX_HINTS {
            return None;
        }
        let rivals = self.entries.iter_mut().filter(|entry| !is_many || of_host(entry));
        rivals.min_by_key(|entry| entry.heard)
    }

    /// Whether somebody is said to be at this host.
    pub(super) fn names(&self, ip: IpAddr) -> bool {
        self.entries.iter().any(|entry| entry.hint.address.ip() == ip)
    }

    /// All that are not forgotten.
    pub(super) fn list(&self, now: Instant) -> impl Iterator<Item = Discovered> + '_ {
        let fresh = self.entries.iter().filter(move |entry| now < entry.heard + LIFE);
        fresh.map(|Entry { hint, heard, .. }| {
            let Hint { id, address, forwards } = *hint;
            Discovered { id, address, forwards, heard: *heard }
        })
    }

    /// Whether there may be something that the application was not told yet.
    pub(super) const fn has_news(&self) -> bool {
        self.has_news
    }

    /// What the application was not told yet.
    pub(super) fn poll(&mut self) -> Option<Event> {
        if !self.has_news {
            return None;
        }
        let entry = self.entries.iter_mut().find(|entry| !entry.is_told);
        self.has_news = entry.is_some();
        let entry = entry?;
        entry.is_told = true;
        let Hint { id, address, forwards } = entry.hint;
        Some(Event::Discovered { id, address, forwards })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(1_000_000 + millis * 1000)
    }

    fn hint(seed: u8, host: u8) -> Hint {
        let id = Identity::from_seed([seed; 32]).id();
        Hint { id, address: SocketAddr::from(([192, 0, 2, host], 4263)), forwards: false }
    }

    fn told(hints: &mut Hints) -> usize {
        core::iter::from_fn(|| hints.poll()).count()
    }

    #[test]
    fn each_is_told_once_and_again_when_it_was_away_or_says_something_else() {
        let mut hints = Hints::default();
        for second in 0..100 {
            assert!(hints.note(hint(1, 1), at(second * 5000)));
            assert_eq!(told(&mut hints), usize::from(second == 0));
        }
        assert!(hints.note(hint(1, 1), at(99 * 5000 + 60_000)));
        assert_eq!(told(&mut hints), 1);
        assert!(hints.note(Hint { forwards: true, ..hint(1, 1) }, at(600_000)));
        assert_eq!((told(&mut hints), hints.entries.len()), (1, 1));
        assert!(hints.names([192, 0, 2, 1].into()) && !hints.names([192, 0, 2, 2].into()));
    }

    #[test]
    fn a_flood_is_remembered_in_part_and_one_host_keeps_no_other_out() {
        let mut hints = Hints::default();
        let honest = hint(200, 200);
        assert!(hints.note(honest, at(0)));
        let mut news = 1;
        for n in 0..200_u8 {
            news += usize::from(hints.note(hint(n, 1), at(10)));
        }
        assert_eq!((news, hints.entries.len()), (64, 9));
        assert_eq!(told(&mut hints), 9, "what gave way is not told");
        assert!(hints.names(honest.address.ip()));
        let before = news;
        for n in 0..200_u8 {
            news += usize::from(hints.note(hint(n, n), at(10_010)));
        }
        assert_eq!((news - before, hints.entries.len()), (41, 49), "one was known");
        for second in 11..40 {
            for n in 0..4 {
                hints.note(hint(0, 100 + n), at(second * 1000));
                hints.note(hint(second as u8, n), at(second * 1000));
            }
        }
        assert!(hints.entries.len() <= 64);
    }
}
