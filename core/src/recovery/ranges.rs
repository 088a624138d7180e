//! A set of numbers that mostly come in runs: counters received, counters acknowledged.

use core::ops::Range;

use smallvec::SmallVec;

/// Sorted, disjoint, non-adjacent half-open ranges of `u64`. One range costs no heap memory.
///
/// `u64::MAX` itself cannot be a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    /// Lowest first: numbers mostly arrive in order, so changes are at the cheap end.
    ranges: SmallVec<[Range<u64>; 1]>,
}

impl RangeSet {
    /// The empty set.
    pub(crate) fn new() -> Self {
        Self { ranges: SmallVec::new() }
    }

    /// Adds one number; returns whether it is new.
    pub(crate) fn insert(&mut self, value: u64) -> bool {
        self.insert_range(value..value.saturating_add(1)) > 0
    }

    /// Adds a range; returns how many of its numbers are new.
    pub(crate) fn insert_range(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        // What touches the new range, adjacent ones included, becomes one range with it.
        let first = self.first_ending_at_or_after(range.start);
        let end = first + self.ranges[first..].partition_point(|known| known.start <= range.end);
        if first == end {
            let new = range.end - range.start;
            self.ranges.insert(first, range);
            return new;
        }
        let touched = &self.ranges[first..end];
        let known: u64 = touched.iter().map(|known| known.end - known.start).sum();
        let start = range.start.min(self.ranges[first].start);
        let stop = range.end.max(self.ranges[end - 1].end);
        self.ranges[first] = start..stop;
        self.ranges.drain(first + 1..end);
        stop - start - known
    }

    #[cfg(test)]
    /// Whether `value` is a member.
    pub(crate) fn contains(&self, value: u64) -> bool {
        self.overlaps(value..value.saturating_add(1))
    }

    /// Whether any number of `range` is a member.
    pub(crate) fn overlaps(&self, range: Range<u64>) -> bool {
        self.gaps(range.clone()).next() != Some(range.clone()) && !range.is_empty()
    }

    /// The parts of `within` that are not in the set, lowest first.
    pub(crate) fn gaps(&self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut known = self.ranges[self.first_ending_at_or_after(within.start)..].iter();
        let mut at = within.start;
        core::iter::from_fn(move || {
            while at < within.end {
                let start = at;
                let (end, resume) =
                    known.next().map_or((u64::MAX, u64::MAX), |known| (known.start, known.end));
                at = resume;
                let end = end.min(within.end);
                if start < end {
                    return Some(start..end);
                }
            }
            None
        })
    }

    /// The ranges, lowest first; reversed, newest first.
    pub(crate) fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = Range<u64>> + ExactSizeIterator + Clone + '_ {
        self.ranges.iter().cloned()
    }

    /// The highest member.
    pub(crate) fn max(&self) -> Option<u64> {
        self.ranges.last().map(|range| range.end - 1)
    }

    #[cfg(test)]
    /// The number of members.
    pub(crate) fn covered(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// Removes every member below `floor`.
    pub(crate) fn remove_below(&mut self, floor: u64) {
        let gone = self.ranges.partition_point(|range| range.end <= floor);
        if gone > 0 {
            self.ranges.drain(..gone);
        }
        if let Some(lowest) = self.ranges.first_mut() {
            lowest.start = lowest.start.max(floor);
        }
    }

    /// Forgets the lowest ranges until at most `max` remain.
    pub(crate) fn keep_newest(&mut self, max: usize) {
        let excess = self.ranges.len().saturating_sub(max);
        if excess > 0 {
            self.ranges.drain(..excess);
        }
    }

    fn first_ending_at_or_after(&self, value: u64) -> usize {
        match self.ranges.last() {
            // In order: at the end, without a search.
            Some(last) if last.start <= value => self.ranges.len() - usize::from(value <= last.end),
            _ => self.ranges.partition_point(|known| known.end < value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Operation {
        Insert(u64),
        InsertRange(u64, u64),
        RemoveBelow(u64),
        KeepNewest(usize),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            4 => (0u64..120).prop_map(Operation::Insert),
            4 => (0u64..120, 0u64..12).prop_map(|(a, n)| Operation::InsertRange(a, a + n)),
            1 => (0u64..120).prop_map(Operation::RemoveBelow),
            1 => (1usize..20).prop_map(Operation::KeepNewest),
        ]
    }

    fn runs(model: &BTreeSet<u64>) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for &value in model {
            match runs.last_mut() {
                Some(run) if run.end == value => run.end += 1,
                _ => runs.push(value..value + 1),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn the_set_agrees_with_a_set_of_numbers(
            operations in prop::collection::vec(operation(), 1..100),
            probe in 0u64..120,
            length in 0u64..40,
        ) {
            let mut set = RangeSet::new();
            let mut model = BTreeSet::new();
            for operation in operations {
                match operation {
                    Operation::Insert(value) => {
                        prop_assert_eq!(set.insert(value), model.insert(value));
                    }
                    Operation::InsertRange(start, end) => {
                        let new = (start..end).filter(|value| model.insert(*value)).count();
                        prop_assert_eq!(set.insert_range(start..end), new as u64);
                    }
                    Operation::RemoveBelow(floor) => {
                        set.remove_below(floor);
                        model.retain(|value| *value >= floor);
                    }
                    Operation::KeepNewest(max) => {
                        set.keep_newest(max);
                        let floor = runs(&model).iter().rev().nth(max - 1).map_or(0, |r| r.start);
                        model.retain(|value| *value >= floor);
                    }
                }
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), runs(&model));
                prop_assert_eq!(set.max(), model.last().copied());
                prop_assert_eq!(set.covered(), model.len() as u64);
                prop_assert_eq!(set.contains(probe), model.contains(&probe));
            }
            let within = probe..probe + length;
            let missing: BTreeSet<u64> = within.clone().filter(|v| !model.contains(v)).collect();
            prop_assert_eq!(set.gaps(within.clone()).collect::<Vec<_>>(), runs(&missing));
            prop_assert_eq!(set.overlaps(within.clone()), within.count() != missing.len());
        }
    }

    #[test]
    fn numbers_in_order_need_no_heap() {
        let mut set = RangeSet::new();
        (7..10_000).for_each(|value| assert!(set.insert(value)));
        assert!(!set.ranges.spilled());
        assert_eq!(size_of::<RangeSet>(), 24);
    }
}
