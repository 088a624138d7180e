//! A small seeded generator: xoshiro256++, seeded by splitmix64. Not for secrets.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A reproducible source of randomness: the same seed gives the same numbers on every machine.
#[derive(Clone, Debug)]
pub struct Rng([u64; 4]);

impl Rng {
    /// The generator of a seed. Close seeds give unrelated numbers.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut state = seed;
        Self([(); 4].map(|()| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state)
        }))
    }

    /// An independent generator, so that one consumer's needs do not shift another's numbers.
    pub fn fork(&mut self) -> Self {
        Self::from_seed(self.next_u64())
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number in the range, both ends included.
    ///
    /// # Panics
    /// When the range is empty.
    pub fn range(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        assert!(low <= high, "an empty range");
        match (high - low).checked_add(1) {
            // The bias of a multiplication is below 2^-32 for the ranges of a simulation.
            Some(span) => low + ((u128::from(self.next_u64()) * u128::from(span)) >> 64) as u64,
            None => self.next_u64(),
        }
    }

    /// An index below `len`, which must not be zero.
    pub fn index(&mut self, len: usize) -> usize {
        self.range(0..=len as u64 - 1) as usize
    }

    /// One of the items, of which there must be one.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    /// A duration in the range, both ends included, in whole microseconds.
    pub fn duration(&mut self, range: RangeInclusive<Duration>) -> Duration {
        let (low, high) = range.into_inner();
        Duration::from_micros(self.range(low.as_micros() as u64..=high.as_micros() as u64))
    }

    /// True with the given probability. Draws nothing when the answer is certain.
    pub fn chance(&mut self, probability: Probability) -> bool {
        match probability.0 {
            0 => false,
            parts if parts >= MILLION => true,
            parts => self.range(0..=u64::from(MILLION) - 1) < u64::from(parts),
        }
    }

    /// 32 random bytes, such as the seed of an endpoint.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes());
        }
        bytes
    }
}

/// How likely something is, in parts per million: exact, unlike a float, on every machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probability(u32);

impl Probability {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(MILLION);

    /// So many in a hundred.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self(percent.saturating_mul(10_000))
    }

    /// So many in a million.
    #[must_use]
    pub const fn per_million(parts: u32) -> Self {
        Self(parts)
    }

    pub(crate) const fn parts(self) -> u32 {
        self.0
    }
}

/// The finalizer of splitmix64: every input bit reaches every output bit.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const MILLION: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_and_another_a_different_one() {
        let draw = |seed| {
            let mut rng = Rng::from_seed(seed);
            [rng.next_u64(), rng.next_u64(), rng.fork().next_u64()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn ranges_reach_both_ends_and_nothing_else() {
        let mut rng = Rng::from_seed(1);
        let mut seen = [0; 4];
        (0..400).for_each(|_| seen[rng.range(3..=6) as usize - 3] += 1);
        assert!(seen.iter().all(|&times| times > 50), "{seen:?}");
        assert_eq!(rng.range(9..=9), 9);
        rng.range(0..=u64::MAX);
    }

    #[test]
    fn a_chance_comes_true_about_as_often_as_it_says() {
        let mut rng = Rng::from_seed(2);
        let hits = (0..10_000).filter(|_| rng.chance(Probability::percent(5))).count();
        assert!((400..600).contains(&hits), "{hits}");
        assert!(!rng.chance(Probability::NEVER) && rng.chance(Probability::ALWAYS));
    }
}
