//! A fixed rate, for tests and dedicated links. It does not yield to others.

use core::time::Duration;

use super::{Controller, MIN_PACKETS, Signs};
use crate::pack::pack;
use crate::recovery::Rtt;
use crate::time::{Instant, micros};

/// Sends at one rate whatever happens; only silence stops it, after twice the bytes of a round trip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    /// In bytes per second.
    rate: u64,
    window: u64,
    mtu: u16,
}

pack!(Fixed: rate, window, mtu);

impl Fixed {
    /// Sends `rate` bytes per second in datagrams of up to `mtu` bytes.
    pub(super) fn new(rate: u64, mtu: u16) -> Self {
        let mut fixed = Self { rate, window: 0, mtu };
        fixed.size_window(&Rtt::new());
        fixed
    }

    pub(super) const fn rate(&self) -> u64 {
        self.rate
    }

    pub(super) const fn mtu(&self) -> u16 {
        self.mtu
    }

    fn size_window(&mut self, rtt: &Rtt) {
        let round_trip = micros(rtt.smoothed());
        let twice = u128::from(self.rate) * u128::from(round_trip) * 2 / 1_000_000;
        let least = MIN_PACKETS * u64::from(self.mtu);
        self.window = u64::try_from(twice).unwrap_or(u64::MAX).max(least);
    }
}

impl Controller for Fixed {
    fn on_sent(&mut self, _: Instant, _: u64, _: u64) {}

    fn on_ack(&mut self, _: Instant, _: Instant, _: u64, rtt: &Rtt) {
        self.size_window(rtt);
    }

    fn on_congestion(&mut self, _: Instant, _: &Signs, _: &Rtt) -> bool {
        false
    }

    fn on_spurious(&mut self, _: Instant) {}

    fn on_mtu(&mut self, mtu: u16) {
        self.mtu = mtu;
        self.window = self.window.max(MIN_PACKETS * u64::from(mtu));
    }

    fn on_absence(&mut self, _: Duration) {}

    fn on_idle(&mut self) {}

    fn window(&self) -> u64 {
        self.window
    }

    fn pacing_rate(&self, _: &Rtt) -> Option<u64> {
        Some(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn the_rate_stands_and_the_window_covers_two_round_trips() {
        let mut rtt = Rtt::new();
        rtt.update(Duration::from_millis(100), Duration::ZERO, Duration::ZERO);
        let now = Instant::from_micros(1);
        let mut fixed = Fixed::new(1_000_000, 1200);
        fixed.on_ack(now, now, 1200, &rtt);
        let signs =
            Signs { sent_at: now, bytes: 1200, persistent: true, ecn: false, is_continued: false };
        assert!(!fixed.on_congestion(now, &signs, &rtt));
        assert_eq!((fixed.window(), fixed.pacing_rate(&rtt)), (200_000, Some(1_000_000)));
        rtt.update(Duration::MAX, Duration::ZERO, Duration::ZERO);
        let mut fast = Fixed::new(u64::MAX, u16::MAX);
        fast.on_ack(now, now, 1200, &rtt);
        assert_eq!(fast.window(), u64::MAX);
        assert_eq!(Fixed::new(0, 1200).window(), 4800);
    }
}
