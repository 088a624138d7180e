//! Choices taken from the bytes of a fuzzer. After the last byte, zeros.

use handfast_core::{Delivery, Order, Priority};

/// The bytes not used yet.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from(self.u8()) | u16::from(self.u8()) << 8
    }

    pub(super) fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// One of `count` things, `None` of none.
    pub(super) fn pick(&mut self, count: usize) -> Option<usize> {
        let choice = usize::from(self.u8());
        choice.checked_rem(count)
    }

    /// Up to `len` bytes as they are.
    pub(super) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

/// One of the twelve kinds of message by the low bits of `bits`, and of three priorities by the next two.
pub(super) fn delivery(bits: u8, channel: u8) -> Delivery {
    let order = match bits >> 2 & 3 {
        0 => Order::Unordered,
        1 => Order::Sequenced,
        _ => Order::Ordered,
    };
    let mut delivery = Delivery::new(channel.into(), bits & 1 != 0, order);
    delivery.requires_ack = bits & 2 != 0;
    delivery.with_priority(match bits >> 4 & 3 {
        1 => Priority::REAL_TIME,
        2 => Priority::BULK,
        _ => Priority::NORMAL,
    })
}
