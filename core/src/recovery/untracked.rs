//! The packet numbers of a path id whose packets nobody acknowledges.

use super::replay::ReplayWindow;
use super::space::is_recent;
use crate::pack::pack;
use crate::wire::PacketNumber;

/// The numbers of packets that carry others, or of those that look for a way, in both directions. A lost one is
/// not missed here: whoever made what is in it sees to that.
#[derive(Debug)]
pub(crate) struct UntrackedNumbers {
    id: u8,
    next: u64,
    /// The counter after the highest one that was received.
    received_up_to: u64,
    replay: ReplayWindow,
}

pack!(UntrackedNumbers: id, next, received_up_to, replay);

impl UntrackedNumbers {
    /// Nothing was sent or received under this path id.
    pub(crate) const fn new(id: u8) -> Self {
        Self { id, next: 0, received_up_to: 0, replay: ReplayWindow::above(0) }
    }

    /// The number of the next packet, which is used up by that; `None` once all are.
    pub(crate) fn take_next(&mut self) -> Option<PacketNumber> {
        let number = PacketNumber::new(self.id, self.next)?;
        self.next += 1;
        Some(number)
    }

    /// Whether a packet with this counter was sent a short while ago.
    pub(crate) const fn was_sent_lately(&self, counter: u64) -> bool {
        is_recent(counter, self.next)
    }

    /// Whether a packet with this counter was not received and is not below the replay window.
    pub(crate) fn is_new(&self, counter: u64) -> bool {
        self.replay.is_new(counter)
    }

    /// Whether no packet that arrived was sent after the one with this counter.
    pub(crate) const fn is_newest(&self, counter: u64) -> bool {
        counter + 1 >= self.received_up_to
    }

    /// An authenticated packet arrived.
    pub(crate) fn on_received(&mut self, counter: u64) {
        self.received_up_to = self.received_up_to.max(counter + 1);
        if counter >= IN_USE {
            self.replay.grow(WINDOW);
        }
        self.replay.insert(counter);
    }
}

/// So many packets make the path id one in use.
const IN_USE: u64 = 64;
/// How many numbers the replay window covers then, as that of any path in use.
const WINDOW: u64 = 2048;
