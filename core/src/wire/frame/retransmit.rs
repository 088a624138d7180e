//! The retransmit frame: a receiver's hint at which parts of a message it still misses and wants.
//!
//! ```text
//! 0x05 | mode 1 | channel varint | sequence_number varint | until_ms varint | count varint |
//!        count x (offset varint | len varint)
//! ```
//! Ranges ascend, do not overlap and are not empty. None at all means the whole message, for a
//! receiver that saw nothing of it and does not know its length.

use core::fmt;
use core::iter::FusedIterator;
use core::ops::Range;

use crate::wire::error::FrameError;
use crate::wire::reader::Reader;
use crate::wire::stream::StreamKey;
use crate::wire::varint;
use crate::wire::writer::Writer;

/// The most ranges that one frame holds.
pub const MAX_RETRANSMIT_RANGES: usize = 32;

pub(super) const RETRANSMIT: u8 = 0x05;

/// Which parts of a message its receiver still misses and wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetransmitFrame<'a> {
    /// The stream of the message.
    pub stream: StreamKey,
    /// The place of the message in its stream.
    pub sequence_number: u64,
    /// For how many milliseconds from now the parts are of use, at most [`varint::MAX`].
    pub until_ms: u64,
    count: u8,
    /// The encoding of the ranges, checked.
    ranges: &'a [u8],
}

/// Writes a hint for as many of `ranges` as fit, at most [`MAX_RETRANSMIT_RANGES`]; without any,
/// for the whole message. Returns `false`, with nothing written, when not even the first fits.
///
/// `ranges` are byte positions in the message: ascending, not overlapping, not empty. The first
/// that breaks this ends the frame.
#[must_use]
pub fn encode_retransmit(
    writer: &mut Writer<'_>,
    stream: StreamKey,
    sequence_number: u64,
    until_ms: u64,
    ranges: impl IntoIterator<Item = Range<u32>>,
) -> bool {
    let start = writer.position();
    let begun = writer.u8(RETRANSMIT)
        && stream.write(writer)
        && writer.varint(sequence_number)
        && writer.varint(until_ms.min(varint::MAX));
    let count_at = writer.position();
    let mut whole_message = true;
    let mut count = 0;
    let mut end = 0;
    if begun && writer.u8(0) {
        for range in ranges.into_iter().take(MAX_RETRANSMIT_RANGES) {
            whole_message = false;
            let before = writer.position();
            let legal = range.start >= end && range.start < range.end;
            let len = u64::from(range.end.saturating_sub(range.start));
            if !(legal && writer.varint(range.start.into()) && writer.varint(len)) {
                writer.rollback(before);
                break;
            }
            end = range.end;
            count += 1;
        }
        // At most 32 ranges: their number is a single byte, shifted like any varint.
        if (whole_message || count > 0) && writer.patch(count_at, count << 2) {
            return true;
        }
    }
    writer.rollback(start);
    false
}

impl<'a> RetransmitFrame<'a> {
    /// The wanted parts, ascending; none means the whole message.
    #[must_use]
    pub fn ranges(&self) -> RetransmitRanges<'a> {
        RetransmitRanges { end: 0, rest: Reader::new(self.ranges) }
    }

    /// Whether the whole message is wanted.
    #[must_use]
    pub fn is_whole_message(&self) -> bool {
        self.count == 0
    }

    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, FrameError> {
        let stream = StreamKey::read(reader)?;
        let sequence_number = reader.varint()?;
        let until_ms = reader.varint()?;
        let count = match u8::try_from(reader.varint()?) {
            Ok(count) if usize::from(count) <= MAX_RETRANSMIT_RANGES => count,
            _ => return Err(FrameError::RetransmitCount),
        };
        let before = *reader;
        let mut end = 0;
        for _ in 0..count {
            end = next_range(reader, end)?.end;
        }
        let ranges = reader.since(&before);
        Ok(Self { stream, sequence_number, until_ms, count, ranges })
    }

    pub(super) fn encoded_len(&self) -> usize {
        2 + self.stream.channel_size()
            + varint::size(self.sequence_number)
            + varint::size(self.until_ms)
            + varint::size(self.count.into())
            + self.ranges.len()
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> bool {
        writer.u8(RETRANSMIT)
            && self.stream.write(writer)
            && writer.varint(self.sequence_number)
            && writer.varint(self.until_ms)
            && writer.varint(self.count.into())
            && writer.bytes(self.ranges)
    }
}

impl fmt::Display for RetransmitFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, sequence_number, until_ms, .. } = self;
        write!(f, "Retransmit stream={stream} sequence_number={sequence_number}")?;
        write!(f, " until_ms={until_ms} ranges=[")?;
        for (at, range) in self.ranges().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{}..{}", range.start, range.end)?;
        }
        f.write_str("]")
    }
}

/// The ranges of a [`RetransmitFrame`], ascending.
#[derive(Clone, Debug)]
pub struct RetransmitRanges<'a> {
    end: u32,
    rest: Reader<'a>,
}

impl Iterator for RetransmitRanges<'_> {
    type Item = Range<u32>;

    fn next(&mut self) -> Option<Self::Item> {
        // Parsing has been through all of them: the only failure left is the end.
        let range = next_range(&mut self.rest, self.end).ok()?;
        self.end = range.end;
        Some(range)
    }
}

impl FusedIterator for RetransmitRanges<'_> {}

/// Reads the range that follows one that ends at `end`.
fn next_range(reader: &mut Reader<'_>, end: u32) -> Result<Range<u32>, FrameError> {
    let illegal = |_| FrameError::RetransmitRange;
    let start = u32::try_from(reader.varint()?).map_err(illegal)?;
    let len = u32::try_from(reader.varint()?).map_err(illegal)?;
    match start.checked_add(len) {
        Some(next_end) if start >= end && len > 0 => Ok(start..next_end),
        _ => Err(FrameError::RetransmitRange),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::stream::tests::any_stream;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn parse(bytes: &[u8]) -> Result<RetransmitFrame<'_>, FrameError> {
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.u8(), Ok(RETRANSMIT));
        RetransmitFrame::parse(&mut reader)
    }

    fn any_ranges() -> impl Strategy<Value = Vec<Range<u32>>> {
        prop::collection::vec((0..1_u32 << 26, 1..1_u32 << 26), 0..40).prop_map(|steps| {
            let mut end = 0_u32;
            let ranges = steps.iter().map_while(|(gap, len)| {
                let start = end.checked_add(*gap)?;
                end = start.checked_add(*len)?;
                Some(start..end)
            });
            ranges.collect()
        })
    }

    pub(in crate::wire) fn any_retransmit_bytes() -> impl Strategy<Value = Vec<u8>> {
        (any_stream(), 0..=varint::MAX, 0..=varint::MAX, any_ranges()).prop_map(
            |(stream, sequence_number, until_ms, ranges)| {
                let mut buffer = vec![0; 1200];
                let mut writer = Writer::new(&mut buffer);
                assert!(encode_retransmit(&mut writer, stream, sequence_number, until_ms, ranges));
                writer.written().to_vec()
            },
        )
    }

    #[test]
    fn ranges_that_are_empty_overlap_or_overflow_are_refused() {
        // sequence_number, until_ms, count, then (offset, len)
        let cases: [(&[u64], FrameError); 8] = [
            (&[0, 0, 1, 5, 0], FrameError::RetransmitRange),
            (&[0, 0, 2, 5, 5, 9, 1], FrameError::RetransmitRange),
            (&[0, 0, 1, 1 << 31, 1 << 31], FrameError::RetransmitRange),
            (&[0, 0, 1, 1 << 32, 1], FrameError::RetransmitRange),
            (&[0, 0, 1, 0, varint::MAX], FrameError::RetransmitRange),
            (&[0, 0, 33], FrameError::RetransmitCount),
            (&[0, 0, 1 << 31], FrameError::RetransmitCount),
            (&[0, 0, varint::MAX], FrameError::RetransmitCount),
        ];
        for (values, error) in cases {
            let mut buffer = [0; 80];
            let mut writer = Writer::new(&mut buffer);
            assert!(writer.bytes(&[RETRANSMIT, 0, 0]) && values.iter().all(|v| writer.varint(*v)));
            assert_eq!(parse(writer.written()), Err(error), "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn a_hint_says_what_it_was_given_as_far_as_it_fits(
            stream in any_stream(),
            sequence_number in 0..=varint::MAX,
            ranges in any_ranges(),
            space in 0..400_usize,
        ) {
            let mut buffer = vec![0; space];
            let mut writer = Writer::new(&mut buffer);
            let given = ranges.iter().cloned();
            if encode_retransmit(&mut writer, stream, sequence_number, 7, given) {
                let frame = parse(writer.written()).expect("we wrote it");
                let back: Vec<_> = frame.ranges().collect();
                prop_assert_eq!((frame.stream, frame.sequence_number), (stream, sequence_number));
                prop_assert_eq!(&back[..], &ranges[..back.len()]);
                prop_assert_eq!(frame.is_whole_message(), ranges.is_empty());
                prop_assert_eq!(frame.encoded_len(), writer.position());
                let all = back.len() == ranges.len().min(MAX_RETRANSMIT_RANGES);
                // A range takes at most twice eight bytes.
                prop_assert!(all || writer.remaining() < 16);
            } else {
                prop_assert_eq!(writer.position(), 0);
                prop_assert!(space < 40);
            }
        }
    }
}
