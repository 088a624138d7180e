//! How a message travels and what became of it.

use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use crate::pack::pack_as;

/// In which order the messages of one stream reach the application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these three")]
pub enum Order {
    /// As they arrive.
    #[default]
    Unordered,
    /// Newest wins: a message that arrives after a newer one is dropped, and so is one that was not sent
    /// yet when a newer one is.
    Sequenced,
    /// In the order of sending. A lost unreliable message leaves a gap, never a swap.
    Ordered,
}

/// How urgent a message is, among all that go to the same peer: one of eight classes.
///
/// What is more urgent leaves first, be it fresh or sent again; inside a class streams take turns, packet by packet.
/// A class that others go before still gets a twentieth of what is sent, so none waits for ever. Priority does not
/// reach past this end: what left already, and what waits in queues on the way, is not overtaken.
///
/// Classes compare by their level: the most urgent is the least.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

pack_as!(Priority: u8);

impl Priority {
    /// The most urgent: level 0, for what is of use only if it arrives at once.
    ///
    /// While messages are being lost, reliable ones of this class of up to 512 bytes are sent more than once without
    /// waiting for their acknowledgement. That costs up to about three fifths of what the messages of the class take.
    pub const REAL_TIME: Self = Self(0);
    /// The default: level 3.
    pub const NORMAL: Self = Self(3);
    /// The least urgent: level 7, for what may take its time.
    pub const BULK: Self = Self(7);

    /// The class at a level, from 0, the most urgent, to 7. `None` beyond.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if level <= Self::BULK.0 { Some(Self(level)) } else { None }
    }

    /// The level, from 0, the most urgent, to 7.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::NORMAL
    }
}

impl fmt::Debug for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::REAL_TIME => f.write_str("REAL_TIME"),
            Self::NORMAL => f.write_str("NORMAL"),
            Self::BULK => f.write_str("BULK"),
            Self(level) => write!(f, "Priority({level})"),
        }
    }
}

/// How a message is to be delivered.
///
/// A *stream* is a channel together with reliability and order: messages of one stream are
/// numbered and ordered among themselves, and never wait for those of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Delivery {
    /// The channel, a number that the application chooses. A channel costs nothing until it is used.
    pub channel: u16,
    /// Whether what is lost is sent again until it is acknowledged.
    pub reliable: bool,
    /// In which order the messages of the stream reach the application.
    pub order: Order,
    /// Whether the [`Fate`] of the message is always reported, also when it is `Acked`.
    pub requires_ack: bool,
    /// For how long the message is of use, from `send` on, the time that it waits to be sent included. After that it
    /// is given up ([`Fate::Expired`]), unless it is unreliable and all of it was sent. `None`: for ever. A received
    /// message does not tell it.
    pub deadline: Option<Duration>,
    /// How urgent it is. In an unordered stream urgent messages pass others. In the other streams the order of sending
    /// holds: each waits for those before it, which go at their own priority, and for what of them is sent again. A
    /// received message does not tell it.
    pub priority: Priority,
}

impl Delivery {
    /// On `channel`, without a receipt.
    #[must_use]
    pub const fn new(channel: u16, reliable: bool, order: Order) -> Self {
        Self {
            channel,
            reliable,
            order,
            requires_ack: false,
            deadline: None,
            priority: Priority::NORMAL,
        }
    }

    /// Reliable and in order, on `channel`.
    #[must_use]
    pub const fn ordered(channel: u16) -> Self {
        Self::new(channel, true, Order::Ordered)
    }

    /// Reliable, in the order of arrival, on `channel`.
    #[must_use]
    pub const fn reliable(channel: u16) -> Self {
        Self::new(channel, true, Order::Unordered)
    }

    /// Sent once, in the order of arrival, on `channel`.
    #[must_use]
    pub const fn unreliable(channel: u16) -> Self {
        Self::new(channel, false, Order::Unordered)
    }

    /// Sent once, newest wins, on `channel`.
    #[must_use]
    pub const fn sequenced(channel: u16) -> Self {
        Self::new(channel, false, Order::Sequenced)
    }

    /// The same delivery with a receipt: its [`Fate`] is always reported.
    #[must_use]
    pub const fn with_receipt(mut self) -> Self {
        self.requires_ack = true;
        self
    }

    /// The same delivery of a message that is of use for so long.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same delivery with this priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
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
pub struct MessageId {
    pub(crate) number: u64,
    /// Where the message is kept.
    pub(crate) slot: u32,
}

impl MessageId {
    /// The id as a number, for logs.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.number
    }
}

/// A message that a peer sent. `Debug` shows only the length of its payload: the content does not belong
/// into logs.
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
    /// The peer's endpoint got all of the message. In an ordered stream it waits there for the messages
    /// before it: if the peer ends or restarts first, its application never gets it, and the fate of
    /// those before it is `Unknown`. An unreliable one, whole or in pieces, may give way to others there, where too many bytes
    /// of them wait or memory is scarce ([`PeerStats::messages_overflowed`](crate::PeerStats::messages_overflowed)).
    Acked,
    /// The application withdrew it. Reliable, and some of it was sent: told once the peer knows, and `Acked` in its
    /// place if an acknowledgement proves that it arrived before. (One that names both at once proves nothing.)
    Cancelled {
        /// All of it was sent, so the peer's application may get it nevertheless. `false`: it does not.
        may_have_arrived: bool,
    },
    /// Its [deadline](Delivery::deadline) passed. Told as `Cancelled` is.
    Expired {
        /// As of `Cancelled`.
        may_have_arrived: bool,
    },
    /// Unreliable: at least one part was lost, or it waited to be sent for too long, or behind too much.
    /// Reliable: the peer ended before any of it was sent.
    Lost,
    /// It was queued before the handshake, and the peer allows only smaller messages or fewer streams.
    Refused,
    /// Sequenced: a newer message of its stream took its place. If some of it was sent, told as `Cancelled` is.
    Superseded {
        /// As of `Cancelled`.
        may_have_arrived: bool,
    },
    /// Some of it was sent and the peer ended or restarted: it may or may not have arrived.
    Unknown,
}
