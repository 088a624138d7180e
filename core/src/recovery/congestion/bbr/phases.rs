//! When the next phase begins.

use core::time::Duration;

use super::Bbr;
use super::cycle::Phase;
use super::marks::Sample;
use super::plateau::Plateau;
use super::surplus::bytes_in;
use crate::time::Instant;

impl Bbr {
    pub(super) fn enter(&mut self, phase: Phase, now: Instant) {
        let before = self.cycle.phase();
        self.cycle.enter(phase, now);
        match phase {
            Phase::Refill => {
                self.model.bandwidth.begin_cycle();
                self.model.bandwidth.restore();
                self.model.ceiling.review(now);
                self.saved = None;
            }
            Phase::Up => {
                self.rate_before = self.model.bandwidth.most();
                self.plateau = Plateau::since(self.rate_before);
                self.trip.set_level();
                self.model.losses.begin_trial(now);
            }
            Phase::ProbeRtt => {
                self.emptied_at = None;
                self.trip.look();
            }
            _ => {}
        }
        if before.is_trial() && !phase.is_trial() {
            self.model.losses.end_trial(now);
        }
    }

    /// Begins the next phase, if it is time.
    pub(super) fn advance(&mut self, now: Instant, in_flight: u64, sample: &Sample) {
        let held = self.held();
        match self.cycle.phase() {
            Phase::Startup => {}
            Phase::Drain if in_flight <= held || self.cycle.rounds() >= LONGEST_DRAIN => {
                // What waits in the path still is not ours, or the path is longer than it was.
                let is_queued = self.trip.is_queued() && self.cycle.rounds() > 1;
                self.enter(if is_queued { Phase::ProbeRtt } else { Phase::Down }, now);
            }
            Phase::Drain => {}
            Phase::Down | Phase::Cruise if self.is_probe_due(now) => self.enter(Phase::Refill, now),
            Phase::Down => {
                let is_drained = in_flight <= held.min(self.model.ceiling.most());
                if is_drained || self.cycle.rounds() >= LONGEST_DOWN {
                    self.enter(Phase::Cruise, now);
                }
            }
            Phase::Cruise => {}
            Phase::Refill if self.cycle.rounds() > 0 => self.enter(Phase::Up, now),
            Phase::Refill => {}
            Phase::Up if self.is_up_over(in_flight, sample) => self.enter(Phase::Down, now),
            Phase::Up => {}
            Phase::ProbeRtt => self.look(now, in_flight),
        }
        let phase = self.cycle.phase();
        if self.trip.is_old(now) && phase.is_in_cycle() && phase != Phase::Up {
            self.enter(Phase::ProbeRtt, now);
        }
    }

    fn is_probe_due(&self, now: Instant) -> bool {
        let packets = self.held().min(self.window) / u64::from(self.mtu.max(1));
        self.cycle.is_probe_due(now, packets)
    }

    /// A probe for more is over when there is more in flight than the path holds, and a queue shows it or the
    /// rate did not grow by it.
    fn is_up_over(&self, in_flight: u64, sample: &Sample) -> bool {
        let is_full = in_flight.max(sample.in_flight) >= self.held() / 100 * 110;
        let rounds = self.cycle.rounds();
        let is_over = is_full && rounds > 0 && self.shows_queue();
        is_over || (rounds > 1 && self.plateau.rounds() > 1)
    }

    /// The path is nearly empty for 200 ms and a round trip, then its length is known.
    fn look(&mut self, now: Instant, in_flight: u64) {
        let least = bytes_in(self.usable_rate(), self.trip.least().unwrap_or_default()) / 2;
        if self.emptied_at.is_none() && in_flight <= least.max(self.floor()) {
            self.emptied_at = Some(now);
            // Rounds are counted from here.
            self.cycle.enter(Phase::ProbeRtt, now);
            self.round_ends = self.marks.delivered();
        } else if self.emptied_at.is_some_and(|at| at + LOOK <= now) && self.cycle.rounds() > 0 {
            self.trip.end_look(now);
            self.model.bandwidth.restore();
            self.model.ceiling.review(now);
            self.enter(Phase::Cruise, now);
        }
    }
}

/// Rounds in which the queue of Startup should be gone: others may fill it.
const LONGEST_DRAIN: u32 = 4;
/// The same of the queue that a probe left. It takes longer where jitter makes the rate seem some percent higher than it is.
const LONGEST_DOWN: u32 = 8;
/// `ProbeRTTDuration`.
const LOOK: Duration = Duration::from_millis(200);
