//! Moving messages between mailboxes and the core.

use handfast_core::{PeerHandle, SendError};

use crate::answer::answer;

use super::{Driver, MESSAGES_PER_TURN};

impl Driver {
    /// Has the peer's messages moved before this turn ends, or in the next.
    pub(super) fn make_ready(&mut self, peer: PeerHandle) {
        if let Some(entry) = self.peers.get_mut(&peer)
            && !entry.is_ready
        {
            entry.is_ready = true;
            self.ready.push_back(peer);
        }
    }

    /// Visits the mailboxes that want it, each at most once.
    pub(super) fn move_messages(&mut self) {
        let mut budget = MESSAGES_PER_TURN;
        for _ in 0..self.ready.len() {
            if budget == 0 {
                return;
            }
            let Some(peer) = self.ready.pop_front() else { return };
            let Some(entry) = self.peers.get_mut(&peer) else { continue };
            entry.is_ready = false;
            if entry.mailbox.wants_more() {
                self.pull(peer);
            }
            budget = self.push(peer, budget);
        }
    }

    /// From the mailbox to the core, until the core is full or the budget is spent. Returns what
    /// is left of the budget.
    fn push(&mut self, peer: PeerHandle, mut budget: usize) -> usize {
        let now = self.clock.now();
        let Some(entry) = self.peers.get_mut(&peer) else { return budget };
        if entry.is_blocked {
            return budget;
        }
        loop {
            if entry.queue.is_empty() {
                entry.mailbox.collect(&mut entry.queue);
            }
            let Some(message) = entry.queue.front_mut() else { return budget };
            if budget == 0 {
                self.make_ready(peer);
                return 0;
            }
            budget -= 1;
            let result = self.core.send(now, peer, message.delivery, message.payload.clone());
            if result == Err(SendError::Blocked) {
                entry.is_blocked = true;
                return budget;
            }
            let Some(message) = entry.queue.pop_front() else { return budget };
            match result {
                Ok(id) => {
                    if let Some(receipt) = message.receipt {
                        receipt.name(id);
                        entry.receipts.insert(id, receipt);
                    }
                    if let Some(verdict) = message.verdict {
                        entry.mailbox.note_accepted(&message.delivery, message.payload.len());
                        answer(verdict, Ok(()));
                    }
                }
                Err(error) => match message.verdict {
                    Some(verdict) => answer(verdict, Err(error)),
                    // The peer's limits shrank, or it is closing.
                    None => {
                        tracing::debug!(target: "handfast::driver", %error, "a message was refused");
                        entry.refused += 1;
                        entry.is_cut |= message.delivery.reliable;
                        message.give_up();
                    }
                },
            }
        }
    }

    /// From the core to the mailbox, as much as fits.
    pub(super) fn pull(&mut self, peer: PeerHandle) {
        let now = self.clock.now();
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let (mut messages, mut bytes) = entry.mailbox.room();
        let withheld = loop {
            if messages == 0 || bytes == 0 {
                break true;
            }
            let Some(message) = self.core.receive(now, peer) else { break false };
            messages -= 1;
            bytes = bytes.saturating_sub(message.payload.len());
            self.scratch.push_back(message);
        };
        entry.mailbox.deposit(&mut self.scratch, withheld);
        if entry.mailbox.wants_more() {
            // The application made room before it could know to ring for it.
            self.make_ready(peer);
        }
    }
}
