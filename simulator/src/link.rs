//! One direction of a link between two nodes: what it does to each datagram.

use std::time::Duration;

use handfast_core::Ecn;

use crate::faults::Faults;
use crate::rng::{Probability, Rng};

/// How a link treats datagrams. The default is perfect: 10 ms, any size, any rate.
///
/// Sizes and rates count bytes of UDP payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The time from end to end, not counting `rate`.
    pub latency: Duration,
    /// Each datagram takes up to this much longer. This jitter alone never reorders: what would
    /// overtake an earlier datagram arrives together with it.
    pub jitter: Duration,
    /// Each datagram takes up to this much longer, whatever the others do: they overtake each other.
    pub free_jitter: Duration,
    /// Datagrams lost, each on its own.
    pub loss: Probability,
    /// Losses that come together.
    pub bursts: Option<Bursts>,
    /// Datagrams that are held back by `reordering_delay` while later ones pass.
    pub reordering: Probability,
    /// How long a reordered datagram is held back.
    pub reordering_delay: Duration,
    /// Datagrams that arrive twice, the copy up to 5 ms later.
    pub duplication: Probability,
    /// Datagrams of which one to three bits are flipped.
    pub corruption: Probability,
    /// Datagrams larger than this vanish.
    pub mtu: usize,
    /// Bytes per second; none for no limit.
    pub rate: Option<u64>,
    /// Bytes that may wait for their turn when there is a `rate`; the newest are dropped.
    pub queue: usize,
    /// ECN-capable datagrams that find more than this many bytes waiting are marked.
    pub ce_threshold: Option<usize>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            free_jitter: Duration::ZERO,
            loss: Probability::NEVER,
            bursts: None,
            reordering: Probability::NEVER,
            reordering_delay: Duration::from_millis(20),
            duplication: Probability::NEVER,
            corruption: Probability::NEVER,
            mtu: usize::MAX,
            rate: None,
            queue: 64 << 10,
            ce_threshold: None,
        }
    }
}

/// The Gilbert-Elliott model: a link is good or bad, and changes its mind at each datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bursts {
    /// From good to bad.
    pub enter: Probability,
    /// From bad to good.
    pub leave: Probability,
    /// Datagrams lost while bad.
    pub loss: Probability,
}

/// What became of a datagram that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It arrives, after what the link did to it.
    Carried {
        /// It arrives twice.
        duplicated: bool,
        /// Some bits were flipped.
        corrupted: bool,
        /// It was marked "congestion experienced".
        marked: bool,
    },
    /// It never arrives; why, in a word.
    Dropped(&'static str),
}

/// The state of one direction of a link.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    /// When the last queued byte leaves, in microseconds.
    busy_until: u64,
    /// Arrivals keep this order, but for what is held back and for free jitter.
    last_arrival: u64,
    in_burst: bool,
}

/// When the copies of a datagram arrive, in microseconds.
pub(crate) struct Passage {
    pub(crate) arrivals: [Option<u64>; 2],
    pub(crate) corrupted: bool,
    pub(crate) marked: bool,
}

impl Link {
    /// Takes a datagram of `len` bytes at `now`: when it arrives, or why it never does.
    pub(crate) fn carry(
        &mut self,
        now: u64,
        len: usize,
        ecn: Option<Ecn>,
        conditions: &Conditions,
        rng: &mut Rng,
        faults: &mut Faults,
    ) -> Result<Passage, &'static str> {
        if len > conditions.mtu {
            faults.mtu_drops += 1;
            return Err("too large");
        }
        let (departure, marked) = self.queue(now, len, ecn, conditions, faults)?;
        self.lose(conditions, rng, faults)?;
        let corrupted = rng.chance(conditions.corruption);
        let first = self.arrival(departure, conditions, rng);
        let duplicated = rng.chance(conditions.duplication);
        let second = duplicated.then(|| first + rng.range(0..=5_000));
        faults.ce_marked += u64::from(marked);
        faults.corrupted += u64::from(corrupted);
        faults.duplicated += u64::from(duplicated);
        Ok(Passage { arrivals: [Some(first), second], corrupted, marked })
    }

    /// Serialises at the link's rate: when the datagram has left and whether it was marked.
    fn queue(
        &mut self,
        now: u64,
        len: usize,
        ecn: Option<Ecn>,
        conditions: &Conditions,
        faults: &mut Faults,
    ) -> Result<(u64, bool), &'static str> {
        let Some(rate) = conditions.rate.map(|rate| rate.max(1)) else {
            return Ok((now, false));
        };
        let waiting = self.busy_until.saturating_sub(now).saturating_mul(rate) / SECOND;
        if waiting + len as u64 > conditions.queue as u64 {
            faults.queue_drops += 1;
            return Err("queue full");
        }
        let full = conditions.ce_threshold.is_some_and(|threshold| waiting > threshold as u64);
        let takes = (len as u64 * SECOND).div_ceil(rate);
        self.busy_until = self.busy_until.max(now) + takes;
        Ok((self.busy_until, full && ecn.is_some()))
    }

    fn lose(
        &mut self,
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
        if rng.chance(conditions.loss) {
            faults.lost += 1;
            return Err("lost");
        }
        Ok(())
    }

    fn arrival(&mut self, departure: u64, conditions: &Conditions, rng: &mut Rng) -> u64 {
        let jitter = rng.range(0..=micros(conditions.jitter));
        let arrival = departure + micros(conditions.latency) + jitter;
        let arrival = if rng.chance(conditions.reordering) {
            arrival + micros(conditions.reordering_delay)
        } else {
            self.last_arrival = self.last_arrival.max(arrival);
            self.last_arrival
        };
        match micros(conditions.free_jitter) {
            // Draws nothing, so that links without it are as they were.
            0 => arrival,
            free => arrival + rng.range(0..=free),
        }
    }
}

/// Whole microseconds, saturating.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

const SECOND: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `count` datagrams of 1,000 bytes, one a millisecond; the arrivals and the faults.
    fn send(count: u64, conditions: &Conditions, ecn: Option<Ecn>) -> (Vec<u64>, Faults) {
        let (mut link, mut rng, mut faults) =
            (Link::default(), Rng::from_seed(3), Faults::default());
        let arrivals = (0..count)
            .filter_map(|n| {
                link.carry(n * 1_000, 1_000, ecn, conditions, &mut rng, &mut faults).ok()
            })
            .flat_map(|passage| passage.arrivals.into_iter().flatten())
            .collect();
        (arrivals, faults)
    }

    #[test]
    fn a_perfect_link_only_delays() {
        let (arrivals, faults) = send(50, &Conditions::default(), None);
        assert!(arrivals.iter().enumerate().all(|(n, &at)| at == n as u64 * 1_000 + 10_000));
        assert_eq!(faults, Faults::default());
    }

    #[test]
    fn jitter_delays_but_never_reorders() {
        let jitter = Duration::from_millis(30);
        let (arrivals, _) = send(500, &Conditions { jitter, ..Conditions::default() }, None);
        assert!(arrivals.is_sorted());
        let delays = arrivals.iter().enumerate().map(|(n, at)| at - n as u64 * 1_000);
        assert!(delays.clone().all(|delay| (10_000..=40_000).contains(&delay)));
        assert!(delays.clone().max() > delays.min());
    }

    #[test]
    fn free_jitter_lets_datagrams_overtake_each_other_within_its_bounds() {
        let free_jitter = Duration::from_millis(30);
        let (arrivals, _) = send(500, &Conditions { free_jitter, ..Conditions::default() }, None);
        let delays: Vec<_> = arrivals.iter().zip(0..).map(|(at, n)| at - n * 1_000).collect();
        assert!(delays.iter().all(|delay| (10_000..=40_000).contains(delay)));
        let overtaken = arrivals.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(overtaken > 200, "{overtaken} of 499");
    }

    #[test]
    fn every_random_fault_is_as_frequent_as_configured_and_counted() {
        let conditions = Conditions {
            loss: Probability::percent(10),
            duplication: Probability::percent(10),
            corruption: Probability::percent(10),
            reordering: Probability::percent(10),
            ..Conditions::default()
        };
        let (arrivals, faults) = send(10_000, &conditions, None);
        for count in [faults.lost, faults.duplicated, faults.corrupted] {
            assert!((800..1_200).contains(&count), "{faults:?}");
        }
        assert_eq!(arrivals.len() as u64, 10_000 - faults.lost + faults.duplicated);
        assert!(!arrivals.is_sorted());
    }

    #[test]
    fn bursts_lose_the_same_share_in_longer_runs() {
        let bursts = Bursts {
            enter: Probability::percent(1),
            leave: Probability::percent(20),
            loss: Probability::ALWAYS,
        };
        let (arrivals, faults) =
            send(20_000, &Conditions { bursts: Some(bursts), ..Conditions::default() }, None);
        let gaps = arrivals.windows(2).filter(|pair| pair[1] - pair[0] > 1_000).count() as u64;
        assert!((600..1_400).contains(&faults.lost_in_bursts), "{faults:?}");
        assert!(faults.lost_in_bursts > 3 * gaps, "mean burst above 3: {gaps} gaps, {faults:?}");
    }

    #[test]
    fn a_rate_serialises_queues_marks_and_drops() {
        let conditions = Conditions {
            rate: Some(500_000),
            queue: 20_000,
            ce_threshold: Some(10_000),
            ..Conditions::default()
        };
        let (arrivals, faults) = send(200, &conditions, Some(Ecn::Ect0));
        assert!(arrivals.windows(2).all(|pair| pair[1] - pair[0] >= 2_000), "half of the offer");
        assert!(faults.queue_drops > 50 && faults.ce_marked > 50, "{faults:?}");
        let longest_wait = 20_000 * SECOND / 500_000;
        let slowest = arrivals.last().copied().unwrap_or_default();
        assert!(slowest <= 199_000 + longest_wait + 10_000, "the queue is bounded");
        assert_eq!(send(200, &conditions, None).1.ce_marked, 0, "only capable ones are marked");
    }

    #[test]
    fn a_datagram_of_the_mtu_passes_and_one_byte_more_does_not() {
        let passes = |mtu| send(1, &Conditions { mtu, ..Conditions::default() }, None).0.len();
        assert_eq!((passes(1_000), passes(999)), (1, 0));
    }
}
