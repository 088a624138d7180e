//! Where one peer's messages change hands between the application and the driver.
//!
//! Both ways are short queues: outgoing ones by stream, incoming ones by what is received apart. What
//! does not fit stays where it is: outgoing messages with the application, which waits or is refused;
//! incoming ones in the core, where they count against the sender's credit. The lock is held for a
//! queue operation and never across a call to the core.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use handfast_core::{Delivery, EndReason, Message, PeerHandle, PeerId, PeerInfo, SendError};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::receipt_key::MessageKey;

mod incoming;
mod known;
mod outgoing;
mod queues;

use known::Known;
use outgoing::Untaken;
pub(crate) use outgoing::{Allowed, Outgoing, UnderWay, stream};
use queues::Queues;

/// One peer's queues and its end.
#[derive(Default)]
pub(crate) struct Mailbox {
    /// Known before the application sees the mailbox.
    owner: OnceLock<(PeerHandle, PeerId)>,
    state: Mutex<State>,
    /// Messages came in, or the peer ended.
    readable: Notify,
}

#[derive(Default)]
struct State {
    queues: Queues,
    /// Nothing at all before the peer is connected.
    allowed: Option<Allowed>,
    /// The peer as it was last, as the application asked for.
    known: Known,
    /// The driver knows that it has work here.
    rung: bool,
    /// The peer is being disconnected: no further message will be taken.
    closing: bool,
    /// Apart: most peers have not.
    ended: Option<Box<EndReason>>,
    /// Somebody got a handle to the peer.
    taken: bool,
    /// Handles to the peer that are on their way to somebody.
    offers: u32,
}

/// What became of an attempt to hand a message over.
pub(crate) enum Push {
    Ended(EndReason),
    /// The message is as it was: wait for room and try again.
    Full,
    Refused(SendError),
    /// It is on its way: nothing but its peer's end keeps the core from taking it. `ring` the driver if so
    /// told.
    Queued {
        ring: bool,
    },
}

/// What there is to know beside a message that was taken, or if there was none: apart, for the message is moved
/// from one place to the other as it is, and into no value around it, each of which would be a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aside {
    /// Ring the driver: it has more, or is to look whether it has.
    pub(crate) ring: bool,
    /// There was no message, and none will come.
    pub(crate) is_over: bool,
}

/// The application's side.
impl Mailbox {
    /// Queues a message if there is room. Whatever the core could object to is known here, so that a
    /// message is taken or not before this returns: whoever gives up waiting for room has sent nothing. One that is queued
    /// has left what it was made of.
    pub(crate) fn push(&self, message: &mut Outgoing) -> Push {
        let mut state = self.lock();
        if let Some(reason) = state.ended.as_deref() {
            return Push::Ended(reason.clone());
        }
        let Some(allowed) = state.allowed.filter(|_| !state.closing) else {
            return Push::Refused(SendError::Closing);
        };
        let were_at_rest = state.queues.in_use().is_none();
        match state.queues.for_use().outgoing.push(message, allowed) {
            Ok(()) => Push::Queued { ring: !mem::replace(&mut state.rung, true) },
            Err(Untaken::Full) => Push::Full,
            Err(Untaken::Refused(error)) => {
                // The driver hears nothing of it, and so would not see to that later.
                if were_at_rest {
                    state.queues.rest_now();
                }
                Push::Refused(error)
            }
        }
    }

    /// Takes the oldest message of a channel, which is received apart from now on; or of all channels
    /// that are not. `None` if there is none; `aside` says what follows.
    pub(crate) fn pop(&self, channel: Option<u16>, aside: &mut Aside) -> Option<Message> {
        let mut state = self.lock();
        let is_new = channel.is_some_and(|channel| !state.queues.is_apart(channel));
        if is_new && let Some(channel) = channel {
            state.queues.for_use().incoming.set_apart(channel);
        }
        let mut wants_more = is_new;
        let incoming = state.queues.in_use_mut().map(|both| &mut both.incoming);
        let message = incoming.and_then(|incoming| incoming.pop(channel, &mut wants_more));
        let has_ended = state.ended.is_some();
        aside.ring = wants_more && !has_ended && !mem::replace(&mut state.rung, true);
        aside.is_over = has_ended && message.is_none();
        message
    }

    /// The longest message that is taken; 0 if none is.
    pub(crate) fn max_message(&self) -> usize {
        self.lock().allowed.map_or(0, |allowed| allowed.max_message as usize)
    }

    /// Why the peer ended, if it has.
    pub(crate) fn ended(&self) -> Option<EndReason> {
        self.lock().ended.as_deref().cloned()
    }

    /// Completes at the next change that `pop` or `ended` may see, counted from this call.
    pub(crate) fn readable(&self) -> Notified<'_> {
        self.readable.notified()
    }

    /// Tells of each change that `push` may see for a message of this delivery.
    pub(crate) fn writable(&self, delivery: &Delivery) -> Arc<Notify> {
        self.lock().queues.for_use().outgoing.writable(delivery)
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

    /// The peer as the driver knew it last; `None` once it ended. The driver learns that somebody wants to
    /// know, if it is rung.
    pub(crate) fn info(&self) -> Option<(PeerInfo, bool)> {
        let mut state = self.lock();
        let info = state.known.info().filter(|_| state.ended.is_none())?;
        Some((info, !mem::replace(&mut state.rung, true)))
    }
}

/// The driver's side.
impl Mailbox {
    /// The peer is connected, its identity proved.
    pub(crate) fn set_owner(&self, handle: PeerHandle, id: PeerId) {
        self.owner.get_or_init(|| (handle, id));
    }

    /// What is known of the peer now, and so what it allows.
    pub(crate) fn set_info(&self, info: PeerInfo) {
        let mut state = self.lock();
        state.allowed =
            Some(Allowed { max_message: info.max_message, max_streams: info.max_streams });
        state.known.set(info);
    }

    /// The driver is here: the next thing to do deserves a ring of its own.
    pub(crate) fn answer(&self) {
        self.lock().rung = false;
    }

    /// Hands over the outgoing messages of all streams of which the driver has none.
    pub(crate) fn collect(&self, under_way: &mut UnderWay) {
        let mut state = self.lock();
        let Some(both) = state.queues.in_use_mut() else { return };
        let writable = both.outgoing.collect(under_way);
        drop(state);
        tell(writable);
    }

    /// Whether messages wait to be collected.
    pub(crate) fn has_outgoing(&self) -> bool {
        self.lock().queues.in_use().is_some_and(|both| !both.outgoing.is_empty())
    }

    /// Takes no further message from the application, unless some wait here: then it says no. With `now`
    /// it does not ask.
    pub(crate) fn close(&self, now: bool) -> bool {
        let mut state = self.lock();
        let both = state.queues.in_use();
        let closing = state.closing || now || both.is_none_or(|both| both.outgoing.is_empty());
        let waiting = both.filter(|_| closing).map(|both| both.outgoing.waiting());
        state.closing = closing;
        drop(state);
        tell(waiting.into_iter().flatten());
        closing
    }

    /// Whether messages of this delivery's stream wait to be collected.
    pub(crate) fn has(&self, delivery: &Delivery) -> bool {
        self.lock().queues.in_use().is_some_and(|both| both.outgoing.has(delivery))
    }

    /// Forgets a stream of which no message waits to be collected.
    pub(crate) fn forget(&self, delivery: &Delivery) {
        self.lock().queues.for_use().outgoing.forget(delivery);
    }

    /// Whether a reliable message waits to be collected.
    pub(crate) fn has_reliable(&self) -> bool {
        self.lock().queues.in_use().is_some_and(|both| both.outgoing.has_reliable())
    }

    /// Whether somebody has, or is about to get, a handle to the peer.
    pub(crate) fn is_wanted(&self) -> bool {
        let state = self.lock();
        state.taken || state.offers > 0
    }

    /// Takes back an outgoing message that was not collected yet.
    pub(crate) fn withdraw(&self, key: &MessageKey) -> Option<Outgoing> {
        let (message, writable) = self.lock().queues.in_use_mut()?.outgoing.withdraw(key)?;
        tell(writable);
        Some(message)
    }

    /// The channels that are received apart.
    pub(crate) fn apart(&self) -> BTreeSet<u16> {
        self.lock().queues.apart()
    }

    /// How many messages and bytes of this channel, or of all that are not received apart, fit in.
    pub(crate) fn room(&self, channel: Option<u16>) -> (usize, usize) {
        self.lock().queues.for_use().incoming.room(channel)
    }

    /// Adds incoming messages; `withheld` tells that the core has more of this channel, or of all that are
    /// not received apart.
    pub(crate) fn deposit(
        &self,
        channel: Option<u16>,
        messages: &mut VecDeque<Message>,
        withheld: bool,
    ) {
        let any = !messages.is_empty();
        self.lock().queues.for_use().incoming.deposit(channel, messages, withheld);
        if any {
            self.readable.notify_waiters();
        }
    }

    /// Takes out what waits for whoever receives from all channels.
    pub(crate) fn take_incoming(&self) -> VecDeque<Message> {
        let mut state = self.lock();
        state.queues.in_use_mut().map(|both| both.incoming.drain()).unwrap_or_default()
    }

    /// Whether the core has messages that would fit by now.
    pub(crate) fn wants_more(&self) -> bool {
        self.lock().queues.in_use().is_some_and(|both| both.incoming.wants_more())
    }

    /// Frees memory if there was no message since the last time that this was asked, and nobody waits for room. Whether
    /// the peer is at rest now.
    pub(crate) fn rest(&self) -> bool {
        let mut state = self.lock();
        let rests = state.queues.rest();
        if rests {
            state.known.rest();
        }
        rests
    }

    /// How many messages there are for the application.
    pub(crate) fn unread(&self) -> usize {
        self.lock().queues.in_use().map_or(0, |both| both.incoming.len())
    }

    /// How many bytes of messages there are for the application.
    pub(crate) fn incoming_bytes(&self) -> usize {
        self.lock().queues.in_use().map_or(0, |both| both.incoming.bytes())
    }

    /// The peer ended. Incoming messages stay for the application to take.
    pub(crate) fn end(&self, reason: EndReason) {
        let mut state = self.lock();
        state.ended.get_or_insert_with(|| Box::new(reason));
        let left = state.queues.in_use_mut().map(|both| {
            both.incoming.end();
            (both.outgoing.drain(), both.outgoing.waiting())
        });
        drop(state);
        let (unsent, waiting) = left.unwrap_or_default();
        unsent.into_iter().for_each(Outgoing::give_up);
        self.readable.notify_waiters();
        tell(waiting);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No operation here leaves the state half changed, not even by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes who waits for room. Not to be called with the lock held: it runs what the waker runs.
fn tell(waiting: impl IntoIterator<Item = Arc<Notify>>) {
    waiting.into_iter().for_each(|writable| writable.notify_waiters());
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("owner", &self.owner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
