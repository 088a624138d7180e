//! Messages in a stream of bytes, for stacks that have no messages of their own (or only short ones).

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::stack::{Arrived, Stamp};

/// A message with its length in front.
pub(crate) fn framed(message: &Bytes) -> Bytes {
    let mut frame = BytesMut::with_capacity(LENGTH + message.len());
    frame.extend_from_slice(&(message.len() as u32).to_le_bytes());
    frame.extend_from_slice(message);
    frame.freeze()
}

/// Finds the messages again. It keeps their stamps alone.
#[derive(Default)]
pub(crate) struct Framing {
    head: Vec<u8>,
    /// Bytes of the message that are still to come.
    left: usize,
    whole: VecDeque<(usize, Stamp)>,
}

impl Framing {
    /// Takes the next bytes of the stream.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.head.len() < HEAD {
                let taken = bytes.len().min(HEAD - self.head.len());
                self.head.extend_from_slice(&bytes[..taken]);
                bytes.advance(taken);
                if self.head.len() < HEAD {
                    return;
                }
                self.left = self.len() - Stamp::LEN;
            }
            let taken = bytes.len().min(self.left);
            self.left -= taken;
            bytes.advance(taken);
            if self.left == 0 {
                self.whole.push_back((self.len(), Stamp::read(&self.head[LENGTH..])));
                self.head.clear();
            }
        }
    }

    /// The next whole message.
    pub(crate) fn next(&mut self, lane: usize) -> Option<Arrived> {
        self.whole.pop_front().map(|(len, stamp)| Arrived { lane, len, stamp })
    }

    fn len(&self) -> usize {
        let len = self.head[..LENGTH].try_into().map_or(0, u32::from_le_bytes);
        (len as usize).max(Stamp::LEN)
    }
}

const LENGTH: usize = 4;
const HEAD: usize = LENGTH + Stamp::LEN;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_again_however_the_stream_is_cut() {
        let message = |number: u64| Stamp { time: 9, number }.message(16 + number as usize * 40);
        let stream: Vec<u8> = (0..6).flat_map(|n| framed(&message(n))).collect();
        for cut in [1, 3, 20, 21, 77, 10_000] {
            let mut framing = Framing::default();
            stream.chunks(cut).for_each(|piece| framing.take(piece));
            for number in 0..6 {
                let (len, stamp) = (16 + number as usize * 40, Stamp { time: 9, number });
                assert_eq!(framing.next(1), Some(Arrived { lane: 1, len, stamp }), "{cut}");
            }
            assert_eq!(framing.next(1), None);
        }
    }
}
