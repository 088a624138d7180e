//! Frames by which two ends that reach each other by way of a neighbour look for a direct way.
//!
//! ```text
//! 0x12 | seq varint | round varint | flags 1 | count 1 | count times: kind 1, address 18
//! 0x13 | round varint
//! 0x14 | address 18
//! 0x15 | index 1 | token 8
//! ```

use core::fmt;
use core::net::SocketAddr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::pack::pack;
use crate::wire::error::FrameError;
use crate::wire::handshake::Address;
use crate::wire::reader::Reader;
use crate::wire::varint;
use crate::wire::writer::Writer;

/// The path id of packets that look for a way. Nothing acknowledges them.
pub const PROBE_PATH: u8 = 0xff;
/// The most addresses in a [`CandidatesFrame`].
pub const MAX_CANDIDATES: usize = 16;
/// The length of the frames of a challenge that is to be answered with an
/// [`Observed`](super::Frame::Observed) as well: as long as the answer.
pub const PROBE_FRAMES_LEN: usize = 28;

pub(super) const CANDIDATES: u8 = 0x12;
pub(super) const OPENED: u8 = 0x13;
pub(super) const OBSERVED: u8 = 0x14;
pub(super) const PROBE_ME: u8 = 0x15;

/// The length of an address on the wire.
const ADDRESS_LEN: usize = 18;

/// The addresses at which an end may be reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CandidatesFrame<'a> {
    /// Grows with every list that differs from the one before.
    pub seq: u64,
    /// The round of probes that begins, or the last one.
    pub round: u64,
    /// Bits: see [`ORDER_SENSITIVE`](Self::ORDER_SENSITIVE). Unknown ones are ignored.
    pub flags: u8,
    /// The addresses, at most [`MAX_CANDIDATES`].
    pub list: &'a [CandidateEntry],
}

/// An address at which an end may be reached, 19 bytes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct CandidateEntry {
    /// How it is known. Entries of a kind that a receiver does not know are ignored.
    pub kind: u8,
    /// The address.
    pub address: Address,
}

pack!(CandidateEntry: kind, address);

impl CandidateEntry {
    /// Kind: an address of an interface.
    pub const HOST: u8 = 1;
    /// Kind: where another end sees packets come from.
    pub const OBSERVED: u8 = 2;
    /// Kind: a port that a router was asked to forward.
    pub const MAPPED: u8 = 3;
    /// Kind: chosen by whoever runs the end.
    pub const ADVERTISED: u8 = 4;
}

impl<'a> CandidatesFrame<'a> {
    /// Flag: a packet from outside that comes before one of ours spoils the way through our NAT, or that is
    /// not known.
    pub const ORDER_SENSITIVE: u8 = 1;
    /// Flag: our NAT gives us another port for every destination.
    pub const SYMMETRIC: u8 = 2;

    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, FrameError> {
        let (seq, round) = (reader.varint()?, reader.varint()?);
        let (flags, count) = (reader.u8()?, usize::from(reader.u8()?));
        if count > MAX_CANDIDATES {
            return Err(FrameError::CandidateCount);
        }
        let bytes = reader.bytes((count * size_of::<CandidateEntry>()) as u64)?;
        let list = <[CandidateEntry]>::ref_from_bytes(bytes).map_err(|_| FrameError::Truncated)?;
        Ok(Self { seq, round, flags, list })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> bool {
        let count = u8::try_from(self.list.len()).unwrap_or(u8::MAX);
        self.list.len() <= MAX_CANDIDATES
            && writer.u8(CANDIDATES)
            && writer.varint(self.seq)
            && writer.varint(self.round)
            && writer.u8(self.flags)
            && writer.u8(count)
            && writer.bytes(self.list.as_bytes())
    }

    pub(super) fn encoded_len(&self) -> usize {
        3 + varint::size(self.seq) + varint::size(self.round) + size_of_val(self.list)
    }
}

impl fmt::Display for CandidatesFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Candidates seq={} round={} flags={:#x}", self.seq, self.round, self.flags)?;
        let mut list = f.debug_list();
        for CandidateEntry { kind, address } in self.list {
            list.entry(&format_args!("{kind}:{}", SocketAddr::from(*address)));
        }
        list.finish()
    }
}

impl fmt::Debug for CandidatesFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(super) fn parse_address(reader: &mut Reader<'_>) -> Result<Address, FrameError> {
    let bytes: &[u8; ADDRESS_LEN] = reader.array()?;
    Address::read_from_bytes(bytes).map_err(|_| FrameError::Truncated)
}

const _: () = assert!(size_of::<Address>() == ADDRESS_LEN);
const _: () = assert!(size_of::<CandidateEntry>() == ADDRESS_LEN + 1);
const _: () = assert!(PROBE_FRAMES_LEN == 9 + 1 + ADDRESS_LEN);

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::super::{Frame, Frames};
    use super::*;

    fn entry(kind: u8, address: &str) -> CandidateEntry {
        let address: SocketAddr = address.parse().expect("an address");
        CandidateEntry { kind, address: address.into() }
    }

    fn encoded(frame: &Frame<'_>) -> Option<Vec<u8>> {
        let mut buffer = [0; 400];
        let mut writer = Writer::new(&mut buffer);
        frame.encode(&mut writer).then(|| writer.written().to_vec())
    }

    #[test]
    fn they_are_laid_out_as_documented() {
        let list = [entry(2, "192.0.2.7:4263"), entry(9, "[2001:db8::1]:5")];
        let frame = CandidatesFrame { seq: 3, round: 70, flags: 1, list: &list };
        let head = [0x12, 0x0c, 0x19, 0x01, 1, 2];
        let first = [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7, 0xa7, 0x10];
        let second = [9, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 5, 0];
        let bytes = [&head[..], &first, &second].concat();
        assert_eq!(encoded(&Frame::Candidates(frame)), Some(bytes.clone()));
        assert_eq!(Frame::Candidates(frame).encoded_len(), bytes.len());
        assert_eq!(Frames::new(&bytes).collect::<Vec<_>>(), vec![Ok(Frame::Candidates(frame))]);
        let text = "Candidates seq=3 round=70 flags=0x1[2:192.0.2.7:4263, 9:[2001:db8::1]:5]";
        assert_eq!(std::format!("{frame}"), text);

        let observed = Frame::Observed { address: list[0].address };
        assert_eq!(encoded(&observed), Some([&[0x14], &first[1..]].concat()));
        assert_eq!(
            encoded(&Frame::Opened { round: 70, list: 3 }),
            Some(vec![0x13, 0x19, 0x01, 0x0c])
        );
        let probe = Frame::ProbeMe { index: 2, token: [7; 8] };
        assert_eq!(encoded(&probe), Some([&[0x15, 2][..], &[7; 8]].concat()));
        for frame in [observed, Frame::Opened { round: 70, list: 3 }, probe] {
            let bytes = encoded(&frame).expect("fits");
            assert_eq!(frame.encoded_len(), bytes.len());
            assert_eq!(Frames::new(&bytes).next(), Some(Ok(frame)));
        }
    }

    #[test]
    fn a_list_that_is_too_long_is_neither_written_nor_read() {
        let list = [entry(1, "192.0.2.7:1"); MAX_CANDIDATES + 1];
        let frame = CandidatesFrame { seq: 0, round: 0, flags: 0, list: &list };
        assert_eq!(encoded(&Frame::Candidates(frame)), None);
        let most = CandidatesFrame { list: &list[1..], ..frame };
        let mut bytes = encoded(&Frame::Candidates(most)).expect("fits");
        assert!(Frames::new(&bytes).all(|frame| frame.is_ok()));
        bytes[4] += 1;
        assert_eq!(Frames::new(&bytes).next(), Some(Err(FrameError::CandidateCount)));
        bytes[4] -= 1;
        bytes.pop();
        assert_eq!(Frames::new(&bytes).next(), Some(Err(FrameError::Truncated)));
    }
}
