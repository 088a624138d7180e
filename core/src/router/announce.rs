//! What neighbours are told, and when.

use core::time::Duration;

use super::metric::{INFINITE, sum};
use super::neighbour::Neighbour;
use super::record::{Record, Told, Version};
use super::{Message, Router, Update};
use crate::PeerId;
use crate::time::Instant;

impl Router {
    /// All that routes are exchanged with are told about this destination, at once or soon. Of ourselves hears
    /// everyone who listens.
    pub(super) fn tell_all(&mut self, now: Instant, destination: PeerId, at_once: bool) {
        let own = destination == self.id;
        let concerned =
            |neighbour: &&mut Neighbour| neighbour.link.transit || (own && neighbour.link.listens);
        for neighbour in self.neighbours.values_mut().filter(concerned) {
            let list = if at_once { &mut neighbour.urgent } else { &mut neighbour.due };
            list.insert(destination);
        }
        self.has_urgent |= at_once;
        if !at_once {
            self.flush_soon(now);
        }
    }

    /// One neighbour is told about this destination at once.
    pub(super) fn tell(&mut self, slot: u32, destination: PeerId) {
        if let Some(neighbour) = self.neighbours.get_mut(&slot) {
            neighbour.urgent.insert(destination);
            self.has_urgent = true;
        }
    }

    /// A neighbour is told of all routes, if they are exchanged with it, and of ourselves. With `ended` it is told of
    /// those that there are no more as well.
    pub(super) fn tell_table(&mut self, now: Instant, slot: u32, ended: bool) {
        let Some(neighbour) = self.neighbours.get_mut(&slot) else { return };
        let link = neighbour.link;
        if link.transit {
            let told = self.records.iter().filter(|(_, it)| ended || it.selected.is_some());
            neighbour.due.extend(told.map(|(destination, _)| *destination));
        }
        if self.origin.is_some() && (link.transit || link.listens) {
            self.tell(slot, self.id);
        }
        self.flush_soon(now);
    }

    /// What changes at one time is told together.
    pub(super) fn flush_soon(&mut self, now: Instant) {
        if self.flush_at.is_none() {
            let jitter = u64::from(self.draw()) % COALESCED_JITTER;
            self.flush_at = Some(now + COALESCED + Duration::from_micros(jitter));
        }
    }

    /// Tells what is urgent, and with `all` the rest as well: to each neighbour as much as it is to hear at a time.
    pub(super) fn flush(&mut self, now: Instant, all: bool) {
        self.has_urgent = false;
        let mut is_left = false;
        let slots: smallvec::SmallVec<[u32; 8]> = self
            .neighbours
            .iter()
            .filter(|(_, it)| !it.is_held && (!it.urgent.is_empty() || (all && !it.due.is_empty())))
            .map(|(slot, _)| *slot)
            .collect();
        for slot in slots {
            for n in 0..=BURST {
                let Some(neighbour) = self.neighbours.get_mut(&slot) else { break };
                is_left |= n == BURST;
                let destination = match neighbour.urgent.pop_first() {
                    None if all => neighbour.due.pop_first(),
                    urgent => urgent,
                };
                let Some(destination) = destination else { break };
                neighbour.due.remove(&destination);
                let message = self.statement(now, slot, destination);
                self.output.extend(message.map(|message| (slot, message)));
            }
        }
        if is_left {
            self.flush_at = Some(now + PACE);
        }
    }

    /// A message for a neighbour found no room: too much waits for it already. What it is about is told when there is
    /// room, as it is by then. Nobody would ask for a statement that was lost here, nor repeat the question for all; who
    /// asks anything else asks again.
    pub(crate) fn hold(&mut self, slot: u32, message: &Message) {
        let Some(neighbour) = self.neighbours.get_mut(&slot) else { return };
        match (message, message.stated()) {
            (_, Some(destination)) => {
                neighbour.due.insert(*destination);
            }
            (Message::TableRequest, None) => neighbour.ledger.miss(),
            _ => return,
        }
        neighbour.is_held = true;
    }

    /// There is room again for what a neighbour is to hear.
    pub(crate) fn go_on(&mut self, now: Instant, slot: u32) {
        let Some(neighbour) = self.neighbours.get_mut(&slot).filter(|it| it.is_held) else {
            return;
        };
        neighbour.is_held = false;
        if neighbour.ledger.take_missed() {
            self.output.push_back((slot, Message::TableRequest));
        }
        self.flush_soon(now);
    }

    /// What a neighbour is told about a destination now; `None` if nothing.
    fn statement(&mut self, now: Instant, slot: u32, destination: PeerId) -> Option<Message> {
        let own = self.origin.as_ref().filter(|_| destination == self.id);
        if let Some(own) = own {
            let (claim, signature) = (own.claim, own.signature);
            let serial = self.neighbours.get_mut(&slot)?.ledger.next_serial();
            let remaining = claim.life;
            return Some(Message::Update(Update {
                claim,
                signature,
                serial,
                remaining,
                metric: 0,
            }));
        }
        let record = self.records.get_mut(&destination)?;
        let cost = |slot| self.neighbours.get(&slot).map_or(INFINITE, |neighbour| neighbour.cost);
        // Split horizon (RFC 8966 section 3.7.4): a link leads to one neighbour.
        if record.selected.is_some_and(|selected| selected.neighbour == slot) {
            return None;
        }
        let route = route(now, record, cost, self.is_strict);
        if let Some(route) = &route {
            // Before it is told (RFC 8966 section 3.7.3).
            record.lower_distance(route.claim.pair, route.metric);
            // What one neighbour hears that asked is no news to the others: `reselect` says what they hear.
            let (pair, metric) = (route.claim.pair, route.metric);
            record.told.get_or_insert(Told { pair, metric, at: now });
        }
        let serial = self.neighbours.get_mut(&slot)?.ledger.next_serial();
        Some(match route {
            Some(route) => Message::Update(Update { serial, ..route }),
            None => Message::Retraction { destination, serial },
        })
    }

    /// A neighbour told of an older claim than is known here: it hears the newest, without a route. So an owner that
    /// forgot what it said learns of it.
    pub(super) fn tell_claim(&mut self, now: Instant, slot: u32, destination: PeerId) {
        let newest = self.records.get(&destination).and_then(Record::newest).copied();
        let (Some(newest), Some(neighbour)) = (newest, self.neighbours.get_mut(&slot)) else {
            return;
        };
        if self.claims.is_first(now, (destination, slot)) {
            let serial = neighbour.ledger.next_serial();
            let Version { claim, signature, .. } = newest;
            let remaining = remaining(now, &newest);
            let update = Update { claim, signature, serial, remaining, metric: INFINITE };
            self.output.push_back((slot, Message::Update(update)));
        }
    }

    /// What is urgent is told before the call returns.
    pub(super) fn finish(&mut self, now: Instant) {
        if self.has_urgent {
            self.flush(now, false);
        }
    }

    /// A number for timers.
    pub(super) const fn draw(&mut self) -> u32 {
        // Knuth's multiplier: nothing secret depends on it.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) as u32
    }
}

/// The route in use, as it is told.
fn route(now: Instant, record: &Record, cost: impl Fn(u32) -> u16, strict: bool) -> Option<Update> {
    let entry = record.entry(record.selected?.neighbour)?;
    let version = record.version(entry.pair)?;
    let metric = record.total(now, entry, cost(entry.neighbour), strict)?;
    let remaining = remaining(now, version);
    debug_assert!(metric >= sum(entry.metric, 1), "a hop costs something");
    let Version { claim, signature, .. } = *version;
    (remaining > 0).then_some(Update { claim, signature, serial: 0, remaining, metric })
}

/// Seconds that a claim still lives.
fn remaining(now: Instant, version: &Version) -> u16 {
    let left = version.expires.saturating_since(now).as_secs();
    u16::try_from(left).unwrap_or(u16::MAX).min(version.claim.life)
}

/// A change is told after this time, and up to so many microseconds more, with whatever else changed by then.
const COALESCED: Duration = Duration::from_millis(20);
const COALESCED_JITTER: u64 = 20_000;
/// As many statements go to one neighbour at a time, about seven packets.
const BURST: usize = 64;
const PACE: Duration = Duration::from_millis(20);
