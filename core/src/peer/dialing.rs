//! Our own handshakes with a peer: begun, expedited, given up.

use alloc::boxed::Box;

use smallvec::SmallVec;

use crate::PeerId;
use crate::bucket::TokenBucket;
use crate::context::Context;
use crate::event::EndReason;
use crate::net::{Arrival, Via};
use crate::peer::Peer;
use crate::peer::timers::Timer;
use crate::session::{Dial, HandshakeTarget, Owner};
use crate::time::Instant;
use crate::wire::{Cookie, HandshakeRetry};

/// Our handshakes with a peer.
#[derive(Debug)]
pub(super) struct Dialing {
    /// The one under way.
    pub(super) dial: Option<Box<Dial>>,
    /// Where the last handshake with the peer was made, whoever initiated it.
    pub(super) handshake_via: Option<Via>,
    /// When an `UnknownSession` last hastened a handshake.
    pub(super) last_unknown_session: Option<Instant>,
    /// Restarts of the peer after which an `UnknownSession` counts at once.
    pub(super) restarts: TokenBucket,
}

impl Default for Dialing {
    fn default() -> Self {
        Self {
            dial: None,
            handshake_via: None,
            last_unknown_session: None,
            restarts: TokenBucket::FULL,
        }
    }
}

impl Peer {
    /// Starts to dial the peer.
    pub(crate) fn dial(&mut self, cx: &mut Context, addresses: SmallVec<[Via; 2]>) {
        let deadline = cx.now + cx.config.timers.connect_timeout;
        self.timers.set(Timer::DialDeadline, Some(deadline));
        self.start_dial(cx, addresses, false);
    }

    /// Shakes hands anew beside the session that stands: at the validated address of the peer, at the one
    /// of the last handshake, and at the one before it moved. An attacker that relays between both ends
    /// can pass on every challenge and answer, so the newest address alone may be the attacker's.
    pub(super) fn redial(&mut self, cx: &mut Context) {
        if let Some(dial) = &mut self.dialing.dial {
            dial.expedite();
            self.timers.set(Timer::Dial, Some(dial.schedule(cx)));
        } else if let Some(path) = self.paths.primary() {
            let mut addresses: SmallVec<[Via; 2]> = SmallVec::new();
            for via in [Some(path.via()), self.dialing.handshake_via, path.previous()]
                .into_iter()
                .flatten()
            {
                if addresses.iter().all(|one| !one.is_same_remote(&via)) {
                    addresses.push(via);
                }
            }
            self.start_dial(cx, addresses, true);
        }
    }

    pub(super) fn start_dial(
        &mut self,
        cx: &mut Context,
        addresses: SmallVec<[Via; 2]>,
        proved: bool,
    ) {
        let index = cx.indices.allocate(&mut cx.rng, Owner::Peer(self.acquaintance.handle.slot));
        let mut dial = Dial::new(cx, index, self.acquaintance.id, addresses, proved);
        dial.build(
            cx,
            self.acquaintance.incarnation,
            self.inbox.fresh_grant(cx.memory.room()),
            Cookie::NONE,
        );
        self.timers.set(Timer::Dial, Some(dial.schedule(cx)));
        self.dialing.dial = Some(Box::new(dial));
    }

    /// Gives up our own handshake.
    pub(super) fn drop_dial(&mut self, cx: &mut Context) {
        if let Some(dial) = self.dialing.dial.take() {
            cx.indices.release(dial.local_index());
        }
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
            let id = PeerId::from_bytes(*retry.identity()?).ok()?;
            dial.expect(id);
            (self.acquaintance.id, learned) = (Some(id), Some(id));
            self.acquaintance.incarnation = incarnation(cx, &id);
        }
        dial.build(
            cx,
            self.acquaintance.incarnation,
            self.inbox.fresh_grant(cx.memory.room()),
            retry.cookie,
        );
        dial.expedite();
        self.timers.set(Timer::Dial, Some(dial.schedule(cx)));
        Some(learned)
    }

    /// Somebody says that the peer speaks another version of the protocol. True if it may be so.
    pub(crate) fn on_unsupported_version(&mut self, via: &Via, version: u8) -> bool {
        let dial = self.dialing.dial.as_mut();
        dial.is_some_and(|dial| dial.on_unsupported_version(via, version))
    }

    /// Our handshake has taken long enough.
    pub(super) fn on_dial_deadline(&mut self, cx: &mut Context) {
        let theirs = self.dialing.dial.as_ref().and_then(|dial| dial.their_version());
        let mismatch = |theirs| EndReason::VersionMismatch { theirs };
        self.end(cx, theirs.map_or(EndReason::DialTimeout, mismatch));
    }

    pub(super) fn on_dial_timer(&mut self, cx: &mut Context) {
        let granted = self.inbox.fresh_grant(cx.memory.room());
        if let Some(dial) = &mut self.dialing.dial {
            let next = dial.next_round(cx, self.acquaintance.incarnation, granted);
            self.timers.set(Timer::Dial, Some(next));
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
