//! Putting the fragments of one message together.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use super::spans::Spans;

use crate::pack::pack_never;

/// A message of which some fragments arrived.
///
/// Memory grows with what arrived, not with what was announced: the sender may have charged a large
/// message to its credit and send but the last bytes of it. What is kept beyond that is for the caller to grant
/// ([`Assembly::make_headway`]).
#[derive(Debug)]
pub(crate) struct Assembly {
    total: u32,
    /// The beginning of the message, as far as a piece of it came, with zeros for what is missing before that.
    buffer: Vec<u8>,
    /// Pieces too far ahead to make room for all that goes before, by their place.
    ahead: BTreeMap<u32, Box<[u8]>>,
    arrived: Spans,
    /// How many bytes arrived.
    filled: u32,
}

pack_never!(Assembly);

/// Room for so many bytes is made whatever arrives first.
const FIRST: u32 = 4096;
/// Room is made for so many bytes per byte that arrived.
const PER_BYTE: u32 = 4;
/// What [`Assembly::make_headway`] makes room for at most.
pub(super) const HEADWAY: u32 = 64 << 10;

impl Assembly {
    /// A message of `total` bytes, which the caller has charged to the sender's credit.
    pub(crate) fn new(total: u32) -> Self {
        let (ahead, arrived) = (BTreeMap::new(), Spans::default());
        Self { total, buffer: Vec::new(), ahead, arrived, filled: 0 }
    }

    /// The length of the whole message.
    pub(crate) const fn total(&self) -> u32 {
        self.total
    }

    /// Makes room for the whole message, or for its first 64 KiB, whatever arrived of it.
    pub(crate) fn make_headway(&mut self) {
        make_room(&mut self.buffer, self.total.min(HEADWAY), self.total);
    }

    /// Adds bytes at an offset; the caller checked that they lie within the message. True once it
    /// is whole. What arrived first stays: a sender that contradicts itself gains nothing.
    pub(crate) fn insert(&mut self, offset: u32, bytes: &[u8]) -> bool {
        let range = offset..offset + bytes.len() as u32;
        if self.arrived.end_at(offset) {
            // Nothing is missing before it, and nothing came that goes behind it.
            debug_assert_eq!(self.buffer.len(), offset as usize);
            make_room(&mut self.buffer, range.end, self.total);
            self.buffer.extend_from_slice(bytes);
        } else {
            let within_reach = range.end <= reach(self.filled + (range.end - range.start));
            if within_reach {
                make_room(&mut self.buffer, range.end, self.total);
            }
            for gap in self.arrived.gaps(range.clone()) {
                let new = &bytes[(gap.start - offset) as usize..(gap.end - offset) as usize];
                if gap.end as usize <= self.buffer.capacity() {
                    write_at(&mut self.buffer, gap.start as usize, new);
                } else {
                    self.ahead.insert(gap.start, new.into());
                }
            }
        }
        self.filled += self.arrived.insert(range);
        self.draw_in();
        self.filled == self.total
    }

    /// The message, without a copy.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from(self.buffer)
    }

    /// Moves pieces into the buffer once enough arrived to make room for them.
    fn draw_in(&mut self) {
        while let Some(first) = self.ahead.first_entry() {
            let end = first.key() + first.get().len() as u32;
            if end > reach(self.filled) {
                return;
            }
            let (start, piece) = first.remove_entry();
            make_room(&mut self.buffer, end, self.total);
            write_at(&mut self.buffer, start as usize, &piece);
        }
    }
}

/// How far the buffer may reach when so many bytes arrived.
const fn reach(filled: u32) -> u32 {
    let reach = filled.saturating_mul(PER_BYTE);
    if reach > FIRST { reach } else { FIRST }
}

/// Makes room as far as `end`, and twice as far as before, but not beyond the message.
fn make_room(buffer: &mut Vec<u8>, end: u32, total: u32) {
    let room = buffer.capacity();
    if end as usize > room {
        let target = (end.max(FIRST) as usize).max(room.saturating_mul(2)).min(total as usize);
        buffer.reserve_exact(target - buffer.len());
    }
}

/// Writes bytes for which there is room, with zeros before them where nothing came yet.
fn write_at(buffer: &mut Vec<u8>, start: usize, bytes: &[u8]) {
    if buffer.len() < start {
        buffer.resize(start, 0);
    }
    let over = bytes.len().min(buffer.len() - start);
    let (written, appended) = bytes.split_at(over);
    buffer[start..start + over].copy_from_slice(written);
    buffer.extend_from_slice(appended);
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Fragments may come in any order, twice, and cut anew; the message is whole exactly when
        /// every byte came.
        #[test]
        fn any_cover_of_the_message_completes_it(
            (message, longest) in prop_oneof![
                (proptest::collection::vec(any::<u8>(), 1..300), Just(80)),
                (proptest::collection::vec(any::<u8>(), 20_000..40_000), Just(4000)),
            ],
            cuts in proptest::collection::vec((any::<usize>(), any::<usize>()), 1..60),
        ) {
            let mut assembly = Assembly::new(message.len() as u32);
            let mut came = vec![false; message.len()];
            for (at, len) in cuts {
                let start = at % message.len();
                let end = (start + 1 + len % longest).min(message.len());
                let whole = assembly.insert(start as u32, &message[start..end]);
                came[start..end].fill(true);
                prop_assert_eq!(whole, came.iter().all(|byte| *byte));
                let buffered = assembly.buffer.capacity() + assembly.ahead.values().map(|a| a.len()).sum::<usize>();
                let arrived = came.iter().filter(|byte| **byte).count();
                prop_assert!(buffered <= FIRST as usize + 9 * arrived, "{} for {}", buffered, arrived);
            }
            if came.iter().all(|byte| *byte) {
                prop_assert_eq!(&assembly.into_bytes()[..], &message[..]);
            }
        }

        /// The last bytes of a long message come first, and all others after them.
        #[test]
        fn pieces_far_ahead_find_their_place(len in 5000u32..100_000, step in 256u32..1200) {
            let message: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let mut assembly = Assembly::new(len);
            let mut end = len;
            while end > 0 {
                let start = end.saturating_sub(step);
                let whole = assembly.insert(start, &message[start as usize..end as usize]);
                prop_assert_eq!(whole, start == 0);
                end = start;
            }
            prop_assert!(assembly.ahead.is_empty());
            prop_assert_eq!(&assembly.into_bytes()[..], &message[..]);
        }

        #[test]
        fn the_first_of_two_disagreeing_fragments_stays(first in 0u32..90, second in 0u32..90) {
            let mut assembly = Assembly::new(100);
            assembly.insert(first, &[1; 10]);
            assembly.insert(second, &[2; 10]);
            let bytes = assembly.buffer;
            prop_assert!(bytes[first as usize..first as usize + 10].iter().all(|byte| *byte == 1));
        }
    }
}
