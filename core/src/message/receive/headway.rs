//! Messages in pieces, and which of them have room before their bytes arrive.

use bytes::Bytes;

use super::ReceiveQueue;
use crate::Violation;
use crate::message::assembly::Assembly;
use crate::wire::{DataFrame, Fragment, StreamKey};

/// The messages of a peer that were given headway.
///
/// A message up to 64 KiB then takes one allocation. It is charged to the sender's credit, or to what unreliable messages
/// may take, with its first piece; but what is merely announced must not take memory, so there are only a few.
#[derive(Debug, Default)]
pub(super) struct Headway {
    places: [Option<(StreamKey, u64)>; PLACES],
}

impl Headway {
    /// Takes a place of a message that does not need it any more, if there is one.
    fn take_place(
        &mut self,
        key: StreamKey,
        number: u64,
        needs: impl Fn(StreamKey, u64) -> bool,
    ) -> bool {
        let is_free =
            |place: &&mut Option<_>| place.is_none_or(|(key, number)| !needs(key, number));
        let free = self.places.iter_mut().find(is_free);
        free.map(|place| *place = Some((key, number))).is_some()
    }
}

impl ReceiveQueue {
    /// Adds a frame to its message, of which pieces arrived before if it `is_begun`; the message once it is whole.
    pub(super) fn collect(
        &mut self,
        frame: &DataFrame<'_>,
        is_begun: bool,
    ) -> Result<Option<Bytes>, Violation> {
        let (key, number) = (frame.stream, frame.sequence_number);
        let whole = || Fragment { total: frame.payload.len() as u32, offset: 0 };
        // A message that was sent whole may be sent again in pieces that overtake it.
        let Some(fragment) = frame.fragment.or_else(|| is_begun.then(whole)) else {
            return Ok(Some(Bytes::copy_from_slice(frame.payload)));
        };
        if !is_begun {
            self.begin(key, number, fragment.total);
        }
        let Some(stream) = self.streams.get_mut(&key) else { return Ok(None) };
        stream.collect(number, fragment, frame.payload)
    }

    /// The first piece of a message arrived.
    fn begin(&mut self, key: StreamKey, number: u64, total: u32) {
        let streams = &self.streams;
        let begun = |key, number| streams.get(&key)?.partial.get(&number);
        let needs = |key, number| begun(key, number).is_some_and(Assembly::has_headway);
        let is_ahead = self.headway.take_place(key, number, needs);
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let mut assembly = Assembly::new(total);
        if is_ahead {
            assembly.make_headway();
        }
        stream.partial.insert(number, assembly);
    }
}

/// So many messages have headway at a time: together they take no more than any newcomer may hold.
const PLACES: usize = 4;
