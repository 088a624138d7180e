//! Streams that the application ends.

use std::mem;

use handfast_core::{Delivery, PeerHandle};
use tokio::sync::oneshot;

use crate::answer::answer;
use crate::error::PeerError;
use crate::mailbox::stream;

use super::Driver;

/// Who waits for the end of which stream of a peer.
#[derive(Default)]
pub(super) struct StreamEnds {
    /// The core is to be told, once it has all messages of the stream.
    pub(super) asked: Vec<Asked>,
    /// The core was told.
    told: Vec<Asked>,
}

type Asked = (Delivery, oneshot::Sender<Result<(), PeerError>>);

impl Driver {
    /// Ends the streams of a peer whose messages the core has taken.
    pub(super) fn end_streams(&mut self, peer: PeerHandle) {
        let now = self.clock.now();
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        for (delivery, reply) in mem::take(&mut entry.stream_ends.asked) {
            if entry.under_way.has(&delivery) || entry.mailbox.has(&delivery) {
                entry.stream_ends.asked.push((delivery, reply));
                continue;
            }
            match self.core.end_stream(now, peer, delivery) {
                Ok(()) => entry.stream_ends.told.push((delivery, reply)),
                Err(error) => answer(reply, Err(PeerError::Refused(error))),
            }
        }
    }

    /// A stream ended: its place is free here as well.
    pub(super) fn on_stream_ended(&mut self, peer: PeerHandle, delivery: &Delivery) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.under_way.forget(delivery);
        entry.mailbox.forget(delivery);
        let (ended, others) = mem::take(&mut entry.stream_ends.told)
            .into_iter()
            .partition::<Vec<_>, _>(|(told, _)| stream(told) == stream(delivery));
        entry.stream_ends.told = others;
        ended.into_iter().for_each(|(_, reply)| answer(reply, Ok(())));
    }
}
