//! No key seals twice under one nonce, in the whole life of a world.

use crate::contract::Breach;

#[cfg(feature = "audit")]
pub(crate) use on::Audit;

#[cfg(not(feature = "audit"))]
pub(crate) use off::Audit;

#[cfg(feature = "audit")]
mod on {
    use std::collections::HashMap;

    use handfast_core::audit::{self, Seal};

    use super::Breach;

    /// Every key that sealed in a world, and how far its numbers got.
    #[derive(Debug, Default)]
    pub(crate) struct Audit {
        /// By key and path id. The numbers of each must rise: then none comes twice, and no list
        /// of them is needed.
        highest: HashMap<(u64, u8), u64>,
        seals: u64,
    }

    impl Audit {
        /// A machine is about to be called.
        pub(crate) fn begin() {
            audit::watch();
        }

        /// Looks at what was sealed since [`Self::begin`].
        pub(crate) fn check(&mut self) -> Result<(), Breach> {
            let mut verdict = Ok(());
            audit::take(|seal| {
                let breach = self.note(seal).err();
                if let (Ok(()), Some(breach)) = (&verdict, breach) {
                    verdict = Err(breach);
                }
            });
            verdict
        }

        /// How often anything was sealed.
        pub(crate) const fn seals(&self) -> u64 {
            self.seals
        }

        pub(super) fn note(&mut self, Seal { key, number }: Seal) -> Result<(), Breach> {
            self.seals += 1;
            let path = (number >> 56) as u8;
            match self.highest.insert((key, path), number) {
                Some(before) if before >= number => Err(format!(
                    "key {key:016x} sealed under nonce {number:#x} after {before:#x}: each must \
                     be used once, in rising order"
                )),
                _ => Ok(()),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_nonce_that_comes_again_under_its_key_is_a_breach_and_no_other_is() {
            let seal = |key, number| Seal { key, number };
            let mut audit = Audit::default();
            assert!(audit.note(seal(1, 0)).is_ok());
            assert!(audit.note(seal(2, 0)).is_ok(), "another key");
            assert!(audit.note(seal(1, 5)).is_ok(), "a gap");
            assert!(audit.note(seal(1, 1 << 56)).is_ok(), "another path");
            assert!(audit.note(seal(1, 6)).is_ok());
            assert!(audit.note(seal(1, 6)).is_err(), "again");
            assert!(audit.note(seal(2, 0)).is_err(), "again");
            assert!(audit.note(seal(1, 1 << 56)).is_err(), "again");
            assert_eq!(audit.seals(), 8);
        }
    }
}

#[cfg(not(feature = "audit"))]
mod off {
    use super::Breach;

    /// Without the feature `audit` nothing is looked at.
    #[derive(Debug, Default)]
    pub(crate) struct Audit(());

    impl Audit {
        pub(crate) const fn begin() {}

        #[expect(
            clippy::needless_pass_by_ref_mut,
            clippy::unnecessary_wraps,
            clippy::unused_self,
            reason = "as the real one"
        )]
        pub(crate) const fn check(&mut self) -> Result<(), Breach> {
            Ok(())
        }

        #[expect(clippy::unused_self, reason = "as the real one")]
        pub(crate) const fn seals(&self) -> u64 {
            0
        }
    }
}
