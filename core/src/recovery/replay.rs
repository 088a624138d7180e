//! The replay window: which packet numbers have been seen (in the manner of RFC 6479).
//!
//! A ring of bits over the numbers `floor .. floor + size`; what is below the floor counts as seen.
//! A number above the window moves it up. A window is small and inline until the peer sends fast.

use alloc::boxed::Box;
use alloc::vec;
use core::ops::{Deref, DerefMut};

use crate::pack::{Pack, Packer, Unpacker, pack};

/// Accepts each number once, as long as it is not too far behind the highest one.
#[derive(Debug)]
pub(crate) struct ReplayWindow {
    floor: u64,
    ring: Ring,
}

pack!(ReplayWindow: floor, ring);

impl ReplayWindow {
    /// A window of 128 numbers, which needs no heap. All below `floor` count as seen, none above.
    pub(crate) const fn above(floor: u64) -> Self {
        Self { floor, ring: Ring::Inline([0; INLINE_WORDS]) }
    }

    /// How many numbers the window spans.
    pub(crate) fn size(&self) -> u64 {
        bits_of(self.ring.len())
    }

    /// Whether `number` was not seen and is not below the window. Changes nothing.
    pub(crate) fn is_new(&self, number: u64) -> bool {
        let Some(offset) = number.checked_sub(self.floor) else {
            return false;
        };
        let (word, bit) = self.position(number);
        offset >= self.size() || self.ring[word] & bit == 0
    }

    /// Marks `number` as seen (once its packet is authenticated). Returns whether it was new.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        if !self.is_new(number) {
            return false;
        }
        let (ahead, size) = (number - self.floor, self.size());
        if ahead == size {
            // The next in order: its bit is that of the lowest number, which leaves.
            self.floor += 1;
        } else if ahead > size {
            self.move_floor(number - (size - 1));
        }
        let (word, bit) = self.position(number);
        self.ring[word] |= bit;
        true
    }

    /// Widens the window to at least `bits` numbers, rounded up to a power of two, 65,536 at most.
    ///
    /// It grows upwards: numbers that were too old remain so.
    #[cold]
    pub(crate) fn grow(&mut self, bits: u64) {
        let bits = bits.clamp(INLINE_BITS, MAX_BITS).next_power_of_two();
        if bits > self.size() {
            self.ring = self.copy_into(Ring::Heap(vec![0; words_of(bits)].into_boxed_slice()));
        }
    }

    /// Narrows the window to the 128 numbers up to the highest seen and frees the heap.
    pub(crate) fn shrink(&mut self) {
        if let Ring::Heap(_) = self.ring {
            if let Some(highest) = self.highest() {
                self.move_floor(highest.saturating_sub(INLINE_BITS - 1));
            }
            self.ring = self.copy_into(Ring::Inline([0; INLINE_WORDS]));
        }
    }

    /// Where the bit of `number` is: the word's place in the ring and the bit in it.
    fn position(&self, number: u64) -> (usize, u64) {
        (self.word_of(number / 64), 1 << (number % 64))
    }

    /// The place of the word that holds the numbers `64 * block ..`.
    fn word_of(&self, block: u64) -> usize {
        place(block, self.ring.len())
    }

    /// Raises the floor to `floor` and clears the bits of the numbers it leaves behind.
    fn move_floor(&mut self, floor: u64) {
        let floor = floor.max(self.floor);
        if floor - self.floor >= self.size() {
            self.ring.fill(0);
        } else {
            for block in self.floor / 64..=floor / 64 {
                let word = self.word_of(block);
                self.ring[word] &= !(from(self.floor, block) & !from(floor, block));
            }
        }
        self.floor = floor;
    }

    /// The bits of the window's numbers in `64 * block ..`, without the others that share the word.
    fn block(&self, block: u64) -> u64 {
        // The window may start within a word: that word then holds its first and its last numbers.
        let above = match self.floor.checked_add(self.size()) {
            Some(end) => from(end, block),
            None => 0,
        };
        self.ring[self.word_of(block)] & from(self.floor, block) & !above
    }

    /// The blocks that the window touches.
    fn blocks(&self) -> core::ops::RangeInclusive<u64> {
        self.floor / 64..=self.floor.saturating_add(self.size() - 1) / 64
    }

    fn highest(&self) -> Option<u64> {
        let block = self.blocks().rev().find(|block| self.block(*block) != 0)?;
        Some(block * 64 + u64::from(self.block(block).ilog2()))
    }

    /// Copies what is at or above the floor into `ring`, whose size must suffice.
    fn copy_into(&self, mut ring: Ring) -> Ring {
        for block in self.blocks() {
            let word = place(block, ring.len());
            ring[word] |= self.block(block);
        }
        ring
    }
}

/// The words of the ring, a power of two of them.
#[derive(Debug)]
enum Ring {
    Inline([u64; INLINE_WORDS]),
    Heap(Box<[u64]>),
}

/// One that is on the heap is one of a peer that sends fast.
impl Pack for Ring {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        match self {
            Self::Inline(words) => words.pack(into),
            Self::Heap(_) => None,
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Pack::unpack(from).map(Self::Inline)
    }

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        let (Self::Inline(words), Self::Inline(like)) = (self, like) else { return None };
        words.pack_like(like, into)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        let Self::Inline(like) = like else { return None };
        Pack::unpack_like(like, from).map(Self::Inline)
    }
}

impl Deref for Ring {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        match self {
            Self::Inline(words) => words,
            Self::Heap(words) => words,
        }
    }
}

impl DerefMut for Ring {
    fn deref_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Inline(words) => words,
            Self::Heap(words) => words,
        }
    }
}

/// The bits in the word of `block` that stand for numbers at or above `floor`.
fn from(floor: u64, block: u64) -> u64 {
    match block.cmp(&(floor / 64)) {
        core::cmp::Ordering::Less => 0,
        core::cmp::Ordering::Equal => u64::MAX << (floor % 64),
        core::cmp::Ordering::Greater => u64::MAX,
    }
}

/// The place of a block in a ring of `words` words (a power of two).
const fn place(block: u64, words: usize) -> usize {
    // Only the low bits count, so it does not matter that a small machine drops the high ones.
    block as usize & (words - 1)
}

const fn bits_of(words: usize) -> u64 {
    words as u64 * 64
}

const fn words_of(bits: u64) -> usize {
    (bits / 64) as usize
}

/// 128 numbers without an allocation.
const INLINE_WORDS: usize = 2;
const INLINE_BITS: u64 = bits_of(INLINE_WORDS);
/// The largest window, in numbers: twice the packets of a round trip of 32,768 packets.
const MAX_BITS: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// The same, by remembering everything.
    #[derive(Default)]
    struct Model {
        seen: BTreeSet<u64>,
        floor: u64,
        size: u64,
    }

    impl Model {
        fn is_new(&self, number: u64) -> bool {
            number >= self.floor && !self.seen.contains(&number)
        }

        fn insert(&mut self, number: u64) -> bool {
            let new = self.is_new(number);
            if new {
                self.seen.insert(number);
                self.raise(self.size);
            }
            new
        }

        fn raise(&mut self, size: u64) {
            if let Some(highest) = self.seen.last() {
                self.floor = self.floor.max(highest.saturating_sub(size - 1));
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// At a distance from the highest number so far.
        Near(i64),
        At(u64),
        Grow(u64),
        Shrink,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            12 => (-3..6_i64).prop_map(Step::Near),
            8 => (-200..200_i64).prop_map(Step::Near),
            4 => (-5000..5000_i64).prop_map(Step::Near),
            2 => (-70_000..70_000_i64).prop_map(Step::Near),
            1 => any::<u64>().prop_map(Step::At),
            1 => prop_oneof![0..100_000_u64, Just(u64::MAX)].prop_map(Step::Grow),
            1 => Just(Step::Shrink),
        ]
    }

    fn start() -> impl Strategy<Value = u64> {
        prop_oneof![
            0..300_u64,
            (1 << 56) - 300..(1 << 56) + 300_u64,
            u64::MAX - 70_000..=u64::MAX,
            u64::MAX - 300..=u64::MAX,
            any::<u64>(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn the_window_agrees_with_a_set_of_everything_seen(
            start in start(),
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let mut window = ReplayWindow::above(0);
            let mut model = Model { size: 128, ..Model::default() };
            let mut accepted = Vec::new();
            let mut highest = start;
            for step in steps {
                let number = match step {
                    Step::Near(distance) => highest.saturating_add_signed(distance),
                    Step::At(number) => number,
                    Step::Grow(bits) => {
                        window.grow(bits);
                        model.size = model.size.max(bits.clamp(128, 65_536).next_power_of_two());
                        prop_assert_eq!(window.size(), model.size);
                        continue;
                    }
                    Step::Shrink => {
                        window.shrink();
                        model.size = 128;
                        model.raise(128);
                        prop_assert_eq!(window.size(), 128);
                        continue;
                    }
                };
                prop_assert_eq!(window.is_new(number), model.is_new(number), "{}", number);
                let new = window.insert(number);
                prop_assert_eq!(new, model.insert(number), "{}", number);
                prop_assert!(!window.is_new(number) && !window.insert(number));
                if new {
                    accepted.push(number);
                    highest = highest.max(number);
                }
                for probe in [highest.saturating_sub(127), highest.saturating_sub(128), model.floor] {
                    prop_assert_eq!(window.is_new(probe), model.is_new(probe), "{}", probe);
                }
            }
            for number in accepted {
                prop_assert!(!window.is_new(number), "{} would be accepted again", number);
            }
        }
    }

    #[test]
    fn an_idle_window_is_small() {
        assert!(size_of::<ReplayWindow>() <= 32, "{}", size_of::<ReplayWindow>());
    }

    #[test]
    fn the_last_number_of_all_is_accepted_once() {
        for bits in [128, 2048, 65_536] {
            let mut window = ReplayWindow::above(0);
            window.grow(bits);
            assert!(window.insert(u64::MAX));
            assert!(!window.insert(u64::MAX));
            assert!(window.insert(u64::MAX - (bits - 1)));
            assert!(!window.is_new(u64::MAX - bits));
            window.shrink();
            assert!(!window.is_new(u64::MAX));
            assert!(bits == 128 || window.insert(u64::MAX - 127));
        }
    }
}
