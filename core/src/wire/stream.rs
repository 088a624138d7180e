//! Which stream a message belongs to.

use core::fmt;

use super::error::FrameError;
use super::reader::Reader;
use super::varint;
use super::writer::Writer;
use crate::pack::pack_as;
use crate::{Delivery, Order};

/// A channel together with reliability and order: the messages of one stream are numbered among
/// themselves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey(
    /// `channel << 3 | mode`
    u32,
);

pack_as!(StreamKey: u32);

/// Mode bits 0 and 1: the order.
const ORDER: u8 = 0b011;
/// Mode bit 2: sent again until acknowledged.
const RELIABLE: u8 = 0b100;
const MODE: u8 = ORDER | RELIABLE;

impl StreamKey {
    /// The stream of `channel` with this reliability and order.
    #[must_use]
    pub const fn new(channel: u16, reliable: bool, order: Order) -> Self {
        let order = match order {
            Order::Unordered => 0,
            Order::Sequenced => 1,
            Order::Ordered => 2,
        };
        Self((channel as u32) << 3 | (reliable as u32) << 2 | order)
    }

    /// The application's channel.
    #[must_use]
    pub const fn channel(self) -> u16 {
        let [low, middle, high, _] = (self.0 >> 3).to_le_bytes();
        debug_assert!(high == 0, "a key has 19 bits");
        u16::from_le_bytes([low, middle])
    }

    /// Whether its messages are sent again until acknowledged.
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        self.mode() & RELIABLE != 0
    }

    /// In which order its messages reach the application.
    #[must_use]
    pub const fn order(self) -> Order {
        match self.mode() & ORDER {
            0 => Order::Unordered,
            1 => Order::Sequenced,
            _ => Order::Ordered,
        }
    }

    /// The delivery that an application sees, or asks for, on this stream.
    #[must_use]
    pub const fn delivery(self, requires_ack: bool) -> Delivery {
        let delivery = Delivery::new(self.channel(), self.is_reliable(), self.order());
        if requires_ack { delivery.with_receipt() } else { delivery }
    }

    /// The bits of a frame that say order and reliability.
    pub(super) const fn mode(self) -> u8 {
        self.0.to_le_bytes()[0] & MODE
    }

    /// How many bytes the channel takes.
    pub(super) const fn channel_size(self) -> usize {
        varint::size(self.channel() as u64)
    }

    /// Reads the channel that belongs to `mode`, of which no other bits may be set.
    pub(super) fn read_channel(mode: u8, reader: &mut Reader<'_>) -> Result<Self, FrameError> {
        if mode & !MODE != 0 {
            return Err(FrameError::Mode);
        }
        if mode & ORDER == ORDER {
            return Err(FrameError::Order);
        }
        let channel = u16::try_from(reader.varint()?).map_err(|_| FrameError::Channel)?;
        Ok(Self(u32::from(channel) << 3 | u32::from(mode)))
    }

    /// The stream of a channel with these bits of a frame. `None` if there is no such mode, or no such channel.
    #[inline]
    pub(super) fn with_mode(mode: u8, channel: u64) -> Option<Self> {
        let is_mode = mode & !MODE == 0 && mode & ORDER != ORDER;
        let channel = u16::try_from(channel).ok().filter(|_| is_mode)?;
        Some(Self(u32::from(channel) << 3 | u32::from(mode)))
    }

    /// Reads a mode byte and a channel.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FrameError> {
        let mode = reader.u8()?;
        Self::read_channel(mode, reader)
    }

    /// Writes a mode byte and a channel.
    pub(super) fn write(self, writer: &mut Writer<'_>) -> bool {
        writer.u8(self.mode()) && self.write_channel(writer)
    }

    pub(super) fn write_channel(self, writer: &mut Writer<'_>) -> bool {
        writer.varint(self.channel().into())
    }
}

impl From<Delivery> for StreamKey {
    /// Whether a receipt is wanted makes no difference to the stream.
    fn from(delivery: Delivery) -> Self {
        Self::new(delivery.channel, delivery.reliable, delivery.order)
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reliability = if self.is_reliable() { "reliable" } else { "unreliable" };
        let order = match self.order() {
            Order::Unordered => "unordered",
            Order::Sequenced => "sequenced",
            Order::Ordered => "ordered",
        };
        write!(f, "{}/{reliability}/{order}", self.channel())
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKey({self})")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in super::super) fn any_stream() -> impl Strategy<Value = StreamKey> {
        let order = prop::sample::select(&[Order::Unordered, Order::Sequenced, Order::Ordered]);
        (prop_oneof![0..100_u16, any::<u16>()], any::<bool>(), order)
            .prop_map(|(channel, reliable, order)| StreamKey::new(channel, reliable, order))
    }

    proptest! {
        #[test]
        fn a_key_is_its_delivery_without_the_receipt(stream in any_stream(), requires_ack: bool) {
            let delivery = stream.delivery(requires_ack);
            prop_assert_eq!(StreamKey::from(delivery), stream);
            prop_assert_eq!(delivery.requires_ack, requires_ack);
        }

        #[test]
        fn keys_differ_when_anything_differs(a in any_stream(), b in any_stream()) {
            prop_assert_eq!(a == b, a.delivery(false) == b.delivery(false));
        }
    }
}
