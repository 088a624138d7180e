//! Questions: for a greater pair of a destination, and for a route.

use smallvec::SmallVec;

use super::metric::INFINITE;
use super::record::Starving;
use super::{Message, Router};
use crate::PeerId;
use crate::router::Pair;
use crate::time::Instant;
use core::time::Duration;

impl Router {
    /// No route may be used: the destination is asked for a greater pair, with which any may. Everyone is asked, since
    /// those that told of a route may have lost it as well (RFC 8966 section 3.8.2.1).
    pub(super) fn starve(&mut self, now: Instant, destination: PeerId) {
        let Some(record) = self.records.get_mut(&destination) else { return };
        let tries = record.starving.map_or(0, |starving| starving.tries);
        let alive = record.newest().is_some_and(|newest| now < newest.expires);
        let Some(pair) = record.wanted().filter(|_| alive && tries < MAX_TRIES) else {
            record.starving = Some(Starving { again: Instant::MAX, tries });
            return;
        };
        record.starving = Some(Starving { again: now + RETRY * (1 << tries), tries: tries + 1 });
        // The destination itself may be a neighbour that is told nothing else.
        let told = record.entries.iter().filter(|entry| entry.metric < INFINITE);
        let told: SmallVec<[u32; 4]> = told.map(|entry| entry.neighbour).collect();
        let mut asked = self.transit_but(None);
        let further: SmallVec<[u32; 4]> =
            told.into_iter().filter(|slot| !asked.contains(slot)).collect();
        asked.extend(further);
        let message = Message::SeqnoRequest { destination, pair, hops: MOST_HOPS };
        self.seqno_requests.is_first(now, (destination, pair));
        self.output.extend(asked.into_iter().map(|slot| (slot, message)));
    }

    /// The neighbour of the route in use told something that may not be used: it is asked for better
    /// (RFC 8966 section 3.8.2.2).
    pub(super) fn ask_for_feasible(&mut self, now: Instant, slot: u32, destination: PeerId) {
        let wanted = self.records.get(&destination).and_then(super::Record::wanted);
        if let Some(pair) =
            wanted.filter(|pair| self.seqno_requests.is_first(now, (destination, *pair)))
        {
            let message = Message::SeqnoRequest { destination, pair, hops: MOST_HOPS };
            self.output.push_back((slot, message));
        }
    }

    /// A route by `slot` is distrusted, and others may be infeasible because it claimed to be near: one of these is
    /// asked for a greater pair, with which it may be used.
    pub(super) fn ask_others(&mut self, now: Instant, slot: u32, destination: PeerId) {
        let Some(record) = self.records.get(&destination) else { return };
        let others = record.entries.iter().filter(|entry| {
            entry.neighbour != slot
                && entry.metric < INFINITE
                && !record.is_feasible(entry.pair, entry.metric)
        });
        if let Some(best) = others.min_by_key(|entry| entry.metric) {
            self.ask_for_feasible(now, best.neighbour, destination);
        }
    }

    /// Passes on a request for a greater pair, towards the destination (RFC 8966 section 3.8.1.2).
    pub(super) fn pass_seqno_request(
        &mut self,
        now: Instant,
        from: u32,
        destination: PeerId,
        pair: Pair,
        hops: u8,
    ) {
        let Some(record) = self.records.get(&destination) else { return };
        let selected = record.selected.map(|selected| selected.neighbour);
        let others = || record.entries.iter().filter(|entry| entry.neighbour != from);
        let any = others().filter(|entry| entry.metric < INFINITE).min_by_key(|entry| entry.metric);
        let next =
            selected.filter(|next| *next != from).or_else(|| any.map(|entry| entry.neighbour));
        let Some(next) = next.filter(|_| hops > 1) else { return };
        if self.seqno_requests.is_first(now, (destination, pair)) {
            let message = Message::SeqnoRequest { destination, pair, hops: hops - 1 };
            self.output.push_back((next, message));
        } else {
            self.counters.ignored += 1;
        }
    }

    /// Asks all that routes are exchanged with for a route, but `from`, who asks us.
    pub(super) fn ask_for_route(
        &mut self,
        now: Instant,
        from: Option<u32>,
        destination: PeerId,
        hops: u8,
    ) {
        if let Some(from) = from.filter(|_| self.askers.len() < MAX_ASKERS) {
            self.askers.insert((destination, from), now + ASKER_WAITS);
        }
        if !self.route_requests.is_first(now, destination) {
            self.counters.ignored += 1;
            return;
        }
        self.askers.retain(|_, until| now < *until);
        let message = Message::RouteRequest { destination, hops };
        let asked = self.transit_but(from);
        self.output.extend(asked.into_iter().map(|slot| (slot, message)));
    }

    /// A packet of the neighbour in the slot `from` is for a destination that no route leads to. It counts as a
    /// question of that neighbour: packets for ids that nobody has must not fill the network with questions.
    pub(crate) fn want(&mut self, now: Instant, from: u32, destination: PeerId) {
        let is_new = destination != self.id && !self.route_requests.was_asked(now, &destination);
        if is_new && self.may_ask(now, from) {
            self.ask_for_route(now, None, destination, MOST_HOPS);
        }
    }

    /// Whether a neighbour may ask us for something now.
    pub(super) fn may_ask(&mut self, now: Instant, slot: u32) -> bool {
        let neighbour = self.neighbours.get_mut(&slot);
        let may = neighbour.is_some_and(|neighbour| neighbour.ledger.may_ask(now));
        self.counters.ignored += u64::from(!may);
        may
    }

    fn transit_but(&self, from: Option<u32>) -> SmallVec<[u32; 8]> {
        let transit = self.neighbours.iter().filter(|(_, neighbour)| neighbour.link.transit);
        transit.map(|(slot, _)| *slot).filter(|slot| Some(*slot) != from).collect()
    }
}

/// How far a question goes.
pub(super) const MOST_HOPS: u8 = 16;
/// From one question to the next, doubled each time, and how many there are.
const RETRY: Duration = Duration::from_secs(1);
const MAX_TRIES: u8 = 7;
const MAX_ASKERS: usize = 1024;
const ASKER_WAITS: Duration = Duration::from_secs(5);
