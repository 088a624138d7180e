//! Pacing (RFC 9002 section 7.7): spreads a window over a round trip, so that bursts do not overrun the
//! path's queues.

use core::time::Duration;

use super::congestion::{Controller, per_second};
use super::rtt::Rtt;
use crate::pack::pack;
use crate::time::Instant;

/// How fast a path may send at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Bytes per second, at least one.
    pub(super) rate: u64,
    /// Bytes that may leave at once.
    pub(super) burst: u64,
}

impl Pace {
    /// The controller's rate, or 5/4 of its window per round trip: a little ahead, so that the
    /// window and not the pacer limits a steady flow. A burst covers what a timer of 1 ms misses.
    pub(crate) fn new(controller: &impl Controller, rtt: &Rtt, mtu: u16) -> Self {
        let spread = || per_second(controller.window(), rtt.smoothed()).saturating_mul(5) / 4;
        let rate = controller.pacing_rate(rtt).unwrap_or_else(spread).max(1);
        let burst = (rate / 1000).min(MAX_TIMED_BURST).max(MIN_BURST_PACKETS * u64::from(mtu));
        Self { rate, burst }
    }
}

/// A leaky bucket: what was sent fills it, time drains it at the pace, and a packet may leave if it
/// fits. What bypasses the pacer is counted too and leaves a debt.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pacer {
    /// In millionths of a byte, so that a microsecond at any rate counts exactly.
    level: u64,
    updated: Option<Instant>,
}

pack!(Pacer: level, updated);

impl Pacer {
    /// An empty bucket: a whole burst may leave.
    pub(crate) const fn new() -> Self {
        Self { level: 0, updated: None }
    }

    /// Whether so little left lately that `bytes` may leave at any pace: less than the smallest burst with datagrams of `mtu`.
    /// That is so for all who send little, and asked before each packet.
    pub(crate) fn is_low(&self, bytes: u64, mtu: u16) -> bool {
        let burst = MIN_BURST_PACKETS * u64::from(mtu);
        bytes <= burst && self.level <= scaled(burst - bytes)
    }

    /// When `bytes` may leave, if that is later than now.
    pub(crate) fn delay(&self, now: Instant, bytes: u64, pace: &Pace) -> Option<Instant> {
        // What is larger than a burst may leave when the bucket is empty.
        let room = scaled(pace.burst.saturating_sub(bytes));
        let excess = self.level_at(now, pace).saturating_sub(room);
        (excess > 0).then(|| now + Duration::from_micros(excess.div_ceil(pace.rate)))
    }

    /// `bytes` left, whether or not they had to wait.
    pub(crate) fn on_sent(&mut self, now: Instant, bytes: u64, pace: &Pace) {
        let level = self.level_at(now, pace).saturating_add(scaled(bytes));
        // A debt of more than a burst would only punish later packets.
        self.level = level.min(scaled(pace.burst).saturating_mul(2));
        self.updated = self.updated.max(Some(now));
    }

    fn level_at(&self, now: Instant, pace: &Pace) -> u64 {
        let elapsed = self.updated.map_or(0, |at| now.micros_since(at));
        self.level.saturating_sub(elapsed.saturating_mul(pace.rate))
    }
}

fn scaled(bytes: u64) -> u64 {
    bytes.saturating_mul(1_000_000)
}

/// As many as the initial window has (RFC 9002 section 7.7).
const MIN_BURST_PACKETS: u64 = 10;
/// 256 KiB each millisecond are 2 Gbit/s; faster paths need finer timers, not longer bursts.
const MAX_TIMED_BURST: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::CongestionControl;
    use crate::recovery::{Congestion, Signs};

    #[test]
    fn the_pace_follows_the_controller() {
        let mut rtt = Rtt::new();
        rtt.update(Duration::from_millis(100), Duration::ZERO, Duration::ZERO);
        let now = Instant::from_micros(1_000_000);
        let mut cubic = Congestion::new(CongestionControl::Cubic, 1200);
        assert_eq!(Pace::new(&cubic, &rtt, 1200), Pace { rate: 240_000, burst: 12_000 });
        let (persistent, ecn, is_continued) = (false, false, false);
        let signs = Signs { sent_at: now, bytes: 1200, persistent, ecn, is_continued };
        cubic.on_congestion(now, &signs, &rtt);
        assert_eq!(Pace::new(&cubic, &rtt, 1200).rate, 8_400 * 10 * 5 / 4);
        let fixed = Congestion::new(CongestionControl::Fixed(100_000_000), 1200);
        assert_eq!(Pace::new(&fixed, &rtt, 1200), Pace { rate: 100_000_000, burst: 100_000 });
        let fastest = Congestion::new(CongestionControl::Fixed(u64::MAX), 1200);
        assert_eq!(Pace::new(&fastest, &rtt, 1200).burst, 262_144);
    }

    #[test]
    fn what_bypasses_the_pacer_is_paid_back() {
        let pace = Pace { rate: 1_000_000, burst: 10_000 };
        let now = Instant::from_micros(1);
        let mut pacer = Pacer::new();
        pacer.on_sent(now, 15_000, &pace);
        assert_eq!(pacer.delay(now, 1000, &pace), Some(now + Duration::from_millis(6)));
    }

    proptest! {
        /// Sent as soon as allowed, checked at odd times: never more than rate and burst allow, and
        /// at the end not a packet less.
        #[test]
        fn a_busy_sender_gets_exactly_its_rate(
            rate in 1_000u64..10_000_000_000,
            packets in prop::collection::vec((1u64..1500, 0u64..3), 50..300),
        ) {
            let pace = Pace { rate, burst: (rate / 1000).max(15_000) };
            let start = Instant::from_micros(7);
            let mut now = start;
            let mut pacer = Pacer::new();
            let mut sent = 0;
            for (bytes, checks) in packets {
                for _ in 0..checks {
                    now += Duration::from_micros(1);
                    _ = pacer.delay(now, bytes, &pace);
                }
                if let Some(at) = pacer.delay(now, bytes, &pace) {
                    let early = at.saturating_sub(Duration::from_micros(1));
                    prop_assert!(pacer.delay(early, bytes, &pace).is_some(), "too long a wait");
                    prop_assert!(at > now);
                    now = at;
                }
                prop_assert_eq!(pacer.delay(now, bytes, &pace), None);
                prop_assert!(!pacer.is_low(bytes, 1500) || pacer.delay(start, bytes, &pace).is_none());
                pacer.on_sent(now, bytes, &pace);
                sent += bytes;
                let elapsed = now.saturating_since(start).as_micros();
                let allowed = u128::from(pace.burst) + elapsed * u128::from(rate) / 1_000_000;
                prop_assert!(u128::from(sent) <= allowed, "{sent} sent, {allowed} allowed");
            }
        }
    }
}
