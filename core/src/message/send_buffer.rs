//! What the messages of a send queue take of memory, until they are settled.

use core::time::Duration;

use super::outgoing::Outgoing;
use crate::delivery::Order;
use crate::error::SendError;

/// What a message costs beyond its bytes, in the send buffer and in the receiver's credit: without
/// it, empty messages would be free.
pub(crate) const MESSAGE_CHARGE: u64 = 64;

/// What the peer allows us.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendLimits {
    pub(crate) max_message: u32,
    pub(crate) max_streams: u16,
    /// Bytes of reliable messages, as far as memory allows.
    pub(crate) buffer: u64,
    /// Bytes of unreliable messages that were not begun.
    pub(crate) unreliable: u64,
    /// How long unreliable messages wait to be begun.
    pub(crate) age: Duration,
}

/// Bytes of messages that are not settled, charges included.
///
/// Reliable messages wait for room, so they count until they are acknowledged. Unreliable ones do not:
/// those that were not begun give way, oldest first.
#[derive(Debug, Default)]
pub(super) struct SendBuffer {
    reliable: u64,
    unreliable: u64,
    /// Of the unreliable bytes, those of messages that were not begun.
    unsent: u64,
    /// What the reliable message would cost that found no room.
    blocked: Option<u64>,
}

impl SendBuffer {
    /// Whether a reliable message has room that costs so much, once `freed` bytes are given up for it.
    pub(super) fn admit(
        &mut self,
        limits: &SendLimits,
        order: Order,
        cost: u64,
        freed: u64,
    ) -> Result<(), SendError> {
        if self.has_room(limits, cost, freed) {
            return Ok(());
        }
        self.blocked = Some(cost);
        // A newer one will take its place: there is no sense in waiting.
        Err(if order == Order::Sequenced { SendError::NoRoom } else { SendError::Blocked })
    }

    /// How many bytes of unreliable messages have to give way to one that costs so much.
    pub(super) const fn excess(&self, limits: &SendLimits, cost: u64, freed: u64) -> u64 {
        (self.unsent - freed + cost).saturating_sub(limits.unreliable)
    }

    /// Whether room was made for a message that found none. True once per refusal.
    pub(super) fn take_writable(&mut self, limits: &SendLimits) -> bool {
        let due = self.is_writable_due(limits);
        if due {
            self.blocked = None;
        }
        due
    }

    /// Whether a message waits only because others than its peer take the memory. `most` is what the
    /// buffer may take when there is memory.
    pub(super) fn waits_for_memory(&self, limits: &SendLimits, most: u64) -> bool {
        let most = SendLimits { buffer: most, ..*limits };
        self.is_writable_due(&most) && !self.is_writable_due(limits)
    }

    /// Bytes of reliable messages.
    pub(super) const fn reliable(&self) -> u64 {
        self.reliable
    }

    /// Bytes of unreliable messages of which nothing was sent.
    pub(super) const fn unsent(&self) -> u64 {
        self.unsent
    }

    pub(super) fn is_writable_due(&self, limits: &SendLimits) -> bool {
        self.blocked.is_some_and(|cost| self.has_room(limits, cost, 0))
    }

    /// A message was accepted.
    pub(super) fn add(&mut self, message: &Outgoing) {
        let cost = cost(message.payload.len());
        *self.kind(message) += cost;
        if !message.delivery.reliable {
            self.unsent += cost;
        }
    }

    /// The first bytes of a message were sent.
    pub(super) fn begin(&mut self, message: &Outgoing) {
        if !message.delivery.reliable {
            self.unsent -= cost(message.payload.len());
        }
    }

    /// A message met its fate: its payload goes. `begun` if some of it was sent.
    pub(super) fn settle(&mut self, message: &Outgoing, begun: bool) {
        *self.kind(message) -= message.payload.len() as u64;
        if !message.delivery.reliable && !begun {
            self.unsent -= cost(message.payload.len());
        }
    }

    /// A message is forgotten after it met its fate.
    pub(super) fn forget(&mut self, message: &Outgoing) {
        *self.kind(message) -= MESSAGE_CHARGE;
    }

    /// How long a reliable message there is room for.
    pub(super) const fn room(&self, limits: &SendLimits) -> u64 {
        if self.reliable == 0 {
            return limits.max_message as u64;
        }
        let left = limits.buffer.saturating_sub(self.reliable + MESSAGE_CHARGE);
        if left < limits.max_message as u64 { left } else { limits.max_message as u64 }
    }

    /// All bytes.
    pub(super) const fn bytes(&self) -> u64 {
        self.reliable + self.unreliable
    }

    fn has_room(&self, limits: &SendLimits, cost: u64, freed: u64) -> bool {
        let held = self.reliable - freed;
        held == 0 || held + cost <= limits.buffer
    }

    const fn kind(&mut self, message: &Outgoing) -> &mut u64 {
        if message.delivery.reliable { &mut self.reliable } else { &mut self.unreliable }
    }
}

/// What a message of `len` bytes takes of the send buffer and of the receiver's credit.
pub(crate) const fn cost(len: usize) -> u64 {
    len as u64 + MESSAGE_CHARGE
}
