//! The operating system's monotonic clock, or a runtime's, in the core's terms.

use std::time::{Duration, Instant as StdInstant};

use handfast_core::Instant;

/// Translates between the system's monotonic clock and the core's [`Instant`].
///
/// The core's time starts at one second rather than zero, so that subtracting a short duration
/// from an early instant still gives a distinct, earlier one.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: StdInstant,
    source: fn() -> StdInstant,
}

impl Clock {
    /// A clock whose epoch is one second before this call.
    #[must_use]
    pub fn start() -> Self {
        Self::following(StdInstant::now)
    }

    /// The same, but time passes as `source` says: for a runtime whose time a test can hold. It must
    /// never go backwards.
    #[must_use]
    pub fn following(source: fn() -> StdInstant) -> Self {
        Self { start: source(), source }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.at((self.source)())
    }

    /// Whether time does not pass at all: somebody holds the source. (A coarse clock may seem to stand
    /// still for a moment.)
    #[must_use]
    pub fn stands_still(&self) -> bool {
        (self.source)() == (self.source)()
    }

    /// The core's name for a point of the system's time. Times before the start are the start.
    #[must_use]
    pub fn at(&self, instant: StdInstant) -> Instant {
        EPOCH + instant.saturating_duration_since(self.start)
    }

    /// The first moment of the system's time at which [`Self::now`] reaches `deadline`; `None` when
    /// that is beyond what the system can express, that is: never.
    #[must_use]
    pub fn deadline(&self, deadline: Instant) -> Option<StdInstant> {
        self.start.checked_add(deadline.saturating_since(EPOCH))
    }

    /// How long to wait for `deadline`; zero when it is due.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Duration {
        match self.deadline(deadline) {
            Some(at) => at.saturating_duration_since((self.source)()),
            None => Duration::MAX,
        }
    }
}

const EPOCH: Instant = Instant::from_micros(1_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_has_reached_a_deadline_exactly_when_the_system_has() {
        let clock = Clock::start();
        for micros in [1_000_000, 1_000_001, 2_345_678, 90_000_000_000] {
            let deadline = Instant::from_micros(micros);
            let system = clock.deadline(deadline).expect("expressible");
            assert_eq!(clock.at(system), deadline);
            if system > clock.start {
                assert!(clock.at(system - Duration::from_nanos(1)) < deadline);
            }
        }
    }

    #[test]
    fn instants_out_of_range_are_clamped() {
        let clock = Clock::start();
        assert_eq!(clock.deadline(Instant::from_micros(0)), Some(clock.start));
        assert_eq!(clock.until(Instant::from_micros(5)), Duration::ZERO);
        assert!(clock.until(Instant::from_micros(u64::MAX)) > Duration::from_secs(1 << 30));
    }

    #[test]
    fn a_clock_that_follows_another_stands_still_with_it() {
        let clock = Clock::following(|| *HELD);
        assert_eq!(clock.now(), EPOCH);
        assert!(clock.stands_still());
        assert_eq!(clock.until(EPOCH + Duration::from_secs(3)), Duration::from_secs(3));
    }

    static HELD: std::sync::LazyLock<StdInstant> = std::sync::LazyLock::new(StdInstant::now);

    #[test]
    fn time_starts_at_one_second() {
        assert!(Clock::start().now() >= Instant::from_micros(1_000_000));
    }
}
