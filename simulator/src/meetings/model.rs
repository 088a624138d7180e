//! What the two applications say, and what they must hear.

use std::time::Duration;

use handfast_core::{Bytes, Delivery, Event, Fate, PeerHandle};

use crate::app::{App, Cx};
use crate::network::NodeId;

/// The applications of the two.
pub(super) struct Model {
    pub(super) ends: [NodeId; 2],
    pub(super) peers: [Option<PeerHandle>; 2],
    pub(super) pause: Duration,
    /// Nobody speaks afterwards.
    pub(super) until: Duration,
    pub(super) sent: [u64; 2],
    pub(super) acked: [u64; 2],
    pub(super) received: [u64; 2],
    /// When each last heard something new.
    pub(super) heard_at: [Duration; 2],
    /// What was promised and not kept.
    pub(super) broken: Option<String>,
}

impl Model {
    /// What is not yet as it must be at last.
    pub(super) fn outstanding(&self) -> Option<String> {
        let Self { sent, acked, received, .. } = self;
        let complete = sent == acked && sent[0] == received[1] && sent[1] == received[0];
        (!complete).then(|| format!("sent {sent:?}, acknowledged {acked:?}, received {received:?}"))
    }

    fn end(&self, node: NodeId) -> Option<usize> {
        self.ends.iter().position(|end| *end == node)
    }

    fn take(&mut self, cx: &mut Cx<'_>, end: usize, peer: PeerHandle) {
        let now = cx.now();
        while let Some(message) = cx.endpoint().receive(now, peer) {
            let number = message.payload.first_chunk().map(|n| u64::from_be_bytes(*n));
            if number != Some(self.received[end]) || message.payload.len() != length(number) {
                let expected = self.received[end];
                self.broken = Some(format!("end {end} got {number:?} in place of {expected}"));
            }
            self.received[end] += 1;
            self.heard_at[end] = cx.time();
        }
    }
}

impl App for Model {
    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) {
        let Some(end) = self.end(cx.node()) else { return };
        let (Event::Readable { peer }
        | Event::Fate { peer, .. }
        | Event::Ended { peer, .. }
        | Event::Restarted { peer, .. }) = event
        else {
            return;
        };
        // The called one learns of its partner by its first message.
        if self.peers[end].is_some_and(|partner| partner != *peer) {
            return;
        }
        match event {
            Event::Readable { peer } => self.take(cx, end, *peer),
            Event::Fate { fate: Fate::Acked, .. } => self.acked[end] += 1,
            other if self.peers[end].is_some() => {
                self.broken = Some(format!("end {end} is told {other:?}"));
            }
            _ => {}
        }
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, _: u64) {
        let Some(end) = self.end(cx.node()) else { return };
        let Some(peer) = self.peers[end].filter(|_| cx.time() < self.until) else { return };
        let number = self.sent[end];
        let mut payload = vec![0; length(Some(number))];
        payload[..8].copy_from_slice(&number.to_be_bytes());
        let (now, delivery) = (cx.now(), Delivery::ordered(0).with_receipt());
        match cx.endpoint().send(now, peer, delivery, Bytes::from(payload)) {
            Ok(_) => self.sent[end] += 1,
            // Too much waits already.
            Err(handfast_core::SendError::Blocked) => {}
            Err(error) => self.broken = Some(format!("end {end} cannot send: {error}")),
        }
        cx.wake_after(self.pause, 0);
    }
}

/// Every fiftieth is larger than a datagram.
fn length(number: Option<u64>) -> usize {
    if number.is_some_and(|number| number % 50 == 49) { 5_000 } else { 100 }
}
