//! Time as the core sees it: a number of microseconds that the driver passes in.

use core::fmt;
use core::num::NonZeroU64;
use core::ops::{Add, AddAssign};
use core::time::Duration;

use crate::pack::pack;

/// A point in time, in microseconds since an epoch that the driver chooses.
///
/// The core never reads a clock: every call that depends on time takes an `Instant`. Values are
/// only compared with each other, so the epoch is free, but it must be the same for the whole life
/// of an endpoint and the clock behind it should be monotonic. `Option<Instant>` is 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The instant `micros` microseconds after the epoch. Zero is moved to one.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        match NonZeroU64::new(micros) {
            Some(micros) => Self(micros),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// The end of time: nothing is due after it.
    pub(crate) const MAX: Self = Self(NonZeroU64::MAX);

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0.get()
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.as_micros().saturating_sub(earlier.as_micros()))
    }

    /// The same in microseconds.
    pub(crate) const fn micros_since(self, earlier: Self) -> u64 {
        self.as_micros().saturating_sub(earlier.as_micros())
    }

    /// `self` moved back by `duration`, not before the epoch.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self::from_micros(self.as_micros().saturating_sub(micros(duration)))
    }
}

/// Times when the driver came too late for a deadline: the process was suspended, the host was asleep, or
/// its clock jumped. What did not arrive meanwhile shows nothing about the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Absence {
    /// How long the driver was away, of all times together.
    pub(crate) total: Duration,
    /// The end of the last one.
    pub(crate) until: Option<Instant>,
}

pack!(Absence: total, until);

impl Absence {
    /// Notes that the driver comes at `now` for what was due at `due`.
    pub(crate) fn observe(&mut self, due: Instant, now: Instant) {
        // What was due stays due until the driver asks for it: one absence counts once.
        let late = now.saturating_since(self.until.map_or(due, |until| until.max(due)));
        if late >= ABSENT {
            self.total += late;
            self.until = Some(now);
        }
    }
}

/// A driver that comes so late was away. Busy ones are late by a few milliseconds.
pub(crate) const ABSENT: Duration = Duration::from_millis(100);

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of time (584,542 years) instead of overflowing.
    fn add(self, duration: Duration) -> Self {
        Self::from_micros(self.as_micros().saturating_add(micros(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.as_micros();
        write!(f, "{}.{:06}s", micros / 1_000_000, micros % 1_000_000)
    }
}

/// A duration in whole microseconds, saturating in its last second.
#[inline]
pub(crate) fn micros(duration: Duration) -> u64 {
    let seconds = duration.as_secs();
    if seconds >= u64::MAX / 1_000_000 {
        return u64::MAX;
    }
    seconds * 1_000_000 + u64::from(duration.subsec_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Instant::from_micros(u64::MAX);
        assert_eq!(end + Duration::MAX, end);
        assert_eq!(Instant::from_micros(5).saturating_sub(Duration::MAX), Instant::from_micros(0));
        assert_eq!(Instant::from_micros(5).saturating_since(end), Duration::ZERO);
    }

    #[test]
    fn an_optional_instant_costs_eight_bytes() {
        assert_eq!(size_of::<Option<Instant>>(), 8);
    }
}
