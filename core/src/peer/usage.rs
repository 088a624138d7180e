//! What our application has to do with the peer, and what follows from that when places are scarce.

use core::time::Duration;

use crate::context::Context;
use crate::disconnect::DisconnectReason;
use crate::event::EndReason;
use crate::info::Direction;
use crate::peer::Peer;
use crate::peer::timers::Timer;
use crate::time::Instant;

/// What our application had to do with the peer.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// It dialled the peer.
    is_named: bool,
    /// It sent the peer a message.
    has_sent: bool,
    /// It took a message of the peer's.
    has_taken: bool,
    /// When it last did one or the other.
    last: Option<Instant>,
}

impl Usage {
    pub(super) const fn on_named(&mut self) {
        self.is_named = true;
    }

    pub(super) const fn on_sent(&mut self, now: Instant) {
        self.has_sent = true;
        self.last = Some(now);
    }

    pub(super) const fn on_taken(&mut self, now: Instant) {
        self.has_taken = true;
        self.last = Some(now);
    }
}

/// Of how little use a peer is: the least come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Idleness {
    /// No message went both from our application to the peer and from the peer to it.
    Never,
    /// None did for a while.
    Lately,
}

impl Peer {
    /// Our application named the peer: it dialled it.
    pub(crate) const fn note_named(&mut self) {
        self.usage.on_named();
    }

    /// Whether our application has to do with the peer, so that it may be worth looking for a direct way to it.
    pub(super) fn is_used(&self, cx: &Context) -> bool {
        let Usage { is_named, has_sent, has_taken, .. } = self.usage;
        let dialled = self.acquaintance.met.is_some_and(|(_, who)| who == Direction::Outbound);
        let named = || self.acquaintance.id.is_some_and(|id| cx.config.admission.names(&id));
        is_named || has_sent || has_taken || dialled || named()
    }

    /// Whether our application could do without the peer if somebody else needed its place.
    ///
    /// Data under way protects it. But whoever was never of use may keep a message in pieces for ever, so
    /// that this protects him no longer than a peer that was.
    pub(crate) fn idleness(&self, cx: &Context) -> Option<Idleness> {
        let (met, direction) = self.acquaintance.met?;
        let is_new = cx.now < met + YOUTH;
        let is_named = self.usage.is_named || direction == Direction::Outbound;
        if is_new || is_named || !self.state.is_live() || !self.inbox.is_empty() {
            return None;
        }
        if self.acquaintance.id.is_none_or(|id| cx.config.admission.names(&id)) {
            return None;
        }
        let is_quiet = cx.now >= self.usage.last.unwrap_or(met) + QUIET;
        let was_used = self.usage.has_sent && self.usage.has_taken;
        let is_busy = || !self.outbound.queue.is_flushed() || self.inbox.is_receiving();
        match (was_used, is_quiet) {
            (false, true) => Some(Idleness::Never),
            (false, false) => (!is_busy()).then_some(Idleness::Never),
            (true, true) => (!is_busy()).then_some(Idleness::Lately),
            (true, false) => None,
        }
    }

    /// Ends the peer at once: somebody else needs its place. A `Disconnect` goes out, once; if it is lost,
    /// the peer hears of it when it shakes hands anew.
    pub(crate) fn evict(&mut self, cx: &mut Context) {
        self.outbound.leave(DisconnectReason::full(), true);
        self.outbound.end_with_disconnect();
        self.end(cx, EndReason::Evicted);
        if !self.state.is_gone() {
            self.timers.set(Timer::Drain, Some(cx.now + LAST_WORDS));
        }
    }
}

/// Younger peers may only not have come to it yet.
const YOUTH: Duration = Duration::from_secs(10);
/// With whom our application had nothing to do for so long, it can do without.
const QUIET: Duration = Duration::from_secs(60);
/// How long a peer that has to go is kept so that it hears of it.
const LAST_WORDS: Duration = Duration::from_secs(1);
