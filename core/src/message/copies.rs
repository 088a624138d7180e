//! Which bytes of a message are under way more than once.

use alloc::vec::Vec;
use core::ops::Range;

/// The copies of one message's bytes that are under way beside the first one.
///
/// Bytes that stand in several ranges have that many more copies. Nothing is kept, and nothing
/// allocated, unless a part is sent while an earlier copy of it is under way.
#[derive(Debug, Default)]
pub(super) struct Copies {
    further: Vec<Range<u32>>,
}

impl Copies {
    /// One more copy of these bytes is under way.
    pub(super) fn add(&mut self, range: Range<u32>) {
        self.further.push(range);
    }

    /// A copy of these bytes was lost. True if another copy of each of them is under way.
    ///
    /// If not, nothing changes: the copy that repairs the loss takes the place of the lost one.
    pub(super) fn lose(&mut self, range: Range<u32>) -> bool {
        let covered = self.covers(&range);
        if covered {
            self.remove(range);
        }
        covered
    }

    fn covers(&self, range: &Range<u32>) -> bool {
        let mut at = range.start;
        while at < range.end {
            let Some(longest) = self.longest_at(at) else { return false };
            at = self.further[longest].end;
        }
        true
    }

    /// Takes one copy of each byte of `range` away; all have one.
    fn remove(&mut self, range: Range<u32>) {
        let mut at = range.start;
        while let Some(longest) = self.longest_at(at).filter(|_| at < range.end) {
            let taken = self.further.swap_remove(longest);
            let end = taken.end.min(range.end);
            self.further.extend(
                [taken.start..at, end..taken.end].into_iter().filter(|left| !left.is_empty()),
            );
            at = end;
        }
    }

    /// The range that covers this byte and reaches furthest.
    fn longest_at(&self, byte: u32) -> Option<usize> {
        let covering = self.further.iter().enumerate().filter(|(_, range)| range.contains(&byte));
        covering.max_by_key(|(_, range)| range.end).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A counter for each byte knows the same.
        #[test]
        fn a_loss_counts_once_no_other_copy_of_some_byte_is_under_way(
            steps in proptest::collection::vec((any::<bool>(), 0u32..40, 1u32..40), 1..100),
        ) {
            let mut copies = Copies::default();
            let mut counts = [0_u32; 80];
            for (sent, start, len) in steps {
                let range = start..start + len;
                let counts = &mut counts[start as usize..(start + len) as usize];
                if sent {
                    copies.add(range);
                    counts.iter_mut().for_each(|count| *count += 1);
                } else {
                    let covered = counts.iter().all(|count| *count > 0);
                    prop_assert_eq!(copies.lose(range), covered);
                    if covered {
                        counts.iter_mut().for_each(|count| *count -= 1);
                    }
                }
            }
        }
    }
}
