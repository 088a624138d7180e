//! The endpoint's randomness: a generator (ChaCha20) that unrolls the one seed it was given.

use chacha20::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};
use zeroize::Zeroizing;

use super::hash::Secret;

/// A cryptographically secure generator: the same seed gives the same numbers on every platform.
/// Its state is wiped when dropped.
pub(crate) struct Rng(ChaCha20Rng);

impl Rng {
    /// Starts from 32 bytes that are drawn from the operating system (or fixed in a simulation).
    pub(crate) fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(ChaCha20Rng::from_seed(*seed))
    }

    /// `N` random bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// 32 random bytes that nobody else may know.
    pub(crate) fn secret(&mut self) -> Secret {
        let mut bytes = Secret::default();
        self.0.fill_bytes(&mut *bytes);
        bytes
    }

    /// Any number of 32 bits.
    pub(crate) fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Any number of 64 bits.
    pub(crate) fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 to `bound - 1`, each as likely as any other; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // What is left after the largest multiple of `bound` would favour small numbers.
        let excess = (u64::MAX % bound + 1) % bound;
        loop {
            let draw = self.u64();
            if draw <= u64::MAX - excess {
                return draw % bound;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;
    use crate::tests::values::{assert_wiped, unhex32};
    use proptest::{prop_assert, proptest};

    #[test]
    fn the_stream_is_chacha20() {
        // RFC 8439, A.1, test vector 1: the key stream of a zero key.
        let expected = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7";
        assert_eq!(Rng::from_seed([0; 32]).bytes(), unhex32(expected));
    }

    #[test]
    fn its_state_is_wiped() {
        let Rng(state) = Rng::from_seed([0; 32]);
        assert_wiped(&state);
    }

    #[test]
    fn small_numbers_come_up_evenly() {
        let mut rng = Rng::from_seed([2; 32]);
        let mut counts = [0_u32; 6];
        for _ in 0..6000 {
            counts[usize::try_from(rng.below(6)).expect("small")] += 1;
        }
        assert!(counts.iter().all(|n| (850..1150).contains(n)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn below_is_below(seed: [u8; 32], bound: u64) {
            let mut rng = Rng::from_seed(seed);
            let draw = rng.below(bound);
            prop_assert!(draw < bound || (bound == 0 && draw == 0));
        }
    }
}
