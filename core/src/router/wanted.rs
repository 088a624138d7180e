//! Ways that we want for ourselves: a dial asks for them, and who keeps no table is answered all the same.

use alloc::collections::BTreeMap;
use core::time::Duration;

use smallvec::SmallVec;

use super::ask::MOST_HOPS;
use super::metric::{INFINITE, is_worth_changing, sum};
use super::origin::Signer;
use super::{Message, Router, Update};
use crate::PeerId;
use crate::bucket::{Limit, TokenBucket};
use crate::time::Instant;

/// What we asked for, and what neighbours answered that routes are not exchanged with. That says which of them to
/// give our own packets to, and nothing else: nobody is told of it, and no packet of another goes that way.
#[derive(Debug)]
pub(super) struct Wanted {
    questions: BTreeMap<PeerId, Question>,
    asked: TokenBucket,
}

#[derive(Debug)]
struct Question {
    /// Not asked again before.
    again: Instant,
    tries: u8,
    /// Signatures checked since it was asked.
    checks: u8,
    answers: SmallVec<[Answer; 2]>,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    neighbour: u32,
    metric: u16,
    until: Instant,
}

impl Wanted {
    pub(super) const fn new() -> Self {
        Self { questions: BTreeMap::new(), asked: TokenBucket::FULL }
    }

    /// Whether a question goes out now: not soon after the last one, ever more rarely, and not too many in all.
    fn may_ask(&mut self, now: Instant, destination: PeerId) -> bool {
        let is_known = self.questions.contains_key(&destination);
        if self.questions.get(&destination).is_some_and(|question| now < question.again) {
            return false;
        }
        if !is_known && self.questions.len() >= MAX_QUESTIONS {
            self.questions.retain(|_, question| now < question.again + KEPT);
        }
        let has_room = is_known || self.questions.len() < MAX_QUESTIONS;
        if !has_room || !self.asked.take(now, &Limit::every(QUESTION, QUESTIONS_AT_ONCE), 0) {
            return false;
        }
        let question = self.questions.entry(destination).or_insert_with(|| Question {
            again: now,
            tries: 0,
            checks: 0,
            answers: SmallVec::new(),
        });
        if now >= question.again + KEPT {
            question.tries = 0;
        }
        question.again = now + FIRST_PAUSE * (1 << question.tries);
        question.tries = (question.tries + 1).min(LONGEST_PAUSE);
        question.checks = 0;
        true
    }

    /// Whether there are few questions of late.
    fn is_at_leisure(&self, now: Instant) -> bool {
        let limit = Limit::every(QUESTION, QUESTIONS_AT_ONCE);
        let waiting = self.questions.values().filter(|it| now < it.again + KEPT).count();
        waiting < MAX_QUESTIONS / 2 && self.asked.has(now, &limit, limit.part(2))
    }

    /// Whether an answer is waited for.
    fn awaits(&self, now: Instant, destination: &PeerId) -> bool {
        self.questions.get(destination).is_some_and(|question| now < question.again + KEPT)
    }

    /// The neighbour has no way to the destination.
    pub(super) fn forget(&mut self, destination: &PeerId, slot: u32) {
        if let Some(question) = self.questions.get_mut(destination) {
            question.answers.retain(|answer| answer.neighbour != slot);
        }
    }

    /// The destinations that a neighbour answered for.
    pub(super) fn answered_by(&self, slot: u32) -> impl Iterator<Item = PeerId> + '_ {
        let by_it =
            move |question: &Question| question.answers.iter().any(|it| it.neighbour == slot);
        self.questions.iter().filter(move |(_, it)| by_it(it)).map(|(destination, _)| *destination)
    }

    /// The neighbour is gone.
    pub(super) fn forget_neighbour(&mut self, slot: u32) {
        let questions = self.questions.values_mut();
        questions.for_each(|question| question.answers.retain(|it| it.neighbour != slot));
    }
}

impl Router {
    /// A dial goes by way of neighbours, and no route is known: those that know routes are asked for one.
    pub(crate) fn seek(&mut self, now: Instant, destination: PeerId) {
        if destination == self.id || self.next_hop(&destination).is_some() {
            return;
        }
        let knows = |(_, neighbour): &(&u32, &super::Neighbour)| {
            let link = &neighbour.link;
            (link.listens || link.transit) && link.id != destination
        };
        let asked: SmallVec<[u32; 8]> =
            self.neighbours.iter().filter(knows).map(|(slot, _)| *slot).collect();
        if asked.is_empty() || !self.wanted.may_ask(now, destination) {
            return;
        }
        // How near they are themselves counts as well, and who gives them packets for others alone never measures that.
        self.pings.extend(asked.iter().copied());
        let message = Message::RouteRequest { destination, hops: MOST_HOPS };
        self.output.extend(asked.into_iter().map(|slot| (slot, message)));
    }

    /// Whether a statement answers a question of ours, and is nothing that a table is made of.
    pub(super) fn is_answer(&self, now: Instant, slot: u32, update: &Update) -> bool {
        let destination = &update.claim.destination;
        let apart = |it: &super::Neighbour| {
            !it.link.transit && it.link.listens && it.link.id != *destination
        };
        self.neighbours.get(&slot).is_some_and(apart) && self.wanted.awaits(now, destination)
    }

    /// A neighbour answers a question of ours.
    pub(super) fn on_answer(
        &mut self,
        now: Instant,
        slot: u32,
        update: &Update,
        signer: &impl Signer,
    ) {
        let destination = update.claim.destination;
        self.wanted.forget(&destination, slot);
        let Some(question) = self.wanted.questions.get_mut(&destination) else { return };
        let has_room = question.checks < MAX_CHECKS && question.answers.len() < MAX_ANSWERS;
        if update.metric == INFINITE || update.remaining == 0 || !has_room {
            return;
        }
        question.checks += 1;
        self.counters.checked += 1;
        if !signer.verify(&update.claim, &update.signature) {
            self.counters.refused += 1;
            return;
        }
        let life = Duration::from_secs(update.remaining.into()).min(KEPT);
        question.answers.push(Answer { neighbour: slot, metric: update.metric, until: now + life });
        self.changes.insert(destination);
    }

    /// We may know by now of a neighbour nearer to a peer that another one leads to: those that know routes are asked,
    /// so long as enough is left for dials. Who keeps a table hears of it without asking.
    pub(crate) fn seek_nearer(&mut self, now: Instant, destination: PeerId) {
        if self.wanted.is_at_leisure(now) {
            self.seek(now, destination);
        }
    }

    /// The neighbour to give our own packets to rather than `present`: the one of the route, or else one that answered that it
    /// is nearer than `present` did, by enough to be worth a change.
    pub(crate) fn better_way(
        &self,
        now: Instant,
        destination: &PeerId,
        present: &PeerId,
    ) -> Option<PeerId> {
        if let Some(next) = self.next_hop_id(destination) {
            return Some(next).filter(|next| next != present);
        }
        let (best, nearest) = self.answers(now, destination).min()?;
        let (metric, _) = self.answers(now, destination).find(|(_, id)| id == present)?;
        is_worth_changing(best, metric).then_some(nearest)
    }

    /// What neighbours answered that is still believed: how far the destination is by them.
    fn answers(&self, now: Instant, destination: &PeerId) -> impl Iterator<Item = (u16, PeerId)> {
        let question = self.wanted.questions.get(destination);
        let answers = question.into_iter().flat_map(|question| &question.answers);
        answers.filter(move |answer| now < answer.until).filter_map(|answer| {
            let neighbour = self.neighbours.get(&answer.neighbour)?;
            Some((sum(answer.metric, neighbour.cost), neighbour.link.id))
        })
    }

    /// The neighbour to give our own packets to: the one of the route, or else the one that answered best.
    pub(crate) fn way(&self, now: Instant, destination: &PeerId) -> Option<PeerId> {
        let answered = || self.answers(now, destination).min().map(|(_, id)| id);
        self.next_hop_id(destination).or_else(answered)
    }

    /// A neighbour did not pass a packet for the destination on: what it answered is void.
    pub(crate) fn on_refused(&mut self, neighbour: &PeerId, destination: &PeerId) {
        let slot = self.neighbours.iter().find(|(_, it)| it.link.id == *neighbour);
        if let Some(slot) = slot.map(|(slot, _)| *slot) {
            self.wanted.forget(destination, slot);
        }
    }
}

/// From one question for a destination to the next, doubled each time up to 32 s.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: u8 = 4;
/// Ten questions a second, in microseconds: dials to ids that nobody has must not fill the network.
const QUESTION: u64 = 100_000;
const QUESTIONS_AT_ONCE: u64 = 64;
/// The most destinations that are remembered as asked for.
const MAX_QUESTIONS: usize = 256;
/// An answer counts for so long, and a question is remembered for so long after it may be asked again.
const KEPT: Duration = Duration::from_secs(60);
const MAX_ANSWERS: usize = 8;
/// An answer costs a signature.
const MAX_CHECKS: u8 = 16;
