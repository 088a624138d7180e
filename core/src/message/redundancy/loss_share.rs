//! How much of what is sent is lost, as far as copies are concerned.

use crate::pack::pack;

/// How many of the last parts were lost.
#[derive(Debug, Default)]
pub(super) struct LossShare {
    /// A moving average, in 2^-24.
    share: u32,
    /// It is worth copies. The first loss is felt at once, and the last for some 260 parts.
    is_felt: bool,
    /// So many parts were looked at, up to `KNOWN`.
    parts: u16,
}

pack!(LossShare: share, is_felt, parts);

impl LossShare {
    #[inline]
    pub(super) fn note(&mut self, is_lost: bool) {
        if self.parts < KNOWN {
            self.parts += 1;
        }
        if is_lost {
            self.share += (ALL - self.share) / PARTS;
            self.is_felt = true;
        } else if self.share > 0 {
            self.share -= self.share / PARTS;
            self.is_felt &= self.share >= FELT;
        }
    }

    /// Whether what is lost is worth copies.
    pub(super) const fn is_felt(&self) -> bool {
        self.is_felt
    }

    pub(super) const fn is_heavy(&self) -> bool {
        self.share >= HEAVY
    }

    /// Whether the path was not seen for long enough.
    pub(super) const fn is_unknown(&self) -> bool {
        self.parts < KNOWN
    }
}

/// All parts, as a share.
const ALL: u32 = 1 << 24;
/// How many parts the average looks at, about.
const PARTS: u32 = 128;
/// Less than a thousandth is not felt.
const FELT: u32 = ALL / 1000;
/// So many parts show what is lost: 50 Mbit/s are found after about half of them.
const KNOWN: u16 = 2048;
/// A fortieth is much.
const HEAVY: u32 = ALL / 40;
