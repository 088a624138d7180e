//! Neighbours that come, go and change.

use core::time::Duration;

use super::metric::{is_news, link_cost, longest_rtt};
use super::neighbour::Neighbour;
use super::{Hop, Link, Message, Router};
use crate::PeerId;
use crate::time::Instant;

impl Router {
    /// A neighbour is there, directly and both ways. It hears what there is to hear. If it is back, it may not know
    /// that we took it for gone: it hears of routes that ended meanwhile as well, and is asked for all that it told.
    pub(crate) fn on_up(&mut self, now: Instant, slot: u32, link: Link, rtt: Option<Duration>) {
        self.on_down(now, slot);
        let mut ledger = self.absent.remove(&slot).unwrap_or_default();
        let is_told = ledger.resume(link.incarnation);
        if ledger.take_missed() {
            self.output.push_back((slot, Message::TableRequest));
        }
        self.neighbours.insert(slot, Neighbour::new(link, link_cost(rtt, 0), ledger, now));
        if link.transit && self.hello_at.is_none() {
            self.hello_at = Some(now + HELLO);
        }
        self.tell_table(now, slot, is_told);
        self.finish(now);
    }

    /// A neighbour is none for now, or others carry its packets: nothing goes by way of it.
    pub(crate) fn on_down(&mut self, now: Instant, slot: u32) {
        if let Some(mut neighbour) = self.neighbours.remove(&slot) {
            neighbour.ledger.rest();
            self.absent.insert(slot, neighbour.ledger);
            self.askers.retain(|(_, asker), _| *asker != slot);
            self.wanted.forget_neighbour(slot);
            self.reselect_all_by(now, slot, true);
            self.finish(now);
        }
    }

    /// A neighbour is gone for good, and its slot is another's.
    pub(crate) fn on_gone(&mut self, now: Instant, slot: u32) {
        self.on_down(now, slot);
        self.absent.remove(&slot);
    }

    /// What was measured with a neighbour: the round trip, and how many packets were sent to it and lost so far.
    pub(crate) fn on_measured(
        &mut self,
        now: Instant,
        slot: u32,
        rtt: Option<Duration>,
        packets: (u64, u64),
    ) {
        let Some(neighbour) = self.neighbours.get_mut(&slot) else { return };
        let cost = link_cost(rtt, neighbour.loss(now, packets));
        if is_news(cost, neighbour.cost) {
            neighbour.cost = cost;
            self.changes.extend(self.wanted.answered_by(slot));
            self.reselect_all_by(now, slot, false);
            self.finish(now);
        }
    }

    /// What a neighbour is, and whether it was measured just now; `None` if it is none.
    pub(crate) fn link(&self, now: Instant, slot: u32) -> Option<(Link, bool)> {
        let neighbour = self.neighbours.get(&slot)?;
        Some((neighbour.link, now < neighbour.measured_at + MEASURED))
    }

    /// The neighbour that leads to a destination.
    pub(crate) fn next_hop(&self, destination: &PeerId) -> Option<u32> {
        Some(self.records.get(destination)?.selected?.neighbour)
    }

    /// Its identity.
    pub(crate) fn next_hop_id(&self, destination: &PeerId) -> Option<PeerId> {
        Some(self.neighbours.get(&self.next_hop(destination)?)?.link.id)
    }

    /// All routes that are used.
    pub(crate) fn routes(&self, now: Instant) -> impl Iterator<Item = Hop> + '_ {
        self.records.keys().filter_map(move |destination| self.route_to(now, destination))
    }

    /// The route to one destination.
    pub(super) fn route_to(&self, now: Instant, destination: &PeerId) -> Option<Hop> {
        let record = self.records.get(destination)?;
        let entry = record.entry(record.selected?.neighbour)?;
        let cost = self.neighbours.get(&entry.neighbour)?.cost;
        let metric = record.total(now, entry, cost, self.is_strict)?;
        Some(Hop { destination: *destination, neighbour: entry.neighbour, metric })
    }

    /// The longest round trip that goes with the metric of the route to a destination; `None` if that does not tell, or if
    /// another was left lately: the peer may answer by that one for a while, and so each answer comes late.
    pub(crate) fn claimed_rtt(&self, now: Instant, destination: &PeerId) -> Option<Duration> {
        let Hop { neighbour, metric, .. } = self.route_to(now, destination)?;
        let left_another = self.records.get(destination)?.distrusted_lately(now, neighbour);
        longest_rtt(metric).filter(|_| !left_another)
    }
}

/// How often those that routes are exchanged with are asked for a sign of life, about.
pub(super) const HELLO: Duration = Duration::from_secs(5);
/// How often links are measured.
const MEASURED: Duration = Duration::from_secs(1);
