//! Ways to the peer beside each other: changes are told, and one by way of a neighbour is opened early.

use core::time::Duration;

use crate::context::Context;
use crate::net::{Route, Via};
use crate::pack::pack;
use crate::peer::Peer;
use crate::time::Instant;

/// When we may look for a way through a neighbour by ourselves.
#[derive(Debug, Default)]
pub(super) struct RouteSearch {
    /// Not before.
    after: Option<Instant>,
    /// Neighbours tried in vain, one after the other.
    tries: u8,
    /// When the route is judged again, and how often in a row it was late.
    judged_after: Option<Instant>,
    late: u8,
    /// When a nearer neighbour is asked for.
    nearer_after: Option<Instant>,
}

pack!(RouteSearch: after, tries, judged_after, late, nearer_after);

impl Peer {
    /// Draws the consequences of paths that change: data takes another, or what is under way on one is to be
    /// sent on the other as well.
    #[inline]
    pub(super) fn review_ways(&mut self) {
        if self.paths.take_news() {
            self.tell_of_ways();
        }
    }

    #[cold]
    fn tell_of_ways(&mut self) {
        if let Some(via) = self.paths.take_move() {
            self.on_moved(via);
        }
        if self.paths.take_switch() && self.state.is_live() {
            // The other end may not know yet that this path leads to us.
            self.outbound.queue_ping();
        }
        for frame in self.paths.resolved().drain_doubtful() {
            self.outbound.doubt(frame, &mut self.inbox);
        }
    }

    /// Data takes another way.
    fn on_moved(&mut self, via: Via) {
        if self.state.is_over() {
            return;
        }
        self.events.moved = true;
        self.stats.roams += 1;
        let peer = self.acquaintance.id.map(tracing::field::debug);
        tracing::debug!(target: "handfast::path", peer, %via, "moved");
    }

    /// While the peer is reached directly, a way through a neighbour is kept beside: one neighbour is asked
    /// at a time, and ever more rarely while none has the peer.
    pub(super) fn keep_route(&mut self, cx: &mut Context) {
        if cx.relays.is_empty() || !self.state.is_up() || self.paths.direct().is_none() {
            return;
        }
        if self.paths.route().is_some() {
            self.search = RouteSearch::default();
            return;
        }
        if self.search.after.is_some_and(|after| cx.now < after) {
            return;
        }
        let Some(remote) = self.acquaintance.id else { return };
        let neighbours = cx.relays_toward(remote);
        let turn = usize::from(self.search.tries) % neighbours.len().max(1);
        let pause = FIRST_PAUSE * (1 << self.search.tries.min(LONGEST_PAUSE));
        self.search.after = Some(cx.now + pause);
        self.search.tries = self.search.tries.saturating_add(1);
        if let Some(neighbour) = neighbours.get(turn) {
            self.try_route(cx, Route::new(*neighbour, remote));
        }
    }

    /// The peer does not answer: it is looked for by way of the neighbours, without a handshake.
    pub(super) fn seek_route(&mut self, cx: &mut Context) {
        let Some(remote) = self.acquaintance.id.filter(|_| !cx.relays.is_empty()) else { return };
        if !self.state.is_live() || !self.paths.is_in_distress() || self.paths.route().is_some() {
            return;
        }
        for neighbour in cx.relays_toward(remote) {
            self.try_route(cx, Route::new(neighbour, remote));
        }
    }

    /// Whether answers of a peer that a neighbour's packets reach come far later than the neighbour's metric allows,
    /// for some seconds: then another route is preferred for a while.
    pub(crate) fn judge_route(&mut self, cx: &mut Context) {
        if self.search.judged_after.is_some_and(|after| cx.now < after) {
            return;
        }
        self.search.judged_after = Some(cx.now + JUDGED);
        self.seek_nearer(cx);
        let late = if self.is_late(cx) { self.search.late + 1 } else { 0 };
        self.search.late = late % LATE_IN_A_ROW;
        if late == LATE_IN_A_ROW {
            self.distrust_route(cx);
        }
    }

    /// The neighbour that leads to the peer was the nearest when it was found; now and then the others are asked.
    fn seek_nearer(&mut self, cx: &mut Context) {
        let route = self.paths.via().and_then(|via| via.route()).filter(|_| self.state.is_up());
        let Some(route) = route else {
            self.search.nearer_after = None;
            return;
        };
        let due = *self.search.nearer_after.get_or_insert(cx.now + NEARER);
        if cx.now < due {
            return;
        }
        self.search.nearer_after = Some(cx.now + NEARER);
        if let Some(router) = &mut cx.router {
            router.seek_nearer(cx.now, route.remote);
        }
    }

    /// Whether a packet came by a neighbour that leads less well to the peer than the one that our packets take, as we
    /// know: each direction goes its own way, and the other end's choice is none for us.
    pub(super) fn knows_better(&self, cx: &Context, via: &Via) -> bool {
        let (Some(came), Some(router)) = (via.route(), &cx.router) else { return false };
        let Some(taken) = self.paths.route().and_then(|via| via.route()) else { return false };
        taken.neighbour != came.neighbour
            && router.better_way(cx.now, &came.remote, &came.neighbour) == Some(taken.neighbour)
    }

    fn is_late(&self, cx: &Context) -> bool {
        let Some(route) = self.paths.via().and_then(|via| via.route()) else { return false };
        let router = cx.router.as_ref();
        let router = router.filter(|it| it.next_hop_id(&route.remote) == Some(route.neighbour));
        let claimed = router.and_then(|router| router.claimed_rtt(cx.now, &route.remote));
        let measured = self.paths.primary().and_then(|path| path.stats().rtt);
        claimed.zip(measured).is_some_and(|(claimed, rtt)| rtt > claimed * 2 + LATE)
    }

    /// A route does not do what the neighbour said: another is preferred for a while.
    pub(super) fn distrust_route(&self, cx: &mut Context) {
        let Some(route) = self.paths.via().and_then(|via| via.route()) else { return };
        if let Some(router) = &mut cx.router {
            router.distrust_neighbour(cx.now, &route.neighbour, &route.remote);
        }
    }

    pub(super) fn try_route(&mut self, cx: &mut Context, route: Route) {
        let spaces = &mut self.acquaintance.spaces;
        self.paths.try_way(spaces, Via::Routed(route), &cx.config, cx.now, &mut cx.rng);
    }
}

/// Between two neighbours that are asked for a way; doubled each time, up to about an hour.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: u8 = 6;
/// What queues and processors may add to a round trip.
const LATE: Duration = Duration::from_millis(100);
/// How often who keeps no routes asks whether another neighbour is nearer to the peer: after the longest pause between
/// two questions, and before what was answered to the last one is void.
const NEARER: Duration = Duration::from_secs(35);
/// How often a route is judged, and how often in a row answers must come late: a queue may pass.
const JUDGED: Duration = Duration::from_secs(1);
const LATE_IN_A_ROW: u8 = 3;
