//! What a peer is to the table of routes, and what it says to it.

use alloc::boxed::Box;
use core::time::Duration;

use crate::context::Context;
use crate::net::Route;
use crate::path::Path;
use crate::peer::Peer;
use crate::peer::carry::LastDirect;
use crate::router::{Link, Message};
use crate::wire::Frame;

impl Peer {
    /// The table learns that the peer became a neighbour, is none any more, or costs something else.
    pub(crate) fn review_link(&mut self, cx: &mut Context) {
        let link = self.link(cx);
        self.seek_direct(cx);
        let (slot, now) = (self.acquaintance.handle.slot, cx.now);
        let Some(router) = &mut cx.router else { return };
        let rtt = self.paths.carrier(now).and_then(|path: &Path<_>| path.stats().rtt);
        match (router.link(now, slot), link) {
            (Some((was, is_measured)), Some(link)) if was == link => {
                if !is_measured {
                    let lost =
                        self.stats.packets_lost.saturating_sub(self.stats.packets_spuriously_lost);
                    router.on_measured(now, slot, rtt, (self.stats.datagrams_sent, lost));
                }
            }
            (_, Some(link)) => router.on_up(now, slot, link, rtt),
            (Some(_), None) => router.on_down(now, slot),
            (None, None) => {}
        }
        if self.outbound.routes.has_room() {
            router.go_on(now, slot);
        }
    }

    /// What lies beyond the peer waits for a direct way to it: it is looked for where it was last, though the peer is reached by
    /// way of another.
    fn seek_direct(&mut self, cx: &mut Context) {
        if !self.carrying.routes || !cx.config.routing.is_on() {
            return;
        }
        if let Some(path) = self.paths.carrier(cx.now) {
            let via = path.via();
            if self.carrying.direct.as_ref().is_none_or(|it| !it.via.is_same_remote(&via)) {
                self.carrying.direct = Some(Box::new(LastDirect { via, again: cx.now }));
            }
            return;
        }
        let pause = if self.is_transit(&cx.config) { AGAIN } else { AGAIN_OF_LEAF };
        if !self.state.is_up() || self.paths.hasten_direct(cx.now, pause) {
            return;
        }
        let Some(last) = self.carrying.direct.as_mut().filter(|it| cx.now >= it.again) else {
            return;
        };
        last.again = cx.now + pause;
        let (via, spaces) = (last.via, &mut self.acquaintance.spaces);
        self.paths.try_way(spaces, via, &cx.config, cx.now, &mut cx.rng);
    }

    /// What the peer is as a neighbour: connected directly and both ways, and one of us knows routes.
    fn link(&self, cx: &Context) -> Option<Link> {
        let (id, routing) = (self.acquaintance.id?, &cx.config.routing);
        let (listens, transit) = (self.carrying.routes, self.is_transit(&cx.config));
        // A peer for which nothing is passed on has no need of being found.
        let may_tell = !routing.transit.is_empty() && cx.config.forwarding.policy.admits(&id);
        let concerns = transit || listens || may_tell;
        let incarnation = self.acquaintance.remote_incarnation()?;
        let link = Link { id, transit, listens, incarnation };
        (concerns && self.is_neighbour(cx.now)).then_some(link)
    }

    /// A frame about routes. Without a table it says nothing to us, and the table hears neighbours alone. By which path
    /// it came does not matter: data may take another than what is carried.
    pub(in crate::peer) fn on_route_frame(&self, cx: &mut Context, frame: &Frame<'_>) {
        let Some(router) = &mut cx.router else { return };
        if let Some(message) = Message::from_frame(frame) {
            router.on_message(cx.now, self.acquaintance.handle.slot, &message, &cx.identity);
            let counters = router.counters();
            cx.stats.route_messages_refused = counters.refused + counters.ignored;
            cx.stats.route_signatures_checked = counters.checked;
        }
    }

    /// The neighbour that leads to the peer is another one than before.
    pub(crate) fn on_route_changed(&mut self, cx: &mut Context) {
        let (Some(remote), Some(router)) = (self.acquaintance.id, &cx.router) else { return };
        let present = self.paths.route().and_then(|via| via.route());
        if self.state.is_connecting() {
            if router.way(cx.now, &remote).is_some_and(|next| next != remote) {
                self.on_route_for_dial(cx);
            }
            return;
        }
        let Some(present) = present else { return };
        let next = router.better_way(cx.now, &remote, &present.neighbour);
        let Some(next) = next.filter(|next| *next != remote) else { return };
        if self.state.is_up() && cx.relays.contains(&next) {
            self.try_route(cx, Route::new(next, remote));
            self.review(cx);
        }
    }

    /// The peer is to show that it is there, directly: also if data goes by way of another.
    pub(crate) fn ask_for_life(&mut self) {
        self.outbound.queue_ping();
        self.paths.ask_direct();
    }

    /// The peer is told about a route, or asked for one. `false` if too much waits for it already.
    pub(crate) fn tell_route(&mut self, message: Message) -> bool {
        self.outbound.routes.push(message)
    }
}

/// How often who knows routes is asked whether it is reached directly again: by one of its transit, and by a leaf.
const AGAIN: Duration = Duration::from_secs(5);
const AGAIN_OF_LEAF: Duration = Duration::from_secs(30);
