//! What must hold of all messages together: none is passed over, none is forgotten.

use std::collections::BTreeMap;

use handfast_core::{Fate, Order};

use super::{Account, Entry, Name, Stream, stream};

impl Account {
    /// # Panics
    /// A message of the handle should have met its fate and did not.
    pub(super) fn check_all_told(&self, name: Name) {
        for number in self.by_id.get(&name).into_iter().flat_map(BTreeMap::values) {
            let entry = &self.messages[*number];
            let silent = entry.fate.is_none() && entry.delivery.requires_ack;
            assert!(!silent, "the end came before its fate: {entry:?}");
        }
    }

    /// # Panics
    /// A message of an ordered reliable stream was passed over though nothing explains it.
    pub(super) fn check_no_gap(&self, name: Name, key: (Name, Stream), number: usize) {
        let connected_at = self.peers[&name].connected_at.unwrap_or(usize::MAX);
        let stream = &self.streams[&key];
        let at = stream.partition_point(|earlier| *earlier < number);
        for earlier in stream[..at].iter().rev() {
            let entry = &self.messages[*earlier];
            if entry.is_received {
                return;
            }
            // What was handed over before may have gone to an earlier life of the handle.
            // The receiver hears that a message was withdrawn before its sender hears that it did.
            let is_known = entry.fate.is_some_and(|fate| fate != Fate::Acked);
            let explained = *earlier < connected_at || is_known || entry.is_withdrawn;
            assert!(explained, "{number} came before {earlier}: {entry:?}");
        }
    }

    /// Everything had time to come to an end: did it?
    ///
    /// # Panics
    /// A message is neither received nor accounted for.
    pub(in super::super) fn check_settled(&self, may_overflow: bool) {
        for (number, entry) in self.messages.iter().enumerate() {
            let alive = self.is_current(&entry.from, entry.from.end);
            let peer = &self.peers[&entry.from];
            let Entry { delivery, fate, .. } = *entry;
            // The endpoint of the sender stands and has told nothing: it holds that all is well.
            let is_open = alive && !peer.has_ended;
            assert!(!(is_open && delivery.requires_ack && fate.is_none()), "no fate: {entry:?}");
            let silent = delivery.reliable && !delivery.requires_ack && fate.is_none();
            let claimed = fate == Some(Fate::Acked) || (silent && alive);
            let intact = entry.to_life == self.lives[entry.to];
            let kept = delivery.reliable || (delivery.order == Order::Unordered && !may_overflow);
            if claimed && intact && kept {
                let accounted = self.has_arrived(number) || self.waits_for_ever(number);
                assert!(accounted, "message {number} was lost: {entry:?}");
            }
        }
        for (name, peer) in &self.peers {
            let open = self.is_current(name, name.end) && !peer.has_ended;
            let blocked = &peer.blocked;
            assert!(!open || blocked.is_empty(), "{name:?} was never told of room on {blocked:?}");
        }
    }

    /// Whether the message is held by the receiver's endpoint behind one of its stream that will not
    /// come, because an end restarted, gave the other up or said goodbye.
    fn waits_for_ever(&self, number: usize) -> bool {
        let entry = &self.messages[number];
        let stream = &self.streams[&(entry.from, stream(&entry.delivery))];
        let mut before = stream.iter().take_while(|earlier| **earlier < number);
        let is_gap = |earlier: &Entry| !earlier.is_received && earlier.fate != Some(Fate::Acked);
        let peer = &self.peers[&entry.from];
        let is_over = !self.is_current(&entry.from, entry.from.end)
            || peer.has_ended
            || number < peer.restarted_at;
        entry.delivery.order == Order::Ordered
            && is_over
            && before.any(|earlier| is_gap(&self.messages[*earlier]))
    }

    /// Whether the message was received, or one that makes it old news.
    fn has_arrived(&self, number: usize) -> bool {
        let entry = &self.messages[number];
        let superseded = || {
            let stream = &self.streams[&(entry.from, stream(&entry.delivery))];
            stream.iter().any(|later| *later > number && self.messages[*later].is_received)
        };
        entry.is_received || (entry.delivery.order == Order::Sequenced && superseded())
    }
}
