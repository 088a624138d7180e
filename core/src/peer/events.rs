//! The events of a peer for the application, one at a time.

use alloc::boxed::Box;
use core::time::Duration;

use smallvec::SmallVec;

use crate::event::{EndReason, Event, PingId};
use crate::nat::NatEvidence;
use crate::net::Via;
use crate::pack::{pack, pack_never};
use crate::peer::Peer;

/// What waits to be reported, messages' fates and the state apart: flags and small bounded lists, so
/// that no event is ever lost and none piles up. What is seldom and large is boxed.
#[derive(Debug, Default)]
pub(crate) struct PendingEvents {
    /// Connected, on this path.
    pub(super) connected: Option<Via>,
    /// The peer restarted; how many whole messages could not be handed over.
    pub(super) restarted: Option<u64>,
    /// Two instances have one key.
    pub(super) duplicate: Option<Box<Duplicate>>,
    pub(super) moved: bool,
    /// The path of data does not carry packets of the least size.
    pub(super) too_narrow: bool,
    /// Why the peer is reached as it is changed.
    pub(super) verdict: bool,
    /// Bounded by the number of pings under way.
    pub(super) pongs: SmallVec<[(PingId, Duration); 1]>,
    /// What was found out about the NAT before us.
    pub(super) nat_tested: Option<Box<NatEvidence>>,
    pub(super) ended: Option<EndReason>,
}

pack!(PendingEvents:
    connected, restarted, duplicate, moved, too_narrow, verdict, pongs, nat_tested, ended,
);

/// Two instances have one key: ours if the peer says so, else the peer's.
#[derive(Debug)]
pub(super) struct Duplicate {
    /// The way to the peer, or to the instance that has the place.
    pub(super) path: Option<Via>,
    /// Where the other instance of the peer is.
    pub(super) other: Option<Via>,
}

pack_never!(Duplicate);

impl PendingEvents {
    pub(crate) fn is_empty(&self) -> bool {
        let restarted = self.restarted.is_some() || self.duplicate.is_some();
        let begun = self.connected.is_some() || self.ended.is_some();
        let told = self.pongs.is_empty() && self.nat_tested.is_none();
        let changed = self.moved || self.too_narrow || self.verdict;
        !changed && !restarted && !begun && told
    }
}

impl Peer {
    /// The next event. Causes come before consequences, the end comes last.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        if self.events.is_empty() && !self.state.has_changed() {
            // Mostly there is only something about messages.
            return self.poll_fate().or_else(|| self.poll_flow_event());
        }
        let peer = self.acquaintance.handle;
        self.poll_session_event()
            .or_else(|| self.poll_fate())
            .or_else(|| {
                let told = &mut self.events.pongs;
                let (ping, rtt) = (!told.is_empty()).then(|| told.remove(0))?;
                Some(Event::Pong { peer, ping, rtt })
            })
            .or_else(|| {
                let evidence = *self.events.nat_tested.take()?;
                Some(Event::NatTested { peer, evidence })
            })
            .or_else(|| self.poll_flow_event())
            .or_else(|| {
                let reason = self.events.ended.take()?;
                let (id, unread) = (self.acquaintance.id, self.inbox.unread());
                let undeliverable = self.inbox.undeliverable();
                Some(Event::Ended { peer, id, reason, undeliverable, unread })
            })
    }

    fn poll_fate(&mut self) -> Option<Event> {
        let (message, fate) = self.outbound.queue.poll_fate()?;
        Some(Event::Fate { peer: self.acquaintance.handle, message, fate })
    }

    /// Whether an event waits.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
            || self.state.has_changed()
            || self.inbox.has_news()
            || self.inbox.has_missing()
            || self.outbound.queue.has_fates()
            || self.outbound.queue.has_ended_streams()
            || (!self.state.is_over() && self.outbound.queue.is_writable_due(&self.outbound.limits))
    }

    /// Events about the peer itself.
    #[cold]
    fn poll_session_event(&mut self) -> Option<Event> {
        let (peer, path) = (self.acquaintance.handle, self.paths.via());
        let notices = &mut self.events;
        if let (Some(path), Some(id)) = (notices.connected.take(), self.acquaintance.id) {
            return Some(Event::Connected { peer, id, path });
        }
        if let Some(Duplicate { path, other }) = notices.duplicate.take().map(|it| *it) {
            return Some(Event::DuplicateIdentity { peer, ours: other.is_none(), path, other });
        }
        if let Some(undeliverable) = notices.restarted.take() {
            return Some(Event::Restarted { peer, undeliverable });
        }
        if let (true, Some(path)) = (core::mem::take(&mut notices.moved), path) {
            return Some(Event::PathChanged { peer, path });
        }
        if let (true, Some(path)) = (core::mem::take(&mut notices.too_narrow), path) {
            return Some(Event::PathTooNarrow { peer, path });
        }
        if core::mem::take(&mut notices.verdict) {
            return Some(Event::VerdictChanged { peer });
        }
        let state = self.state.take_change()?;
        Some(Event::StateChanged { peer, state })
    }

    /// Events about messages in general.
    fn poll_flow_event(&mut self) -> Option<Event> {
        let peer = self.acquaintance.handle;
        if let Some((delivery, count)) = self.inbox.take_missing() {
            return Some(Event::Missing { peer, delivery, count });
        }
        if let Some(delivery) = self.outbound.queue.take_ended_stream() {
            return Some(Event::StreamEnded { peer, delivery });
        }
        if self.inbox.take_news() {
            return Some(Event::Readable { peer });
        }
        let outbound = &mut self.outbound;
        let channel = (!self.state.is_over())
            .then(|| outbound.queue.take_writable(&outbound.limits))
            .flatten()?;
        Some(Event::Writable { peer, channel })
    }
}
