//! What the core tells.

use std::collections::hash_map;
use std::mem;
use std::sync::Arc;

use handfast_core::{DisconnectOptions, EndReason, Event, PeerHandle, PeerId};

use crate::answer::answer;
use crate::mailbox::Mailbox;
use crate::pending_handle::PendingHandle;

use super::entry::Entry;
use super::{Closing, Driver, EVENTS_PER_TURN};

impl Driver {
    /// Polls events, as many as are allowed in a turn and fit the subscriber's queue. Returns how
    /// many there were.
    pub(super) fn drain_events(&mut self) -> usize {
        for count in 0..EVENTS_PER_TURN {
            // No event is taken from the core before there is room for it: dropped while waiting
            // here, it would be lost.
            self.stalled = !self.subscriber_has_room();
            if self.stalled {
                return count;
            }
            let Some(event) = self.next_event() else { return count };
            if let Some(subscriber) = &self.subscriber
                && !matches!(event, Event::Readable { .. } | Event::Writable { .. })
                && let Err(error) = subscriber.try_send(event.clone())
            {
                tracing::debug!(target: "handfast::driver", %error, "an event not read in time");
            }
            self.on_event(event);
        }
        EVENTS_PER_TURN
    }

    fn subscriber_has_room(&mut self) -> bool {
        self.subscriber.take_if(|subscriber| subscriber.is_closed());
        // To close, nobody's leisure is waited for.
        let is_closing = !matches!(self.closing, Closing::No);
        self.subscriber.as_ref().is_none_or(|subscriber| subscriber.capacity() > 0 || is_closing)
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected { peer, id, .. } => self.on_connected(peer, id),
            Event::Ended { peer, reason, .. } => self.on_ended(peer, reason),
            Event::Readable { peer } => self.pull(peer),
            event => self.on_peer_event(event),
        }
    }

    fn on_peer_event(&mut self, event: Event) {
        let Some(peer) = event.peer() else { return };
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        match event {
            Event::Fate { message, fate, .. } => {
                if let Some(receipt) = entry.receipts.remove(&message) {
                    receipt.tell(fate);
                }
            }
            Event::Pong { ping, rtt, .. } => {
                if let Some(reply) = entry.pings.remove(&ping) {
                    answer(reply, Ok(rtt));
                }
            }
            Event::Restarted { .. } => entry.mailbox.forget_accepted(),
            Event::Writable { .. } => {
                entry.is_blocked = false;
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
        entry.is_connected = true;
        entry.is_incoming = is_incoming;
        if is_incoming {
            self.backlog.push(Arc::clone(&entry.mailbox));
        }
        for dialler in mem::take(&mut entry.diallers) {
            answer(dialler, Ok(PendingHandle::new(&entry.mailbox, &self.inputs.wake)));
        }
    }

    /// Somebody asked for a peer and was gone when it was there. If nobody else wants it, it is told
    /// goodbye; but one that called us meanwhile has a right to be accepted.
    pub(super) fn on_declined(&mut self, peer: PeerHandle) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if entry.is_incoming || entry.mailbox.is_wanted() || !entry.diallers.is_empty() {
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
            && !entry.diallers.is_empty()
            && self.core.peer(into).is_some()
        {
            self.await_peer(into, mem::take(&mut entry.diallers));
        }
        // What arrived before the end is the application's, room or not: it is in memory already.
        while let Some(message) = self.core.receive(self.clock.now(), peer) {
            self.scratch.push_back(message);
        }
        entry.mailbox.deposit(&mut self.scratch, false);
        entry.end(reason);
        if !entry.is_incoming {
            return;
        }
        if entry.mailbox.has_incoming() {
            self.backlog.on_ended(&entry.mailbox);
        } else {
            self.backlog.remove(&entry.mailbox);
        }
    }
}
