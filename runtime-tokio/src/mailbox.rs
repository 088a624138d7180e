//! Where one peer's messages change hands between the application and the driver.
//!
//! Both ways are short queues. What does not fit stays where it is: outgoing messages with the
//! application, which waits; incoming ones in the core, where they count against the sender's
//! credit. The lock is held for a queue operation and never across a call to the core.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::mem;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use handfast_core::{
    Bytes, Delivery, EndReason, Fate, Message, Order, PeerHandle, PeerId, SendError,
};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};

use crate::receipt_key::{MessageKey, ReceiptSender};

/// One peer's queues and its end.
#[derive(Default)]
pub(crate) struct Mailbox {
    /// Known before the application sees the mailbox.
    owner: OnceLock<(PeerHandle, PeerId)>,
    state: Mutex<State>,
    /// Messages came in, or the peer ended.
    readable: Notify,
    /// Messages went out, or the peer ended.
    writable: Notify,
}

#[derive(Default)]
struct State {
    outgoing: VecDeque<Outgoing>,
    outgoing_bytes: usize,
    incoming: VecDeque<Message>,
    incoming_bytes: usize,
    /// The core has more than fitted here: ring when there is room.
    withheld: bool,
    /// The driver knows that it has work here.
    rung: bool,
    ended: Option<EndReason>,
    /// No more messages go out: the goodbye is on its way.
    closing: bool,
    accepted: Accepted,
    /// Somebody got a handle to the peer.
    taken: bool,
    /// Handles to the peer that are on their way to somebody.
    offers: usize,
}

/// A message on its way to the core.
pub(crate) struct Outgoing {
    pub(crate) delivery: Delivery,
    pub(crate) payload: Bytes,
    pub(crate) receipt: Option<ReceiptSender>,
    /// Whether the core took it, for an application that waits to know.
    pub(crate) verdict: Option<Verdict>,
}

pub(crate) type Verdict = oneshot::Sender<Result<(), SendError>>;

impl Outgoing {
    pub(crate) const fn new(delivery: Delivery, payload: Bytes) -> Self {
        Self { delivery, payload, receipt: None, verdict: None }
    }

    /// Reports that the peer ended before any of it was sent.
    pub(crate) fn give_up(self) {
        self.finish(Fate::Lost);
    }

    /// Reports what became of it.
    pub(crate) fn finish(self, fate: Fate) {
        if let Some(receipt) = self.receipt {
            receipt.tell(fate);
        }
    }

    pub(crate) fn is_named(&self, key: &MessageKey) -> bool {
        self.receipt.as_ref().is_some_and(|receipt| receipt.key.names(key))
    }
}

/// What became of an attempt to hand a message over.
pub(crate) enum Push {
    Ended(EndReason),
    /// The peer is being left.
    Closing,
    /// Wait for room and try again with the message.
    Full(Outgoing),
    /// It is on its way. `ring` the driver if so told, and wait for the verdict if there is one.
    Queued {
        ring: bool,
        verdict: Option<oneshot::Receiver<Result<(), SendError>>>,
    },
}

/// What became of an attempt to take a message.
pub(crate) enum Pop {
    Empty,
    Ended,
    Message { message: Message, ring: bool },
}

/// The application's side.
impl Mailbox {
    /// Queues a message if there is room.
    ///
    /// The core alone can refuse it, for its size or its stream. Waiting for the core's verdict on
    /// every message would cost two switches of task each, so it is only asked for when it is in
    /// doubt: the first time on a stream, and for the largest message so far.
    pub(crate) fn push(&self, mut message: Outgoing) -> Push {
        let mut state = self.lock();
        if let Some(reason) = &state.ended {
            return Push::Ended(reason.clone());
        }
        if state.closing {
            return Push::Closing;
        }
        let len = message.payload.len();
        if is_full(&state.outgoing, state.outgoing_bytes) {
            return Push::Full(message);
        }
        let mut verdict = None;
        if !state.accepted.covers(&message.delivery, len) {
            let (sender, receiver) = oneshot::channel();
            message.verdict = Some(sender);
            verdict = Some(receiver);
        }
        state.outgoing_bytes += len;
        state.outgoing.push_back(message);
        Push::Queued { ring: !mem::replace(&mut state.rung, true), verdict }
    }

    /// Takes the oldest incoming message.
    pub(crate) fn pop(&self) -> Pop {
        let mut state = self.lock();
        let Some(message) = state.incoming.pop_front() else {
            return if state.ended.is_some() { Pop::Ended } else { Pop::Empty };
        };
        state.incoming_bytes -= message.payload.len();
        let ring = state.wants_more() && !mem::replace(&mut state.rung, true);
        Pop::Message { message, ring }
    }

    /// Why the peer ended, if it has.
    pub(crate) fn ended(&self) -> Option<EndReason> {
        self.lock().ended.clone()
    }

    /// Completes at the next change that `pop` or `ended` may see, counted from this call.
    pub(crate) fn readable(&self) -> Notified<'_> {
        self.readable.notified()
    }

    /// Completes at the next change that `push` may see, counted from this call.
    pub(crate) fn writable(&self) -> Notified<'_> {
        self.writable.notified()
    }

    /// A handle to the peer is on its way to somebody.
    pub(crate) fn offer(&self) {
        self.lock().offers += 1;
    }

    /// A handle on its way arrived, or nobody was there.
    pub(crate) fn settle_offer(&self, taken: bool) {
        let mut state = self.lock();
        state.offers -= 1;
        state.taken |= taken;
    }

    /// Whose mailbox it is, once connected.
    pub(crate) fn owner(&self) -> Option<(PeerHandle, PeerId)> {
        self.owner.get().copied()
    }
}

/// The driver's side.
impl Mailbox {
    /// The peer is connected, its identity proved.
    pub(crate) fn set_owner(&self, handle: PeerHandle, id: PeerId) {
        self.owner.get_or_init(|| (handle, id));
    }

    /// The driver is here: the next thing to do deserves a ring of its own.
    pub(crate) fn answer(&self) {
        self.lock().rung = false;
    }

    /// Exchanges the outgoing messages for the driver's emptied queue.
    pub(crate) fn collect(&self, queue: &mut VecDeque<Outgoing>) {
        debug_assert!(queue.is_empty(), "messages would be overtaken");
        let mut state = self.lock();
        if state.outgoing.is_empty() {
            return;
        }
        mem::swap(&mut state.outgoing, queue);
        state.outgoing_bytes = 0;
        drop(state);
        self.writable.notify_waiters();
    }

    /// Takes no more outgoing messages. True if there are reliable ones that were not collected.
    pub(crate) fn stop_sending(&self) -> bool {
        let mut state = self.lock();
        state.closing = true;
        let cut = state.outgoing.iter().any(|message| message.delivery.reliable);
        drop(state);
        // Who waits for room learns that there will be none.
        self.writable.notify_waiters();
        cut
    }

    /// Whether somebody has, or is about to get, a handle to the peer.
    pub(crate) fn is_wanted(&self) -> bool {
        let state = self.lock();
        state.taken || state.offers > 0
    }

    /// Takes back an outgoing message that was not collected yet.
    pub(crate) fn withdraw(&self, key: &MessageKey) -> Option<Outgoing> {
        let mut state = self.lock();
        let at = state.outgoing.iter().position(|message| message.is_named(key))?;
        let message = state.outgoing.remove(at)?;
        state.outgoing_bytes -= message.payload.len();
        drop(state);
        self.writable.notify_waiters();
        Some(message)
    }

    /// How many messages and bytes fit in. At least one message does, however large, when the
    /// queue is empty.
    pub(crate) fn room(&self) -> (usize, usize) {
        let state = self.lock();
        if is_full(&state.incoming, state.incoming_bytes) {
            return (0, 0);
        }
        (MAX_MESSAGES - state.incoming.len(), MAX_BYTES - state.incoming_bytes)
    }

    /// Adds incoming messages; `withheld` tells that the core has more.
    pub(crate) fn deposit(&self, messages: &mut VecDeque<Message>, withheld: bool) {
        let any = !messages.is_empty();
        let mut state = self.lock();
        state.withheld = withheld;
        state.incoming_bytes += messages.iter().map(|message| message.payload.len()).sum::<usize>();
        state.incoming.append(messages);
        drop(state);
        if any {
            self.readable.notify_waiters();
        }
    }

    /// Whether the core has messages that would fit by now.
    pub(crate) fn wants_more(&self) -> bool {
        self.lock().wants_more()
    }

    /// Whether there are messages for the application.
    pub(crate) fn has_incoming(&self) -> bool {
        !self.lock().incoming.is_empty()
    }

    /// How many bytes of messages there are for the application.
    pub(crate) fn incoming_bytes(&self) -> usize {
        self.lock().incoming_bytes
    }

    /// The core took such a message.
    pub(crate) fn note_accepted(&self, delivery: &Delivery, len: usize) {
        self.lock().accepted.note(delivery, len);
    }

    /// The peer restarted, perhaps with other limits.
    pub(crate) fn forget_accepted(&self) {
        self.lock().accepted = Accepted::default();
    }

    /// The peer ended. Incoming messages stay for the application to take.
    pub(crate) fn end(&self, reason: EndReason) {
        let mut state = self.lock();
        state.ended.get_or_insert(reason);
        state.withheld = false;
        state.outgoing_bytes = 0;
        let unsent = mem::take(&mut state.outgoing);
        drop(state);
        unsent.into_iter().for_each(Outgoing::give_up);
        self.readable.notify_waiters();
        self.writable.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No operation here leaves the state half changed, not even by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl State {
    /// Half-empty, so that the two sides do not ring for every message.
    fn wants_more(&self) -> bool {
        self.withheld
            && self.incoming.len() <= MAX_MESSAGES / 2
            && self.incoming_bytes <= MAX_BYTES / 2
    }
}

/// The messages that the core is known to take.
#[derive(Default)]
struct Accepted {
    streams: BTreeSet<(u16, bool, Order)>,
    largest: usize,
}

impl Accepted {
    fn covers(&self, delivery: &Delivery, len: usize) -> bool {
        len <= self.largest.max(ALWAYS_ACCEPTED) && self.streams.contains(&stream(delivery))
    }

    fn note(&mut self, delivery: &Delivery, len: usize) {
        self.largest = self.largest.max(len);
        self.streams.insert(stream(delivery));
    }
}

const fn stream(delivery: &Delivery) -> (u16, bool, Order) {
    (delivery.channel, delivery.reliable, delivery.order)
}

fn is_full<T>(queue: &VecDeque<T>, bytes: usize) -> bool {
    queue.len() >= MAX_MESSAGES || bytes >= MAX_BYTES
}

/// Bounds of each queue: enough to keep the other side busy for some hundred microseconds. A
/// message that begins below the bound may exceed it.
const MAX_MESSAGES: usize = 256;
const MAX_BYTES: usize = 1 << 18;
/// No limit is below one byte.
const ALWAYS_ACCEPTED: usize = 1;

#[cfg(test)]
mod tests;
