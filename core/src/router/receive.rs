//! What neighbours say.

use super::ask::MOST_HOPS;
use super::metric::INFINITE;
use super::origin::{Claim, Pair, Signer};
use super::record::{Distrust, Entry, MAX_LIFE, Record, Version};
use super::{Message, Router, Update};
use crate::PeerId;
use crate::time::Instant;
use core::time::Duration;

impl Router {
    /// A neighbour says something.
    pub(crate) fn on_message(
        &mut self,
        now: Instant,
        slot: u32,
        message: &Message,
        signer: &impl Signer,
    ) {
        if !self.is_heard(slot, message) {
            return;
        }
        match message {
            Message::TableRequest => self.on_table_request(now, slot),
            Message::Update(update) => self.on_update(now, slot, update, signer),
            Message::Retraction { destination, serial } => {
                self.on_retraction(now, slot, *destination, *serial);
            }
            Message::SeqnoRequest { destination, pair, hops } => {
                if self.may_ask(now, slot) {
                    self.on_seqno_request(now, slot, *destination, *pair, *hops, signer);
                }
            }
            Message::RouteRequest { destination, hops } => {
                if self.may_ask(now, slot) {
                    self.on_route_request(now, slot, *destination, *hops);
                }
            }
        }
        self.finish(now);
    }

    /// Whether a neighbour says it, and no statement that comes late. Who is no neighbour yet tells it again once it is one.
    fn is_heard(&mut self, slot: u32, message: &Message) -> bool {
        match (self.neighbours.get_mut(&slot), message.serial()) {
            (Some(neighbour), Some(serial)) => neighbour.ledger.hear(serial),
            (Some(_), None) => true,
            (None, Some(_)) => {
                self.absent.entry(slot).or_default().miss();
                false
            }
            (None, None) => false,
        }
    }

    /// A route by this neighbour was worse than it said: it is used only if there is no other, for some minutes.
    pub(crate) fn distrust(&mut self, now: Instant, slot: u32, destination: &PeerId) {
        let entry = self.records.get_mut(destination).and_then(|record| record.entry_mut(slot));
        let Some(entry) = entry else { return };
        self.pings.insert(slot);
        entry.distrust.grow(now, entry.metric);
        if let Some(selected) =
            self.records.get_mut(destination).and_then(|it| it.selected.as_mut())
            && selected.neighbour == slot
        {
            selected.since = Instant::from_micros(0);
        }
        self.reselect(now, *destination);
        self.ask_others(now, slot, *destination);
        self.finish(now);
    }

    /// The same of a neighbour by its identity.
    pub(crate) fn distrust_neighbour(&mut self, now: Instant, id: &PeerId, destination: &PeerId) {
        let slot = self.neighbours.iter().find(|(_, neighbour)| neighbour.link.id == *id);
        if let Some(slot) = slot.map(|(slot, _)| *slot) {
            self.distrust(now, slot, destination);
        }
    }

    fn on_update(&mut self, now: Instant, slot: u32, update: &Update, signer: &impl Signer) {
        let destination = update.claim.destination;
        if destination == self.id {
            self.on_own_claim(now, slot, update, signer);
            return;
        }
        if self.is_answer(now, slot, update) {
            self.on_answer(now, slot, update, signer);
            return;
        }
        if !self.accepts(now, slot, update, signer) {
            self.counters.refused += 1;
            return;
        }
        let Some(record) = self.records.get_mut(&destination) else { return };
        let (pair, metric, serial) = (update.claim.pair, update.metric, update.serial);
        // A retraction always is (RFC 8966 section 3.5.1).
        let retracts = metric == INFINITE;
        let feasible = !self.is_strict || retracts || record.is_feasible(pair, metric);
        let is_selected = record.selected.is_some_and(|selected| selected.neighbour == slot);
        match record.entry_mut(slot) {
            Some(entry) if entry.serial >= serial => return,
            // What it told before may still be used, and is, until there is better (RFC 8966 section 3.5.3 allows it).
            Some(entry) if is_selected && !feasible => {
                entry.serial = serial;
                self.ask_for_feasible(now, slot, destination);
            }
            Some(entry) => {
                (entry.pair, entry.metric, entry.serial) = (pair, metric, serial);
            }
            None => {
                let distrust = Distrust::default();
                record.push_entry(Entry { neighbour: slot, pair, metric, serial, distrust });
            }
        }
        self.reselect(now, destination);
        self.follow_up(now, slot, destination, feasible);
    }

    /// What a route that was just told gives reason to ask or say.
    fn follow_up(&mut self, now: Instant, slot: u32, destination: PeerId, feasible: bool) {
        let Some(record) = self.records.get(&destination) else { return };
        let route = record.selected.and_then(|selected| record.entry(selected.neighbour));
        let newest = record.newest().map(|newest| newest.claim.pair.epoch);
        let is_behind = |route: &&Entry| newest.is_some_and(|epoch| epoch > route.pair.epoch);
        let behind = route.filter(is_behind).map(|route| route.neighbour);
        if record.starving.is_some() && !feasible {
            self.ask_for_feasible(now, slot, destination);
        }
        // The destination speaks in an earlier epoch than it did: it is to hear of that.
        if let Some(next) = behind {
            self.tell_claim(now, next, destination);
        }
    }

    /// Whether a statement may be made: by this neighbour, about a claim that is known or that its owner signed, and
    /// that is not too old. A new one is noted.
    fn accepts(&mut self, now: Instant, slot: u32, update: &Update, signer: &impl Signer) -> bool {
        let claim = &update.claim;
        let Some(neighbour) = self.neighbours.get_mut(&slot) else { return false };
        if !neighbour.link.transit && neighbour.link.id != claim.destination {
            return false;
        }
        let introducer = neighbour.link.id;
        let record = self.records.get(&claim.destination);
        let newest = record.and_then(Record::newest);
        let known = record.and_then(|record| record.version(claim.pair)).map(|known| known.expires);
        if newest.is_some_and(|newest| newest.claim.pair > claim.pair)
            && (known.is_none() || introducer == claim.destination)
        {
            self.tell_claim(now, slot, claim.destination);
            return known.is_some_and(|expires| now < expires);
        }
        if let Some(expires) = known {
            return now < expires;
        }
        if record.is_none() && !has_place(self.records.len(), self.introduced.get(&introducer)) {
            return false;
        }
        if !neighbour.may_be_checked(now) {
            return false;
        }
        self.counters.checked += 1;
        if !signer.verify(claim, &update.signature) {
            return false;
        }
        let record = self.records.entry(claim.destination).or_insert_with(|| {
            *self.introduced.entry(introducer).or_default() += 1;
            Record::new(introducer)
        });
        record.push_version(version(now, update));
        true
    }

    /// Somebody tells of ourselves. If it is what an earlier life of ours said, we say something greater.
    fn on_own_claim(&mut self, now: Instant, slot: u32, update: &Update, signer: &impl Signer) {
        let Some(neighbour) = self.neighbours.get_mut(&slot) else { return };
        let Some(origin) = &mut self.origin else { return };
        let Claim { pair, .. } = update.claim;
        if pair <= origin.claim.pair || !neighbour.may_be_checked(now) {
            return;
        }
        self.counters.checked += 1;
        if signer.verify(&update.claim, &update.signature) {
            let jitter = (self.random >> 40) as u32;
            origin.renew(now, pair.next_epoch().or_else(|| pair.next()), jitter, signer);
            self.tell_all(now, self.id, true);
        }
    }

    fn on_retraction(&mut self, now: Instant, slot: u32, destination: PeerId, serial: u32) {
        self.wanted.forget(&destination, slot);
        let record = self.records.get_mut(&destination);
        let entry = record.and_then(|record| record.entry_mut(slot));
        if let Some(entry) = entry.filter(|entry| entry.serial < serial) {
            // It stays, without a metric: what the neighbour told before may come late.
            (entry.metric, entry.serial) = (INFINITE, serial);
            self.reselect(now, destination);
        }
    }

    fn on_seqno_request(
        &mut self,
        now: Instant,
        slot: u32,
        destination: PeerId,
        pair: Pair,
        hops: u8,
        signer: &impl Signer,
    ) {
        if destination == self.id {
            let Some(origin) = &mut self.origin else { return };
            if pair <= origin.claim.pair {
                self.tell(slot, destination);
            } else if origin.may_be_asked(now) {
                // By one, whatever was asked for (RFC 8966 section 3.8.1.2).
                let jitter = (self.random >> 40) as u32;
                origin.renew(now, origin.claim.pair.next(), jitter, signer);
                self.tell_all(now, destination, true);
            } else {
                self.counters.ignored += 1;
            }
            return;
        }
        let Some(record) = self.records.get(&destination) else { return };
        let selected = record.selected.map(|selected| selected.neighbour);
        let has = selected.and_then(|slot| record.entry(slot)).map(|entry| entry.pair);
        if has.is_some_and(|has| has >= pair) {
            self.tell(slot, destination);
        } else {
            self.pass_seqno_request(now, slot, destination, pair, hops.min(MOST_HOPS));
        }
    }

    /// A neighbour forgot what we told it (RFC 8966 section 3.8.1.1).
    fn on_table_request(&mut self, now: Instant, slot: u32) {
        let neighbour = self.neighbours.get_mut(&slot);
        if neighbour.is_some_and(|neighbour| neighbour.ledger.may_ask_for_all(now)) {
            self.tell_table(now, slot, false);
        } else {
            self.counters.ignored += 1;
        }
    }

    fn on_route_request(&mut self, now: Instant, slot: u32, destination: PeerId, hops: u8) {
        let record = self.records.get(&destination);
        let has = record.is_some_and(|record| record.selected.is_some());
        if destination == self.id && self.origin.is_some() || has {
            self.tell(slot, destination);
        } else if hops > 1 {
            self.ask_for_route(now, Some(slot), destination, hops.min(MOST_HOPS) - 1);
        }
    }
}

/// Whether there is a place for a destination that a neighbour tells of, who told of so many first.
fn has_place(records: usize, introduced: Option<&usize>) -> bool {
    records < MAX_DESTINATIONS && introduced.is_none_or(|count| *count < MAX_INTRODUCED)
}

/// A claim that is received for the first time: its life begins.
fn version(now: Instant, update: &Update) -> Version {
    let life = Duration::from_secs(update.claim.life.min(update.remaining).into());
    let Update { claim, signature, .. } = *update;
    Version { claim, signature, expires: now + life.min(MAX_LIFE) }
}

const MAX_DESTINATIONS: usize = 16_384;
/// One neighbour fills a quarter of the table at most.
const MAX_INTRODUCED: usize = 4096;
