//! Frames by which neighbours tell each other of routes.
//!
//! ```text
//! 0x16 | destination 32 | epoch 8 | seqno 4 | life 2 | signature 64 | serial 4 | remaining 2 | metric 2
//! 0x17 | destination 32 | serial 4
//! 0x18 | destination 32 | epoch 8 | seqno 4 | hops 1
//! 0x19 | destination 32 | hops 1
//! ```

use core::fmt;

use super::Frame;
use crate::wire::error::FrameError;
use crate::wire::reader::Reader;
use crate::wire::writer::Writer;

pub(super) const ROUTE_UPDATE: u8 = 0x16;
pub(super) const ROUTE_RETRACTION: u8 = 0x17;
pub(super) const SEQNO_REQUEST: u8 = 0x18;
pub(super) const ROUTE_REQUEST: u8 = 0x19;

/// The longest life of a claim, in seconds.
pub const MAX_ROUTE_LIFE: u16 = 3600;
/// The metric of a claim that the sender has no route for.
pub const NO_ROUTE: u16 = u16::MAX;
/// The destination of a [`Frame::RouteRequest`] for all that the receiver has to tell. It is nobody's identity.
pub const EVERY_DESTINATION: [u8; 32] = [0; 32];
/// What the signature of a claim begins with, so that it is none of anything else.
const CLAIM_LABEL: &[u8; 17] = b"handfast/1 origin";
/// The bytes that are signed: the label, and everything before the signature.
pub const CLAIM_LEN: usize = 63;

/// The sender has a route to a destination, which speaks for itself by its signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RouteUpdate<'a> {
    /// The identity of the destination.
    pub destination: &'a [u8; 32],
    /// Grows with every life of the destination.
    pub epoch: u64,
    /// Grows within an epoch.
    pub seqno: u32,
    /// How many seconds the claim may be believed, from 1 to [`MAX_ROUTE_LIFE`].
    pub life: u16,
    /// By the key of the destination, over [`claim`](Self::claim).
    pub signature: &'a [u8; 64],
    /// Grows with every statement of the sender in this session.
    pub serial: u32,
    /// How many seconds the claim lives on, as the sender counts: at most `life`.
    pub remaining: u16,
    /// How far the destination is from the sender, or [`NO_ROUTE`].
    pub metric: u16,
}

impl<'a> RouteUpdate<'a> {
    /// What the destination signs.
    #[must_use]
    pub fn claim(&self) -> [u8; CLAIM_LEN] {
        let mut bytes = [0; CLAIM_LEN];
        bytes[..17].copy_from_slice(CLAIM_LABEL);
        bytes[17..49].copy_from_slice(self.destination);
        bytes[49..57].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[57..61].copy_from_slice(&self.seqno.to_le_bytes());
        bytes[61..].copy_from_slice(&self.life.to_le_bytes());
        bytes
    }

    /// Whether its lives are within bounds.
    const fn is_legal(&self) -> bool {
        self.life >= 1 && self.life <= MAX_ROUTE_LIFE && self.remaining <= self.life
    }

    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, FrameError> {
        let update = Self {
            destination: reader.array()?,
            epoch: reader.u64()?,
            seqno: reader.u32()?,
            life: reader.u16()?,
            signature: reader.array()?,
            serial: reader.u32()?,
            remaining: reader.u16()?,
            metric: reader.u16()?,
        };
        if update.is_legal() { Ok(update) } else { Err(FrameError::RouteLife) }
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> bool {
        self.is_legal()
            && w.u8(ROUTE_UPDATE)
            && w.bytes(self.destination)
            && w.u64(self.epoch)
            && w.u32(self.seqno)
            && w.u16(self.life)
            && w.bytes(self.signature)
            && w.u32(self.serial)
            && w.u16(self.remaining)
            && w.u16(self.metric)
    }
}

/// A frame of one of the four kinds.
pub(super) fn parse<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Frame<'a>, FrameError> {
    if kind == ROUTE_UPDATE {
        return RouteUpdate::parse(reader).map(Frame::RouteUpdate);
    }
    let destination = reader.array()?;
    Ok(match kind {
        ROUTE_RETRACTION => Frame::RouteRetraction { destination, serial: reader.u32()? },
        SEQNO_REQUEST => Frame::SeqnoRequest {
            destination,
            epoch: reader.u64()?,
            seqno: reader.u32()?,
            hops: reader.u8()?,
        },
        _ => Frame::RouteRequest { destination, hops: reader.u8()? },
    })
}

/// Writes one of the three that are no update; `false` for any other frame.
pub(super) fn write(w: &mut Writer<'_>, frame: &Frame<'_>) -> bool {
    match frame {
        Frame::RouteRetraction { destination, serial } => {
            w.u8(ROUTE_RETRACTION) && w.bytes(*destination) && w.u32(*serial)
        }
        Frame::SeqnoRequest { destination, epoch, seqno, hops } => {
            w.u8(SEQNO_REQUEST)
                && w.bytes(*destination)
                && w.u64(*epoch)
                && w.u32(*seqno)
                && w.u8(*hops)
        }
        Frame::RouteRequest { destination, hops } => {
            w.u8(ROUTE_REQUEST) && w.bytes(*destination) && w.u8(*hops)
        }
        _ => false,
    }
}

impl fmt::Display for RouteUpdate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteUpdate epoch={} seqno={} life={}", self.epoch, self.seqno, self.life)?;
        write!(f, " serial={} remaining={} metric={}", self.serial, self.remaining, self.metric)
    }
}

impl fmt::Debug for RouteUpdate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Frames;
    use super::*;
    use std::vec::Vec;

    const UPDATE: RouteUpdate<'_> = RouteUpdate {
        destination: &[1; 32],
        epoch: 2,
        seqno: 3,
        life: 1050,
        signature: &[4; 64],
        serial: 5,
        remaining: 1050,
        metric: 6,
    };

    fn written(frame: Frame<'_>) -> Option<Vec<u8>> {
        let mut buffer = [0; 200];
        let mut writer = Writer::new(&mut buffer);
        frame.encode(&mut writer).then(|| writer.written().to_vec())
    }

    #[test]
    fn an_update_is_laid_out_as_documented_and_signs_what_stands_before_the_signature() {
        let bytes = written(Frame::RouteUpdate(UPDATE)).expect("legal");
        assert_eq!(bytes.len(), Frame::RouteUpdate(UPDATE).encoded_len());
        let layout = [
            &[0x16][..],
            &[1; 32],
            &[2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0x1a, 0x04],
            &[4; 64],
            &[5, 0, 0, 0, 0x1a, 0x04, 6, 0],
        ];
        assert_eq!(bytes, layout.concat());
        assert_eq!(UPDATE.claim()[..], [&CLAIM_LABEL[..], &bytes[1..47]].concat());
        assert_eq!(Frames::new(&bytes).next(), Some(Ok(Frame::RouteUpdate(UPDATE))));
    }

    #[test]
    fn lives_are_bounded() {
        for (life, remaining) in [(0, 0), (MAX_ROUTE_LIFE + 1, 1), (10, 11)] {
            let update = RouteUpdate { life, remaining, ..UPDATE };
            assert_eq!(written(Frame::RouteUpdate(update)), None);
            let mut bytes = written(Frame::RouteUpdate(UPDATE)).expect("legal");
            bytes[45..47].copy_from_slice(&life.to_le_bytes());
            bytes[115..117].copy_from_slice(&remaining.to_le_bytes());
            assert_eq!(Frames::new(&bytes).next(), Some(Err(FrameError::RouteLife)));
        }
    }
}
