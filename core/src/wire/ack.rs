//! The acknowledgement frame: which packets of a path arrived (`ack_for`), and when.
//!
//! ```text
//! 0x03 | path 1 | largest varint | delay varint | range_count varint | first_len varint |
//!        range_count x (gap varint | len varint)
//! 0x04   the same | ect0 varint | ect1 varint | ce varint
//! ```
//! Ranges run from the newest to the oldest. The first is `largest - first_len ..= largest`. Each
//! further one ends at the previous one's start `- gap - 2` and has `len + 1` packets: two ranges
//! that touch would be one, and a range is never empty, so neither can be written.

use core::fmt;
use core::iter::FusedIterator;
use core::ops::RangeInclusive;

use super::error::FrameError;
use super::packet::PacketNumber;
use super::reader::Reader;
use super::varint;
use super::writer::Writer;

use crate::pack::pack;

/// The most ranges that one frame holds.
pub const MAX_ACK_RANGES: usize = 32;

pub(super) const ACK: u8 = 0x03;
pub(super) const ACK_ECN: u8 = 0x04;

/// Which packets of a path arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckFrame<'a> {
    /// The path they arrived on.
    pub path: u8,
    /// The largest counter that arrived.
    pub largest: u64,
    /// How long the receiver held this acknowledgement back after `largest` arrived.
    pub delay_micros: u64,
    /// How many packets arrived with each ECN mark, if the receiver sees them.
    pub ecn: Option<EcnCounts>,
    first_len: u64,
    /// How many ranges there are beyond the first.
    range_count: u8,
    /// Their encoding, checked.
    ranges: &'a [u8],
}

/// How many packets of a path arrived with each ECN mark since the path began (RFC 9000, 13.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EcnCounts {
    /// Marked ECT(0).
    pub ect0: u64,
    /// Marked ECT(1).
    pub ect1: u64,
    /// Marked congestion experienced.
    pub ce: u64,
}

pack!(EcnCounts: ect0, ect1, ce);

/// Writes an acknowledgement of `path` for as many of `ranges` as fit, at most [`MAX_ACK_RANGES`],
/// and returns how many that was. Nothing is written when not even the first fits.
///
/// `ranges` come newest first and do not touch. The first that breaks this ends the frame, as does
/// one that is empty or beyond [`PacketNumber::MAX_COUNTER`]: no frame is written that a receiver
/// would refuse.
#[must_use]
pub fn encode_ack(
    writer: &mut Writer<'_>,
    path: u8,
    delay_micros: u64,
    ecn: Option<EcnCounts>,
    ranges: impl IntoIterator<Item = RangeInclusive<u64>>,
) -> usize {
    let start = writer.position();
    let mut ranges = ranges.into_iter().take(MAX_ACK_RANGES);
    let Some((mut smallest, largest)) = ranges.next().and_then(bounds) else {
        return 0;
    };
    let begun = begin(writer, path, largest, delay_micros, ecn);
    let Some(count_at) = begun.filter(|_| writer.varint(largest - smallest)) else {
        writer.rollback(start);
        return 0;
    };
    let reserved = ecn.map_or(0, EcnCounts::encoded_len);
    let mut further = 0;
    for range in ranges {
        let Some((next_smallest, next_largest)) = bounds(range) else { break };
        let Some(gap) = smallest.checked_sub(next_largest).and_then(|gap| gap.checked_sub(2))
        else {
            break;
        };
        let len = next_largest - next_smallest;
        if writer.remaining() < reserved + varint::size(gap) + varint::size(len) {
            break;
        }
        if !(writer.varint(gap) && writer.varint(len)) {
            break;
        }
        smallest = next_smallest;
        further += 1;
    }
    // At most 31 further ranges: their number is a single byte, shifted like any varint.
    if ecn.is_none_or(|ecn| ecn.write(writer)) && writer.patch(count_at, further << 2) {
        return usize::from(further) + 1;
    }
    writer.rollback(start);
    0
}

/// Writes what precedes the first range, with zero further ranges, and returns the position of
/// their number.
fn begin(
    writer: &mut Writer<'_>,
    path: u8,
    largest: u64,
    delay_micros: u64,
    ecn: Option<EcnCounts>,
) -> Option<usize> {
    let kind = if ecn.is_some() { ACK_ECN } else { ACK };
    let written = writer.u8(kind)
        && writer.u8(path)
        && writer.varint(largest)
        && writer.varint(delay_micros.min(varint::MAX));
    let count_at = writer.position();
    (written && writer.u8(0)).then_some(count_at)
}

/// Start and end of a range that can be written.
fn bounds(range: RangeInclusive<u64>) -> Option<(u64, u64)> {
    let (smallest, largest) = range.into_inner();
    (smallest <= largest && largest <= PacketNumber::MAX_COUNTER).then_some((smallest, largest))
}

impl<'a> AckFrame<'a> {
    /// The ranges of counters that arrived (`ack_for`), newest first, never empty, never touching.
    #[must_use]
    pub fn ranges(&self) -> AckRanges<'a> {
        AckRanges {
            next: Some((self.largest.saturating_sub(self.first_len), self.largest)),
            further: Reader::new(self.ranges),
        }
    }

    /// How many ranges there are, 1 to [`MAX_ACK_RANGES`].
    #[must_use]
    pub fn range_count(&self) -> usize {
        usize::from(self.range_count) + 1
    }

    #[inline]
    pub(super) fn parse(kind: u8, reader: &mut Reader<'a>) -> Result<Self, FrameError> {
        let path = reader.u8()?;
        let largest = reader.varint()?;
        if largest > PacketNumber::MAX_COUNTER {
            return Err(FrameError::AckRange);
        }
        let delay_micros = reader.varint()?;
        let range_count = match u8::try_from(reader.varint()?) {
            Ok(count) if usize::from(count) < MAX_ACK_RANGES => count,
            _ => return Err(FrameError::AckCount),
        };
        let first_len = reader.varint()?;
        let mut smallest = largest.checked_sub(first_len).ok_or(FrameError::AckRange)?;
        let before = *reader;
        for _ in 0..range_count {
            (smallest, _) = next_range(reader, smallest)?;
        }
        let ranges = reader.since(&before);
        let ecn = if kind == ACK_ECN { Some(EcnCounts::read(reader)?) } else { None };
        Ok(Self { path, largest, delay_micros, ecn, first_len, range_count, ranges })
    }

    pub(super) fn encoded_len(&self) -> usize {
        2 + varint::size(self.largest)
            + varint::size(self.delay_micros)
            + varint::size(self.range_count.into())
            + varint::size(self.first_len)
            + self.ranges.len()
            + self.ecn.map_or(0, EcnCounts::encoded_len)
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> bool {
        writer.u8(if self.ecn.is_some() { ACK_ECN } else { ACK })
            && writer.u8(self.path)
            && writer.varint(self.largest)
            && writer.varint(self.delay_micros)
            && writer.varint(self.range_count.into())
            && writer.varint(self.first_len)
            && writer.bytes(self.ranges)
            && self.ecn.is_none_or(|ecn| ecn.write(writer))
    }
}

impl EcnCounts {
    fn encoded_len(self) -> usize {
        varint::size(self.ect0) + varint::size(self.ect1) + varint::size(self.ce)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, FrameError> {
        Ok(Self { ect0: reader.varint()?, ect1: reader.varint()?, ce: reader.varint()? })
    }

    fn write(self, writer: &mut Writer<'_>) -> bool {
        writer.varint(self.ect0) && writer.varint(self.ect1) && writer.varint(self.ce)
    }
}

impl fmt::Display for AckFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ack path={} ack_for=[", self.path)?;
        for (at, range) in self.ranges().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{}..={}", range.start(), range.end())?;
        }
        write!(f, "] delay_micros={}", self.delay_micros)?;
        match self.ecn {
            Some(EcnCounts { ect0, ect1, ce }) => write!(f, " ect0={ect0} ect1={ect1} ce={ce}"),
            None => Ok(()),
        }
    }
}

/// The ranges of an [`AckFrame`], newest first.
#[derive(Clone, Debug)]
pub struct AckRanges<'a> {
    next: Option<(u64, u64)>,
    further: Reader<'a>,
}

impl Iterator for AckRanges<'_> {
    type Item = RangeInclusive<u64>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (smallest, largest) = self.next?;
        // Parsing has been through all of them: the only failure left is the end.
        self.next = next_range(&mut self.further, smallest).ok();
        Some(smallest..=largest)
    }
}

impl FusedIterator for AckRanges<'_> {}

/// Reads the range below the one that starts at `smallest`.
#[inline]
fn next_range(reader: &mut Reader<'_>, smallest: u64) -> Result<(u64, u64), FrameError> {
    let gap = reader.varint()?;
    let len = reader.varint()?;
    // A varint is below 2^62: the sum cannot overflow.
    let largest = smallest.checked_sub(gap + 2).ok_or(FrameError::AckRange)?;
    let smallest = largest.checked_sub(len).ok_or(FrameError::AckRange)?;
    Ok((smallest, largest))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec;
    use std::vec::Vec;

    fn parse(bytes: &[u8]) -> Result<AckFrame<'_>, FrameError> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8()?;
        AckFrame::parse(kind, &mut reader)
    }

    /// The ranges of a set, newest first, found the slow way.
    fn naive_ranges(set: &BTreeSet<u64>) -> Vec<RangeInclusive<u64>> {
        let is_end = |counter: &&u64| !set.contains(&(**counter + 1));
        let start_of = |end: u64| (0..=end).rev().take_while(|c| set.contains(c)).last();
        let ends = set.iter().rev().filter(is_end);
        ends.map(|end| start_of(*end).expect("the end itself")..=*end).collect()
    }

    fn any_ecn() -> impl Strategy<Value = Option<EcnCounts>> {
        let count = || (0..62_u32, 0..=varint::MAX).prop_map(|(shift, bits)| bits >> shift);
        prop::option::of((count(), count(), count()))
            .prop_map(|ecn| ecn.map(|(ect0, ect1, ce)| EcnCounts { ect0, ect1, ce }))
    }

    /// Encoded frames, from ranges anywhere below the largest counter.
    pub(in super::super) fn any_ack_bytes() -> impl Strategy<Value = Vec<u8>> {
        let steps = prop::collection::vec((0..1_u64 << 40, 0..1_u64 << 40), 1..40);
        (any::<u8>(), 0..=varint::MAX, any_ecn(), 0..=PacketNumber::MAX_COUNTER, steps).prop_map(
            |(path, delay, ecn, largest, steps)| {
                let mut next = Some(largest);
                let ranges = steps.iter().map_while(|(gap, len)| {
                    let largest = next?;
                    let smallest = largest.saturating_sub(*len);
                    next = smallest.checked_sub(gap + 2);
                    Some(smallest..=largest)
                });
                let mut buffer = vec![0; 1200];
                let mut writer = Writer::new(&mut buffer);
                assert!(encode_ack(&mut writer, path, delay, ecn, ranges) > 0);
                writer.written().to_vec()
            },
        )
    }

    #[test]
    fn ranges_that_reach_below_zero_or_beyond_the_counters_are_refused() {
        // path, largest, delay, range_count, first_len, then (gap, len)
        let cases: [(&[u64], FrameError); 9] = [
            (&[5, 0, 0, 6], FrameError::AckRange),
            (&[5, 0, 0, varint::MAX], FrameError::AckRange),
            (&[5, 0, 1, 5, 0, 0], FrameError::AckRange),
            (&[5, 0, 1, 0, 4, 0], FrameError::AckRange),
            (&[5, 0, 1, 0, 3, 1], FrameError::AckRange),
            (&[5, 0, 1, 0, varint::MAX, varint::MAX], FrameError::AckRange),
            (&[PacketNumber::MAX_COUNTER + 1, 0, 0, 0], FrameError::AckRange),
            (&[5, 0, 32, 0], FrameError::AckCount),
            (&[5, 0, varint::MAX, 0], FrameError::AckCount),
        ];
        for (values, error) in cases {
            let mut buffer = [0; 80];
            let mut writer = Writer::new(&mut buffer);
            assert!(writer.u8(ACK) && writer.u8(0) && values.iter().all(|v| writer.varint(*v)));
            assert_eq!(parse(writer.written()), Err(error), "{values:?}");
        }
    }

    #[test]
    fn ranges_out_of_order_end_the_frame() {
        for second in [9..=9, 10..=10, 8..=9, 20..=30, RangeInclusive::new(7, 6)] {
            let mut buffer = [0; 80];
            let mut writer = Writer::new(&mut buffer);
            assert_eq!(encode_ack(&mut writer, 0, 0, None, [10..=12, second, 1..=2]), 1);
            assert!(parse(writer.written()).expect("legal").ranges().eq([10..=12]));
        }
        let mut buffer = [0; 80];
        let mut writer = Writer::new(&mut buffer);
        assert_eq!(encode_ack(&mut writer, 0, 0, None, []), 0);
        assert_eq!(encode_ack(&mut writer, 0, 0, None, [0..=1 << 56]), 0);
        assert_eq!(encode_ack(&mut writer, 0, 0, None, [RangeInclusive::new(7, 6)]), 0);
        assert_eq!(writer.position(), 0);
    }

    proptest! {
        #[test]
        fn the_builder_says_what_a_naive_set_says(
            set in prop::collection::btree_set(0..300_u64, 1..200),
            path: u8,
            delay in 0..=varint::MAX,
            ecn in any_ecn(),
            space in 0..120_usize,
        ) {
            let expected = naive_ranges(&set);
            let mut buffer = vec![0; space];
            let mut writer = Writer::new(&mut buffer);
            let count = encode_ack(&mut writer, path, delay, ecn, expected.iter().cloned());
            prop_assert!(count <= expected.len().min(MAX_ACK_RANGES));
            if count == 0 {
                prop_assert_eq!(writer.position(), 0);
            } else {
                let bytes = writer.written().to_vec();
                let frame = parse(&bytes).expect("we wrote it");
                prop_assert_eq!((frame.path, frame.delay_micros, frame.ecn), (path, delay, ecn));
                prop_assert_eq!(frame.encoded_len(), bytes.len());
                prop_assert_eq!(frame.range_count(), count);
                prop_assert_eq!(frame.ranges().collect::<Vec<_>>(), &expected[..count]);
            }
            // With one range more it would not have fitted.
            if count < expected.len().min(MAX_ACK_RANGES) {
                let mut buffer = vec![0; 1200];
                let mut writer = Writer::new(&mut buffer);
                let more = expected[..=count].iter().cloned();
                prop_assert_eq!(encode_ack(&mut writer, path, delay, ecn, more), count + 1);
                prop_assert!(writer.position() > space);
            }
        }
    }
}
