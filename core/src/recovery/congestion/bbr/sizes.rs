//! What follows from the model: how much may be in flight, and how fast it leaves.

use core::time::Duration;

use super::super::{FIRST_BOUND, INITIAL_PACKETS, MIN_PACKETS, NEAR, per_second};
use super::Bbr;
use super::cycle::Phase;
use super::surplus::bytes_in;
use crate::recovery::Rtt;

impl Bbr {
    pub(super) fn floor(&self) -> u64 {
        MIN_PACKETS * u64::from(self.mtu)
    }

    pub(super) fn initial(&self) -> u64 {
        INITIAL_PACKETS * u64::from(self.mtu)
    }

    /// Bytes per second that are to leave, before gains.
    pub(super) fn usable_rate(&self) -> u64 {
        self.model.losses.make_up(self.model.bandwidth.usable())
    }

    /// What the path holds at that rate while nothing waits in it.
    pub(super) fn held(&self) -> u64 {
        bytes_in(self.usable_rate(), self.trip.least().unwrap_or(Duration::MAX))
    }

    /// What two ticks of a timer let go, but at least eight packets.
    pub(super) fn most_at_once(&self) -> u64 {
        (self.rate.unwrap_or(0) / 500).max(MOST_AT_ONCE * u64::from(self.mtu))
    }

    /// Whether what is sent now makes a queue. Few packets do not tell it from jitter.
    pub(super) fn shows_queue(&self) -> bool {
        self.carries_many() && self.trip.has_risen(16)
    }

    /// The same of one that would overflow soon.
    pub(super) fn shows_long_queue(&self) -> bool {
        self.carries_many() && self.trip.has_risen(4)
    }

    fn carries_many(&self) -> bool {
        self.carried.max(self.last_carried) >= MANY * u64::from(self.mtu)
    }

    /// Whether the window may grow with all that is acknowledged.
    fn may_double(&self) -> bool {
        let is_near = self.trip.least().is_some_and(|least| least <= NEAR);
        let is_bounded = is_near && self.window >= FIRST_BOUND;
        self.usage.fills(self.window) && !self.shows_long_queue() && !is_bounded
    }

    pub(super) fn set_window(&mut self, acked: u64) {
        let phase = self.cycle.phase();
        let held = match phase {
            // Nobody knows yet whether what waits in the path is ours.
            Phase::Startup => bytes_in(self.usable_rate(), self.trip.present().unwrap_or_default()),
            _ => self.held(),
        };
        let wanted = (held / 100).saturating_mul(phase.window_gain());
        // Timers are coarse, and acknowledgements are for several packets.
        let burst = 3 * (self.rate.unwrap_or(0) / 1000).max(u64::from(self.mtu));
        let wanted = wanted.saturating_add(self.surplus.most()).max(burst);
        let grown = self.window.saturating_add(acked);
        self.window = match phase {
            // Only what is used is known to be borne.
            Phase::Startup if !self.may_double() => self.window,
            Phase::Startup if self.window < wanted.max(self.initial()) => grown,
            Phase::Startup => self.window,
            _ => grown.min(wanted),
        };
        let bound = match phase {
            Phase::Startup => u64::MAX,
            Phase::ProbeRtt => self.model.ceiling.most().min(self.held() / 2),
            _ => self.model.ceiling.most(),
        };
        self.window = self.window.min(bound).max(self.floor());
    }

    pub(super) fn set_rate(&mut self, rtt: &Rtt) {
        let gain = match self.cycle.phase() {
            Phase::Up if self.model.ceiling.is_known() => CAREFUL_GAIN,
            phase => phase.pacing_gain(),
        };
        let rate = self.usable_rate().saturating_mul(gain * self.margin()) / 10_000;
        if self.cycle.phase() == Phase::Startup {
            let started = self.rate.unwrap_or_else(|| self.initial_rate(rtt));
            self.rate = Some(self.careful(rate).max(started));
        } else {
            // The least window leaves in a round trip.
            self.rate = Some(rate.max(per_second(self.floor(), rtt.smoothed())));
        }
    }

    /// The part of the rate that is used, in percent: queues are to become shorter with time. Where there is none, all of
    /// it.
    fn margin(&self) -> u64 {
        let is_steady = matches!(self.cycle.phase(), Phase::Cruise | Phase::Refill);
        if is_steady && self.trip.is_clear() { 100 } else { SLIGHTLY_LESS }
    }

    /// A rate of Startup: what a train showed is exceeded by little more than is known to arrive. Few packets do
    /// not tell what the path carries from jitter.
    fn careful(&self, rate: u64) -> u64 {
        let least = self.trip.least().unwrap_or_default();
        let is_telling = |shown: &u64| bytes_in(*shown, least) >= MANY * u64::from(self.mtu);
        let Some(shown) = self.train.rate().filter(is_telling) else { return rate };
        rate.min(shown.max(self.usable_rate() / 100 * Phase::Up.pacing_gain()))
    }

    pub(super) fn initial_rate(&self, rtt: &Rtt) -> u64 {
        (per_second(self.window, rtt.smoothed()) / 100).saturating_mul(Phase::Startup.pacing_gain())
    }
}

/// So many packets count of those that are missed at once, on a slow path.
const MOST_AT_ONCE: u64 = 8;
/// So many packets in a round trip tell a queue from jitter.
const MANY: u64 = 64;
/// In percent of the rate: how a path is probed that was overrun not long ago.
const CAREFUL_GAIN: u64 = 110;
/// In percent: queues become shorter with time (`PacingMarginPercent`).
const SLIGHTLY_LESS: u64 = 99;
