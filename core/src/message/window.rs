//! Which sequence numbers of a stream are resolved.

use alloc::collections::VecDeque;

/// A set of sequence numbers in which everything below a floor is contained.
#[derive(Debug, Default)]
pub(crate) struct ReceivedWindow {
    floor: u64,
    /// Bit `i` of the whole is sequence number `base + i`; `base` is `floor` rounded down to 64.
    words: VecDeque<u64>,
}

impl ReceivedWindow {
    /// The lowest sequence number that is not resolved.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        if number < self.floor {
            return true;
        }
        let (word, bit) = self.locate(number);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Settles `number`, which must be near the floor: it takes a bit for each number from there on; false if it was before.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        if self.contains(number) {
            return false;
        }
        let (word, bit) = self.locate(number);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
        self.raise_floor();
        true
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
        if self.words.is_empty() {
            self.words = VecDeque::new();
        }
    }

    fn locate(&self, number: u64) -> (usize, u64) {
        let word = number / 64 - self.floor / 64;
        (usize::try_from(word).unwrap_or(usize::MAX), 1 << (number % 64))
    }
}

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
