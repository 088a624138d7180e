//! What follows from the state a peer is in, looked at after each input.
//!
//! Inputs only change state: a frame was acknowledged, a key wore out, time passed. What that amounts
//! to is decided here in one place and one order, so that no input can forget to.

use crate::context::Context;
use crate::peer::Peer;

impl Peer {
    /// Draws the consequences of an input: a `Disconnect` that went through, keys to change, deadlines.
    pub(super) fn review(&mut self, cx: &mut Context) {
        self.review_closing(cx);
        self.review_keys(cx);
        self.review_ways();
        if cx.config.punching.enabled {
            if cx.local.is_untested() {
                self.test_nat_by_itself(cx);
            }
            self.review_punching(cx);
        }
        self.paths.review(cx.now, !self.state.is_over());
    }

    fn review_closing(&mut self, cx: &mut Context) {
        if self.state.is_leaving() && self.outbound.disconnect_acked {
            self.finish_leaving(cx);
        }
        if self.state.is_flushing() && self.outbound.queue.is_flushed() {
            self.leave(cx);
        }
    }

    /// Draws the consequences of packets acknowledged or lost.
    pub(super) fn on_packets_resolved(&mut self) {
        self.events.too_narrow |= self.paths.resolved().take_too_narrow();
        for frame in self.paths.resolved().drain_acked() {
            self.outbound.on_acked(frame);
        }
        for frame in self.paths.resolved().drain_lost() {
            self.outbound.on_lost(frame, &mut self.inbox);
        }
    }
}
