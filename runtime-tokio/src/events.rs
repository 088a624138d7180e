//! The streams of what happens.

use std::fmt;
use std::sync::Arc;

use handfast_core::{Event, Message};
use tokio::sync::mpsc;

use crate::driver::Item;
use crate::link::Link;
use crate::peer::Peer;

/// The stream of events, from [`Endpoint::events`](crate::Endpoint::events).
#[derive(Debug)]
pub struct Events(pub(crate) mpsc::Receiver<Item>);

impl Events {
    /// The next event; `None` once the endpoint has stopped, or another stream took over.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            if let Item::Event(event) = self.0.recv().await? {
                return Some(event);
            }
        }
    }
}

/// The stream of events and messages, from [`Endpoint::incoming`](crate::Endpoint::incoming).
pub struct Incoming {
    pub(crate) items: mpsc::Receiver<Item>,
    pub(crate) link: Arc<Link>,
}

impl Incoming {
    /// What happened next; `None` once the endpoint has stopped, or another stream took over.
    pub async fn recv(&mut self) -> Option<Received> {
        loop {
            match self.items.recv().await? {
                Item::Event(event) => return Some(Received::Event(event)),
                Item::Message(mailbox, message) => {
                    // Who sent a message is connected, and so known.
                    if let Some(peer) = Peer::new(&self.link, mailbox) {
                        return Some(Received::Message { peer, message });
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("waiting", &self.items.len()).finish_non_exhaustive()
    }
}

/// What [`Incoming`] returns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Received {
    /// Something happened.
    Event(Event),
    /// A message arrived.
    #[non_exhaustive]
    Message {
        /// Who sent it.
        peer: Peer,
        /// The message.
        message: Message,
    },
}
