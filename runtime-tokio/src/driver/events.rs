//! What the core tells.

use std::collections::hash_map;
use std::sync::Arc;

use handfast_core::{DisconnectOptions, EndReason, Event, PeerHandle, PeerId};

use crate::answer::answer;
use crate::mailbox::Mailbox;
use crate::pending_handle::PendingHandle;

use super::entry::Entry;
use super::{Driver, EVENTS_PER_TURN};

impl Driver {
    /// Polls events, as many as are allowed in a turn and fit the subscriber's queue. Returns how
    /// many there were.
    pub(super) fn drain_events(&mut self) -> usize {
        for count in 0..EVENTS_PER_TURN {
            // Dropped while waiting here, an event would be lost.
            self.stalled = !self.subscriber_has_room();
            if self.stalled {
                return count;
            }
            if self.tell_message() {
                continue;
            }
            let Some(mut event) = self.next_event() else { return count };
            if let Event::Ended { peer, unread, .. } = &mut event
                && let Some(entry) = self.peers.get(peer)
            {
                *unread += entry.mailbox.unread();
            }
            self.tell_event(&event);
            self.has_handed_over |= matches!(event, Event::Readable { .. });
            self.on_event(event);
        }
        EVENTS_PER_TURN
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected { peer, id, .. } => self.on_connected(peer, id),
            Event::Ended { peer, reason, .. } => self.on_ended(peer, reason),
            Event::Readable { peer } => self.pull(peer),
            Event::StreamEnded { peer, delivery, .. } => self.on_stream_ended(peer, &delivery),
            event => self.on_peer_event(event),
        }
    }

    fn on_peer_event(&mut self, event: Event) {
        let Some(peer) = event.peer() else { return };
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        match event {
            Event::Fate { message, fate, .. } => {
                if let Some(receipt) = entry.work().and_then(|work| work.receipts.remove(&message))
                {
                    receipt.tell(fate);
                }
            }
            Event::Pong { ping, rtt, .. } => {
                if let Some(reply) = entry.work().and_then(|work| work.pings.remove(&ping)) {
                    answer(reply, Ok(rtt));
                }
            }
            Event::NatTested { evidence, .. } => {
                if let Some(reply) = entry.work().and_then(|work| work.nat_test.take()) {
                    answer(reply, Ok(evidence));
                }
            }
            Event::Restarted { .. } | Event::PathChanged { .. } | Event::StateChanged { .. } => {
                self.publish_info(peer);
            }
            Event::Writable { channel, .. } => {
                if let Some(work) = entry.work() {
                    work.under_way.unblock(channel);
                }
                self.make_ready(peer);
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: PeerHandle, id: PeerId) {
        let (entry, is_incoming) = match self.peers.entry(peer) {
            hash_map::Entry::Occupied(entry) => (entry.into_mut(), false),
            hash_map::Entry::Vacant(vacant) => {
                (vacant.insert(Entry::new(Arc::new(Mailbox::default()))), true)
            }
        };
        entry.mailbox.set_owner(peer, id);
        if let Some(info) = self.core.peer(peer) {
            entry.mailbox.set_info(info);
        }
        entry.is_connected = true;
        entry.is_incoming = is_incoming;
        if is_incoming {
            self.backlog.push(Arc::clone(&entry.mailbox));
        }
        // What is known of the peer is to be looked at once it is quiet.
        entry.note_use(peer, self.now, &mut self.in_use);
        for dialler in entry.take_diallers() {
            answer(dialler, Ok(PendingHandle::new(&entry.mailbox, &self.inputs.wake)));
        }
    }

    /// Lets the handles see the peer as it is now.
    pub(super) fn publish_info(&mut self, peer: PeerHandle) {
        if let (Some(entry), Some(info)) = (self.peers.get_mut(&peer), self.core.peer(peer)) {
            entry.note_use(peer, self.now, &mut self.in_use);
            entry.mailbox.set_info(info);
        }
    }

    /// Somebody asked for a peer and was gone when it was there. If nobody else wants it, it is told
    /// goodbye; but one that called us meanwhile has a right to be accepted.
    pub(super) fn on_declined(&mut self, peer: PeerHandle) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let is_dialled = entry.work().is_some_and(|work| !work.diallers.is_empty());
        if entry.is_incoming || entry.mailbox.is_wanted() || is_dialled {
            return;
        }
        if self.core.has_initiated(peer) {
            entry.is_incoming = true;
            self.backlog.push(Arc::clone(&entry.mailbox));
        } else {
            self.disconnect(peer, DisconnectOptions::now());
        }
    }

    fn on_ended(&mut self, peer: PeerHandle, reason: EndReason) {
        let Some(mut entry) = self.peers.remove(&peer) else { return };
        if let EndReason::Merged { into } = reason
            && self.core.peer(into).is_some()
        {
            let diallers = entry.take_diallers();
            if !diallers.is_empty() {
                self.await_peer(into, diallers);
            }
        }
        // What arrived before the end is the application's, room or not: it is in memory already.
        while let Some(message) = self.core.receive(self.clock.now(), peer) {
            self.scratch.push_back(message);
        }
        entry.mailbox.deposit(None, &mut self.scratch, false);
        entry.end(reason);
        if !entry.is_incoming {
            return;
        }
        if entry.mailbox.unread() > 0 {
            self.backlog.on_ended(&entry.mailbox);
        } else {
            self.backlog.remove(&entry.mailbox);
        }
    }
}
