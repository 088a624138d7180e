//! Writing a message, or a piece of it, as a data frame.

use super::outgoing::{Outgoing, Part};
use crate::wire::{DataFrame, Fragment, MIN_FRAGMENT, StreamKey, Writer};

/// Writes `part`, or its beginning, as one frame. Returns the bytes written, `None` if the packet
/// has no room worth using.
pub(crate) fn encode(
    message: &Outgoing,
    part: Part,
    room: usize,
    writer: &mut Writer<'_>,
) -> Option<u32> {
    if writer.remaining() < LEAST_FRAME {
        return None;
    }
    let total = message.len();
    let (stream, requires_ack) = (StreamKey::from(message.delivery), message.delivery.requires_ack);
    let (sequence_number, payload) = (message.sequence_number?, &message.payload[..]);
    if part.len == total
        && DataFrame::encode_whole((stream, sequence_number), requires_ack, payload, writer)
    {
        return Some(total);
    }
    let mut frame = DataFrame { stream, requires_ack, sequence_number, fragment: None, payload };
    if part.len == total {
        if frame.encode(writer) {
            return Some(total);
        }
        if frame.encoded_len() <= room {
            return None; // It fits a packet of its own: not worth fragmenting.
        }
    }
    frame.fragment = Some(Fragment { total, offset: part.offset });
    let (stream, number) = (frame.stream, frame.sequence_number);
    let space = DataFrame::max_payload(writer.remaining(), stream, number, frame.fragment)?;
    let len = fragment_len(part, total, u32::try_from(space).unwrap_or(u32::MAX))?;
    frame.payload = &message.payload[part.offset as usize..(part.offset + len) as usize];
    frame.encode(writer).then_some(len)
}

/// What the shortest data frame takes: kind, channel, number and length.
const LEAST_FRAME: usize = 4;

/// How much of `part` to put into `space` bytes: neither the piece nor what is left of the part may
/// be shorter than a fragment must be, unless it ends the message.
fn fragment_len(part: Part, total: u32, space: u32) -> Option<u32> {
    const LEAST: u32 = MIN_FRAGMENT as u32;
    let ends = part.offset + part.len == total;
    let mut len = part.len.min(space);
    let left = part.len - len;
    if left > 0 && left < LEAST && !ends {
        len = part.len.saturating_sub(LEAST);
    }
    let valid = len >= LEAST || (len > 0 && len == part.len);
    valid.then_some(len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the space of packets varies, a message is cut into pieces that a receiver takes,
        /// and that are the message again.
        #[test]
        fn every_piece_is_legal_and_no_byte_is_left(
            total in 1u32..5000,
            spaces in proptest::collection::vec(0u32..1500, 1..50),
        ) {
            let whole = Part { slot: 0, generation: 0, offset: 0, len: total };
            let (mut part, mut spaces) = (whole, spaces.into_iter().cycle());
            for _ in 0..400 {
                // A space of 600 bytes always takes something.
                let space = spaces.next().unwrap_or(0).max(600).min(total.saturating_sub(1).max(1));
                if part.len == 0 {
                    break;
                }
                if let Some(len) = fragment_len(part, total, space) {
                    let piece = Fragment { total, offset: part.offset };
                    prop_assert!(len <= space);
                    prop_assert!(len == total || piece.admits(len as usize), "{part:?} {len}");
                    part = part.after(len);
                    let ends = part.offset + part.len == total;
                    prop_assert!(part.len == 0 || part.len >= 256 || ends);
                }
            }
            prop_assert!(part.len == 0 || total <= 600, "{part:?}");
        }
    }
}
