//! Packets inside of packets of a session: those that the peer carries for us or for others, and those
//! that we carry for it.

mod inward;
mod outward;
mod routes;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use crate::PeerId;
use crate::config::Config;
use crate::event::ForwardRefusal;
use crate::net::Via;
use crate::pack::{pack, pack_never};
use crate::path::Path;
use crate::peer::Peer;
use crate::peer::outbound::SentFrame;
use crate::time::Instant;

/// What a peer and we do for each other as neighbours.
#[derive(Debug, Default)]
pub(super) struct Carrying {
    /// It said that it passes packets on.
    pub(super) forwards: bool,
    /// It said that it knows routes.
    pub(super) routes: bool,
    /// Where it was last reached directly, if routes are told between us.
    direct: Option<Box<LastDirect>>,
    /// It stands in the list of those that do.
    is_listed: bool,
    /// Packets of ours that it did not pass on, as it said.
    refused: Vec<ForwardRefused>,
}

pack!(Carrying: forwards, routes, direct, is_listed, refused);

/// Where a peer was last reached directly.
#[derive(Debug)]
struct LastDirect {
    via: Via,
    /// Not looked for there before.
    again: Instant,
}

pack!(LastDirect: via, again);

/// A packet that came inside of a packet of a peer.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    pub(crate) hop_limit: u8,
    /// Its ECN codepoint.
    pub(crate) ecn: u8,
    pub(crate) source: [u8; 32],
    pub(crate) destination: [u8; 32],
    /// Where it lies in the datagram.
    pub(crate) packet: Range<usize>,
}

/// A packet was not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForwardRefused {
    /// Who made the packet, and how often that may still be passed on to there; `None` if it is who is told.
    pub(crate) source: Option<(PeerId, u8)>,
    /// Whom the packet was for.
    pub(crate) destination: PeerId,
    pub(crate) reason: ForwardRefusal,
}

pack_never!(ForwardRefused);

/// More than are told in a second to an honest neighbour that uses few routes.
const MAX_REFUSED: usize = 16;

impl Peer {
    /// Whether it passes packets of ours on: a neighbour, directly connected and answering.
    pub(super) fn is_relay(&self, now: Instant) -> bool {
        self.carrying.forwards && self.is_neighbour(now)
    }

    /// Whether packets can be carried to it: it answers, and there is a direct way to it that leads both ways. What
    /// data takes at the time does not matter.
    pub(crate) fn is_neighbour(&self, now: Instant) -> bool {
        self.carrier(now).is_some()
    }

    /// The path that takes packets that are carried to it.
    fn carrier(&self, now: Instant) -> Option<&Path<SentFrame>> {
        let answers = self.state.is_up() && !self.state.is_unresponsive();
        self.paths.carrier(now).filter(|_| answers)
    }

    /// Whether routes are exchanged with it: we name it, and it knows routes.
    pub(crate) fn is_transit(&self, config: &Config) -> bool {
        self.carrying.routes
            && self.acquaintance.id.is_some_and(|id| config.routing.transit.contains(&id))
    }

    /// Whether there is news of whether it passes packets on.
    pub(super) fn has_relay_change(&self, now: Instant) -> bool {
        self.carrying.is_listed != self.is_relay(now)
    }

    /// Whether it passes packets on, if that is news.
    pub(crate) fn take_relay_change(&mut self, now: Instant) -> Option<bool> {
        let is_relay = self.is_relay(now);
        let was = core::mem::replace(&mut self.carrying.is_listed, is_relay);
        (was != is_relay).then_some(is_relay)
    }

    /// The neighbour said that a packet did not pass: one of ours, or of the source that it names.
    pub(super) fn note_forward_refused(
        &mut self,
        source: Option<(&[u8; 32], u8)>,
        destination: [u8; 32],
        reason: u8,
    ) {
        let reason = ForwardRefusal::from_u8(reason);
        if let Some(reason) = reason.filter(|_| self.carrying.refused.len() < MAX_REFUSED) {
            let destination = PeerId::claimed(destination);
            let source = source.map(|(source, hops)| (PeerId::claimed(*source), hops));
            self.carrying.refused.push(ForwardRefused { source, destination, reason });
        }
    }

    /// What the neighbour said about packets that did not pass.
    pub(crate) fn take_refused(&mut self) -> Vec<ForwardRefused> {
        core::mem::take(&mut self.carrying.refused)
    }

    /// Whether the neighbour said something of that kind.
    pub(crate) const fn has_refused(&self) -> bool {
        !self.carrying.refused.is_empty()
    }
}
