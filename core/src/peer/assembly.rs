//! Putting the fragments of one message together.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::peer::ranges::RangeSet;

/// A message of which some fragments arrived.
#[derive(Debug)]
pub(crate) struct Assembly {
    buffer: Vec<u8>,
    arrived: RangeSet,
    /// How many bytes arrived.
    filled: u64,
}

impl Assembly {
    /// Room for a message of `total` bytes, which the caller has charged to the sender's credit.
    pub(crate) fn new(total: u32) -> Self {
        Self { buffer: vec![0; total as usize], arrived: RangeSet::default(), filled: 0 }
    }

    /// The length of the whole message.
    pub(crate) fn total(&self) -> u32 {
        u32::try_from(self.buffer.len()).unwrap_or(u32::MAX)
    }

    /// Adds bytes at an offset; the caller checked that they lie within the message. True once it
    /// is whole. What arrived first stays: a sender that contradicts itself gains nothing.
    pub(crate) fn insert(&mut self, offset: u32, bytes: &[u8]) -> bool {
        let range = u64::from(offset)..u64::from(offset) + bytes.len() as u64;
        for gap in self.arrived.gaps(range.clone()) {
            let (start, end) = (gap.start as usize, gap.end as usize);
            let skip = offset as usize;
            self.buffer[start..end].copy_from_slice(&bytes[start - skip..end - skip]);
        }
        self.filled += self.arrived.insert_range(range);
        self.filled == self.buffer.len() as u64
    }

    /// The message, without a copy.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from(self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Fragments may come in any order, twice, and cut anew; the message is whole exactly when
        /// every byte came.
        #[test]
        fn any_cover_of_the_message_completes_it(
            message in proptest::collection::vec(any::<u8>(), 1..300),
            cuts in proptest::collection::vec((0usize..300, 1usize..80), 1..60),
        ) {
            let mut assembly = Assembly::new(message.len() as u32);
            let mut came = vec![false; message.len()];
            for (at, len) in cuts {
                let start = at % message.len();
                let end = (start + len).min(message.len());
                let whole = assembly.insert(start as u32, &message[start..end]);
                came[start..end].fill(true);
                prop_assert_eq!(whole, came.iter().all(|byte| *byte));
            }
            if came.iter().all(|byte| *byte) {
                prop_assert_eq!(&assembly.into_bytes()[..], &message[..]);
            }
        }

        #[test]
        fn the_first_of_two_disagreeing_fragments_stays(first in 0u32..90, second in 0u32..90) {
            let mut assembly = Assembly::new(100);
            assembly.insert(first, &[1; 10]);
            assembly.insert(second, &[2; 10]);
            let bytes = assembly.into_bytes();
            prop_assert!(bytes[first as usize..first as usize + 10].iter().all(|byte| *byte == 1));
        }
    }
}
