//! Which sequence numbers of a stream are resolved, and where streams that ended go on.

use alloc::collections::{BTreeMap, VecDeque};

use crate::pack::pack;
use crate::wire::StreamKey;

/// A set of sequence numbers in which everything below a floor is contained.
#[derive(Debug, Default)]
pub(crate) struct ReceivedWindow {
    floor: u64,
    /// Bit `i` of the whole is sequence number `base + i`; `base` is `floor` rounded down to 64.
    words: VecDeque<u64>,
}

pack!(ReceivedWindow: floor, words);

impl ReceivedWindow {
    /// All below `floor` is contained.
    pub(crate) fn from_floor(floor: u64) -> Self {
        Self { floor, words: VecDeque::new() }
    }

    /// The lowest sequence number that is not resolved.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// Whether a number at or above the floor is contained.
    pub(crate) fn has_gaps(&self) -> bool {
        self.words.iter().enumerate().any(|(word, bits)| {
            let below = if word == 0 { (1 << (self.floor % 64)) - 1 } else { 0 };
            bits & !below != 0
        })
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        if number < self.floor {
            return true;
        }
        let (word, bit) = self.locate(number);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Settles `number` if it is the next and no other is settled beyond it, as nearly always; false if it is not.
    #[inline]
    pub(crate) fn insert_next(&mut self, number: u64) -> bool {
        let is_next = self.is_next(number);
        // Bits below the floor count for nothing.
        self.floor += u64::from(is_next);
        is_next
    }

    /// Whether `number` is the next, and no other is settled beyond it.
    #[inline]
    pub(crate) fn is_next(&self, number: u64) -> bool {
        number == self.floor && self.words.is_empty()
    }

    /// Settles `number`, which must be near the floor: it takes a bit for each number from there on; false if it was before.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        if self.insert_next(number) {
            return true;
        }
        if self.contains(number) {
            return false;
        }
        let (word, bit) = self.locate(number);
        if word >= self.words.len() {
            // What is far ahead is booked as long as it is.
            self.words.reserve_exact((word + 1 - self.words.len()).next_multiple_of(KEPT));
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
        self.raise_floor();
        true
    }

    /// The bytes of its bits.
    pub(crate) fn memory(&self) -> u64 {
        self.words.len() as u64 * WORD
    }

    /// By so many bytes it grows if this number is settled.
    pub(crate) fn growth(&self, number: u64) -> u64 {
        if number < self.floor || self.is_next(number) {
            return 0;
        }
        let (word, _) = self.locate(number);
        (word as u64).saturating_add(1).saturating_sub(self.words.len() as u64).saturating_mul(WORD)
    }

    fn raise_floor(&mut self) {
        while let Some(bits) = self.words.front() {
            let within = (self.floor % 64) as u32;
            let run = (bits >> within).trailing_ones();
            self.floor += u64::from(run);
            if run == 0 || within + run < 64 {
                break;
            }
            self.words.pop_front();
        }
        // Memory goes back once much was open. A little is kept for the next loss.
        if self.words.is_empty() && self.words.capacity() > KEPT {
            self.words = VecDeque::new();
        }
    }

    fn locate(&self, number: u64) -> (usize, u64) {
        let word = number / 64 - self.floor / 64;
        (usize::try_from(word).unwrap_or(usize::MAX), 1 << (number % 64))
    }
}

/// An empty window keeps room for so many words. It grows by as many at least.
const KEPT: usize = 8;
/// The bytes of a word.
const WORD: u64 = 8;

/// The numbers at which streams ended, kept at both ends: each goes on there if it is used again. A stream that was opened again still counts: whether it was may be known
/// at one end only.
#[derive(Debug, Default)]
pub(super) struct EndedStreams {
    ends: BTreeMap<StreamKey, u64>,
}

pack!(EndedStreams: ends);

impl EndedStreams {
    /// Every message of a stream below this one is settled, and was when the stream ended last.
    pub(super) fn end_of(&self, key: StreamKey) -> u64 {
        self.ends.get(&key).copied().unwrap_or(0)
    }

    /// Keeps a place for a stream that is to end. False if there is none.
    pub(super) fn admit(&mut self, key: StreamKey) -> bool {
        let is_admitted = self.ends.len() < MAX_ENDED || self.ends.contains_key(&key);
        if is_admitted {
            self.ends.entry(key).or_insert(0);
        }
        is_admitted
    }

    /// A stream that was admitted ended before the message with this number.
    pub(super) fn insert(&mut self, key: StreamKey, end: u64) {
        self.ends.insert(key, end);
    }
}

/// So many different streams may end between two incarnations (PROTOCOL.md section 15.8).
pub(super) const MAX_ENDED: usize = 1024;

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set_with_a_floor(steps in proptest::collection::vec(0u64..200, 1..400)) {
            let mut window = ReceivedWindow::default();
            let mut model = BTreeSet::new();
            for step in steps {
                let number = window.floor() + step;
                prop_assert_eq!(window.contains(number), model.contains(&number));
                prop_assert_eq!(window.insert(number), model.insert(number));
                let floor = (0..).find(|n| !model.contains(n)).expect("finite");
                prop_assert_eq!(window.floor(), floor);
            }
        }
    }
}
