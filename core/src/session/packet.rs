//! Where a sealed packet is put together.

use crate::wire::{SEALED_HEADER_LEN, TAG_LEN, Writer};

/// Bytes of a sealed packet that are not frames.
pub(crate) const OVERHEAD: usize = SEALED_HEADER_LEN + TAG_LEN;

/// Room for one sealed packet in a caller's buffer: headroom, header, frames, tag.
///
/// In the headroom stands what carries the packet: nothing if a socket does, the header and the
/// beginning of a frame of the packet around it if a neighbour does. So a packet is sealed where it
/// will lie inside of the other one, and never copied.
#[derive(Debug)]
pub(crate) struct PacketBuffer<'b> {
    buffer: &'b mut [u8],
    headroom: usize,
}

impl<'b> PacketBuffer<'b> {
    /// Room for a packet behind `headroom` bytes; `None` if the buffer is too short for any.
    pub(crate) fn new(buffer: &'b mut [u8], headroom: usize) -> Option<Self> {
        (buffer.len() >= headroom + OVERHEAD).then_some(Self { buffer, headroom })
    }

    /// Writes the frames.
    pub(crate) fn frames(&mut self) -> Writer<'_> {
        let (start, end) = (self.headroom + SEALED_HEADER_LEN, self.buffer.len() - TAG_LEN);
        Writer::new(&mut self.buffer[start..end])
    }

    /// The packet whose frames are `len` bytes long: room for the header, the frames, room for the tag.
    pub(crate) fn packet(&mut self, len: usize) -> &mut [u8] {
        &mut self.buffer[self.headroom..][..len + OVERHEAD]
    }

    /// The same for as long as the buffer is there.
    pub(crate) fn into_packet(self, len: usize) -> &'b mut [u8] {
        &mut self.buffer[self.headroom..][..len + OVERHEAD]
    }

    /// Makes the packet of `len` bytes the end of the frames of the packet around it, after `prefix`:
    /// returns the room for that packet and how long its frames are. `None` if there is too little room
    /// before or behind.
    pub(crate) fn wrap(self, len: usize, prefix: &[u8]) -> Option<(Self, usize)> {
        let headroom = self.headroom.checked_sub(SEALED_HEADER_LEN + prefix.len())?;
        let frames = prefix.len() + len;
        if self.buffer.len() < headroom + frames + OVERHEAD {
            return None;
        }
        self.buffer[headroom + SEALED_HEADER_LEN..][..prefix.len()].copy_from_slice(prefix);
        Some((Self { headroom, ..self }, frames))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::backend::Suite;
    use crate::crypto::keycache::KeyCache;
    use crate::crypto::noise::Split;
    use crate::crypto::schedule::{Role, SessionSecrets};
    use crate::crypto::transcript::Transcript;
    use crate::session::Session;
    use crate::time::Instant;
    use crate::wire::{Frame, PacketNumber};

    /// What a carrying frame begins with here; only its length matters.
    const PREFIX: [u8; 5] = [0x30, 1, 2, 3, 4];

    fn session(seed: u8, role: Role) -> Session {
        let split = Split {
            initiator: [seed; 32].into(),
            responder: [seed + 1; 32].into(),
            transcript: Transcript::new([seed + 2; 32]),
        };
        let secrets = SessionSecrets::from_split(&split, Suite::ChaCha20Poly1305, role);
        let initiated = role == Role::Initiator;
        Session::new(
            (u32::from(seed), u32::from(seed)),
            secrets,
            seed.into(),
            initiated,
            Instant::MAX,
        )
    }

    fn number(counter: u64) -> PacketNumber {
        PacketNumber::new(0, counter).expect("small")
    }

    /// A sealed `Ping` behind so much headroom, and the length of the packet.
    fn ping(keys: &mut KeyCache, room: &mut PacketBuffer<'_>) -> usize {
        let mut writer = room.frames();
        assert!(Frame::Ping { token: 77 }.encode(&mut writer));
        let len = writer.position();
        session(1, Role::Initiator).seal(keys, number(5), room.packet(len));
        len + OVERHEAD
    }

    #[test]
    fn a_sealed_packet_is_sealed_again_inside_another_where_it_lies() {
        let mut keys = KeyCache::new(4);
        // By copies: the inner packet alone, then all of it as the frames of the outer one.
        let mut alone = [0; 100];
        let mut room = PacketBuffer::new(&mut alone, 0).expect("room");
        let len = ping(&mut keys, &mut room);
        let mut copied = [0; 200];
        let mut room = PacketBuffer::new(&mut copied, 0).expect("room");
        let mut writer = room.frames();
        assert!(writer.bytes(&PREFIX) && writer.bytes(&alone[..len]));
        let frames = writer.position();
        session(10, Role::Initiator).seal(&mut keys, number(9), room.packet(frames));

        // In place, in a buffer that is as long as the result.
        let mut nested = alloc::vec![0; frames + OVERHEAD];
        let mut room =
            PacketBuffer::new(&mut nested[..], SEALED_HEADER_LEN + PREFIX.len()).expect("room");
        assert_eq!(ping(&mut keys, &mut room), len);
        let (mut outer, wrapped) = room.wrap(len, &PREFIX).expect("headroom");
        assert_eq!(wrapped, frames);
        session(10, Role::Initiator).seal(&mut keys, number(9), outer.packet(frames));
        assert_eq!(nested, copied[..frames + OVERHEAD]);

        // And it opens, layer by layer.
        let opened = session(10, Role::Responder)
            .open(&mut keys, number(9), &mut nested)
            .map(<[u8]>::to_vec);
        let mut inner = opened.expect("genuine").split_off(PREFIX.len());
        let frames =
            session(1, Role::Responder).open(&mut keys, number(5), &mut inner).map(<[u8]>::to_vec);
        let mut expected = [0; 16];
        let mut writer = Writer::new(&mut expected);
        assert!(Frame::Ping { token: 77 }.encode(&mut writer));
        assert_eq!(frames.as_deref(), Some(writer.written()));
    }

    #[test]
    fn without_room_before_or_behind_nothing_is_wrapped() {
        let before = SEALED_HEADER_LEN + PREFIX.len();
        for (headroom, len, fits) in
            [(before, 100, true), (before - 1, 100, false), (before, 101, false)]
        {
            let mut buffer = alloc::vec![0; before + 100 + TAG_LEN];
            let room = PacketBuffer::new(&mut buffer, headroom).expect("room");
            assert_eq!(room.wrap(len, &PREFIX).is_some(), fits, "{headroom} {len}");
        }
        assert!(PacketBuffer::new(&mut [0; OVERHEAD], 1).is_none());
    }
}
