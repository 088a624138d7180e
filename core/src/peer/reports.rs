//! What is reported about ways to the peer: one was proved, or a neighbour does not pass packets on.

use core::time::Duration;

use crate::PeerId;
use crate::context::Context;
use crate::event::ForwardRefusal;
use crate::net::Via;
use crate::peer::Peer;

impl Peer {
    /// A pair of addresses was proved to lead to the peer and back, in `rtt` if that is known: it becomes the
    /// direct path, and data takes it.
    pub(crate) fn adopt_direct(&mut self, cx: &mut Context, via: Via, rtt: Option<Duration>) {
        let spaces = &mut self.acquaintance.spaces;
        self.paths.adopt_direct(spaces, (via, rtt), &cx.config, cx.now, &mut cx.rng);
    }

    /// A neighbour says that what we send to the peer is not passed on: by itself, or farther away. What goes wrong
    /// there may pass, as when routes change, so that alone is no reason to leave the way.
    pub(crate) fn on_forward_refused(
        &mut self,
        cx: &mut Context,
        neighbour: PeerId,
        refusal: ForwardRefusal,
        is_far: bool,
    ) {
        if let Some(dial) = &mut self.dialing.dial {
            dial.on_forward_refused(neighbour, refusal);
        }
        if refusal == ForwardRefusal::RateLimited || is_far {
            return;
        }
        if let (Some(router), Some(remote)) = (&mut cx.router, &self.acquaintance.id) {
            router.on_refused(&neighbour, remote);
        }
        let is_cut_off = self.paths.on_refused(neighbour, cx.now, &mut self.stats);
        self.on_packets_resolved();
        if is_cut_off && self.state.is_live() {
            self.on_unresponsive(cx);
        }
        self.review(cx);
    }
}
