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

/// One peer's mailbox and everyone who waits for something of the peer.
pub(super) struct Entry {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) is_connected: bool,
    /// It is, or was, to be accepted: it may stay though nobody has a handle to it.
    pub(super) is_incoming: bool,
    /// In `Driver::ready`.
    pub(super) is_ready: bool,
    pub(super) diallers: Vec<Dialler>,
    /// Collected from the mailbox, not yet taken by the core.
    pub(super) under_way: UnderWay,
    pub(super) stream_ends: StreamEnds,
    /// Messages that were accepted and that the core then refused.
    pub(super) refused: u64,
    pub(super) receipts: BTreeMap<MessageId, ReceiptSender>,
    pub(super) pings: BTreeMap<PingId, oneshot::Sender<Result<Duration, PeerError>>>,
    /// Who waits for what the peer helps to find out about the NAT before us.
    pub(super) nat_test: Option<oneshot::Sender<Result<NatEvidence, PeerError>>>,
    /// To be said when all messages are with the core, or at that time.
    pub(super) disconnect: Option<Box<(DisconnectOptions, Instant)>>,
    /// A reliable message was taken from the application and not by the core.
    pub(super) is_cut: bool,
}

impl Entry {
    pub(super) fn boxed(mailbox: Arc<Mailbox>) -> Box<Self> {
        Box::new(Self {
            mailbox,
            is_connected: false,
            is_incoming: false,
            is_ready: false,
            diallers: Vec::new(),
            under_way: UnderWay::default(),
            stream_ends: StreamEnds::default(),
            refused: 0,
            receipts: BTreeMap::new(),
            pings: BTreeMap::new(),
            nat_test: None,
            disconnect: None,
            is_cut: false,
        })
    }

    /// Puts the peer on the list of those whose messages are to be moved, unless it is there.
    pub(super) fn make_ready(&mut self, peer: PeerHandle, ready: &mut VecDeque<PeerHandle>) {
        if !self.is_ready {
            self.is_ready = true;
            ready.push_back(peer);
        }
    }

    pub(super) fn leave_by(&self) -> Option<Instant> {
        self.disconnect.as_ref().map(|disconnect| disconnect.1)
    }

    /// Whether the application handed over a reliable message that the core did not take.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut || self.under_way.has_reliable() || self.mailbox.has_reliable()
    }

    /// Hands the next messages under way to the core. Returns how many were offered.
    pub(super) fn hand_over(&mut self, exchange: &mut Exchange<'_>) -> usize {
        let mut under_way = mem::take(&mut self.under_way);
        let offered = under_way.offer(|message| self.send(exchange, message));
        self.under_way = under_way;
        offered
    }

    /// Hands a message to the core. Whether that is done with it: if not, it may wait for room.
    fn send(&mut self, exchange: &mut Exchange<'_>, message: &mut Outgoing) -> bool {
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
        self.is_cut |= result.is_err() && delivery.reliable;
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

    /// Tells everyone who waits that the peer ended. Pings learn it from the mailbox.
    pub(super) fn end(&mut self, reason: EndReason) {
        if self.refused > 0 {
            let count = self.refused;
            tracing::warn!(target: "handfast::driver", count, %reason, "messages were refused");
        }
        self.under_way.drain().into_iter().for_each(Outgoing::give_up);
        self.pings.clear();
        self.stream_ends = StreamEnds::default();
        self.receipts.clear();
        for dialler in self.diallers.drain(..) {
            answer(dialler, Err(ConnectError::Ended(reason.clone())));
        }
        self.mailbox.end(reason);
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
        assert!(entry <= 256, "{entry} bytes");
        assert!(mailbox <= 768, "{mailbox} bytes");
    }
}
