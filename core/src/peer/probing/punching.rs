//! The search for a direct way to a peer that a neighbour's packets reach.

use alloc::boxed::Box;
use core::net::SocketAddr;

use crate::context::Context;
use crate::net::{Arrival, Departure, SocketId, Via};
use crate::peer::Peer;
use crate::peer::timers::Timer;
use crate::punch::{Action, FreshPort, FreshStep, Nat, Order, PathReason, Puncher, Verdict};
use crate::wire::{CandidatesFrame, Frame, PROBE_FRAMES_LEN};

/// What opens a NAT: no packet of this protocol.
const OPENER: u8 = 0xff;

/// What became of the fresh socket of a search.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FreshNews {
    /// The driver is asked for this one; `None`: there are too many.
    Requested(Option<SocketId>),
    Opened(SocketId),
    Closed(SocketId),
    /// A neighbour sees it there.
    Seen(SocketId, SocketAddr),
}

impl Peer {
    /// Whether packets to it go by way of a neighbour.
    fn is_routed(&self) -> bool {
        self.paths.via().is_some_and(|via| via.route().is_some())
    }

    /// Begins, goes on with or ends the search, and sets its deadline.
    pub(in crate::peer) fn review_punching(&mut self, cx: &mut Context) {
        // Data may leave a direct way for a while, and comes back to it by itself: as long as the peer is asked there, or
        // answers, looking for another would find the same, and wear out what the search may send.
        let is_missed = self.is_routed() && self.paths.direct_socket().is_none();
        let wanted = self.state.is_live() && is_missed && self.is_used(cx);
        if self.puncher.is_none() && !wanted {
            return;
        }
        let before = self.puncher.as_ref().map(|puncher| puncher.is_trying());
        let slot = self.acquaintance.handle.slot;
        let puncher = self.puncher.get_or_insert_with(|| Box::new(Puncher::new(cx.now)));
        if wanted && puncher.found().is_some() && !puncher.is_trying() {
            // The direct way was lost.
            puncher.restart(cx.now);
        }
        puncher.review(cx.now, &cx.local, wanted);
        let in_use = self.paths.direct_socket();
        while let Some(step) = puncher.fresh_step(in_use, cx.now) {
            match step {
                FreshStep::Open if cx.config.punching.fresh_ports => {
                    cx.local.order(Order::Open(slot));
                }
                FreshStep::Open => puncher.on_fresh_requested(None),
                FreshStep::Ask(socket) => cx.local.order(Order::Ask(socket)),
                FreshStep::Close(socket) => cx.local.order(Order::Close(socket)),
            }
        }
        if let Some(round) = puncher.take_tells() {
            if before != Some(true) {
                // A NAT may have given us another address since we were last told.
                cx.local.ask();
            }
            let told = cx.local.told(&cx.config.punching, puncher.fresh_address());
            puncher.on_told(self.outbound.addresses.tell(round, told));
        }
        if let Some(opened) = puncher.take_opened() {
            self.outbound.addresses.tell_opened(opened);
        }
        if before == Some(true) && !puncher.is_trying() {
            puncher.jitter(&mut cx.rng, cx.now);
        }
        if before != Some(puncher.is_trying()) {
            self.events.verdict = !self.state.is_over();
        }
        let active = self.state.is_live() && (puncher.is_trying() || wanted);
        let deadline = puncher.deadline(cx.now).filter(|_| active);
        let of_test = self.nat_testing.deadline();
        self.timers.set(Timer::Probing, deadline.into_iter().chain(of_test).min());
    }

    /// The next packet of the search.
    pub(super) fn punch(&mut self, cx: &mut Context, buf: &mut [u8]) -> Option<Departure> {
        let puncher = self.puncher.as_mut().filter(|_| self.state.is_live())?;
        match puncher.poll(cx.now, &mut cx.probe_budgets, &mut cx.rng)? {
            Action::Open { way, hop_limit } => {
                *buf.first_mut()? = OPENER;
                let departure = Departure::single(Via::Direct(way), 1);
                Some(Departure { hop_limit: Some(hop_limit), ..departure })
            }
            Action::Probe { way, token } => {
                let challenge = Frame::PathChallenge { token };
                let padding = Frame::Padding(PROBE_FRAMES_LEN - challenge.encoded_len());
                self.seal_probe(cx, &[challenge, padding], Via::Direct(way), buf)
            }
        }
    }

    /// The peer told its addresses.
    pub(in crate::peer) fn on_candidates(&mut self, cx: &Context, frame: &CandidatesFrame<'_>) {
        if !cx.config.punching.enabled || !self.state.is_live() {
            return;
        }
        let join = self.is_used(cx);
        let puncher = self.puncher.get_or_insert_with(|| Box::new(Puncher::new(cx.now)));
        puncher.on_candidates(frame, join, cx.now);
    }

    pub(in crate::peer) fn on_opened(&mut self, round: u64, list: u64) {
        self.puncher.iter_mut().for_each(|puncher| puncher.on_opened(round, list));
    }

    /// Something became of the socket that the search asked for.
    pub(crate) fn on_fresh(&mut self, cx: &mut Context, news: FreshNews) {
        let Some(puncher) = &mut self.puncher else { return };
        match news {
            FreshNews::Requested(socket) => puncher.on_fresh_requested(socket),
            FreshNews::Opened(socket) => puncher.on_fresh_opened(socket, cx.now),
            FreshNews::Closed(socket) => puncher.on_fresh_closed(socket),
            FreshNews::Seen(socket, address) => puncher.on_fresh_seen(socket, address),
        }
        self.events.verdict = !self.state.is_over();
        self.review_punching(cx);
    }

    /// A probe of the peer came by `via`.
    pub(super) fn on_probed(&mut self, cx: &Context, via: Via) {
        if let (Some(puncher), Via::Direct(way)) = (&mut self.puncher, via) {
            puncher.on_challenge(way, &cx.local, cx.now);
        }
    }

    /// The responder of our handshake says where it saw our request come from.
    pub(in crate::peer) fn note_observed_in_handshake(
        &self,
        cx: &mut Context,
        arrival: &Arrival,
        address: SocketAddr,
    ) {
        if let (Some(id), Via::Direct(way)) = (self.acquaintance.id, arrival.via) {
            cx.local.note_observed(id, way.socket, address);
        }
    }

    /// Our own addresses are others: what was tried before says nothing any more.
    pub(crate) fn punch_anew(&mut self, cx: &mut Context) {
        if let Some(puncher) = self.puncher.as_mut().filter(|_| self.state.is_live()) {
            puncher.restart(cx.now);
            self.review_punching(cx);
        }
    }

    /// Why the peer is reached as it is.
    pub(in crate::peer) fn verdict(&self, cx: &Context) -> Verdict {
        let ours = cx.local.nat();
        let puncher = self.puncher.as_ref();
        let (rounds, packets, next_retry) = puncher.map_or((0, 0, None), |puncher| puncher.tried());
        let reason = match (self.paths.via(), puncher) {
            (None, _) => PathReason::Connecting,
            (Some(Via::Direct(_)), puncher) => puncher
                .and_then(|puncher| puncher.found())
                .map_or(PathReason::Direct, |after| PathReason::Punched { after }),
            (Some(Via::Routed(_)), _) if !cx.config.punching.enabled => PathReason::Off,
            (Some(Via::Routed(_)), None) => PathReason::NotUsed,
            (Some(Via::Routed(_)), Some(puncher)) => puncher.reason(ours),
        };
        let peer_nat = puncher.map_or(Nat::Unknown, |puncher| puncher.peer_nat());
        let order_sensitive = cx.local.order_sensitive();
        let peer_order_sensitive = puncher.and_then(|puncher| puncher.is_peer_order_sensitive());
        let path = self.paths.via();
        let fresh_port = puncher.map_or(FreshPort::NotTried, |puncher| puncher.fresh_port());
        Verdict {
            path,
            reason,
            rounds,
            packets,
            our_nat: ours,
            order_sensitive,
            peer_nat,
            peer_order_sensitive,
            fresh_port,
            next_retry,
        }
    }
}
