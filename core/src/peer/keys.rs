//! When and how a session of a peer changes its keys; what is sealed and opened beside it is in `untracked`.

mod untracked;

use core::time::Duration;

use crate::context::Context;
use crate::crypto::backend::active::SecretKey;
use crate::crypto::schedule::Role;
use crate::peer::Peer;
use crate::peer::timers::Timer;
use crate::session::{Owner, Session};
use crate::time::Instant;
use crate::timer::earlier;
use crate::{PeerId, Violation};

impl Peer {
    /// Whether there are keys that may seal. If they are worn, a new handshake is begun instead.
    pub(super) fn has_usable_keys(&mut self, cx: &mut Context) -> bool {
        // Of a peer that is up they may be worn, or forgotten after too many forgeries.
        let current = self.sessions.current_mut();
        let worn = current.is_none_or(|session| session.is_expired(cx.now, &cx.config));
        if worn && self.dialing.dial.is_none() && self.state.is_up() {
            self.redial(cx);
        }
        !worn
    }

    /// Time or packets may ask for new keys, and old ones may be forgotten.
    #[cold]
    pub(super) fn expire_keys(&mut self, cx: &mut Context) {
        let freed = self.sessions.expire(cx.now);
        if !freed.is_empty() && !self.sessions.has_next() {
            self.outbound.rekey.forget_answer();
        }
        cx.release(freed);
    }

    /// Begins a change of keys if it is time, else sets the timer for it.
    pub(super) fn review_keys(&mut self, cx: &mut Context) {
        if !self.are_keys_settled(cx) {
            self.settle_keys(cx);
        }
    }

    /// Whether nothing about keys changed since the timer was set, and it is not due: so it is after nearly every packet.
    pub(super) fn are_keys_settled(&self, cx: &Context) -> bool {
        let lasting = self.sessions.lasting(&cx.config);
        lasting.is_some_and(|until| {
            until > cx.now
                && self.timers.get(Timer::Keys) == lasting
                && self.state.is_up()
                && self.outbound.rekey.offer().is_none()
        })
    }

    #[cold]
    fn settle_keys(&mut self, cx: &mut Context) {
        if self.outbound.rekey.offer().is_some_and(|offer| offer.until <= cx.now) {
            self.withdraw_rekey(cx);
        }
        let mut offer = self.outbound.rekey.offer().map(|offer| offer.until);
        let may_begin = offer.is_none() && self.state.is_up() && !self.sessions.has_next();
        let current = self.sessions.current_mut().filter(|_| may_begin);
        let mut rekey_at = current.map(|session| session.rekey_at(&cx.config));
        if rekey_at.is_some_and(|at| at <= cx.now) {
            (rekey_at, offer) = (None, Some(self.begin_rekey(cx)));
        }
        self.timers.set(Timer::Keys, earlier(earlier(rekey_at, offer), self.sessions.expiry()));
    }

    /// Asks the peer for new keys. Returns until when its answer is waited for.
    fn begin_rekey(&mut self, cx: &mut Context) -> Instant {
        let index = cx.indices.allocate(&mut cx.rng, Owner::Peer(self.acquaintance.handle.slot));
        let ephemeral = SecretKey::from_bytes(&cx.rng.secret());
        self.outbound.rekey.begin(index, ephemeral, cx.now + OFFER_LIFE);
        let peer = self.acquaintance.id.map(tracing::field::debug);
        tracing::debug!(target: "handfast::handshake", peer, "rekey begun");
        cx.now + OFFER_LIFE
    }

    /// Our own request for new keys, if any, is void.
    pub(super) fn withdraw_rekey(&mut self, cx: &mut Context) {
        if let Some(offer) = self.outbound.rekey.take_offer() {
            cx.indices.release(offer.index);
        }
    }

    /// The peer asks for new keys, in a packet under the keys of `local_index`.
    pub(super) fn on_rekey_request(
        &mut self,
        cx: &mut Context,
        local_index: u32,
        remote_index: u32,
        remote: &[u8; 32],
    ) -> Result<(), Violation> {
        let current = self.sessions.is_current(local_index);
        if !current || self.outbound.rekey.is_repeat(remote) || self.sessions.has_next() {
            return Ok(()); // One change at a time: each costs two Diffie-Hellman operations.
        }
        if self.outbound.rekey.offer().is_some() && self.is_smaller_than(&cx.identity.id()) {
            return Ok(()); // Both ends asked: ours counts, and the peer will answer it.
        }
        if !self.outbound.rekey.may_answer(cx.now) {
            return Ok(()); // Nobody needs keys that often; the peer will ask again, or shake hands.
        }
        let Some(session) = self.sessions.current() else { return Ok(()) };
        let ephemeral = SecretKey::from_bytes(&cx.rng.secret());
        let secrets = session.rekeyed(Role::Responder, &ephemeral, remote);
        // Nothing comes of such a key, so it could be sent again and again.
        let secrets = secrets.ok_or(Violation::UnusableKey)?;
        let initiated_by_us = session.initiated_by_us();
        self.withdraw_rekey(cx);
        let index = cx.indices.allocate(&mut cx.rng, Owner::Peer(self.acquaintance.handle.slot));
        self.outbound.rekey.answer(index, ephemeral.public(), remote_index, *remote);
        let indices = (index, remote_index);
        let next = Session::new(indices, secrets, cx.key_id(), initiated_by_us, cx.now);
        let freed = self.sessions.install_next(next);
        cx.release(freed);
        Ok(())
    }

    /// The peer answers our request for new keys, in a packet under the keys of `local_index`: with
    /// its index and ours of the keys to be.
    pub(super) fn on_rekey_response(
        &mut self,
        cx: &mut Context,
        local_index: u32,
        (remote_index, our_index): (u32, u32),
        remote: &[u8; 32],
    ) -> Result<(), Violation> {
        let asked = self.outbound.rekey.offer().is_some_and(|offer| offer.index == our_index);
        if !asked || !self.sessions.is_current(local_index) {
            return Ok(());
        }
        let (Some(session), Some(offer)) = (self.sessions.current(), self.outbound.rekey.offer())
        else {
            return Ok(());
        };
        let secrets = session.rekeyed(Role::Initiator, &offer.ephemeral, remote);
        let secrets = secrets.ok_or(Violation::UnusableKey)?;
        let initiated_by_us = session.initiated_by_us();
        self.outbound.rekey.take_offer();
        let indices = (our_index, remote_index);
        let session = Session::new(indices, secrets, cx.key_id(), initiated_by_us, cx.now);
        let freed = self.sessions.install(session, cx.now);
        cx.release(freed);
        // The other end may not seal with the new keys before it heard from us under them.
        self.outbound.queue_ping();
        self.on_rekeyed(cx);
        Ok(())
    }

    /// A packet under the keys of `local_index` was genuine: if they waited for that, they seal
    /// from now on.
    pub(super) fn on_key_confirmed(&mut self, cx: &mut Context, local_index: u32) {
        if self.sessions.prove(local_index, cx.now) {
            self.withdraw_rekey(cx);
            self.on_rekeyed(cx);
        }
    }

    #[cold]
    fn on_rekeyed(&mut self, cx: &mut Context) {
        self.stats.rekeys += 1;
        cx.stats.rekeys += 1;
        let peer = self.acquaintance.id.map(tracing::field::debug);
        tracing::debug!(target: "handfast::handshake", peer, "rekeyed");
    }

    fn is_smaller_than(&self, id: &PeerId) -> bool {
        self.acquaintance.id.is_some_and(|peer| peer < *id)
    }
}

/// How long a request for new keys waits for its answer before it is made anew.
const OFFER_LIFE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
