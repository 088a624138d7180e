//! Which bytes of one message are known: arrived, or acknowledged.
//!
//! Mostly they are known from the first on, without a hole, and one number says so. The other end may send in any
//! order that it likes: a tree keeps the cost of a piece small however many holes there are.

use alloc::collections::BTreeMap;
use core::ops::Range;

/// Disjoint, non-adjacent ranges of bytes.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    /// All bytes below are in the set.
    front: u32,
    /// The ranges beyond `front`, which touch neither it nor each other: from where each starts to where it ends.
    ends: BTreeMap<u32, u32>,
}

impl Spans {
    /// Whether the set is all bytes below `start`, and no others.
    pub(crate) fn end_at(&self, start: u32) -> bool {
        self.front == start && self.ends.is_empty()
    }

    /// Adds a range; returns how many of its bytes are new. Costs O(log holes), and as much again
    /// for each hole that it closes.
    pub(crate) fn insert(&mut self, range: Range<u32>) -> u32 {
        if range.is_empty() {
            return 0;
        }
        if range.start > self.front {
            return self.insert_beyond(range);
        }
        let before = self.front;
        self.front = self.front.max(range.end);
        if self.ends.is_empty() { self.front - before } else { self.close_up(before) }
    }

    /// Adds a range that starts beyond `front`.
    fn insert_beyond(&mut self, range: Range<u32>) -> u32 {
        let Range { mut start, mut end } = range;
        let mut known = 0;
        if let Some((&before, &reach)) = self.ends.range(..=start).next_back()
            && reach >= start
        {
            known += reach - before;
            (start, end) = (before, end.max(reach));
        }
        while let Some((&next, &reach)) = self.ends.range(start.saturating_add(1)..=end).next() {
            known += reach - next;
            end = end.max(reach);
            self.ends.remove(&next);
        }
        self.ends.insert(start, end);
        end - start - known
    }

    /// Moves `front`, which rose from `before`, past the ranges that it reached. Returns how many bytes are new.
    fn close_up(&mut self, before: u32) -> u32 {
        let mut known = 0;
        while let Some(first) = self.ends.first_entry().filter(|first| *first.key() <= self.front) {
            let (start, end) = first.remove_entry();
            known += end - start;
            self.front = self.front.max(end);
        }
        self.front - before - known
    }

    /// The parts of `within` that are not in the set, lowest first.
    pub(crate) fn gaps(&self, within: Range<u32>) -> impl Iterator<Item = Range<u32>> + '_ {
        let before = self.ends.range(..=within.start).next_back().map_or(0, |(_, &reach)| reach);
        let mut at = within.start.max(self.front).max(before);
        let mut known = self.ends.range(within.start.saturating_add(1)..);
        core::iter::from_fn(move || {
            while at < within.end {
                let start = at;
                let (end, resume) = match known.next() {
                    Some((&next, &reach)) => (next.min(within.end), reach),
                    None => (within.end, within.end),
                };
                at = resume.max(end);
                if start < end {
                    return Some(start..end);
                }
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set_of_bytes(
            steps in proptest::collection::vec((0u32..120, 0u32..30), 1..60),
            (start, len) in (0u32..140, 0u32..60),
        ) {
            let (mut spans, mut model) = (Spans::default(), BTreeSet::new());
            for (start, len) in steps {
                let new = (start..start + len).filter(|byte| model.insert(*byte)).count();
                prop_assert_eq!(spans.insert(start..start + len) as usize, new);
            }
            let gaps: Vec<u32> = spans.gaps(start..start + len).flatten().collect();
            let missing: Vec<u32> =
                (start..start + len).filter(|byte| !model.contains(byte)).collect();
            prop_assert_eq!(gaps, missing);
            let edges: Vec<(u32, u32)> = [(0, spans.front)].into_iter().chain(spans.ends).collect();
            prop_assert!(edges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", edges);
        }
    }

    #[test]
    fn the_last_bytes_that_can_be_named_are_bytes_like_others() {
        let mut spans = Spans::default();
        assert_eq!(spans.insert(u32::MAX - 5..u32::MAX), 5);
        assert_eq!(spans.insert(0..u32::MAX), u32::MAX - 5);
        assert_eq!(spans.gaps(0..u32::MAX).next(), None);
    }
}
