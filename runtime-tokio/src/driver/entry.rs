//! What the driver keeps for one peer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use handfast_core::{DisconnectOptions, EndReason, Instant, MessageId, PingId};
use tokio::sync::oneshot;

use crate::answer::answer;
use crate::error::{ConnectError, PeerError};
use crate::mailbox::{Mailbox, Outgoing};
use crate::pending_handle::PendingHandle;
use crate::receipt_key::ReceiptSender;

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
    /// The core said `Blocked` and not `Writable` since.
    pub(super) is_blocked: bool,
    pub(super) diallers: Vec<Dialler>,
    /// Collected from the mailbox, not yet taken by the core.
    pub(super) queue: VecDeque<Outgoing>,
    /// Messages that were accepted and that the core then refused.
    pub(super) refused: u64,
    pub(super) receipts: BTreeMap<MessageId, ReceiptSender>,
    pub(super) pings: BTreeMap<PingId, oneshot::Sender<Result<Duration, PeerError>>>,
    /// To be said when the queue is with the core, or at that time.
    pub(super) disconnect: Option<(DisconnectOptions, Instant)>,
    /// A reliable message was taken from the application and not by the core.
    pub(super) is_cut: bool,
}

impl Entry {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self {
            mailbox,
            is_connected: false,
            is_incoming: false,
            is_ready: false,
            is_blocked: false,
            diallers: Vec::new(),
            queue: VecDeque::new(),
            refused: 0,
            receipts: BTreeMap::new(),
            pings: BTreeMap::new(),
            disconnect: None,
            is_cut: false,
        }
    }

    pub(super) fn leave_by(&self) -> Option<Instant> {
        self.disconnect.as_ref().map(|(_, by)| *by)
    }

    /// Takes no more messages. True if the application handed over a reliable one that the core did not take.
    pub(super) fn cut(&mut self) -> bool {
        let queued = self.queue.iter().any(|message| message.delivery.reliable);
        self.mailbox.stop_sending() | queued | self.is_cut
    }

    /// Tells everyone who waits that the peer ended. Pings learn it from the mailbox.
    pub(super) fn end(&mut self, reason: EndReason) {
        if self.refused > 0 {
            let count = self.refused;
            tracing::warn!(target: "handfast::driver", count, %reason, "messages were refused");
        }
        self.queue.drain(..).for_each(Outgoing::give_up);
        self.pings.clear();
        self.receipts.clear();
        for dialler in self.diallers.drain(..) {
            answer(dialler, Err(ConnectError::Ended(reason.clone())));
        }
        self.mailbox.end(reason);
    }
}
