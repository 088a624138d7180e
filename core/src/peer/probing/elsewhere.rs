//! Packets that may show that the peer is elsewhere than it is known to be.

use crate::context::Context;
use crate::net::{Arrival, Via};
use crate::peer::Peer;
use crate::wire::PacketNumber;

impl Peer {
    /// A packet came again. If its first copy made the place that it came from a candidate, this place is
    /// another; if it answered the challenge to this place, the peer is here. Nothing else counts.
    #[cold]
    pub(in crate::peer) fn on_duplicate(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        local_index: u32,
        number: PacketNumber,
        datagram: &mut [u8],
    ) {
        if self.state.is_over() || !self.paths.is_echo(number, &arrival.via, cx.now) {
            return;
        }
        let len = datagram.len();
        let session = self.sessions.by_index(local_index);
        let genuine = session.and_then(|session| session.open(&mut cx.keys, number, datagram));
        if genuine.is_none() {
            return;
        }
        let via = arrival.via;
        if !self.paths.on_echo(number, via, &cx.config, cx.now, &mut cx.rng)
            && self.paths.consider(number, via, len, cx.now, &mut cx.rng)
        {
            self.on_seen_elsewhere(&via);
        }
        self.review(cx);
    }

    #[cold]
    pub(in crate::peer) fn on_seen_elsewhere(&self, via: &Via) {
        let (peer, remote) = (self.acquaintance.id.map(tracing::field::debug), via.remote());
        tracing::debug!(target: "handfast::path", peer, ?remote, "seen elsewhere");
    }

    /// The peer has shown that it is at the far end of `via`.
    #[cold]
    pub(in crate::peer) fn follow(&mut self, cx: &mut Context, via: Via) {
        let spaces = &mut self.acquaintance.spaces;
        self.paths.follow(spaces, via, &cx.config, cx.now, &mut cx.rng);
    }
}
