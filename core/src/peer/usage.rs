//! What our application has to do with the peer, and what follows from that when places are scarce.

use alloc::boxed::Box;
use core::time::Duration;

use crate::PeerId;
use crate::context::Context;
use crate::disconnect::DisconnectReason;
use crate::event::EndReason;
use crate::info::Direction;
use crate::net::Place;
use crate::pack::{Pack, Unpacker, pack};
use crate::peer::Peer;
use crate::peer::acquaintance::Acquaintance;
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
    traffic: Traffic,
}

pack!(Usage: is_named, has_sent, has_taken, last, traffic);

/// Whether packets of a peer are few: those that pass on packets of others send and receive without any message.
#[derive(Debug)]
struct Traffic {
    /// Datagrams until the last look.
    counted: u64,
    /// How often the peer could be packed, which costs about as much as a packet.
    rests: u64,
    look_at: Instant,
    are_few: bool,
}

pack!(Traffic: counted, rests, look_at, are_few);

impl Default for Traffic {
    fn default() -> Self {
        Self { counted: 0, rests: 0, look_at: Instant::from_micros(0), are_few: false }
    }
}

impl Traffic {
    /// Whether [`look`](Self::look) could say yes. Asked whenever a peer has nothing to send.
    #[inline]
    fn may_be_few(&self, now: Instant) -> bool {
        self.are_few || now >= self.look_at
    }

    /// There were `datagrams` so far. Whether there were few between the last two looks, and are since; there is half a
    /// heartbeat between looks.
    fn look(&mut self, datagrams: u64, now: Instant, heartbeat: Duration) -> bool {
        let are_few = (datagrams + self.rests).wrapping_sub(self.counted) <= FEW;
        if now >= self.look_at {
            self.counted = datagrams + self.rests;
            self.look_at = now + heartbeat / 2;
            self.are_few = are_few;
        }
        self.are_few &= are_few;
        self.are_few
    }
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

impl Usage {
    fn idleness(
        &self,
        cx: &Context,
        acquaintance: &Acquaintance,
        is_busy: impl FnOnce() -> bool,
    ) -> Option<Idleness> {
        let (met, direction) = acquaintance.met?;
        let is_new = cx.now < met + YOUTH;
        if is_new || self.is_named || direction == Direction::Outbound {
            return None;
        }
        if acquaintance.id.is_none_or(|id| cx.config.admission.names(&id)) {
            return None;
        }
        let is_quiet = cx.now >= self.last.unwrap_or(met) + QUIET;
        match (self.has_sent && self.has_taken, is_quiet) {
            (false, true) => Some(Idleness::Never),
            (false, false) => (!is_busy()).then_some(Idleness::Never),
            (true, true) => (!is_busy()).then_some(Idleness::Lately),
            (true, false) => None,
        }
    }
}

/// What there is to know of a peer that may have to go, without waking it.
#[derive(Debug)]
pub(crate) struct Gist<'p>(Source<'p>);

#[derive(Debug)]
enum Source<'p> {
    Peer(&'p Peer),
    Packed(Box<(Acquaintance, Usage)>),
}

impl<'p> Gist<'p> {
    pub(crate) const fn of(peer: &'p Peer) -> Self {
        Self(Source::Peer(peer))
    }

    /// That of a packed peer, of which it is the beginning.
    pub(crate) fn of_packed(model: Option<&Peer>, from: &mut Unpacker<'_>) -> Option<Self> {
        let begun = match model {
            Some(Peer { acquaintance, usage, .. }) => {
                let acquaintance = Pack::unpack_like(acquaintance, from)?;
                (acquaintance, Pack::unpack_like(usage, from)?)
            }
            None => Pack::unpack(from)?,
        };
        Some(Self(Source::Packed(Box::new(begun))))
    }

    fn acquaintance(&self) -> &Acquaintance {
        match &self.0 {
            Source::Peer(peer) => &peer.acquaintance,
            Source::Packed(packed) => &packed.0,
        }
    }

    pub(crate) fn slot(&self) -> u32 {
        self.acquaintance().handle.slot
    }

    pub(crate) fn number(&self) -> u64 {
        self.acquaintance().number
    }

    pub(crate) fn id(&self) -> Option<PeerId> {
        self.acquaintance().id
    }

    pub(crate) fn listed_at(&self) -> Option<Place> {
        self.acquaintance().listed_at
    }

    /// Whether our application could do without the peer; see [`Peer::idleness`].
    pub(crate) fn idleness(&self, cx: &Context) -> Option<Idleness> {
        match &self.0 {
            Source::Peer(peer) => peer.idleness(cx),
            // It has nothing to do.
            Source::Packed(packed) => packed.1.idleness(cx, &packed.0, || false),
        }
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
    fn idleness(&self, cx: &Context) -> Option<Idleness> {
        if !self.state.is_live() || !self.inbox.is_empty() {
            return None;
        }
        let is_busy = || !self.outbound.queue.is_flushed() || self.inbox.is_receiving();
        self.usage.idleness(cx, &self.acquaintance, is_busy)
    }

    /// Whether it is to be looked at whether it rests.
    #[inline]
    pub(super) fn may_rest(&self, now: Instant) -> bool {
        self.usage.traffic.may_be_few(now)
    }

    /// Whether nobody talked to the peer or heard from it for two heartbeats, and packets are few. What is known of the
    /// capacity of its paths is forgotten then: it was long ago.
    #[inline]
    pub(crate) fn rests(&mut self, cx: &Context) -> bool {
        self.may_rest(cx.now) && self.look_for_rest(cx)
    }

    #[cold]
    fn look_for_rest(&mut self, cx: &Context) -> bool {
        let heartbeat = cx.config.timers.heartbeat;
        let datagrams = self.stats.datagrams_received + self.stats.datagrams_sent;
        let are_few = self.usage.traffic.look(datagrams, cx.now, heartbeat);
        let met = self.acquaintance.met.map(|(at, _)| at);
        let is_unused = self.usage.last.or(met).is_some_and(|last| cx.now >= last + heartbeat * 2);
        let is_quiet = are_few && is_unused && !self.state.is_over();
        let rests = is_quiet && cx.router.is_none() && self.paths.rest();
        if rests {
            self.usage.traffic.rests += 1;
            self.outbound.queue.rest(cx.now);
            self.put_off_silence(heartbeat);
        }
        rests
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

/// So many packets between two looks are few: those that keep paths open, and no message.
const FEW: u64 = 16;
/// Younger peers may only not have come to it yet.
const YOUTH: Duration = Duration::from_secs(10);
/// With whom our application had nothing to do for so long, it can do without.
const QUIET: Duration = Duration::from_secs(60);
/// How long a peer that has to go is kept so that it hears of it.
const LAST_WORDS: Duration = Duration::from_secs(1);
