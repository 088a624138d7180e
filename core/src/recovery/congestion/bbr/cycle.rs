//! What the controller is doing, and for how long already (draft-ietf-ccwg-bbr section 5.3).

use core::time::Duration;

use crate::time::Instant;

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Looks for the rate of a path that nothing is known of.
    Startup,
    /// Lets what that left in the queue leave it.
    Drain,
    /// The same after probing for more.
    Down,
    /// Sends at the rate.
    Cruise,
    /// Fills the path before it probes for more, so that losses then are those of more.
    Refill,
    /// Probes for more.
    Up,
    /// Empties the path to see how long it is.
    ProbeRtt,
}

impl Phase {
    /// How fast to send, in percent of the rate.
    pub(super) const fn pacing_gain(self) -> u64 {
        match self {
            Self::Startup => 277,
            Self::Drain => 50,
            Self::Down => 90,
            Self::Cruise | Self::Refill | Self::ProbeRtt => 100,
            Self::Up => 125,
        }
    }

    /// How much may be in flight, in percent of what the path holds.
    pub(super) const fn window_gain(self) -> u64 {
        match self {
            Self::Up => 225,
            Self::ProbeRtt => 50,
            _ => 200,
        }
    }

    /// Whether more is sent than the path is known to bear: what is lost shows that it does not.
    pub(super) const fn is_trial(self) -> bool {
        matches!(self, Self::Startup | Self::Up)
    }

    /// Whether it is one of those that follow each other once the rate is found.
    pub(super) const fn is_in_cycle(self) -> bool {
        matches!(self, Self::Down | Self::Cruise | Self::Refill | Self::Up)
    }
}

/// The phase, and when the next probe for more is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cycle {
    phase: Phase,
    /// Rounds that began in it.
    rounds: u32,
    /// Since the last probe for more.
    probed_at: Option<Instant>,
    rounds_since_probe: u32,
    /// How long to wait for the next.
    wait: Duration,
}

impl Cycle {
    /// Nothing was sent.
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Startup,
            rounds: 0,
            probed_at: None,
            rounds_since_probe: 0,
            wait: LEAST_WAIT,
        }
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Rounds that began in the phase.
    pub(super) const fn rounds(&self) -> u32 {
        self.rounds
    }

    /// A round began.
    pub(super) const fn begin_round(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
        self.rounds_since_probe = self.rounds_since_probe.saturating_add(1);
    }

    /// Another phase begins.
    pub(super) fn enter(&mut self, phase: Phase, now: Instant) {
        if phase == Phase::Down {
            self.probed_at = Some(now);
            self.rounds_since_probe = 0;
            // Flows that share a queue are not to probe in step. The clock is as good as dice for that.
            let chance = now.as_micros().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
            self.wait = LEAST_WAIT + Duration::from_micros(chance);
        }
        (self.phase, self.rounds) = (phase, 0);
    }

    /// Whether it is time to probe for more, on a path that holds so many packets: as often as Reno would fill
    /// it, but at least every two to three seconds.
    pub(super) fn is_probe_due(&self, now: Instant, packets: u64) -> bool {
        let rounds = packets.min(MOST_ROUNDS);
        u64::from(self.rounds_since_probe) >= rounds
            || self.probed_at.is_none_or(|at| at + self.wait <= now)
    }

    /// Time passed in which nothing was done.
    pub(super) fn skip(&mut self, span: Duration) {
        self.probed_at = self.probed_at.map(|at| at + span);
    }
}

/// To this comes a second at most, by chance.
const LEAST_WAIT: Duration = Duration::from_secs(2);
const MOST_ROUNDS: u64 = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_due_after_as_many_rounds_as_packets_or_after_two_to_three_seconds() {
        let at = |millis: u64| Instant::from_micros(1 + millis * 1000);
        let mut waits = [0; 50];
        for (from, wait) in (0..).zip(&mut waits) {
            let mut cycle = Cycle::new();
            cycle.enter(Phase::Down, at(from * 37));
            cycle.enter(Phase::Cruise, at(from * 37 + 5));
            *wait = (0..).find(|wait| cycle.is_probe_due(at(from * 37 + wait), 100)).expect("due");
            (0..7).for_each(|_| cycle.begin_round());
            assert_eq!(
                [8, 7].map(|packets| cycle.is_probe_due(at(from * 37), packets)),
                [false, true]
            );
        }
        let (least, most) = (waits.iter().min(), waits.iter().max());
        assert!(least >= Some(&2_000) && most <= Some(&3_100) && least < most, "{waits:?}");
    }
}
