//! What the peer is told about routes.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::SentFrame;
use crate::pack::{pack, pack_never};
use crate::router::{Message, Update};
use crate::wire::Writer;

/// Statements and questions that are due. Each is repeated until it is acknowledged, or a newer statement about the
/// same destination makes it void: nobody says again for minutes what an update said that was lost.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// Nothing for nearly all peers.
    queue: Option<Box<Queue>>,
}

pack!(Routes: queue);

#[derive(Debug, Default)]
struct Queue {
    due: VecDeque<(u32, Message)>,
    under_way: Vec<(u32, Message)>,
    next_key: u32,
}

pack_never!(Queue);

impl Routes {
    /// The peer is to hear this. `false` if too much waits already: then it is not taken.
    pub(crate) fn push(&mut self, message: Message) -> bool {
        let queue = self.queue.get_or_insert_default();
        if let Some(destination) = message.stated() {
            let is_void = |(_, other): &(u32, Message)| other.stated() == Some(destination);
            queue.due.retain(|other| !is_void(other));
            queue.under_way.retain(|other| !is_void(other));
        }
        if queue.len() >= MAX_DUE {
            return false;
        }
        queue.next_key = queue.next_key.wrapping_add(1);
        queue.due.push_back((queue.next_key, message));
        true
    }

    /// Whether there is room for many more.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.len() <= MAX_DUE / 2)
    }

    /// The peer restarted, and is told everything anew.
    pub(super) fn clear(&mut self) {
        self.queue = None;
    }

    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| !queue.due.is_empty())
    }

    pub(super) fn write(&mut self, writer: &mut Writer<'_>, sent: &mut impl FnMut(SentFrame)) {
        let Some(queue) = &mut self.queue else { return };
        while let Some((key, message)) = queue.due.front().copied() {
            if !message.frame().encode(writer) {
                return;
            }
            queue.due.pop_front();
            queue.under_way.push((key, message));
            sent(SentFrame::Route { key });
        }
    }

    pub(super) fn on_acked(&mut self, number: u32) {
        if let Some(queue) = &mut self.queue {
            queue.under_way.retain(|(other, _)| *other != number);
        }
    }

    pub(super) fn on_lost(&mut self, number: u32) {
        let Some(queue) = &mut self.queue else { return };
        if let Some(at) = queue.under_way.iter().position(|(other, _)| *other == number) {
            let again = queue.under_way.swap_remove(at);
            queue.due.extend(aged(again.1).map(|message| (again.0, message)));
        }
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.due.len() + self.under_way.len()
    }
}

/// What was lost, as it is repeated: an update is older by then. `None` if its claim may be over.
fn aged(message: Message) -> Option<Message> {
    let Message::Update(update) = message else { return Some(message) };
    let remaining = update.remaining.saturating_sub(REPEATED);
    (remaining > 0).then_some(Message::Update(Update { remaining, ..update }))
}

/// About how many seconds later a lost update is repeated, at most.
const REPEATED: u16 = 2;
/// What waits for a peer, or for its acknowledgement. The table keeps the rest until there is room.
const MAX_DUE: usize = 512;
