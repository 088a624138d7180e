//! What a round shows: whether more is sent than the path bears.

use super::Bbr;
use super::ceiling::Ceiling;
use super::cycle::Phase;
use super::losses::Advice;
use super::marks::Sample;
use crate::time::Instant;

impl Bbr {
    /// What the round that ended shows. Returns whether losses were answered.
    pub(super) fn end_round(&mut self, now: Instant, sample: &Sample) -> bool {
        let marked = core::mem::replace(&mut self.is_marked, false);
        let has_queue = core::mem::replace(&mut self.lost_queued, false);
        let answers = match self.cycle.phase() {
            Phase::Startup => self.judge_start(now, sample, has_queue, marked),
            Phase::Up => {
                self.plateau.on_round(self.model.bandwidth.most(), NOTABLE_GROWTH);
                if self.model.bandwidth.most() / 3 * 2 >= self.rate_before && !self.trip.is_queued()
                {
                    // There is much more than when too much was in flight.
                    self.model.ceiling = Ceiling::new();
                }
                marked && self.stop_probe(now, marked)
            }
            Phase::Refill => marked && self.stop_probe(now, marked),
            Phase::ProbeRtt => false,
            Phase::Drain | Phase::Down | Phase::Cruise => self.judge_steady(now, has_queue, marked),
        };
        self.trip.begin_round();
        answers
    }

    /// Startup ends when the rate grows no more, and sooner if a queue or losses say that it will not.
    fn judge_start(
        &mut self,
        now: Instant,
        sample: &Sample,
        has_queue: bool,
        marked: bool,
    ) -> bool {
        let loses = self.model.losses.trial_loses(has_queue, self.mtu);
        let has_risen = self.shows_queue();
        self.trip.set_level();
        if sample.is_limited && !loses && !has_risen && !marked {
            // The path may bear more than there was to send.
            self.plateau.note(self.model.bandwidth.most(), GROWTH);
            return false;
        }
        self.plateau.on_round(self.model.bandwidth.most(), GROWTH);
        let stands = self.plateau.rounds();
        if has_queue && self.model.losses.trial_loses_much(self.mtu) {
            return self.end_flood(now, false);
        }
        let is_too_much = marked || (loses && stands > 0);
        if is_too_much {
            self.cut(now, marked && !loses);
        }
        if is_too_much || stands >= FULL || (stands > 0 && has_risen) {
            self.enter(Phase::Drain, now);
        } else if stands == 0 {
            self.model.losses.excuse_trial(now, self.mtu);
        }
        is_too_much
    }

    /// Startup ends as soon as a queue overflows, or says by marks that it is about to: until the end of the round, twice as
    /// much would be sent.
    pub(super) fn judge_flood(&mut self, now: Instant) -> bool {
        let overflows = self.lost_queued && self.model.losses.trial_loses_much(self.mtu);
        let is_flooded = self.cycle.phase() == Phase::Startup && (overflows || self.is_marked);
        is_flooded && self.end_flood(now, !overflows)
    }

    fn end_flood(&mut self, now: Instant, marked: bool) -> bool {
        self.is_marked = false;
        self.cut(now, marked);
        self.model.losses.forget();
        self.enter(Phase::Drain, now);
        true
    }

    /// A probe for more ends when it leads to losses.
    pub(super) fn judge_trial(&mut self, now: Instant) -> bool {
        let has_queue = self.lost_queued;
        let is_confirmed = has_queue || self.plateau.rounds() > 0;
        let is_too_much = self.cycle.phase() == Phase::Up
            && is_confirmed
            && self.model.losses.trial_loses(has_queue, self.mtu);
        is_too_much && self.stop_probe(now, false)
    }

    fn stop_probe(&mut self, now: Instant, marked: bool) -> bool {
        self.saved = self.saved.or(Some(self.model)).filter(|_| !marked);
        self.cut(now, marked);
        self.enter(Phase::Down, now);
        true
    }

    /// Losses at a rate that the path should bear.
    fn judge_steady(&mut self, now: Instant, has_queue: bool, marked: bool) -> bool {
        let before = self.model;
        match self.model.losses.on_round(has_queue, self.mtu) {
            Advice::Nothing if marked => {
                self.cut(now, true);
                self.saved = None;
                true
            }
            Advice::Nothing => false,
            Advice::Restore => {
                self.model.bandwidth.restore();
                self.model.ceiling = self.saved.take().map_or(Ceiling::new(), |it| it.ceiling);
                false
            }
            advice => {
                self.saved = self.saved.or(Some(before));
                if advice == Advice::Yield {
                    self.cut(now, false);
                }
                let is_enough = self.model.bandwidth.lower();
                self.model.losses.on_lowered(now, is_enough);
                true
            }
        }
    }

    /// More was in flight than the path bears: no more than what it carried.
    pub(super) fn cut(&mut self, now: Instant, marked: bool) {
        let carried = self.borne.max(self.carried).min(self.window);
        // Marks are of the queue that Startup or a probe made, and that is left already: what the path holds is no
        // part of it, and 17/20 are kept.
        let is_own = matches!(self.cycle.phase(), Phase::Startup | Phase::Drain | Phase::Down);
        let held = if marked && is_own { self.held().min(self.window) / 17 * 20 } else { 0 };
        self.model.ceiling.cut(now, carried.max(held).max(self.floor()), marked, self.mtu);
    }
}

/// In percent, by which the rate grows in a round of Startup, and in one of probing for more.
const GROWTH: u64 = 25;
const NOTABLE_GROWTH: u64 = 6;
/// After so many rounds without growth a path is full.
const FULL: u8 = 3;
