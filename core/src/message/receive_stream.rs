//! One incoming stream: what is whole, what is in pieces, what must wait for its turn.

use alloc::collections::BTreeMap;

use bytes::Bytes;

use super::assembly::Assembly;
use super::window::ReceivedWindow;
use crate::Violation;
use crate::delivery::Order;
use crate::pack::{pack, pack_never};
use crate::wire::{Fragment, StreamKey};

/// A whole message waiting for earlier ones of its ordered stream.
#[derive(Debug)]
pub(crate) struct Buffered {
    pub(super) payload: Bytes,
    pub(super) requires_ack: bool,
}

pack_never!(Buffered);

/// The receiving end of one stream.
#[derive(Debug)]
pub(crate) struct ReceiveStream {
    pub(super) key: StreamKey,
    /// Reliable: the numbers that came, whole or superseded.
    pub(super) resolved: ReceivedWindow,
    /// Ordered: the number to hand over next. Sequenced: one more than the newest handed over. Unordered: where it
    /// began. No number below it is wanted.
    pub(super) next: u64,
    /// Messages in pieces.
    pub(super) partial: BTreeMap<u64, Assembly>,
    /// Ordered: whole messages whose turn has not come.
    pub(super) buffered: BTreeMap<u64, Buffered>,
}

pack!(ReceiveStream: key, resolved, next, partial, buffered);

impl ReceiveStream {
    /// All numbers below `first` are settled.
    pub(crate) fn new(key: StreamKey, first: u64) -> Self {
        Self {
            key,
            resolved: ReceivedWindow::from_floor(first),
            next: first,
            partial: BTreeMap::new(),
            buffered: BTreeMap::new(),
        }
    }

    /// The message with this number is settled. What that takes is added to `noted`.
    pub(super) fn resolve(&mut self, number: u64, noted: &mut u64) {
        let before = self.resolved.memory();
        self.resolved.insert(number);
        *noted = *noted + self.resolved.memory() - before;
    }

    /// Whether a message with this number, if it comes whole, is handed over at once, and no other with it. Of a reliable
    /// stream it may have come before.
    #[inline]
    pub(super) fn is_next(&self, number: u64) -> bool {
        let is_turn = match self.key.order() {
            Order::Unordered => number >= self.next,
            Order::Ordered => number == self.next,
            Order::Sequenced => false,
        };
        is_turn && self.partial.is_empty() && self.buffered.is_empty()
    }

    /// Whether a message with this number could still be handed over.
    pub(crate) fn is_wanted(&self, number: u64) -> bool {
        let resolved = self.key.is_reliable() && self.resolved.contains(number);
        !resolved && number >= self.next && !self.buffered.contains_key(&number)
    }

    /// Adds a piece to a message that was begun; the message once it is whole.
    pub(super) fn collect(
        &mut self,
        number: u64,
        fragment: Fragment,
        payload: &[u8],
    ) -> Result<Option<Bytes>, Violation> {
        let Some(assembly) = self.partial.get_mut(&number) else { return Ok(None) };
        if assembly.total() != fragment.total {
            return Err(Violation::FragmentsDisagree);
        }
        if !assembly.insert(fragment.offset, payload) {
            return Ok(None);
        }
        Ok(self.partial.remove(&number).map(Assembly::into_bytes))
    }

    /// The buffered message whose turn it is.
    pub(crate) fn take_next(&mut self) -> Option<(u64, Buffered)> {
        let first = self.buffered.first_entry()?;
        if *first.key() != self.next {
            return None;
        }
        self.next += 1;
        Some(first.remove_entry())
    }

    /// Of a reliable ordered stream: goes past numbers that are settled though no message came. Returns how many.
    pub(super) fn step_over(&mut self) -> u64 {
        let from = self.next;
        while self.resolved.contains(self.next) && !self.buffered.contains_key(&self.next) {
            self.next += 1;
        }
        self.next - from
    }

    /// The first buffered message below `end`, whatever is missing before it.
    pub(crate) fn take_below(&mut self, end: u64) -> Option<(u64, Buffered)> {
        let first = self.buffered.first_entry()?;
        if *first.key() >= end {
            return None;
        }
        self.next = self.next.max(first.key() + 1);
        Some(first.remove_entry())
    }

    /// Forgets pieces of messages below `end`; returns the bytes they buffered.
    pub(crate) fn drop_partial_below(&mut self, end: u64) -> u64 {
        let mut freed = 0;
        while let Some(first) = self.partial.first_entry() {
            if *first.key() >= end {
                break;
            }
            freed += u64::from(first.remove().total());
        }
        freed
    }
}
