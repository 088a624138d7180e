//! Streams that the application ends.

use std::mem;
use std::sync::Arc;

use handfast_core::{Delivery, PeerHandle};
use tokio::sync::oneshot;

use crate::answer::answer;
use crate::error::PeerError;
use crate::mailbox::stream;

use super::Driver;
use super::entry::Work;

/// Who waits for the end of which stream of a peer.
#[derive(Default)]
pub(super) struct StreamEnds {
    /// The core is to be told, once it has all messages of the stream.
    pub(super) asked: Vec<Asked>,
    /// The core was told.
    told: Vec<Asked>,
}

type Asked = (Delivery, oneshot::Sender<Result<(), PeerError>>);

impl StreamEnds {
    /// Whether nobody waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.told.is_empty()
    }
}

impl Driver {
    /// Ends the streams of a peer whose messages the core has taken.
    pub(super) fn end_streams(&mut self, peer: PeerHandle) {
        let now = self.clock.now();
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let mailbox = Arc::clone(&entry.mailbox);
        let Some(Work { stream_ends, under_way, .. }) = entry.work() else { return };
        for (delivery, reply) in mem::take(&mut stream_ends.asked) {
            if under_way.has(&delivery) || mailbox.has(&delivery) {
                stream_ends.asked.push((delivery, reply));
                continue;
            }
            match self.core.end_stream(now, peer, delivery) {
                Ok(()) => stream_ends.told.push((delivery, reply)),
                Err(error) => answer(reply, Err(PeerError::Refused(error))),
            }
        }
    }

    /// A stream ended: its place is free here as well.
    pub(super) fn on_stream_ended(&mut self, peer: PeerHandle, delivery: &Delivery) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.note_use(peer, self.now, &mut self.in_use);
        entry.mailbox.forget(delivery);
        let Some(Work { stream_ends, under_way, .. }) = entry.work() else { return };
        under_way.forget(delivery);
        let (ended, others) = mem::take(&mut stream_ends.told)
            .into_iter()
            .partition::<Vec<_>, _>(|(told, _)| stream(told) == stream(delivery));
        stream_ends.told = others;
        ended.into_iter().for_each(|(_, reply)| answer(reply, Ok(())));
    }
}
