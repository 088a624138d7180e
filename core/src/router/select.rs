//! Which route is used.

use core::time::Duration;

use super::Router;
use super::metric::{INFINITE, is_news, is_worth_changing};
use super::record::{Record, Selected, Told};
use crate::PeerId;
use crate::time::Instant;

impl Router {
    /// Something changed about a destination: chooses the route anew, tells others, and asks for help if there is
    /// none (RFC 8966 section 3.6).
    pub(super) fn reselect(&mut self, now: Instant, destination: PeerId) {
        let strict = self.is_strict;
        let neighbours = &self.neighbours;
        let cost = |slot: u32| neighbours.get(&slot).map_or(INFINITE, |neighbour| neighbour.cost);
        let is_there =
            |slot: u32| neighbours.get(&slot).is_some_and(|it| it.link.id == destination);
        let Some(record) = self.records.get_mut(&destination) else { return };
        let before = record.selected;
        let (next, is_settled) = choose(now, record, cost, is_there, strict);
        let dwell = before.filter(|_| !is_settled).map(|before| before.since + DWELL);
        let changed = next.map(|(slot, _)| slot) != before.map(|before| before.neighbour);
        if changed {
            record.selected = next.map(|(neighbour, _)| Selected { neighbour, since: now });
            self.changes.insert(destination);
        }
        let news = news(now, record, next, changed);
        if next.is_some() {
            record.starving = None;
        }
        let is_lost = next.is_none() && before.is_some();
        match news {
            News::Retract => {
                record.told = None;
                self.tell_all(now, destination, true);
            }
            News::Tell => {
                record.told = told(now, record, next);
                self.tell_all(now, destination, false);
            }
            News::None | News::Later(_) => {}
        }
        if changed && next.is_some() {
            self.tell_askers(now, destination);
        }
        if is_lost {
            self.starve(now, destination);
        }
        let later = if let News::Later(at) = news { Some(at) } else { None };
        self.look_again(now, destination, dwell.into_iter().chain(later).min());
    }

    /// All destinations that a neighbour told of: its cost changed, or it is gone.
    pub(super) fn reselect_all_by(&mut self, now: Instant, slot: u32, is_gone: bool) {
        let of_it = self.records.iter_mut().filter(|(_, record)| record.entry(slot).is_some());
        let concerned: alloc::vec::Vec<PeerId> = of_it
            .map(|(destination, record)| {
                if is_gone {
                    record.remove_entry(slot);
                }
                *destination
            })
            .collect();
        for destination in concerned {
            self.reselect(now, destination);
        }
    }

    /// Whoever asked for this route is told of it.
    fn tell_askers(&mut self, now: Instant, destination: PeerId) {
        if self.askers.is_empty() {
            return;
        }
        let mut asked = smallvec::SmallVec::<[u32; 4]>::new();
        self.askers.retain(|(wanted, slot), until| {
            if *wanted == destination && now < *until {
                asked.push(*slot);
            }
            *wanted != destination
        });
        for slot in asked {
            self.tell(slot, destination);
        }
    }

    /// When the record is looked at again: `early`, or when something of it ends.
    fn look_again(&mut self, now: Instant, destination: PeerId, early: Option<Instant>) {
        let Some(record) = self.records.get_mut(&destination) else { return };
        let starving = record.starving.map(|starving| starving.again);
        let ends = [record.next_expiry(now), Some(record.forget_at()), starving, early];
        let wake = ends.into_iter().flatten().filter(|at| *at > now).min().unwrap_or(Instant::MAX);
        if wake != record.wake {
            self.agenda.remove(&(record.wake, destination));
            record.wake = wake;
            if wake < Instant::MAX {
                self.agenda.insert((wake, destination));
            }
        }
    }
}

/// What others are to hear.
enum News {
    None,
    Tell,
    /// Not before this.
    Later(Instant),
    /// At once: there is no route any more.
    Retract,
}

/// The route to use and its metric; whether that is the best there is. What is passed on to a destination that is a
/// neighbour goes to it, also where others lead there sooner, so nothing else is told of it.
fn choose(
    now: Instant,
    record: &Record,
    cost: impl Fn(u32) -> u16,
    is_there: impl Fn(u32) -> bool,
    strict: bool,
) -> (Option<(u32, u16)>, bool) {
    let total = |slot| {
        let entry = record.entry(slot)?;
        Some((slot, record.total(now, entry, cost(slot), strict)?))
    };
    let slots = || record.entries.iter().map(|entry| entry.neighbour);
    if let Some(direct) = slots().find(|slot| is_there(*slot)).and_then(total) {
        return (Some(direct), true);
    }
    let best = slots().filter_map(total).min_by_key(|(slot, total)| (*total, *slot));
    let selected = record.selected;
    let Some(present) = selected.and_then(|selected| total(selected.neighbour)) else {
        return (best, true);
    };
    let better = best.filter(|best| is_worth_changing(best.1, present.1));
    let rested = selected.is_some_and(|selected| now >= selected.since + DWELL);
    match better {
        Some(better) if rested => (Some(better), true),
        Some(_) => (Some(present), false),
        None => (Some(present), true),
    }
}

/// What others are to hear of the route that is used now.
fn news(now: Instant, record: &Record, next: Option<(u32, u16)>, changed: bool) -> News {
    let (Some((slot, metric)), Some(told)) = (next, record.told) else {
        return match (next, record.told) {
            (None, Some(_)) => News::Retract,
            (Some(_), None) if changed => News::Tell,
            _ => News::None,
        };
    };
    let pair = record.entry(slot).map(|entry| entry.pair);
    if changed || pair.is_some_and(|pair| pair > told.pair) {
        return News::Tell;
    }
    match is_news(metric, told.metric) {
        true if now < told.at + DAMPED => News::Later(told.at + DAMPED),
        true => News::Tell,
        false => News::None,
    }
}

/// What all others are about to hear.
fn told(now: Instant, record: &Record, next: Option<(u32, u16)>) -> Option<Told> {
    let (slot, metric) = next?;
    let pair = record.entry(slot)?.pair;
    Some(Told { pair, metric, at: now })
}

/// A route that was just chosen stays for so long, unless it is lost: congestion must not make routes swing.
const DWELL: Duration = Duration::from_secs(5);
/// A metric that moves is told this often at most.
const DAMPED: Duration = Duration::from_secs(1);
