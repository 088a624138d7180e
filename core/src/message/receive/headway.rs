//! Messages in pieces, and which of them get room before their bytes arrive.

use bytes::Bytes;

use super::ReceiveQueue;
use crate::Violation;
use crate::message::assembly::{Assembly, HEADWAY};
use crate::pack::pack;
use crate::wire::{DataFrame, Fragment, StreamKey};

/// How much room may be made before bytes arrive.
///
/// A message up to 64 KiB then takes one allocation. It is charged to the sender's credit, or to what unreliable messages
/// may take, with its first piece; but lengths that are merely claimed must not take memory: each byte of headway is
/// paid by a byte that arrived before.
#[derive(Debug, Default)]
pub(super) struct Headway {
    left: u32,
}

pack!(Headway: left);

impl Headway {
    /// Takes what a message of `total` bytes needs, if so much is left.
    const fn take(&mut self, total: u32) -> bool {
        let needed = if total < HEADWAY { total } else { HEADWAY };
        let is_enough = self.left >= needed;
        if is_enough {
            self.left -= needed;
        }
        is_enough
    }

    /// So many bytes of a message in pieces arrived.
    fn earn(&mut self, bytes: usize) {
        self.left = MOST.min(self.left + bytes as u32);
    }
}

impl ReceiveQueue {
    /// Adds a piece to its message, of which others arrived before if it `is_begun`; the message once it is whole.
    pub(super) fn collect(
        &mut self,
        frame: &DataFrame<'_>,
        is_begun: bool,
    ) -> Result<Option<Bytes>, Violation> {
        let (key, number) = (frame.stream, frame.sequence_number);
        // A message that was sent whole may be sent again in pieces that overtake it.
        let whole = Fragment { total: frame.payload.len() as u32, offset: 0 };
        let fragment = frame.fragment.unwrap_or(whole);
        self.headway.earn(frame.payload.len());
        if !is_begun {
            self.begin(key, number, fragment.total);
        }
        let Some(stream) = self.streams.get_mut(&key) else { return Ok(None) };
        stream.collect(number, fragment, frame.payload)
    }

    /// The first piece of a message arrived.
    fn begin(&mut self, key: StreamKey, number: u64, total: u32) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let mut assembly = Assembly::new(total);
        if self.headway.take(total) {
            assembly.make_headway();
        }
        stream.partial.insert(number, assembly);
    }
}

/// The most headway that is kept: what any newcomer may send.
const MOST: u32 = 256 << 10;
