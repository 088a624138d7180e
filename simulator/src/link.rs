//! One direction of a link between two nodes: what it does to each datagram.

use std::time::Duration;

use handfast_core::Ecn;

use crate::conditions::{Bursts, Conditions, EcnTreatment, Policer};
use crate::faults::Faults;
use crate::rng::Rng;

/// What became of a datagram that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It arrives, after what the link did to it, unless [`CoDel`](crate::CoDel) drops it later.
    Carried {
        /// It arrives twice.
        duplicated: bool,
        /// Some bits were flipped.
        corrupted: bool,
        /// It was marked "congestion experienced" for the length of the queue.
        marked: bool,
    },
    /// It never arrives; why, in a word.
    Dropped(&'static str),
}

/// What a link makes of the ECN codepoint of a datagram.
///
/// # Errors
/// It drops such datagrams.
pub(crate) fn treat(
    ecn: Option<Ecn>,
    treatment: EcnTreatment,
    rng: &mut Rng,
    faults: &mut Faults,
) -> Result<Option<Ecn>, &'static str> {
    let treated = match (treatment, ecn) {
        (EcnTreatment::Dropped, Some(_)) => {
            faults.ecn_mangled += 1;
            return Err("marked");
        }
        (EcnTreatment::Bleached, _) => None,
        (EcnTreatment::Changed, Some(Ecn::Ect0)) => Some(Ecn::Ect1),
        (EcnTreatment::Congested(chance), Some(_)) if rng.chance(chance) => Some(Ecn::Ce),
        _ => ecn,
    };
    faults.ecn_mangled += u64::from(treated != ecn);
    Ok(treated)
}

/// The state of one direction of a link, but for what waits to be sent on it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// Arrivals keep this order, but for what is held back and for free jitter. In microseconds.
    last_arrival: u64,
    in_burst: bool,
    /// Its own, so that bursts in time do not depend on what is sent.
    burst_rng: Rng,
    in_burst_in_time: bool,
    /// Milliseconds in which the link has made up its mind.
    bursts_known: u64,
    /// Nanoseconds of the policer's rate that were used up, as a time that comes nearer.
    policed_until: u64,
}

/// What the link will do to a datagram after it has left, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage {
    latency: u64,
    /// How much longer it is held back while others pass.
    held_back: Option<u64>,
    free: u64,
    /// How much later its copy arrives.
    pub(crate) copy: Option<u64>,
    pub(crate) corrupted: bool,
}

impl Link {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            last_arrival: 0,
            in_burst: false,
            burst_rng: Rng::from_seed(seed),
            in_burst_in_time: false,
            bursts_known: 0,
            policed_until: 0,
        }
    }

    /// Whether the policer lets `len` bytes pass at `now`, in microseconds.
    pub(crate) fn police(&mut self, now: u64, len: usize, policer: Policer) -> bool {
        let now = now * 1_000;
        let time_of = |bytes: u64| bytes.saturating_mul(SECOND) / policer.rate.max(1);
        let until = self.policed_until.max(now) + time_of(len as u64);
        let passes = until <= now + time_of(policer.burst);
        if passes {
            self.policed_until = until;
        }
        passes
    }

    /// Whether a datagram that is sent at `now` is lost, and why.
    pub(crate) fn lose(
        &mut self,
        now: u64,
        conditions: &Conditions,
        rng: &mut Rng,
        faults: &mut Faults,
    ) -> Result<(), &'static str> {
        if let Some(bursts) = conditions.bursts {
            let change = if self.in_burst { bursts.leave } else { bursts.enter };
            self.in_burst ^= rng.chance(change);
            if self.in_burst && rng.chance(bursts.loss) {
                faults.lost_in_bursts += 1;
                return Err("lost in a burst");
            }
        }
        if let Some(bursts) = conditions.bursts_in_time
            && self.is_in_burst(now, bursts)
            && rng.chance(bursts.loss)
        {
            faults.lost_in_bursts += 1;
            return Err("lost in a burst");
        }
        if rng.chance(conditions.loss) {
            faults.lost += 1;
            return Err("lost");
        }
        Ok(())
    }

    fn is_in_burst(&mut self, now: u64, bursts: Bursts) -> bool {
        for _ in self.bursts_known..now / 1_000 {
            let change = if self.in_burst_in_time { bursts.leave } else { bursts.enter };
            self.in_burst_in_time ^= self.burst_rng.chance(change);
            self.bursts_known += 1;
        }
        self.in_burst_in_time
    }

    /// Decides what happens to a datagram on its way.
    pub(crate) fn passage(conditions: &Conditions, rng: &mut Rng, faults: &mut Faults) -> Passage {
        let corrupted = rng.chance(conditions.corruption);
        let jitter = rng.range(0..=micros(conditions.jitter));
        let held_back =
            rng.chance(conditions.reordering).then(|| micros(conditions.reordering_delay));
        let free = match micros(conditions.free_jitter) {
            // Draws nothing, so that links without it are as they were.
            0 => 0,
            free => rng.range(0..=free),
        };
        let copy = rng.chance(conditions.duplication).then(|| rng.range(0..=5_000));
        faults.corrupted += u64::from(corrupted);
        faults.duplicated += u64::from(copy.is_some());
        let latency = micros(conditions.latency) + jitter;
        Passage { latency, held_back, free, copy, corrupted }
    }

    /// When a datagram arrives that left at `departure`.
    pub(crate) fn arrival(&mut self, departure: u64, passage: &Passage) -> u64 {
        let arrival = departure + passage.latency;
        let arrival = match passage.held_back {
            Some(held_back) => arrival + held_back,
            None => {
                self.last_arrival = self.last_arrival.max(arrival);
                self.last_arrival
            }
        };
        arrival + passage.free
    }
}

/// Whole microseconds, saturating.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;
