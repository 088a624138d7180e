//! BBR, in the shape of its third version (draft-ietf-ccwg-bbr), in integers: it measures what the path
//! delivers and how long it takes, and sends accordingly, where CUBIC sends ever more until packets are lost.
//!
//! It differs from the draft in what it takes losses for. There, more than 2 % in a round trip are congestion.
//! Here they are if they are more than usual, and if delay or a rate that does not grow confirms it, or that
//! fewer are lost at a lower rate: see `losses`.

mod bandwidth;
mod ceiling;
mod cycle;
mod judge;
mod losses;
mod marks;
mod phases;
mod plateau;
mod sizes;
mod surplus;
mod train;
mod trip;

use core::time::Duration;

use super::usage::Usage;
use super::{Controller, INITIAL_PACKETS, Signs};
use crate::recovery::Rtt;
use crate::time::Instant;
use bandwidth::Bandwidth;
use ceiling::Ceiling;
use cycle::{Cycle, Phase};
use losses::Losses;
use marks::{Marks, Sample};
use plateau::Plateau;
use surplus::Surplus;
use train::Train;
use trip::Trip;

/// Sends at the rate that the path delivers, and keeps in flight little more than it holds.
#[derive(Clone, Debug)]
pub(crate) struct Bbr {
    cycle: Cycle,
    marks: Marks,
    /// A round ends when something is delivered that was sent after so much had been.
    round_ends: u64,
    model: Model,
    /// The model before losses were last answered, while that can be taken back.
    saved: Option<Model>,
    trip: Trip,
    surplus: Surplus,
    plateau: Plateau,
    train: Train,
    /// The rate when the last probe for more began.
    rate_before: u64,
    /// The most that was delivered while one packet was under way, in this round and in the one before.
    carried: u64,
    last_carried: u64,
    /// The same of the last round in which there was enough to send, or more since.
    borne: u64,
    usage: Usage,
    /// When the path was seen to be nearly empty, while it is looked at.
    emptied_at: Option<Instant>,
    /// Losses of this round came while a queue was seen.
    lost_queued: bool,
    /// A router marked packets in this round.
    is_marked: bool,
    /// Bytes that may be in flight, and bytes per second; none until something was measured.
    window: u64,
    rate: Option<u64>,
    mtu: u16,
}

/// What losses change.
#[derive(Clone, Copy, Debug)]
struct Model {
    bandwidth: Bandwidth,
    ceiling: Ceiling,
    losses: Losses,
}

impl Bbr {
    /// A fresh path.
    pub(super) const fn new(mtu: u16) -> Self {
        Self {
            cycle: Cycle::new(),
            marks: Marks::new(),
            round_ends: 0,
            model: Model {
                bandwidth: Bandwidth::new(),
                ceiling: Ceiling::new(),
                losses: Losses::new(),
            },
            saved: None,
            trip: Trip::new(),
            surplus: Surplus::new(),
            plateau: Plateau::new(),
            train: Train::new(),
            rate_before: 0,
            carried: 0,
            last_carried: 0,
            borne: 0,
            usage: Usage::new(),
            emptied_at: None,
            lost_queued: false,
            is_marked: false,
            window: INITIAL_PACKETS * mtu as u64,
            rate: None,
            mtu,
        }
    }

    pub(super) const fn mtu(&self) -> u16 {
        self.mtu
    }

    /// All that follows from an acknowledgement. Returns whether losses were answered.
    fn on_sample(&mut self, now: Instant, sample: &Sample, in_flight: u64, rtt: &Rtt) -> bool {
        self.trip.take(now, rtt);
        let begins_round = sample.prior >= self.round_ends;
        if begins_round {
            self.begin_round(sample.is_limited);
        }
        self.carried = self.carried.max(sample.delivered);
        if self.cycle.phase() == Phase::Startup || !self.trip.jitters() {
            self.model.bandwidth.take_at_once(sample);
        } else {
            self.model.bandwidth.take(sample);
        }
        let rate = self.model.bandwidth.usable();
        self.surplus.on_ack(now, sample.acked, rate, self.window);
        let answers = if begins_round { self.end_round(now, sample) } else { false };
        let answers = answers | self.judge_trial(now) | self.judge_flood(now);
        self.advance(now, in_flight, sample);
        self.set_window(sample.acked);
        self.set_rate(rtt);
        answers
    }

    fn begin_round(&mut self, is_limited: bool) {
        self.round_ends = self.marks.delivered();
        self.cycle.begin_round();
        self.surplus.begin_round();
        self.model.bandwidth.begin_round();
        self.last_carried = core::mem::replace(&mut self.carried, 0);
        // How little there was to send is no measure of the path.
        let least = if is_limited { self.borne } else { 0 };
        self.borne = self.last_carried.max(least);
    }
}

impl Controller for Bbr {
    fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64) {
        if in_flight <= bytes {
            self.surplus.restart();
        }
        self.marks.on_sent(now, bytes, in_flight);
        self.usage.on_sent(in_flight);
        self.model.ceiling.on_sent(now, bytes, in_flight);
    }

    fn on_ack(&mut self, now: Instant, sent_at: Instant, bytes: u64, rtt: &Rtt) {
        self.model.ceiling.on_ack(now, sent_at, bytes, rtt);
        self.marks.on_ack(now, sent_at, bytes);
        self.model.losses.on_ack(sent_at, bytes);
        self.usage.on_ack(now, sent_at);
        self.train.on_ack(now, sent_at, bytes, self.mtu);
    }

    fn after_ack(&mut self, now: Instant, in_flight: u64, rtt: &Rtt) -> bool {
        let least = self.trip.least().or_else(|| rtt.min()).unwrap_or_default();
        let sample = self.marks.take(now, least, rtt.smoothed());
        sample.is_some_and(|sample| self.on_sample(now, &sample, in_flight, rtt))
    }

    fn on_lack(&mut self, in_flight: u64) {
        self.marks.on_lack(in_flight);
    }

    fn heeds_lack(&self) -> bool {
        true
    }

    #[cold]
    fn on_congestion(&mut self, _: Instant, signs: &Signs, rtt: &Rtt) -> bool {
        self.is_marked |= signs.ecn;
        self.lost_queued |= self.trip.has_queue(rtt);
        // What is missed at once was lost in one moment, as on a radio link: a queue that overflows and a policer
        // let some pass in between.
        let bytes = signs.bytes.min(self.most_at_once());
        self.model.losses.on_loss(signs.sent_at, bytes);
        if signs.persistent {
            // It grows again with what is acknowledged: the model still holds, or will be corrected.
            self.window = self.floor();
        }
        signs.persistent
    }

    #[cold]
    fn on_spurious(&mut self, _: Instant) {
        if let Some(saved) = self.saved.take() {
            let bandwidth = self.model.bandwidth;
            self.model = saved;
            if bandwidth.most() > saved.bandwidth.most() {
                self.model.bandwidth = bandwidth;
                self.model.bandwidth.restore();
            }
        }
    }

    fn on_mtu(&mut self, mtu: u16) {
        let untried = self.window == self.initial() && self.rate.is_none();
        self.mtu = mtu;
        let least = if untried { self.initial() } else { self.floor() };
        self.window = self.window.max(least);
    }

    fn on_absence(&mut self, span: Duration) {
        self.marks.forget();
        self.surplus.restart();
        self.trip.skip(span);
        self.model.ceiling.on_absence(span);
        self.cycle.skip(span);
    }

    fn on_idle(&mut self) {
        self.marks.forget();
        self.surplus.restart();
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self, rtt: &Rtt) -> Option<u64> {
        Some(self.rate.unwrap_or_else(|| self.initial_rate(rtt)))
    }
}

#[cfg(test)]
mod tests;
