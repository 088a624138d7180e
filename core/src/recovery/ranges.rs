//! A set of numbers that mostly come in runs: counters acknowledged.

use core::ops::Range;

use smallvec::SmallVec;

use crate::pack::pack;

/// Sorted, disjoint, non-adjacent half-open ranges of `u64`. One range costs no heap memory.
///
/// `u64::MAX` itself cannot be a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    /// Lowest first: numbers mostly arrive in order, so changes are at the cheap end.
    ranges: SmallVec<[Range<u64>; 1]>,
}

pack!(RangeSet: ranges);

impl RangeSet {
    /// The empty set.
    pub(crate) fn new() -> Self {
        Self { ranges: SmallVec::new() }
    }

    /// Adds a range.
    pub(crate) fn insert_range(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // What touches the new range, adjacent ones included, becomes one range with it.
        let first = self.first_ending_at_or_after(range.start);
        let end = first + self.ranges[first..].partition_point(|known| known.start <= range.end);
        if first == end {
            self.ranges.insert(first, range);
            return;
        }
        let start = range.start.min(self.ranges[first].start);
        let stop = range.end.max(self.ranges[end - 1].end);
        self.ranges[first] = start..stop;
        self.ranges.drain(first + 1..end);
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
        InsertRange(u64, u64),
        RemoveBelow(u64),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            4 => (0u64..120).prop_map(|at| Operation::InsertRange(at, at + 1)),
            4 => (0u64..120, 0u64..12).prop_map(|(a, n)| Operation::InsertRange(a, a + n)),
            1 => (0u64..120).prop_map(Operation::RemoveBelow),
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
                    Operation::InsertRange(start, end) => {
                        set.insert_range(start..end);
                        model.extend(start..end);
                    }
                    Operation::RemoveBelow(floor) => {
                        set.remove_below(floor);
                        model.retain(|value| *value >= floor);
                    }
                }
                prop_assert_eq!(set.ranges.to_vec(), runs(&model));
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
        (7..10_000).for_each(|value| set.insert_range(value..value + 1));
        assert!(!set.ranges.spilled() && set.ranges.len() == 1);
        assert_eq!(size_of::<RangeSet>(), 24);
    }
}
