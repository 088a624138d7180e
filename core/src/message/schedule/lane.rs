//! Messages of one stream that are written one after the other, or side by side, but not past each other by
//! priority.

use core::time::Duration;

use slab::Slab;

use super::line::Line;
use crate::delivery::{Delivery, Order, Priority};
use crate::message::outgoing::Outgoing;
use crate::pack::pack;
use crate::time::Instant;

/// A line of a stream. An unordered stream has one for each priority; in the others the order of sending holds, so
/// they have one in all, and each message of it goes at its own priority once those before it are gone.
#[derive(Debug)]
pub(crate) struct Lane {
    /// The position of the stream in the send queue.
    pub(crate) stream: u16,
    /// Messages are dropped once they waited for too long. The newest of a sequenced stream is not: it says what is
    /// newest.
    pub(crate) expires: bool,
    /// None of those that wait was queued before.
    pub(crate) queued_from: Instant,
    /// The order of sending holds, whatever the priorities.
    is_in_order: bool,
    /// The priority of all that wait, if it is the same.
    priority: Option<Priority>,
    /// The messages with unsent bytes.
    pub(crate) line: Line,
    /// The class in which it stands in line to be written from.
    pub(super) turn: Option<Priority>,
}

pack!(Lane: stream, expires, queued_from, is_in_order, priority, line, turn);

impl Lane {
    pub(crate) fn new(stream: u16, delivery: Delivery) -> Self {
        let Delivery { reliable, order, priority, .. } = delivery;
        Self {
            stream,
            expires: !reliable && order != Order::Sequenced,
            queued_from: Instant::from_micros(0),
            is_in_order: order != Order::Unordered,
            priority: Some(priority),
            line: Line::new(order),
            turn: None,
        }
    }

    /// Whether some may have waited for so long that they are dropped.
    #[inline]
    pub(crate) fn may_be_late(&self, now: Instant, age: Duration) -> bool {
        self.expires && now >= self.queued_from + age
    }

    /// Whether messages of this priority wait here.
    #[inline]
    pub(crate) fn takes(&self, priority: Priority) -> bool {
        self.is_in_order || self.priority == Some(priority)
    }

    /// A message comes to the end.
    #[inline]
    pub(crate) fn push(&mut self, slot: u32, message: &Outgoing) {
        let priority = message.delivery.priority;
        if self.priority != Some(priority) {
            self.priority = self.line.is_empty().then_some(priority);
        }
        self.line.push(slot, message);
    }

    /// Whether it stands in line in this class: then a message of the class that comes to its end changes nothing.
    #[inline]
    pub(crate) fn has_turn(&self, priority: Priority) -> bool {
        self.turn == Some(priority)
    }

    /// Whether messages of several classes may wait here.
    #[inline]
    pub(crate) const fn is_mixed(&self) -> bool {
        self.priority.is_none()
    }

    /// The priority of what is written next, if something waits.
    #[inline]
    pub(super) fn next_priority(&self, messages: &Slab<Outgoing>) -> Option<Priority> {
        if self.line.is_empty() {
            return None;
        }
        self.priority.or_else(|| {
            let next = self.line.begun().map(|slot| slot as usize);
            let next = next.or_else(|| self.line.oldest(messages).next())?;
            Some(messages[next].delivery.priority)
        })
    }
}
