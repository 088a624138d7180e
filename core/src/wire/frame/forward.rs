//! Frames about packets that a neighbour carries for two other ends.
//!
//! ```text
//! 0x10 | hop limit 6 bits, ECN 2 bits | source 32 | destination 32 | packet, to the end of the frames
//! 0x11 | destination 32 | reason 1
//! 0x1a | source 32 | destination 32 | reason 1 | hops 1
//! ```

use core::fmt;

use super::Frame;
use crate::wire::error::FrameError;
use crate::wire::reader::Reader;
use crate::wire::writer::Writer;

/// The bytes of a forward frame before the packet that it carries.
pub const FORWARD_HEADER_LEN: usize = 66;
/// How often a packet is forwarded at most, as its sender sets it.
pub const HOP_LIMIT: u8 = 12;

/// The path id of packets that carry others. Nothing acknowledges them.
pub const FORWARD_PATH: u8 = 0xfe;

/// The ECN codepoint CE.
const CONGESTION_EXPERIENCED: u8 = 3;
/// The highest hop limit that there is room for.
const MAX_HOP_LIMIT: u8 = 63;
/// The shortest packet: an [`UnknownSession`](crate::wire::UnknownSession).
const SHORTEST_PACKET: usize = 16;

pub(super) const FORWARD: u8 = 0x10;
pub(super) const FORWARD_REFUSED: u8 = 0x11;
pub(super) const FORWARD_FAILED: u8 = 0x1a;

/// A packet between two ends, for a neighbour to pass on, or passed on by one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ForwardFrame<'a> {
    /// How often it may still be forwarded, at most 63.
    pub hop_limit: u8,
    /// The ECN codepoint of the packet (RFC 3168), as on an IP packet.
    pub ecn: u8,
    /// The identity of the end that made the packet.
    pub source: &'a [u8; 32],
    /// The identity of the end that it is for.
    pub destination: &'a [u8; 32],
    /// The packet, at least 16 bytes.
    pub packet: &'a [u8],
}

impl<'a> ForwardFrame<'a> {
    /// What stands before the packet.
    #[must_use]
    pub fn header(&self) -> [u8; FORWARD_HEADER_LEN] {
        let mut bytes = [0; FORWARD_HEADER_LEN];
        bytes[0] = FORWARD;
        bytes[1] = self.hop_limit.min(MAX_HOP_LIMIT) << 2 | self.ecn & 3;
        bytes[2..34].copy_from_slice(self.source);
        bytes[34..].copy_from_slice(self.destination);
        bytes
    }

    /// The packet behind this header met a queue: it is marked if it is ECN-capable.
    pub fn mark(header: &mut [u8; FORWARD_HEADER_LEN]) {
        if header[1] & CONGESTION_EXPERIENCED != 0 {
            header[1] |= CONGESTION_EXPERIENCED;
        }
    }

    /// Takes all that is left: the frame has no length of its own.
    fn parse(reader: &mut Reader<'a>) -> Result<Self, FrameError> {
        let hops = reader.u8()?;
        let (source, destination) = (reader.array()?, reader.array()?);
        let packet = reader.bytes(reader.remaining() as u64)?;
        if packet.len() < SHORTEST_PACKET {
            return Err(FrameError::Truncated);
        }
        Ok(Self { hop_limit: hops >> 2, ecn: hops & 3, source, destination, packet })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> bool {
        self.hop_limit <= MAX_HOP_LIMIT
            && self.ecn <= 3
            && self.packet.len() >= SHORTEST_PACKET
            && writer.bytes(&self.header())
            && writer.bytes(self.packet)
    }

    pub(super) const fn encoded_len(&self) -> usize {
        FORWARD_HEADER_LEN + self.packet.len()
    }
}

/// A frame of one of the three kinds.
pub(super) fn parse<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Frame<'a>, FrameError> {
    Ok(match kind {
        FORWARD => Frame::Forward(ForwardFrame::parse(reader)?),
        FORWARD_REFUSED => {
            Frame::ForwardRefused { destination: reader.array()?, reason: reader.u8()? }
        }
        _ => Frame::ForwardFailed {
            source: reader.array()?,
            destination: reader.array()?,
            reason: reader.u8()?,
            hops: reader.u8()?,
        },
    })
}

/// Writes one of the two that carry no packet; `false` for any other frame.
pub(super) fn write(w: &mut Writer<'_>, frame: &Frame<'_>) -> bool {
    match frame {
        Frame::ForwardRefused { destination, reason } => {
            w.u8(FORWARD_REFUSED) && w.bytes(*destination) && w.u8(*reason)
        }
        Frame::ForwardFailed { source, destination, reason, hops } => {
            w.u8(FORWARD_FAILED)
                && w.bytes(*source)
                && w.bytes(*destination)
                && w.u8(*reason)
                && w.u8(*hops)
        }
        _ => false,
    }
}

impl fmt::Display for ForwardFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hop_limit, ecn, length) = (self.hop_limit, self.ecn, self.packet.len());
        write!(f, "Forward hop_limit={hop_limit} ecn={ecn} length={length}")
    }
}

impl fmt::Debug for ForwardFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Frames;
    use super::*;
    use std::vec::Vec;

    fn frame<'a>(packet: &'a [u8], ends: &'a [[u8; 32]; 2]) -> ForwardFrame<'a> {
        let [source, destination] = ends;
        ForwardFrame { hop_limit: HOP_LIMIT, ecn: 2, source, destination, packet }
    }

    #[test]
    fn it_is_laid_out_as_documented_and_takes_what_is_left() {
        let (ends, packet) = ([[1; 32], [2; 32]], [7; 40]);
        let mut buffer = [0; 200];
        let mut writer = Writer::new(&mut buffer);
        assert!(Frame::Forward(frame(&packet, &ends)).encode(&mut writer));
        let written = writer.written().to_vec();
        assert_eq!(written[..2], [0x10, 12 << 2 | 2]);
        assert_eq!(written[2..66], [[1; 32], [2; 32]].concat());
        assert_eq!(written.len(), Frame::Forward(frame(&packet, &ends)).encoded_len());
        let longer = [&written[..], &[0; 9]].concat();
        let frames: Vec<_> = Frames::new(&longer).collect();
        let [Ok(Frame::Forward(read))] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(read.packet, [&packet[..], &[0; 9]].concat());
        assert_eq!((read.hop_limit, read.ecn), (HOP_LIMIT, 2));
    }

    #[test]
    fn what_failed_far_away_is_laid_out_as_documented() {
        let (source, destination) = (&[1; 32], &[2; 32]);
        let failed = Frame::ForwardFailed { source, destination, reason: 4, hops: 16 };
        let mut buffer = [0; 80];
        let mut writer = Writer::new(&mut buffer);
        assert!(failed.encode(&mut writer));
        let layout = [&[0x1a][..], source, destination, &[4, 16]].concat();
        assert_eq!((writer.written(), failed.encoded_len()), (&layout[..], layout.len()));
        assert_eq!(Frames::new(&layout).next(), Some(Ok(failed)));
    }

    #[test]
    fn a_packet_that_cannot_be_one_is_not_carried() {
        let ends = [[1; 32], [2; 32]];
        let mut buffer = [0; 200];
        assert!(!Frame::Forward(frame(&[7; 15], &ends)).encode(&mut Writer::new(&mut buffer)));
        let mut short = frame(&[7; 16], &ends).header().to_vec();
        short.extend([7; 15]);
        assert_eq!(Frames::new(&short).next(), Some(Err(FrameError::Truncated)));
        let high = ForwardFrame { hop_limit: 64, ..frame(&[7; 16], &ends) };
        assert!(!Frame::Forward(high).encode(&mut Writer::new(&mut buffer)));
    }
}
