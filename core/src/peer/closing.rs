//! How a peer ends: the `Disconnect`, what follows it, and what breaks the rules.

use crate::Violation;
use crate::context::Context;
use crate::disconnect::DisconnectReason;
use crate::event::EndReason;
use crate::parting::Parting;
use crate::peer::Peer;
use crate::peer::timers::Timer;
use crate::timer::Timers;

impl Peer {
    /// Sends a `Disconnect` now.
    #[cold]
    pub(super) fn leave(&mut self, cx: &mut Context) {
        let reason = self.state.move_to_leaving(None);
        self.send_disconnect(cx, reason, true);
    }

    /// Who leaves shakes hands no more. `in_order` if no rule was broken.
    fn send_disconnect(&mut self, cx: &mut Context, reason: DisconnectReason, in_order: bool) {
        self.drop_dial(cx);
        // Should the peer come back without what it knew, it meets another of our incarnations.
        cx.incarnations.on_loss();
        self.outbound.leave(reason, in_order);
        let patience = self.paths.probe_timeout() * DISCONNECT_PATIENCE;
        self.timers.set(Timer::Close, Some(cx.now + patience));
    }

    /// The `Disconnect` is through, or has taken long enough.
    #[cold]
    pub(crate) fn finish_leaving(&mut self, cx: &mut Context) {
        let heard = self.outbound.disconnect_acked;
        let reason = self.state.end_reason().cloned();
        self.end(cx, reason.unwrap_or(EndReason::Disconnected { heard }));
    }

    /// The peer sends a `Disconnect`, perhaps once more.
    pub(super) fn on_disconnect(
        &mut self,
        cx: &mut Context,
        code: u16,
        reason: &str,
        complete: bool,
    ) {
        if self.state.is_over() {
            return;
        }
        if self.state.is_leaving() {
            self.finish_leaving(cx);
        } else {
            let reason = DisconnectReason::with_any_code(code, reason);
            self.end(cx, EndReason::PeerDisconnected { reason, complete });
        }
        // For as long as it may be repeated it is acknowledged.
        self.drain_for(cx, DISCONNECT_PATIENCE);
    }

    /// The peer broke the protocol: send it the reason, and end it.
    #[cold]
    pub(super) fn violate(&mut self, cx: &mut Context, violation: Violation) {
        if self.state.is_over() || self.state.end_reason().is_some() {
            return;
        }
        let peer = self.acquaintance.id.map(tracing::field::debug);
        tracing::debug!(target: "handfast::packet", peer, %violation, "violation");
        let reason = EndReason::Violation(violation);
        if self.state.is_leaving() {
            self.state.set_end_reason(reason);
        } else {
            self.state.move_to_leaving(Some(reason));
            let reason = DisconnectReason::with_any_code(violation.code(), violation.as_str());
            self.send_disconnect(cx, reason, false);
        }
    }

    /// The peer ended. Packets are answered a little longer if a session stands.
    pub(crate) fn end(&mut self, cx: &mut Context, reason: EndReason) {
        if self.state.is_over() {
            return;
        }
        let peer = self.acquaintance.id.map(tracing::field::debug);
        tracing::debug!(target: "handfast::handshake", peer, %reason, "ended");
        self.drop_dial(cx);
        self.outbound.queue.end();
        self.events.pongs.clear();
        self.events.moved = false;
        self.events.ended = Some(reason);
        self.timers = Timers::new();
        self.paths.stop_timers();
        let draining = !self.state.is_connecting() && self.sessions.current().is_some();
        if draining {
            self.state.move_to_draining();
            self.drain_for(cx, DRAIN);
        } else {
            self.discard(cx);
        }
        cx.on_peer_ended();
    }

    /// Packets of the ended peer are answered for so many probe timeouts.
    fn drain_for(&mut self, cx: &Context, timeouts: u32) {
        if self.state.is_over() && !self.state.is_gone() {
            let patience = self.paths.probe_timeout() * timeouts;
            self.timers.set(Timer::Drain, Some(cx.now + patience));
        }
    }

    /// Whom we parted from and why, once, if it was we who parted.
    pub(crate) fn take_parting(&mut self, cx: &Context) -> Option<Parting> {
        let reason = self.outbound.take_disconnect()?;
        let patience = self.paths.probe_timeout() * DISCONNECT_PATIENCE;
        Some(Parting {
            id: self.acquaintance.id?,
            incarnation: self.acquaintance.remote_incarnation()?,
            reason,
            // Its last packet may have been the answer to a late one of the peer's.
            until: cx.now + patience + self.liveness.idle_timeout,
        })
    }

    /// Nothing is answered any more; only unread messages may keep the peer.
    pub(super) fn discard(&mut self, cx: &mut Context) {
        self.state.move_to_gone();
        let freed = self.sessions.clear();
        cx.release(freed);
        if let Some(offer) = self.outbound.rekey.take_offer() {
            cx.indices.release(offer.index);
        }
        self.paths.clear();
        self.timers = Timers::new();
        if !self.inbox.is_empty() {
            self.timers.set(Timer::Drain, Some(cx.now + self.liveness.idle_timeout));
        }
    }
}

/// In probe timeouts: the `Disconnect` is repeated after 1, 3 and 7 of them.
const DISCONNECT_PATIENCE: u32 = 8;
/// In probe timeouts: for how long packets of a peer are answered that repeats nothing.
const DRAIN: u32 = 3;
