//! Budgets of sources, in tables that never grow.

use alloc::boxed::Box;
use alloc::vec;

use super::source::Mark;
use crate::bucket::{Limit, TokenBucket};
use crate::time::Instant;

/// The budgets of the sources seen last, in sets of eight.
///
/// A source that finds its set taken drives out the one whose bucket is or was full soonest: of all
/// eight it loses least by being forgotten. Who comes from more sources than there are places escapes
/// the budgets of sources, and meets the budget of all.
pub(super) struct SourceTable {
    /// Empty until somebody comes.
    entries: Box<[Entry]>,
    sets: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    /// Zero if vacant.
    name: u64,
    bucket: TokenBucket,
}

/// Where a source is, or would be, and what it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    at: usize,
    name: u64,
    pub(super) bucket: TokenBucket,
    /// When the bucket here was last not full; if it is that of another, nothing is known about
    /// this source since then.
    used: Option<TokenBucket>,
}

impl Found {
    /// Whether the source certainly took nothing for so many microseconds. It counts as served if
    /// it may have been forgotten since: else who floods could be new again and again.
    pub(super) fn is_new(&self, now: Instant, micros: u64) -> bool {
        self.used.is_none_or(|used| used.is_rested(now, micros))
    }
}

impl SourceTable {
    /// A table of about `sources` places, at least eight.
    pub(super) fn new(sources: usize) -> Self {
        Self { entries: Box::default(), sets: (sources / WAYS).max(1) }
    }

    pub(super) fn find(&self, mark: Mark) -> Found {
        let first = within(mark.place, self.sets) * WAYS;
        let set = self.entries.get(first..first + WAYS).unwrap_or_default();
        let of = |name| set.iter().position(|entry| entry.name == name);
        let place = of(mark.name).map(|way| (way, true)).or_else(|| of(0).map(|way| (way, false)));
        let oldest = || (0..set.len()).min_by_key(|way| set[*way].bucket.rank());
        let (way, known) = place.unwrap_or_else(|| (oldest().unwrap_or(0), false));
        let used = set.get(way).map(|entry| entry.bucket);
        let bucket = used.filter(|_| known).unwrap_or(TokenBucket::FULL);
        Found { at: first + way, name: mark.name, bucket, used }
    }

    /// Remembers what a source that was just found has now.
    pub(super) fn put(&mut self, found: Found) {
        if self.entries.is_empty() {
            let vacant = Entry { name: 0, bucket: TokenBucket::FULL };
            self.entries = vec![vacant; self.sets * WAYS].into_boxed_slice();
        }
        if let Some(entry) = self.entries.get_mut(found.at) {
            *entry = Entry { name: found.name, bucket: found.bucket };
        }
    }
}

/// Many small equal shares of a budget, and a common rest.
///
/// A source draws on the share that its mark falls on, then on the rest. Nobody can use up another's
/// way to be answered: who floods from one source gets one share and the rest, who floods from many
/// gets the shares they fall on, and who pretends to be a certain initiator can take its share but has to
/// empty the rest as well.
pub(super) struct Shares {
    /// Empty until somebody comes.
    shares: Box<[TokenBucket]>,
    count: usize,
    each: Limit,
    rest: TokenBucket,
    common: Limit,
}

impl Shares {
    pub(super) fn new(count: usize, each: Limit, common: Limit) -> Self {
        Self { shares: Box::default(), count: count.max(1), each, rest: TokenBucket::FULL, common }
    }

    pub(super) fn take(&mut self, now: Instant, mark: Mark) -> bool {
        if self.shares.is_empty() {
            self.shares = vec![TokenBucket::FULL; self.count].into_boxed_slice();
        }
        let share = self.shares.get_mut(within(mark.place, self.count));
        share.is_some_and(|share| share.take(now, &self.each, 0))
            || self.rest.take(now, &self.common, 0)
    }
}

fn within(number: u64, bound: usize) -> usize {
    // The remainder is less than `bound`.
    (number % bound as u64) as usize
}

/// How many places a source may be in.
const WAYS: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::source::{Marker, Source};
    use super::*;
    use crate::config::Budget;
    use crate::crypto::hash::Secret;

    const SECOND: u64 = 1_000_000;

    fn marks() -> impl Fn(u32) -> Mark {
        let marker = Marker::new(Secret::new([7; 32]));
        move |number| marker.mark(&Source::V4(number.to_be_bytes()))
    }

    fn take(table: &mut SourceTable, mark: Mark, now: Instant, limit: &Limit) -> bool {
        let mut found = table.find(mark);
        let taken = found.bucket.take(now, limit, 0);
        table.put(found);
        taken
    }

    #[test]
    fn an_entry_is_sixteen_bytes_and_nothing_is_taken_before_somebody_comes() {
        assert_eq!(size_of::<Entry>() + size_of::<Entry>() + size_of::<TokenBucket>(), 40);
        assert!(SourceTable::new(4096).entries.is_empty());
    }

    #[test]
    fn a_million_sources_leave_the_table_as_large_as_it_was() {
        let (mut table, mark) = (SourceTable::new(4096), marks());
        let limit = Limit::new(Budget::new(10, 20));
        for number in 0..1_000_000 {
            let now = Instant::from_micros(SECOND + u64::from(number));
            assert!(take(&mut table, mark(number), now, &limit), "a new source has its burst");
        }
        assert_eq!(table.entries.len(), 4096);
        assert!(table.entries.iter().all(|entry| entry.name != 0), "all places are used");
    }

    #[test]
    fn as_long_as_there_is_room_no_source_gets_more_than_its_budget() {
        let (mut table, mark) = (SourceTable::new(4096), marks());
        let limit = Limit::new(Budget::new(10, 20));
        let mut given = 0;
        for round in 0..100 {
            for number in 0..500 {
                let now = Instant::from_micros(SECOND + round * 10_000);
                given += usize::from(take(&mut table, mark(number), now, &limit));
            }
        }
        // Burst and one second's refill; 500 sources in 512 sets do not meet by nines.
        assert_eq!(given, 500 * 29, "the last of the second's ten comes back too late");
    }

    #[test]
    fn who_spent_most_is_forgotten_last() {
        let (mut table, mark) = (SourceTable::new(8), marks());
        let limit = Limit::new(Budget::new(10, 20));
        let now = |number: u64| Instant::from_micros(SECOND + number);
        while take(&mut table, mark(0), now(0), &limit) {}
        for number in 1..10_000 {
            assert!(take(&mut table, mark(number), now(number.into()), &limit));
            assert!(!take(&mut table, mark(0), now(number.into()), &limit), "forgot its debt");
        }
    }

    #[test]
    fn a_flood_in_the_name_of_one_source_leaves_all_other_shares_untouched() {
        let (each, common) = (Budget::new(8, 8), Budget::new(100, 10));
        let mut shares = Shares::new(64, Limit::new(each), Limit::new(common));
        let mark = marks();
        let now = Instant::from_micros(SECOND);
        let given = (0..1000).filter(|_| shares.take(now, mark(1))).count();
        assert_eq!(given, 18, "its share and the rest");
        let victim = (2..100).find(|n| mark(*n).place % 64 != mark(1).place % 64).expect("another");
        assert!((0..8).all(|_| shares.take(now, mark(victim))));
        assert!(!shares.take(now, mark(victim)));
    }
}
