//! Carries messages between an application and a core that is driven by events: on mio, and in the
//! simulator.

use std::collections::{HashMap, VecDeque};

use handfast_core::{
    Bytes, CommandError, Delivery, DisconnectOptions, Event, Message, MessageId, PeerHandle,
    PingId, SendError,
};

use super::{Happening, Outgoing, What};

/// The part of a core that a [`Courier`] needs, whoever knows the time.
pub(crate) trait Core {
    fn send(&mut self, to: PeerHandle, how: Delivery, what: Bytes) -> Result<MessageId, SendError>;
    fn receive(&mut self, peer: PeerHandle) -> Option<Message>;
    fn ping(&mut self, peer: PeerHandle) -> Result<PingId, CommandError>;
    fn disconnect(
        &mut self,
        peer: PeerHandle,
        farewell: DisconnectOptions,
    ) -> Result<(), CommandError>;
}

/// Keeps messages that the core has no room for, and the tags of those that it has.
#[derive(Default)]
pub(crate) struct Courier {
    waiting: HashMap<PeerHandle, VecDeque<Outgoing>>,
    tags: HashMap<(PeerHandle, MessageId), u64>,
}

impl Courier {
    pub(crate) fn send(&mut self, core: &mut impl Core, peer: PeerHandle, message: Outgoing) {
        let waiting = self.waiting.entry(peer).or_default();
        waiting.push_back(message);
        if waiting.len() == 1 {
            self.hand_over(core, peer);
        }
    }

    /// Translates an event, fetching what it announces.
    pub(crate) fn on_event(
        &mut self,
        core: &mut impl Core,
        event: Event,
        mut tell: impl FnMut(Happening),
    ) {
        let Some(peer) = event.peer() else { return };
        let mut tell = |what| tell(Happening { peer, what });
        match event {
            Event::Writable { .. } => self.hand_over(core, peer),
            Event::Readable { .. } => {
                while let Some(message) = core.receive(peer) {
                    tell(What::Message(message));
                }
            }
            Event::Fate { message, fate, .. } => {
                if let Some(tag) = self.tags.remove(&(peer, message)) {
                    tell(What::Fate(tag, fate));
                }
            }
            Event::Pong { .. } => tell(What::Pong),
            Event::Restarted { .. } => tell(What::Restarted),
            Event::Ended { reason, .. } => {
                self.waiting.remove(&peer);
                while let Some(message) = core.receive(peer) {
                    tell(What::Message(message));
                }
                tell(What::Ended(reason));
            }
            _ => {}
        }
    }

    /// The name that the core gave to a message whose fate is not known.
    pub(crate) fn id_of(&self, peer: PeerHandle, tag: u64) -> Option<MessageId> {
        let named = |(key, its): (&(PeerHandle, MessageId), &u64)| {
            (key.0 == peer && *its == tag).then_some(key.1)
        };
        self.tags.iter().find_map(named)
    }

    fn hand_over(&mut self, core: &mut impl Core, peer: PeerHandle) {
        let Some(waiting) = self.waiting.get_mut(&peer) else { return };
        while let Some(Outgoing { tag, delivery, payload }) = waiting.front() {
            match core.send(peer, *delivery, payload.clone()) {
                Ok(id) => {
                    if delivery.requires_ack {
                        self.tags.insert((peer, id), *tag);
                    }
                }
                Err(SendError::Blocked) => return,
                // As the runtime on tokio does: the last state is to arrive.
                Err(SendError::NoRoom) if delivery.reliable => return,
                // Its end will be told, or was.
                Err(SendError::Closing | SendError::UnknownPeer) => {}
                Err(error) => panic!("{delivery:?}, {} bytes: {error}", payload.len()),
            }
            waiting.pop_front();
        }
    }
}
