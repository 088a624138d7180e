//! What the driver keeps for one peer.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use handfast_core::{
    DisconnectOptions, EndReason, Exchange, Fate, Instant, MessageId, NatEvidence, PeerHandle,
    PingId, SendError,
};
use tokio::sync::oneshot;

use crate::answer::answer;
use crate::error::{ConnectError, PeerError};
use crate::mailbox::{Mailbox, Outgoing, UnderWay};
use crate::pending_handle::PendingHandle;
use crate::receipt_key::ReceiptSender;

use super::stream_ends::StreamEnds;

/// Someone who waits for a dial.
pub(super) type Dialler = oneshot::Sender<Result<PendingHandle, ConnectError>>;

/// One peer's mailbox, and what there is to do.
pub(super) struct Entry {
    pub(super) mailbox: Arc<Mailbox>,
    /// `None` for most: they are quiet.
    work: Option<Box<Work>>,
    pub(super) is_connected: bool,
    /// It is, or was, to be accepted: it may stay though nobody has a handle to it.
    pub(super) is_incoming: bool,
    /// In `Driver::ready`.
    pub(super) is_ready: bool,
    /// In `Driver::in_use`.
    pub(super) is_in_use: bool,
    /// A reliable message was taken from the application and not by the core.
    is_cut: bool,
}

/// Messages on their way to the core, and everyone who waits for something of the peer.
#[derive(Default)]
pub(super) struct Work {
    pub(super) diallers: Vec<Dialler>,
    /// Collected from the mailbox, not yet taken by the core.
    pub(super) under_way: UnderWay,
    pub(super) stream_ends: StreamEnds,
    /// Messages that were accepted and that the core then refused.
    refused: u64,
    pub(super) receipts: BTreeMap<MessageId, ReceiptSender>,
    pub(super) pings: BTreeMap<PingId, oneshot::Sender<Result<Duration, PeerError>>>,
    /// Who waits for what the peer helps to find out about the NAT before us.
    pub(super) nat_test: Option<oneshot::Sender<Result<NatEvidence, PeerError>>>,
    /// To be said when all messages are with the core, or at that time.
    pub(super) disconnect: Option<(DisconnectOptions, Instant)>,
}

impl Work {
    /// Whether there is none, nor anything to remember.
    fn is_none(&self) -> bool {
        let Self {
            diallers,
            under_way,
            stream_ends,
            refused,
            receipts,
            pings,
            nat_test,
            disconnect,
        } = self;
        under_way.is_empty()
            && diallers.is_empty()
            && stream_ends.is_empty()
            && *refused == 0
            && receipts.is_empty()
            && pings.is_empty()
            && nat_test.is_none()
            && disconnect.is_none()
    }
}

impl Entry {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self {
            mailbox,
            work: None,
            is_connected: false,
            is_incoming: false,
            is_ready: false,
            is_in_use: false,
            is_cut: false,
        }
    }

    /// What there is to do; `None` if there is nothing.
    pub(super) fn work(&mut self) -> Option<&mut Work> {
        self.work.as_deref_mut()
    }

    /// The same, as something is to be done.
    pub(super) fn work_to_do(&mut self) -> &mut Work {
        self.work.get_or_insert_default()
    }

    /// Those who wait for a dial; nobody does then.
    pub(super) fn take_diallers(&mut self) -> Vec<Dialler> {
        self.work().map(|work| mem::take(&mut work.diallers)).unwrap_or_default()
    }

    /// Collects what waits in the mailbox. Whether the core may take something.
    pub(super) fn collect(&mut self) -> bool {
        if self.work.is_none() && !self.mailbox.has_outgoing() {
            return false;
        }
        let work = self.work.get_or_insert_default();
        self.mailbox.collect(&mut work.under_way);
        !work.under_way.is_stuck()
    }

    /// Whether messages were collected that the core has not taken.
    pub(super) fn has_more(&self) -> bool {
        self.work.as_ref().is_some_and(|work| !work.under_way.is_empty())
    }

    /// Whether the core may take none of what was collected.
    pub(super) fn is_stuck(&self) -> bool {
        self.work.as_ref().is_none_or(|work| work.under_way.is_stuck())
    }

    /// Puts the peer on the list of those that may be quiet soon, unless it is there.
    pub(super) fn note_use(
        &mut self,
        peer: PeerHandle,
        now: Instant,
        in_use: &mut VecDeque<(PeerHandle, Instant)>,
    ) {
        if !self.is_in_use {
            self.is_in_use = true;
            in_use.push_back((peer, now));
        }
    }

    /// Frees memory if there was no message since this was asked last, and nothing is to be done. Whether that is so.
    pub(super) fn rest(&mut self) -> bool {
        if self.is_ready || !self.mailbox.rest() {
            return false;
        }
        if self.work.as_ref().is_some_and(|work| work.is_none()) {
            self.work = None;
        }
        self.work.is_none()
    }

    /// Puts the peer on the list of those whose messages are to be moved, unless it is there.
    pub(super) fn make_ready(&mut self, peer: PeerHandle, ready: &mut VecDeque<PeerHandle>) {
        if !self.is_ready {
            self.is_ready = true;
            ready.push_back(peer);
        }
    }

    pub(super) fn leave_by(&self) -> Option<Instant> {
        self.work.as_ref()?.disconnect.as_ref().map(|disconnect| disconnect.1)
    }

    /// Whether the application handed over a reliable message that the core did not take.
    pub(super) fn is_cut(&self) -> bool {
        let work = self.work.as_deref();
        self.is_cut
            || work.is_some_and(|work| work.under_way.has_reliable())
            || self.mailbox.has_reliable()
    }

    /// Hands the next messages under way to the core. Returns how many were offered.
    pub(super) fn hand_over(&mut self, exchange: &mut Exchange<'_>) -> usize {
        let Some(work) = self.work.as_deref_mut() else { return 0 };
        let mut under_way = mem::take(&mut work.under_way);
        let offered = under_way.offer(|message| work.send(exchange, message, &mut self.is_cut));
        work.under_way = under_way;
        offered
    }

    /// Tells everyone who waits that the peer ended. Pings learn it from the mailbox.
    pub(super) fn end(&mut self, reason: EndReason) {
        if let Some(work) = self.work.take() {
            work.end(&reason);
        }
        self.mailbox.end(reason);
    }
}

impl Work {
    /// Hands a message to the core. Whether that is done with it: if not, it may wait for room.
    fn send(
        &mut self,
        exchange: &mut Exchange<'_>,
        message: &mut Outgoing,
        is_cut: &mut bool,
    ) -> bool {
        let delivery = message.due_delivery();
        // None but a reliable one may have to be offered again.
        let payload = if delivery.reliable {
            message.payload.clone()
        } else {
            mem::take(&mut message.payload)
        };
        let result = exchange.send(delivery, payload);
        // A sequenced one that was accepted waits as well, unless a newer one takes its place: the last
        // state arrives.
        if matches!(result, Err(SendError::Blocked | SendError::NoRoom)) && delivery.reliable {
            return false;
        }
        *is_cut |= result.is_err() && delivery.reliable;
        self.on_sent(message, result);
        true
    }

    /// What the core said to a message that need not be offered again.
    fn on_sent(&mut self, message: &mut Outgoing, result: Result<MessageId, SendError>) {
        match result {
            Ok(id) => {
                if let Some(receipt) = message.receipt.take() {
                    receipt.name(id);
                    self.receipts.insert(id, receipt);
                }
            }
            // As if it were lost on the way, or the peer ended before.
            Err(
                SendError::Blocked
                | SendError::NoRoom
                | SendError::Closing
                | SendError::UnknownPeer,
            ) => message.tell(Fate::Lost),
            // The peer restarted with smaller limits since.
            Err(error) => {
                tracing::debug!(target: "handfast::driver", %error, "a message was refused");
                self.refused += 1;
                message.tell(Fate::Refused);
            }
        }
    }

    /// Tells everyone who waits that the peer ended.
    fn end(mut self: Box<Self>, reason: &EndReason) {
        if self.refused > 0 {
            let count = self.refused;
            tracing::warn!(target: "handfast::driver", count, %reason, "messages were refused");
        }
        self.under_way.drain().into_iter().for_each(Outgoing::give_up);
        for dialler in self.diallers.drain(..) {
            answer(dialler, Err(ConnectError::Ended(reason.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server has one of each for every peer, however quiet.
    #[test]
    fn what_each_peer_takes_of_the_driver_does_not_grow_unnoticed() {
        let (entry, mailbox) = (size_of::<Entry>(), size_of::<Mailbox>());
        println!("an entry takes {entry} bytes, a mailbox {mailbox}");
        assert!(entry <= 24, "{entry} bytes");
        assert!(mailbox <= 192, "{mailbox} bytes");
    }
}
