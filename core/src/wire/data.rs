//! The data frame: a message, or a fragment of one.
//!
//! ```text
//! 001F ARoo | channel varint | sequence_number varint | [total varint | offset varint] |
//!             length varint | payload
//! ```
//! `oo` order, `R` reliable, `A` requires_ack, `F` fragment: only then total and offset are there.

use core::fmt;

use super::error::FrameError;
use super::reader::Reader;
use super::stream::StreamKey;
use super::varint;
use super::writer::Writer;

/// A fragment that does not end its message carries at least this many bytes, so that the state a
/// receiver keeps per fragment is small beside the fragment.
pub const MIN_FRAGMENT: usize = 256;

pub(super) const KIND: u8 = 0b0010_0000;
const REQUIRES_ACK: u8 = 0b0000_1000;
const FRAGMENT: u8 = 0b0001_0000;

/// A message, or a fragment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataFrame<'a> {
    /// The stream of the message.
    pub stream: StreamKey,
    /// The sender wants to report the message's fate.
    pub requires_ack: bool,
    /// The place of the message in its stream.
    pub sequence_number: u64,
    /// The place of the payload in the message; `None` when it is all of it.
    pub fragment: Option<Fragment>,
    /// Bytes of the message.
    pub payload: &'a [u8],
}

/// A fragment's place in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The length of the message in bytes.
    pub total: u32,
    /// Where in the message the payload begins.
    pub offset: u32,
}

impl Fragment {
    /// Whether a payload of `len` bytes may stand here: not empty, within the message, not all of
    /// it, and at least [`MIN_FRAGMENT`] bytes unless it ends the message.
    #[must_use]
    pub fn admits(self, len: usize) -> bool {
        let total = u64::from(self.total);
        let Ok(len) = u64::try_from(len) else {
            return false;
        };
        let end = u64::from(self.offset).saturating_add(len);
        let long_enough = end == total || len >= MIN_FRAGMENT as u64;
        len > 0 && len < total && end <= total && long_enough
    }
}

impl<'a> DataFrame<'a> {
    /// How many bytes precede a payload of `payload_len` bytes.
    #[inline]
    #[must_use]
    pub fn header_len(
        stream: StreamKey,
        sequence_number: u64,
        fragment: Option<Fragment>,
        payload_len: usize,
    ) -> usize {
        fixed_len(stream, sequence_number, fragment) + varint::size(payload_len as u64)
    }

    /// The longest payload that fits into `space` bytes together with its header, or `None` when
    /// not even an empty one does. Whether a fragment may be this short is for
    /// [`Fragment::admits`] to say.
    #[inline]
    #[must_use]
    pub fn max_payload(
        space: usize,
        stream: StreamKey,
        sequence_number: u64,
        fragment: Option<Fragment>,
    ) -> Option<usize> {
        let room = space.checked_sub(fixed_len(stream, sequence_number, fragment))?;
        // The length of the length depends on the length: take the best of its sizes.
        let with_length_of = |size: usize, most: usize| Some(room.checked_sub(size)?.min(most));
        let short = with_length_of(1, 0x3f);
        let medium = with_length_of(2, 0x3fff);
        let long = with_length_of(4, 0x3fff_ffff);
        short.max(medium).max(long)
    }

    /// How many bytes the frame takes.
    #[inline]
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let len = self.payload.len();
        Self::header_len(self.stream, self.sequence_number, self.fragment, len) + len
    }

    /// Reads a frame with a whole message, its kind included, where the packet goes on for so long that no number in it is
    /// cut off: also what follows it. `None` says nothing: then the frame is for [`parse`](Self::parse).
    #[inline]
    pub(super) fn parse_whole(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let head: &[u8; MOST_BEFORE_WHOLE] = bytes.first_chunk()?;
        let mode = head[0].wrapping_sub(KIND) & !REQUIRES_ACK;
        let mut at = 1;
        let mut take = || {
            let (value, size) = varint::load(head.get(at..)?.first_chunk()?)?;
            at += size;
            Some(value)
        };
        let (channel, sequence_number, len) = (take()?, take()?, take()?);
        let stream = StreamKey::with_mode(mode, channel)?;
        let (payload, rest) = bytes.get(at..)?.split_at_checked(usize::try_from(len).ok()?)?;
        let requires_ack = head[0] & REQUIRES_ACK != 0;
        Some((Self { stream, requires_ack, sequence_number, fragment: None, payload }, rest))
    }

    #[inline]
    pub(super) fn parse(kind: u8, reader: &mut Reader<'a>) -> Result<Self, FrameError> {
        let mode = kind & !(KIND | REQUIRES_ACK | FRAGMENT);
        let stream = StreamKey::read_channel(mode, reader)?;
        let sequence_number = reader.varint()?;
        let fragment = if kind & FRAGMENT == 0 {
            None
        } else {
            let total = u32::try_from(reader.varint()?).map_err(|_| FrameError::Fragment)?;
            let offset = u32::try_from(reader.varint()?).map_err(|_| FrameError::Fragment)?;
            Some(Fragment { total, offset })
        };
        let len = reader.varint()?;
        let payload = reader.bytes(len)?;
        if fragment.is_some_and(|fragment| !fragment.admits(payload.len())) {
            return Err(FrameError::Fragment);
        }
        let requires_ack = kind & REQUIRES_ACK != 0;
        Ok(Self { stream, requires_ack, sequence_number, fragment, payload })
    }

    /// Writes the frame, or nothing: `false` when it does not fit or the fragment is not admitted.
    #[inline]
    #[must_use]
    pub fn encode(&self, writer: &mut Writer<'_>) -> bool {
        if self.fragment.is_some_and(|fragment| !fragment.admits(self.payload.len())) {
            return false;
        }
        let start = writer.position();
        let written = self.write(writer);
        if !written {
            writer.rollback(start);
        }
        written
    }

    /// Writes a frame with a whole message where there is room for it however long its numbers are. False, and nothing
    /// written, if there is not: then it is for [`encode`](Self::encode).
    #[inline]
    #[must_use]
    pub(crate) fn encode_whole(
        (stream, sequence_number): (StreamKey, u64),
        requires_ack: bool,
        payload: &[u8],
        writer: &mut Writer<'_>,
    ) -> bool {
        let len = payload.len();
        if sequence_number.max(len as u64) > varint::MAX {
            return false;
        }
        let Some(out) = writer.ahead_of(MOST_BEFORE_WHOLE + len) else { return false };
        let Some(head) = out.first_chunk_mut::<MOST_BEFORE_WHOLE>() else { return false };
        head[0] = KIND | stream.mode() | if requires_ack { REQUIRES_ACK } else { 0 };
        let mut at = 1;
        for number in [stream.channel().into(), sequence_number, len as u64] {
            if let Some(out) = head.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
                at += varint::store(number, out);
            }
        }
        let Some(target) = out.get_mut(at..at + len) else { return false };
        target.copy_from_slice(payload);
        writer.advance(at + len);
        true
    }

    fn write(&self, writer: &mut Writer<'_>) -> bool {
        let mut kind = KIND | self.stream.mode();
        if self.requires_ack {
            kind |= REQUIRES_ACK;
        }
        if self.fragment.is_some() {
            kind |= FRAGMENT;
        }
        let len = self.payload.len() as u64;
        if self.sequence_number.max(len) > varint::MAX {
            return false;
        }
        let is_written = if let Some(out) = writer.ahead() {
            let len = self.write_header(kind, out);
            writer.advance(len);
            true
        } else {
            // Near the end of the packet.
            let mut out = [0; MOST_BEFORE];
            let len = self.write_header(kind, &mut out);
            writer.bytes(&out[..len])
        };
        is_written && writer.bytes(self.payload)
    }

    /// Writes what precedes the payload where there is room for it in any case: each number is one store. Returns its length.
    #[inline]
    fn write_header(&self, kind: u8, out: &mut [u8; MOST_BEFORE]) -> usize {
        out[0] = kind;
        let mut len = 1;
        let mut put = |value: u64| {
            if let Some(out) = out.get_mut(len..).and_then(<[u8]>::first_chunk_mut) {
                len += varint::store(value, out);
            }
        };
        put(self.stream.channel().into());
        put(self.sequence_number);
        if let Some(Fragment { total, offset }) = self.fragment {
            put(total.into());
            put(offset.into());
        }
        put(self.payload.len() as u64);
        len
    }
}

/// The kind and three numbers of at most eight bytes each.
const MOST_BEFORE_WHOLE: usize = 1 + 3 * 8;

/// The kind and five numbers of at most eight bytes each.
const MOST_BEFORE: usize = 1 + 5 * 8;

impl fmt::Display for DataFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, requires_ack, sequence_number, fragment, payload } = self;
        write!(f, "Data stream={stream} sequence_number={sequence_number}")?;
        write!(f, " requires_ack={requires_ack} length={}", payload.len())?;
        match fragment {
            Some(Fragment { total, offset }) => write!(f, " offset={offset} total={total}"),
            None => Ok(()),
        }
    }
}

/// The length of all that precedes the payload's length.
fn fixed_len(stream: StreamKey, sequence_number: u64, fragment: Option<Fragment>) -> usize {
    let place = match fragment {
        Some(Fragment { total, offset }) => {
            varint::size(total.into()) + varint::size(offset.into())
        }
        None => 0,
    };
    1 + stream.channel_size() + varint::size(sequence_number) + place
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::stream::tests::any_stream;
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    /// Data frames that obey the rules, over 70,000 zero bytes.
    pub(in super::super) fn any_data() -> impl Strategy<Value = DataFrame<'static>> {
        static ZEROS: [u8; 70_000] = [0; 70_000];
        let len = prop_oneof![0..300_usize, 0..20_000_usize, 16_380..16_390_usize];
        let place = (any::<bool>(), any::<u32>(), any::<bool>());
        let sequence_number = (0..62_u32, 0..=varint::MAX).prop_map(|(shift, bits)| bits >> shift);
        (any_stream(), any::<bool>(), sequence_number, len, place).prop_map(
            |(stream, requires_ack, sequence_number, len, (fragmented, at, last))| {
                let payload = &ZEROS[..len];
                let len32 = u32::try_from(len).expect("short");
                let offset = at.min(u32::MAX - len32).max(1);
                let total = if last { offset + len32 } else { u32::MAX };
                let fragment = Some(Fragment { total, offset })
                    .filter(|fragment| fragmented && fragment.admits(len));
                DataFrame { stream, requires_ack, sequence_number, fragment, payload }
            },
        )
    }

    fn parse(bytes: &[u8]) -> Result<DataFrame<'_>, FrameError> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8()?;
        DataFrame::parse(kind, &mut reader)
    }

    fn fragment_bytes(total: u64, offset: u64, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0; payload + 40];
        let mut writer = Writer::new(&mut bytes);
        let place = writer.u8(0x36) && writer.varint(7) && writer.varint(5) && writer.varint(total);
        let len = payload as u64;
        assert!(place && writer.varint(offset) && writer.varint(len) && writer.zeros(payload));
        writer.written().to_vec()
    }

    #[test]
    fn the_rules_of_fragments_are_enforced() {
        let legal = [(1000, 0, 256), (1000, 744, 256), (1000, 999, 1), (257, 0, 256), (2, 1, 1)];
        for (total, offset, len) in legal {
            let bytes = fragment_bytes(total, offset, len);
            assert!(parse(&bytes).is_ok(), "{total} {offset} {len}");
        }
        let illegal = [
            (1000, 0, 0),             // empty
            (1000, 0, 255),           // short and not the last
            (1000, 743, 256 - 1),     // the same, close to the end
            (1000, 745, 256),         // past the end
            (1000, 0, 1000),          // everything
            (1, 0, 1),                // everything
            (0, 0, 1),                // of nothing
            (1000, 1 << 31, 256),     // far past the end
            (1 << 32, 0, 256),        // too long a message
            (1000, 1 << 32, 256),     // too large an offset
            (1000, varint::MAX, 256), // an offset with its top bit set
            (varint::MAX, 0, 256),
            (u64::from(u32::MAX), u64::from(u32::MAX), 256),
        ];
        for (total, offset, len) in illegal {
            let bytes = fragment_bytes(total, offset, len);
            assert_eq!(parse(&bytes), Err(FrameError::Fragment), "{total} {offset} {len}");
        }
        let frame = DataFrame {
            stream: StreamKey::new(0, true, crate::Order::Ordered),
            requires_ack: false,
            sequence_number: 0,
            fragment: Some(Fragment { total: 1000, offset: 0 }),
            payload: &[0; 255],
        };
        assert!(!frame.encode(&mut Writer::new(&mut [0; 1000])));
    }

    proptest! {
        #[test]
        fn the_longest_payload_fits_and_a_longer_one_does_not(
            frame in any_data(),
            space in prop_oneof![0..100_usize, 0..2_000_usize, 16_380..16_420_usize],
        ) {
            let DataFrame { stream, sequence_number, fragment, .. } = frame;
            let total = |len| DataFrame::header_len(stream, sequence_number, fragment, len) + len;
            match DataFrame::max_payload(space, stream, sequence_number, fragment) {
                Some(len) => {
                    prop_assert!(total(len) <= space);
                    prop_assert!(total(len + 1) > space);
                    let payload = &[0; 17_000][..len];
                    let longest = DataFrame { fragment: None, payload, ..frame };
                    if fragment.is_none() {
                        prop_assert!(longest.encode(&mut Writer::new(&mut vec![0; space])));
                    }
                }
                None => prop_assert!(total(0) > space),
            }
        }

        /// Whatever the bytes are, the short way to read them finds what the long one does, or leaves it to that.
        #[test]
        fn what_is_read_the_short_way_is_what_the_long_one_reads(
            frame in any_data(),
            behind in 0..40_usize,
            (at, byte) in (0..30_usize, any::<u8>()),
        ) {
            let mut bytes = vec![0; frame.encoded_len() + behind];
            prop_assert!(frame.encode(&mut Writer::new(&mut bytes)));
            let short = DataFrame::parse_whole(&bytes);
            let is_short = frame.fragment.is_none() && bytes.len() >= MOST_BEFORE_WHOLE;
            prop_assert_eq!(short, is_short.then(|| (frame, &bytes[frame.encoded_len()..])));
            if let Some(changed) = bytes.get_mut(at) {
                *changed = byte;
            }
            if let Some((frame, rest)) = DataFrame::parse_whole(&bytes) {
                prop_assert!((KIND..2 * KIND).contains(&bytes[0]));
                let mut reader = Reader::new(&bytes[1..]);
                prop_assert_eq!(DataFrame::parse(bytes[0], &mut reader), Ok(frame));
                prop_assert_eq!(reader.rest(), rest);
            }
        }

        #[test]
        fn a_frame_takes_exactly_its_length(frame in any_data()) {
            let len = frame.encoded_len();
            let mut buffer = vec![0; len];
            let mut short = Writer::new(&mut buffer[..len - 1]);
            prop_assert!(!frame.encode(&mut short));
            prop_assert_eq!(short.position(), 0);
            let mut exact = Writer::new(&mut buffer);
            prop_assert!(frame.encode(&mut exact));
            prop_assert_eq!(exact.remaining(), 0);
            prop_assert_eq!(parse(&buffer), Ok(frame));

            // Where there is ample room, the short way writes the same.
            if frame.fragment.is_none() {
                let DataFrame { stream, sequence_number, requires_ack, payload, .. } = frame;
                let mut ample = vec![0; len + MOST_BEFORE_WHOLE];
                let short = |writer: &mut Writer<'_>| {
                    DataFrame::encode_whole((stream, sequence_number), requires_ack, payload, writer)
                };
                let mut writer = Writer::new(&mut ample);
                prop_assert!(short(&mut writer));
                prop_assert_eq!(writer.written(), &buffer[..]);
                let mut writer = Writer::new(&mut ample[..len]);
                prop_assert!(!short(&mut writer) || writer.written() == &buffer[..]);
            }
        }
    }
}
