//! Moving messages between mailboxes and the core.

use std::collections::BTreeSet;
use std::sync::Arc;

use handfast_core::PeerHandle;
use handfast_udp::{Clock, Traffic};

use crate::mailbox::Mailbox;
use crate::port::Port;

use super::subscriber::Subscriber;
use super::{Driver, MESSAGES_PER_TURN};

impl Driver {
    /// Has the peer's messages moved before this turn ends, or in the next.
    pub(super) fn make_ready(&mut self, peer: PeerHandle) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.make_ready(peer, &mut self.ready);
        }
    }

    /// Visits the mailboxes that want it, each at most once.
    pub(super) fn move_messages(&mut self) {
        let mut moved = 0;
        for _ in 0..self.ready.len() {
            if is_enough(&self.traffic, &self.clock, moved) {
                return;
            }
            let Some(peer) = self.ready.pop_front() else { return };
            let Some(entry) = self.peers.get_mut(&peer) else { continue };
            entry.is_ready = false;
            if entry.mailbox.wants_more() {
                self.pull(peer);
            }
            self.push(peer, &mut moved);
            self.end_streams(peer);
            self.publish_info(peer);
        }
    }

    /// From the mailbox to the core, until the core is full for each stream, or it is enough for a turn.
    fn push(&mut self, peer: PeerHandle, moved: &mut usize) {
        let Self { core, clock, now, peers, ready, traffic, .. } = self;
        let Some(entry) = peers.get_mut(&peer) else { return };
        if !entry.collect() {
            return;
        }
        let mut exchange = core.exchange(*now, peer);
        let mut next_check = *moved;
        loop {
            if entry.is_stuck() && !entry.collect() {
                return;
            }
            if *moved >= next_check {
                if is_enough(traffic, clock, *moved) {
                    return entry.make_ready(peer, ready);
                }
                next_check = *moved + CHECKED_EVERY;
            }
            *moved += entry.hand_over(&mut exchange);
        }
    }

    /// From the core to the mailbox, as much as fits.
    pub(super) fn pull(&mut self, peer: PeerHandle) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if self.subscriber.as_ref().is_some_and(Subscriber::takes_messages) {
            return;
        }
        entry.note_use(peer, self.now, &mut self.in_use);
        let mailbox = Arc::clone(&entry.mailbox);
        let apart = mailbox.apart();
        for channel in apart.iter().copied().map(Some).chain([None]) {
            let withheld = self.take(peer, &mailbox, channel, &apart);
            mailbox.deposit(channel, &mut self.scratch, withheld);
        }
        if mailbox.wants_more() {
            // The application made room before it could know to ring for it.
            self.make_ready(peer);
        }
    }

    /// Takes what fits into the mailbox. Whether there is more.
    fn take(
        &mut self,
        peer: PeerHandle,
        mailbox: &Mailbox,
        channel: Option<u16>,
        apart: &BTreeSet<u16>,
    ) -> bool {
        let (mut messages, mut bytes) = mailbox.room(channel);
        let mut exchange = self.core.exchange(self.now, peer);
        while messages > 0 && bytes > 0 {
            let message = match channel {
                Some(channel) => exchange.receive_from(channel),
                None => exchange.receive_except(apart),
            };
            let Some(message) = message else { return false };
            messages -= 1;
            bytes = bytes.saturating_sub(message.payload.len());
            self.scratch.push_back(message);
        }
        true
    }
}

impl Driver {
    /// Frees what peers have no need of that are quiet since they were looked at last. So many are looked at in a turn; what
    /// keeps their paths open brings turns enough.
    pub(super) fn rest_the_quiet(&mut self) {
        for _ in 0..RESTS_PER_TURN {
            let Some((peer, since)) = self.in_use.front().copied() else { break };
            if self.now.saturating_since(since) < self.quiet_after {
                break;
            }
            self.in_use.pop_front();
            let Some(entry) = self.peers.get_mut(&peer) else { continue };
            if entry.rest() {
                entry.is_in_use = false;
            } else {
                self.in_use.push_back((peer, self.now));
            }
        }
        if self.in_use.capacity() > 2 * self.in_use.len() + FEW {
            self.in_use.shrink_to(self.in_use.len() + FEW);
        }
    }
}

/// Whether the rest is for the next turn.
fn is_enough(traffic: &Traffic<Port>, clock: &Clock, moved: usize) -> bool {
    moved >= MESSAGES_PER_TURN || (moved >= FEWEST_MESSAGES && traffic.is_turn_long(clock))
}

/// A turn that is over moves so many messages all the same: neither way waits for the other.
const FEWEST_MESSAGES: usize = 64;
/// So many of those that may be quiet are looked at in a turn.
const RESTS_PER_TURN: usize = 32;
/// There is always room in the list for so many.
const FEW: usize = 64;
/// How often to look at the clock.
const CHECKED_EVERY: usize = 16;
