//! Routes over several hops: what neighbours are told, and which of them leads where.

use super::Endpoint;
use crate::event::Event;
use crate::info::RouteInfo;
use crate::router::Hop;
use crate::{PeerHandle, PeerId};

impl Endpoint {
    /// The routes that are used to all peers that tell of themselves, in the order of their identities. None without
    /// [`Config::routing`](crate::Config::routing).
    pub fn routes(&self) -> impl Iterator<Item = RouteInfo> + '_ {
        let routes = self.shared.router.iter().flat_map(|router| router.routes(self.shared.now));
        routes.filter_map(|hop| self.route_info(hop))
    }

    /// Neighbours are told what the table has for them, and peers that the neighbour that leads to them changed.
    pub(super) fn distribute_routes(&mut self) {
        while let Some((slot, message)) =
            self.shared.router.as_mut().and_then(|it| it.poll_output())
        {
            let Some(peer) = self.peers.at_mut(slot) else { continue };
            if !peer.tell_route(message) {
                self.shared.router.iter_mut().for_each(|router| router.hold(slot, &message));
            }
            self.ready.push(slot);
        }
        while let Some(slot) = self.shared.router.as_mut().and_then(|it| it.poll_ping()) {
            let is_neighbour = self.is_neighbour(slot);
            if let Some(peer) = self.peers.at_mut(slot).filter(|_| is_neighbour) {
                peer.ask_for_life();
                self.ready.push(slot);
            }
        }
        while let Some(destination) = self.shared.router.as_mut().and_then(|it| it.poll_change()) {
            self.on_route_changed(destination);
        }
    }

    fn on_route_changed(&mut self, destination: PeerId) {
        let next = self.shared.router.as_ref().and_then(|router| router.next_hop_id(&destination));
        let next_hop = next.map(tracing::field::display);
        tracing::debug!(target: "handfast::route", %destination, next_hop, "route changed");
        // What a leaf asked for is a hint for its dials, and no table.
        if !self.shared.config.routing.transit.is_empty() {
            self.changed_routes.insert(destination);
        }
        let Some(slot) = self.peers.by_id(&destination) else { return };
        if let Some(peer) = self.peers.at_mut(slot) {
            peer.on_route_changed(&mut self.shared);
        }
        self.refresh_indices(slot);
    }

    /// The next route that changed.
    pub(super) fn poll_route_event(&mut self) -> Option<Event> {
        loop {
            let destination = self.changed_routes.pop_first()?;
            let router = self.shared.router.as_mut()?;
            let Some(hop) = router.report(self.shared.now, &destination) else { continue };
            let route = hop.and_then(|hop| self.route_info(hop));
            return Some(Event::RouteChanged { destination, route });
        }
    }

    fn route_info(&self, hop: Hop) -> Option<RouteInfo> {
        let next_hop = self.peers.id(hop.neighbour)?;
        Some(RouteInfo { destination: hop.destination, next_hop, metric: hop.metric })
    }

    /// Whether packets can be carried to the peer in this slot.
    pub(super) fn is_neighbour(&self, slot: u32) -> bool {
        self.peers.look(slot).is_some_and(|peer| peer.is_neighbour(self.shared.now))
    }

    /// Whether routes are exchanged with the peer in this slot. It may use ours while we take it for silent, and what
    /// it gives us goes on.
    pub(super) fn is_transit(&self, slot: u32) -> bool {
        self.peers.look(slot).is_some_and(|peer| peer.is_transit(&self.shared.config))
    }

    /// The neighbour that leads to a destination, if that is not the one in the slot `from`. Without a route others
    /// are asked for one.
    pub(super) fn routed_hop(&mut self, from: u32, destination: &PeerId) -> Option<PeerHandle> {
        let now = self.shared.now;
        let router = self.shared.router.as_mut()?;
        let Some(next) = router.next_hop(destination) else {
            router.want(now, from, *destination);
            return None;
        };
        self.peers.handle(next).filter(|_| next != from && self.is_neighbour(next))
    }
}
