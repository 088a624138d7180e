//! The frame by which a sender says which messages of a reliable stream it gave up.
//!
//! ```text
//! 0x1c | mode 1 | channel varint | count varint | count x (gap varint | further varint | cost varint)
//! ```
//! Ranges ascend: the first number of each is `gap` above the last of the range before, and one more; of the first
//! range it is `gap`. `further` numbers follow it. All messages of a range cost the same.

use core::fmt;
use core::iter::FusedIterator;

use super::super::error::FrameError;
use super::super::reader::Reader;
use super::super::stream::StreamKey;
use super::super::varint;
use super::super::writer::Writer;

/// The most ranges that one frame holds.
pub const MAX_GIVEN_UP_RANGES: usize = 32;
/// The most numbers of a range, but for the first.
pub const MAX_GIVEN_UP_FURTHER: u64 = 255;

pub(super) const GIVEN_UP: u8 = 0x1c;

/// Messages of equal cost, one after the other, that will not come any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUpRange {
    /// The number of the first.
    pub first: u64,
    /// How many follow it, at most [`MAX_GIVEN_UP_FURTHER`].
    pub further: u64,
    /// What each takes of the receiver's credit.
    pub cost: u64,
}

/// Which messages of a reliable stream its sender gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUpFrame<'a> {
    /// Their stream.
    pub stream: StreamKey,
    count: u8,
    /// The encoding of the ranges, checked.
    ranges: &'a [u8],
}

/// Writes as many of `ranges` as fit, at most [`MAX_GIVEN_UP_RANGES`], and returns how many. With 0 nothing is
/// written. The first that is not above the one before ends the frame.
#[must_use]
pub fn encode_given_up(
    writer: &mut Writer<'_>,
    stream: StreamKey,
    ranges: impl IntoIterator<Item = GivenUpRange>,
) -> usize {
    let start = writer.position();
    let begun = stream.is_reliable() && writer.u8(GIVEN_UP) && stream.write(writer);
    let count_at = writer.position();
    let (mut count, mut next) = (0, 0);
    if begun && writer.u8(0) {
        for range in ranges.into_iter().take(MAX_GIVEN_UP_RANGES) {
            let before = writer.position();
            let legal = range.first >= next && range.further <= MAX_GIVEN_UP_FURTHER;
            let gap = range.first.saturating_sub(next);
            let written = legal
                && writer.varint(gap)
                && writer.varint(range.further)
                && writer.varint(range.cost);
            if !written {
                writer.rollback(before);
                break;
            }
            next = range.first + range.further + 1;
            count += 1;
        }
        // At most 32 ranges: their number is a single byte, shifted like any varint.
        if count > 0 && writer.patch(count_at, count << 2) {
            return count.into();
        }
    }
    writer.rollback(start);
    0
}

impl<'a> GivenUpFrame<'a> {
    /// What was given up, ascending.
    #[must_use]
    pub const fn ranges(&self) -> GivenUpRanges<'a> {
        GivenUpRanges { next: 0, rest: Reader::new(self.ranges) }
    }

    /// The highest number that was given up.
    pub(crate) fn highest(&self) -> u64 {
        self.ranges().last().map_or(0, |range| range.first + range.further)
    }

    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, FrameError> {
        let stream = StreamKey::read(reader)?;
        if !stream.is_reliable() {
            return Err(FrameError::Mode);
        }
        let count = match u8::try_from(reader.varint()?) {
            Ok(count) if (1..=MAX_GIVEN_UP_RANGES).contains(&usize::from(count)) => count,
            _ => return Err(FrameError::GivenUpCount),
        };
        let before = *reader;
        let mut next = 0;
        for _ in 0..count {
            let range = next_range(reader, next)?;
            next = range.first + range.further + 1;
        }
        let ranges = reader.since(&before);
        Ok(Self { stream, count, ranges })
    }

    pub(super) const fn encoded_len(&self) -> usize {
        2 + self.stream.channel_size() + 1 + self.ranges.len()
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> bool {
        writer.u8(GIVEN_UP)
            && self.stream.write(writer)
            && writer.varint(self.count.into())
            && writer.bytes(self.ranges)
    }
}

impl fmt::Display for GivenUpFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GivenUp stream={} ranges=[", self.stream)?;
        for (at, GivenUpRange { first, further, cost }) in self.ranges().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{first}+{further} cost {cost}")?;
        }
        f.write_str("]")
    }
}

/// The ranges of a [`GivenUpFrame`], ascending.
#[derive(Clone, Debug)]
pub struct GivenUpRanges<'a> {
    next: u64,
    rest: Reader<'a>,
}

impl Iterator for GivenUpRanges<'_> {
    type Item = GivenUpRange;

    fn next(&mut self) -> Option<GivenUpRange> {
        let range = next_range(&mut self.rest, self.next).ok()?;
        self.next = range.first + range.further + 1;
        Some(range)
    }
}

impl FusedIterator for GivenUpRanges<'_> {}

fn next_range(reader: &mut Reader<'_>, next: u64) -> Result<GivenUpRange, FrameError> {
    let (gap, further, cost) = (reader.varint()?, reader.varint()?, reader.varint()?);
    let last = next.saturating_add(gap).saturating_add(further);
    if further > MAX_GIVEN_UP_FURTHER || last > varint::MAX {
        return Err(FrameError::GivenUpRange);
    }
    Ok(GivenUpRange { first: next + gap, further, cost })
}
