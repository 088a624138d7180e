//! Whom we parted from: their handshakes are those of an acquaintance that is over.
//!
//! Keys are not kept, and nobody is banned: an initiator that has another incarnation is a newcomer.

use alloc::collections::{BTreeMap, BTreeSet};

use super::limits::Source;
use crate::PeerId;
use crate::disconnect::DisconnectReason;
use crate::parting::Parting;
use crate::time::Instant;

/// Whose parting it was: an identity, and what names its state about us.
type Name = (PeerId, u64);

/// All partings that are remembered: a fixed number, those that are over soonest give way.
#[derive(Debug, Default)]
pub(super) struct Parted {
    by_name: BTreeMap<Name, Entry>,
    by_end: BTreeSet<(Instant, Name)>,
    by_source: BTreeMap<Source, BTreeSet<(Instant, Name)>>,
}

#[derive(Debug)]
struct Entry {
    reason: DisconnectReason,
    until: Instant,
    source: Source,
}

/// How many partings are remembered, in all and of one source.
const MOST: usize = 4096;
const MOST_OF_SOURCE: usize = MOST / 4;

impl Parted {
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What we said when we parted from this incarnation of a peer, if we did and remember it.
    pub(super) fn reason(&self, id: &PeerId, incarnation: u64) -> Option<&DisconnectReason> {
        self.by_name.get(&(*id, incarnation)).map(|entry| &entry.reason)
    }

    /// When the last parting from the peer with this identity is over, if any is remembered.
    pub(super) fn until(&self, id: &PeerId) -> Option<Instant> {
        let partings = self.by_name.range((*id, 0)..=(*id, u64::MAX));
        partings.map(|(_, entry)| entry.until).max()
    }

    /// Remembers a parting from a peer that was at `source`. True if another had to be forgotten before
    /// its time.
    pub(super) fn insert(&mut self, parting: Parting, source: Source, now: Instant) -> bool {
        let Parting { id, incarnation, reason, until } = parting;
        let name = (id, incarnation);
        self.remove(name);
        let of_source = self.by_source.get(&source);
        let goes = if of_source.is_some_and(|names| names.len() >= MOST_OF_SOURCE) {
            of_source.and_then(BTreeSet::first).copied()
        } else {
            self.by_end.first().copied().filter(|_| self.by_name.len() >= MOST)
        };
        if let Some((_, name)) = goes {
            self.remove(name);
        }
        self.by_name.insert(name, Entry { reason, until, source });
        self.by_end.insert((until, name));
        self.by_source.entry(source).or_default().insert((until, name));
        goes.is_some_and(|(until, _)| until > now)
    }

    fn remove(&mut self, name: Name) {
        let Some(Entry { until, source, .. }) = self.by_name.remove(&name) else { return };
        self.by_end.remove(&(until, name));
        if let Some(names) = self.by_source.get_mut(&source) {
            names.remove(&(until, name));
            if names.is_empty() {
                self.by_source.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    fn parting(incarnation: u64, until: u64) -> Parting {
        let reason = DisconnectReason::new(7, "bye");
        let until = Instant::from_micros(until);
        Parting { id: Identity::from_seed([1; 32]).id(), incarnation, reason, until }
    }

    fn source(number: u32) -> Source {
        Source::V4(number.to_be_bytes())
    }

    #[test]
    fn one_source_has_a_quarter_of_the_places_and_what_is_over_soonest_gives_way() {
        let (mut parted, id) = (Parted::default(), Identity::from_seed([1; 32]).id());
        let now = Instant::from_micros(2000);
        for n in 0..2000 {
            // Those up to number 1,000 were over before.
            let early = parted.insert(parting(n, 1000 + n), source(1), now);
            assert_eq!(early, n > 1024 + 1000, "{n}");
        }
        assert_eq!(parted.by_name.len(), 1024);
        assert_eq!(parted.reason(&id, 975), None);
        assert_eq!(parted.reason(&id, 976).map(|reason| reason.code), Some(7));
        for n in 0..10_000_u64 {
            parted.insert(parting(10_000 + n, 10_000 + n), source(2 + n as u32), now);
        }
        assert_eq!((parted.by_name.len(), parted.by_end.len()), (4096, 4096));
        assert_eq!(parted.by_source.values().map(BTreeSet::len).sum::<usize>(), 4096);
        assert!(parted.reason(&id, 1999).is_none() && parted.reason(&id, 19_999).is_some());
    }

    #[test]
    fn who_parts_twice_has_one_place() {
        let mut parted = Parted::default();
        for n in 1..100 {
            assert!(!parted.insert(parting(1, n), source(n as u32), Instant::from_micros(1)));
        }
        assert_eq!((parted.by_name.len(), parted.by_end.len(), parted.by_source.len()), (1, 1, 1));
        assert!(!parted.is_empty());
    }
}
