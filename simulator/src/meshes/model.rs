//! What one leaf says to another, and what both must hear.

use std::collections::BTreeSet;

use handfast_core::{Bytes, Delivery, Fate, MessageId, PeerHandle};

/// One direction between two leaves.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// The number of the next message.
    next: u64,
    /// What was sent and has no fate yet.
    under_way: Vec<(PeerHandle, MessageId, u64)>,
    pub(super) acked: BTreeSet<u64>,
    /// What may not have arrived, as the sender was told.
    doubtful: BTreeSet<u64>,
    pub(super) arrived: BTreeSet<u64>,
    /// Whole messages that could not be handed over, as the receiver was told.
    pub(super) undeliverable: u64,
    /// The last that arrived.
    last: Option<u64>,
}

impl Talk {
    /// What to say next, and how.
    pub(super) fn say(&self) -> (Delivery, Bytes) {
        let len = if self.next % 20 == 19 { 4_000 } else { 100 };
        let mut payload = vec![0; len];
        payload[..8].copy_from_slice(&self.next.to_be_bytes());
        (Delivery::ordered(0).with_receipt(), Bytes::from(payload))
    }

    pub(super) fn on_sent(&mut self, peer: PeerHandle, id: MessageId) {
        self.under_way.push((peer, id, self.next));
        self.next += 1;
    }

    /// The sender is told what became of a message.
    pub(super) fn on_fate(&mut self, peer: PeerHandle, id: MessageId, fate: Fate) {
        let found = self.under_way.iter().position(|it| (it.0, it.1) == (peer, id));
        let Some((_, _, number)) = found.map(|at| self.under_way.swap_remove(at)) else { return };
        let told = if fate == Fate::Acked { &mut self.acked } else { &mut self.doubtful };
        told.insert(number);
    }

    /// A message arrives.
    ///
    /// # Errors
    /// It came before, or out of its order.
    pub(super) fn on_message(&mut self, payload: &[u8]) -> Result<(), String> {
        let number = payload.first_chunk().map_or(u64::MAX, |n| u64::from_be_bytes(*n));
        if !self.arrived.insert(number) {
            return Err(format!("message {number} arrives twice"));
        }
        match self.last.replace(number).filter(|last| *last > number) {
            Some(last) => Err(format!("message {number} arrives after {last}")),
            None => Ok(()),
        }
    }

    /// What is not yet as it must be at last.
    pub(super) fn outstanding(&self) -> Option<String> {
        let missing = self.acked.difference(&self.arrived).count() as u64;
        if missing > self.undeliverable {
            return Some(format!("{missing} messages were acknowledged and did not arrive"));
        }
        let open = self.under_way.len();
        (open > 0).then(|| format!("{open} messages have no fate"))
    }
}
