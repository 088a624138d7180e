//! How a message travels and what became of it.

use core::fmt;

use bytes::Bytes;

/// In which order the messages of one stream reach the application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// As they arrive.
    #[default]
    Unordered,
    /// Newest wins: a message that arrives after a newer one is dropped.
    Sequenced,
    /// In the order of sending. A lost unreliable message leaves a gap, never a swap.
    Ordered,
}

/// What a message asks of the transport.
///
/// A *stream* is a channel together with reliability and order: messages of one stream are
/// numbered and ordered among themselves, and never wait for those of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// The application's channel. Channels cost nothing until used.
    pub channel: u16,
    /// Sent again until acknowledged.
    pub reliable: bool,
    /// The order of arrival.
    pub order: Order,
    /// Report the message's [`Fate`] even when all went well.
    pub requires_ack: bool,
}

impl Delivery {
    /// Reliable and in order, on `channel`.
    #[must_use]
    pub const fn ordered(channel: u16) -> Self {
        Self { channel, reliable: true, order: Order::Ordered, requires_ack: false }
    }

    /// Reliable, in the order of arrival, on `channel`.
    #[must_use]
    pub const fn reliable(channel: u16) -> Self {
        Self { channel, reliable: true, order: Order::Unordered, requires_ack: false }
    }

    /// Sent once, in the order of arrival, on `channel`.
    #[must_use]
    pub const fn unreliable(channel: u16) -> Self {
        Self { channel, reliable: false, order: Order::Unordered, requires_ack: false }
    }

    /// Sent once, newest wins, on `channel`.
    #[must_use]
    pub const fn sequenced(channel: u16) -> Self {
        Self { channel, reliable: false, order: Order::Sequenced, requires_ack: false }
    }

    /// The same delivery with a receipt: its [`Fate`] is always reported.
    #[must_use]
    pub const fn with_receipt(mut self) -> Self {
        self.requires_ack = true;
        self
    }

    /// The same delivery in another order.
    #[must_use]
    pub const fn with_order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }
}

/// Names a message that was accepted by `send`, unique among the messages sent to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub(crate) u64);

impl MessageId {
    /// The id as a number, for logs.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// A message that a peer sent us. `Debug` tells the length of its payload only: what people say to
/// each other does not belong into logs.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// How the peer sent it.
    pub delivery: Delivery,
    /// Its place in its stream, counted from zero by the sender.
    pub sequence_number: u64,
    /// What the application of the peer handed to `send`.
    pub payload: Bytes,
}

impl Message {
    /// A message as if received, for tests of what an application does with one.
    #[must_use]
    pub const fn new(delivery: Delivery, sequence_number: u64, payload: Bytes) -> Self {
        Self { delivery, sequence_number, payload }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("delivery", &self.delivery)
            .field("sequence_number", &self.sequence_number)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .finish()
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fate {
    /// The peer's endpoint holds the whole message. If the peer ends or restarts before those that
    /// go before it in an ordered stream have come, its application never sees it: their fate is
    /// `Unknown`.
    Acked,
    /// It was withdrawn before any of it was sent.
    Cancelled,
    /// Unreliable: at least one part was lost. Reliable: the peer ended before any of it was sent.
    Lost,
    /// The peer turned out to allow smaller messages, or fewer streams, than it needs.
    Refused,
    /// Some of it was sent and the peer ended or restarted: it may or may not have arrived.
    Unknown,
}
