//! Our own handshakes with a peer: begun, expedited, given up.

use alloc::boxed::Box;
use core::time::Duration;

use smallvec::SmallVec;

use crate::PeerId;
use crate::bucket::TokenBucket;
use crate::context::Context;
use crate::net::{Arrival, Via};
use crate::pack::pack;
use crate::path::Path;
use crate::peer::Peer;
use crate::peer::events::Duplicate;
use crate::peer::timers::Timer;
use crate::session::{Dial, HandshakeTarget, Owner, Pair};
use crate::stats::DropReason;
use crate::time::{Instant, micros};
use crate::wire::HandshakeRetry;

/// Our handshakes with a peer.
#[derive(Debug)]
pub(in crate::peer) struct Dialing {
    /// The one under way.
    pub(in crate::peer) dial: Option<Box<Dial>>,
    /// Where the last handshake with the peer was made, whoever initiated it.
    pub(in crate::peer) handshake_via: Option<Via>,
    /// When an `UnknownSession` last hastened a handshake.
    pub(in crate::peer) last_unknown_session: Option<Instant>,
    /// Restarts of the peer after which an `UnknownSession` counts at once.
    pub(in crate::peer) restarts: TokenBucket,
    /// The peer answered as one that does not know the state that our incarnation names: our requests
    /// name our next one.
    renewed: bool,
    /// Another instance with our key took our place at the peer: no handshake of ours before then.
    aside_until: Option<Instant>,
}

pack!(Dialing: dial, handshake_via, last_unknown_session, restarts, renewed, aside_until);

impl Default for Dialing {
    fn default() -> Self {
        Self {
            dial: None,
            handshake_via: None,
            last_unknown_session: None,
            restarts: TokenBucket::FULL,
            renewed: false,
            aside_until: None,
        }
    }
}

impl Peer {
    /// Starts to dial the peer.
    pub(crate) fn dial(&mut self, cx: &mut Context, addresses: SmallVec<[Via; 2]>) {
        let deadline = cx.now + cx.config.timers.connect_timeout;
        self.timers.set(Timer::DialDeadline, Some(deadline));
        self.usage.on_named();
        self.start_dial(cx, addresses, false);
    }

    /// Shakes hands anew beside the session that stands: at the validated address of the peer, at the one
    /// of the last handshake, and at the one before it moved. An attacker that relays between both ends
    /// can pass on every challenge and answer, so the newest address alone may be the attacker's.
    #[cold]
    pub(in crate::peer) fn redial(&mut self, cx: &mut Context) {
        if let Some(until) = self.dialing.aside_until {
            self.timers.set(Timer::Dial, Some(until));
        } else if let Some(dial) = &mut self.dialing.dial {
            dial.expedite();
            self.timers.set(Timer::Dial, Some(dial.schedule(cx)));
        } else if let Some(path) = self.paths.primary() {
            let mut addresses: SmallVec<[Via; 2]> = SmallVec::new();
            let current = path.is_proved().then(|| path.via());
            let standby = self.paths.standby().map(Path::via);
            let places = [current, standby, self.dialing.handshake_via, path.previous()];
            for via in places.into_iter().flatten() {
                if addresses.iter().all(|one| !one.is_same_remote(&via)) {
                    addresses.push(via);
                }
            }
            if !addresses.is_empty() {
                self.start_dial(cx, addresses, true);
            }
        }
    }

    pub(in crate::peer) fn start_dial(
        &mut self,
        cx: &mut Context,
        addresses: SmallVec<[Via; 2]>,
        proved: bool,
    ) {
        let index = cx.indices.allocate(&mut cx.rng, Owner::Peer(self.acquaintance.handle.slot));
        let mut dial = Dial::new(cx, index, self.acquaintance.id, addresses, proved);
        let (named, granted) =
            (self.incarnation_to_name(cx), self.inbox.fresh_grant(cx.memory.room()));
        dial.build(cx, named, granted, None);
        self.timers.set(Timer::Dial, Some(dial.schedule(cx)));
        self.dialing.dial = Some(Box::new(dial));
    }

    /// What our requests say that names our state: the state that stands, or the one that begins when they
    /// are answered.
    pub(in crate::peer) fn incarnation_to_name(&self, cx: &Context) -> u64 {
        if self.dialing.renewed {
            self.acquaintance.next_incarnation(&cx.incarnations)
        } else {
            self.acquaintance.incarnation
        }
    }

    /// Whether an answer with these incarnations would leave us with a state that the peer has not: it knows
    /// nothing of what the one that we named stands for.
    pub(in crate::peer) fn is_estranged(&self, pair: &Pair) -> bool {
        let other =
            self.acquaintance.remote_incarnation().is_some_and(|known| known != pair.theirs);
        other && pair.ours == self.acquaintance.incarnation
    }

    /// The peer answered, and lost its state about us or gave it to another instance with our key, if we
    /// are `displaced`. Our own state is void: we ask anew, for one that begins at both ends.
    pub(in crate::peer) fn on_estranged(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        displaced: bool,
    ) {
        if displaced {
            self.step_aside(cx);
        } else if self.dialing.renewed {
            // It answered a request from before.
            cx.drop_packet(DropReason::Unsolicited, &arrival.via);
        } else {
            self.dialing.renewed = true;
            let (named, granted) =
                (self.incarnation_to_name(cx), self.inbox.fresh_grant(cx.memory.room()));
            let Some(dial) = &mut self.dialing.dial else { return };
            dial.build(cx, named, granted, None);
            dial.expedite();
            self.timers.set(Timer::Dial, Some(dial.schedule(cx)));
        }
    }

    /// Two instances that took turns as fast as they can would serve nobody: the one that lost its place
    /// takes it again about a heartbeat after it last heard from the peer.
    fn step_aside(&mut self, cx: &mut Context) {
        self.note_duplicate(None);
        self.drop_dial(cx);
        self.dialing.renewed = true;
        let heartbeat = cx.config.timers.heartbeat;
        let early = Duration::from_micros(cx.rng.below(micros(heartbeat) / 8 + 1));
        let last = self.liveness.last_received.unwrap_or(cx.now);
        let until = (last + (heartbeat - early)).max(cx.now);
        self.dialing.aside_until = Some(until);
        self.timers.set(Timer::Dial, Some(until));
        if self.state.is_live() && !self.state.is_unresponsive() {
            self.state.move_to_unresponsive();
        }
    }

    /// Two instances have one key: the peer's, the `other` being there, or ours, as the peer says.
    pub(crate) fn note_duplicate(&mut self, other: Option<Via>) {
        if !core::mem::replace(&mut self.acquaintance.is_duplicate_told, true) {
            let (peer, path) = (self.acquaintance.id.map(tracing::field::debug), self.paths.via());
            let address = |via: Option<Via>| via.and_then(|via| via.remote());
            let (at, also_at) = (address(path), address(other));
            let whose = if other.is_none() { "our" } else { "the peer's" };
            tracing::warn!(
                target: "handfast::identity",
                peer,
                ?at,
                ?also_at,
                "two endpoints use {whose} identity and take each other's place: stop one of them, or give \
                 it a key of its own"
            );
            self.events.duplicate = Some(Box::new(Duplicate { path, other }));
        }
    }

    /// A way to the peer was found.
    pub(in crate::peer) fn on_route_for_dial(&mut self, cx: &mut Context) {
        let next = self.dialing.dial.as_mut().and_then(|dial| dial.on_route(cx));
        if next.is_some() {
            self.timers.set(Timer::Dial, next);
        }
    }

    /// Gives up our own handshake.
    pub(in crate::peer) fn drop_dial(&mut self, cx: &mut Context) {
        if let Some(dial) = self.dialing.dial.take() {
            cx.indices.release(dial.local_index());
        }
        self.dialing.renewed = false;
        self.dialing.aside_until = None;
        self.timers.clear(Timer::Dial);
        self.timers.clear(Timer::DialDeadline);
    }

    /// A retry arrived: take its cookie, and the identity if it was missing. Returns the
    /// identity when it is news; `incarnation` then gives our incarnation for it.
    pub(crate) fn on_retry(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        retry: &HandshakeRetry,
        incarnation: impl FnOnce(&Context, &PeerId) -> u64,
    ) -> Option<Option<PeerId>> {
        let dial = self.dialing.dial.as_mut()?;
        if !dial.has_target(&arrival.via) || !dial.is_answered_by_retry(retry) {
            return None;
        }
        dial.on_answer(&arrival.via);
        if !dial.may_rebuild() {
            return None;
        }
        let mut learned = None;
        if dial.remote().is_none() {
            let (id, _) = cx.known.identify(*retry.identity()?).ok()?;
            dial.expect(id);
            (self.acquaintance.id, learned) = (Some(id), Some(id));
            self.acquaintance.incarnation = incarnation(cx, &id);
        }
        let (named, granted) =
            (self.incarnation_to_name(cx), self.inbox.fresh_grant(cx.memory.room()));
        let dial = self.dialing.dial.as_mut()?;
        dial.build(cx, named, granted, Some((retry.cookie, arrival.via)));
        dial.expedite();
        self.timers.set(Timer::Dial, Some(dial.schedule(cx)));
        Some(learned)
    }

    /// Somebody says that the peer speaks another version of the protocol. True if it may be so.
    pub(crate) fn on_unsupported_version(&mut self, via: &Via, version: u8) -> bool {
        let dial = self.dialing.dial.as_mut();
        dial.is_some_and(|dial| dial.on_unsupported_version(via, version))
    }

    pub(in crate::peer) fn on_dial_timer(&mut self, cx: &mut Context) {
        let (named, granted) =
            (self.incarnation_to_name(cx), self.inbox.fresh_grant(cx.memory.room()));
        if let Some(dial) = &mut self.dialing.dial {
            let next = dial.next_round(cx, named, granted);
            self.timers.set(Timer::Dial, Some(next));
        } else if self.dialing.aside_until.take().is_some() && self.state.is_up() {
            self.redial(cx);
        }
    }

    pub(crate) fn dialled(&self) -> Option<&Dial> {
        self.dialing.dial.as_deref()
    }

    /// Adds the addresses of another dial for the same peer, which gives way to this one. The dial
    /// lasts as long as that one would have.
    pub(crate) fn add_targets(&mut self, others: &[HandshakeTarget], until: Option<Instant>) {
        let Some(dial) = &mut self.dialing.dial else { return };
        dial.add_targets(others);
        let until = until.max(self.timers.get(Timer::DialDeadline));
        self.timers.set(Timer::DialDeadline, until);
    }

    /// When our handshake has taken long enough.
    pub(crate) fn dial_deadline(&self) -> Option<Instant> {
        self.timers.get(Timer::DialDeadline)
    }
}
