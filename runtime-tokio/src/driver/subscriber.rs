//! Whoever reads all events, with or without all messages.

use std::collections::VecDeque;
use std::sync::Arc;

use handfast_core::{Event, Message, PeerHandle};
use tokio::sync::mpsc;

use crate::mailbox::Mailbox;

use super::Driver;

/// What a subscriber gets.
#[derive(Debug)]
pub(crate) enum Item {
    Event(Event),
    Message(Arc<Mailbox>, Message),
}

/// The driver's end of a stream.
pub(crate) struct Subscriber {
    items: mpsc::Sender<Item>,
    /// Other shards send by the same channel: they may take room that was free a moment ago.
    is_shared: bool,
    /// Room that nobody else can take.
    reserved: Option<mpsc::OwnedPermit<Item>>,
    takes_messages: bool,
    /// Messages that were taken from the core before there was this subscriber.
    overdue: VecDeque<(Arc<Mailbox>, Message)>,
    /// Peers with messages in the core: nothing else is told before they are.
    reading: VecDeque<PeerHandle>,
}

impl Subscriber {
    pub(crate) fn new(items: mpsc::Sender<Item>, is_shared: bool, takes_messages: bool) -> Self {
        Self {
            items,
            is_shared,
            reserved: None,
            takes_messages,
            overdue: VecDeque::new(),
            reading: VecDeque::new(),
        }
    }

    /// Whether messages go the same way as events.
    pub(super) const fn takes_messages(&self) -> bool {
        self.takes_messages
    }

    pub(super) fn has_room(&mut self) -> bool {
        if !self.is_shared {
            return self.items.capacity() > 0;
        }
        if self.reserved.is_none() {
            self.reserved = self.items.clone().try_reserve_owned().ok();
        }
        self.reserved.is_some()
    }

    /// Completes when there is room, or nobody left to need it.
    pub(super) async fn room(&self) {
        drop(self.items.reserve().await);
    }

    fn tell(&mut self, item: Item) {
        if let Some(room) = self.reserved.take() {
            room.send(item);
        } else if let Err(error) = self.items.try_send(item) {
            tracing::debug!(target: "handfast::driver", %error, "something was not read in time");
        }
    }
}

impl Driver {
    pub(super) fn subscribe(&mut self, mut subscriber: Subscriber) {
        self.unsubscribe();
        if subscriber.takes_messages {
            for (peer, entry) in &self.peers {
                let left = entry.mailbox.take_incoming();
                let owned = left.into_iter().map(|message| (Arc::clone(&entry.mailbox), message));
                subscriber.overdue.extend(owned);
                subscriber.reading.push_back(*peer);
            }
        }
        self.subscriber = Some(subscriber);
        self.stalled = false;
    }

    /// The subscriber is gone, or another takes its place: messages go to the mailboxes again.
    fn unsubscribe(&mut self) {
        let Some(Subscriber { takes_messages, overdue, .. }) = self.subscriber.take() else {
            return;
        };
        for (mailbox, message) in overdue {
            mailbox.deposit(None, &mut VecDeque::from([message]), false);
        }
        if takes_messages {
            let peers: Vec<_> = self.peers.keys().copied().collect();
            peers.into_iter().for_each(|peer| self.pull(peer));
        }
    }

    /// Whether an event may be polled: none is taken from the core before there is room for it.
    pub(super) fn subscriber_has_room(&mut self) -> bool {
        if self.subscriber.as_ref().is_some_and(|subscriber| subscriber.items.is_closed()) {
            self.unsubscribe();
        }
        // To close, nobody's leisure is waited for.
        self.subscriber.as_mut().is_none_or(Subscriber::has_room) || self.is_closing()
    }

    /// Passes on the next message that is to be told before any further event, if there is one.
    pub(super) fn tell_message(&mut self) -> bool {
        let now = self.now;
        let Some(subscriber) = &mut self.subscriber else { return false };
        if !subscriber.has_room() {
            return false;
        }
        if let Some((mailbox, message)) = subscriber.overdue.pop_front() {
            subscriber.tell(Item::Message(mailbox, message));
            return true;
        }
        while let Some(peer) = subscriber.reading.front() {
            if let Some(entry) = self.peers.get(peer)
                && let Some(message) = self.core.receive(now, *peer)
            {
                subscriber.tell(Item::Message(Arc::clone(&entry.mailbox), message));
                return true;
            }
            subscriber.reading.pop_front();
        }
        false
    }

    /// Passes on an event, or has the messages follow that it announces.
    pub(super) fn tell_event(&mut self, event: &Event) {
        let Some(subscriber) = &mut self.subscriber else { return };
        match event {
            Event::Readable { peer } if subscriber.takes_messages => {
                subscriber.reading.push_back(*peer);
            }
            Event::Readable { .. } | Event::Writable { .. } => {}
            event => subscriber.tell(Item::Event(event.clone())),
        }
    }
}
