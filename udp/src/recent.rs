//! The time for calls that come many at a time.

use handfast_core::Instant;

use crate::Clock;

/// The last reading of a [`Clock`] that follows the system's, for calls that are made for every small message: to read
/// the clock takes up to a quarter of what such a message takes in all. Whether a reading is recent, the system's
/// coarse clock tells, which moves with each tick of its timer and is cheap to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recent(Option<(Tick, Instant)>);

impl Recent {
    /// The time now, or as it was at an earlier call since the last tick: ticks are 1 to 10 ms apart. It never goes
    /// backwards. Where the system has no coarse clock (it has on Linux and Android) it is the time now.
    #[inline]
    pub fn now(&mut self, clock: &Clock) -> Instant {
        // Read first: what is read of the clock then is no older than the tick.
        let tick = Tick::last();
        if let (Some((of, at)), Some(tick)) = (self.0, tick)
            && of == tick
        {
            return at;
        }
        let now = clock.now();
        self.0 = tick.map(|tick| (tick, now));
        now
    }

    /// The clock is to be read again: somebody acted by a later reading.
    pub const fn expire(&mut self) {
        self.0 = None;
    }
}

/// When the timer ticked, as the system counts.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tick(nix::sys::time::TimeSpec);

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Tick {
    /// `None` if the system does not say.
    #[inline]
    fn last() -> Option<Self> {
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC_COARSE).ok().map(Self)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Tick {
    const fn last() -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_shared_until_the_next_tick_and_no_longer() {
        let (clock, mut recent) = (Clock::start(), Recent::default());
        let (mut last, mut shared) = (recent.now(&clock), 0);
        for _ in 0..3 {
            let before = clock.now();
            // Hangs if a reading outlives its tick.
            loop {
                let now = recent.now(&clock);
                assert!(now >= last && now <= clock.now(), "{now:?} after {last:?}");
                shared += u32::from(now == last);
                last = now;
                if now > before {
                    break;
                }
            }
        }
        if cfg!(any(target_os = "linux", target_os = "android")) {
            assert!(shared > 3, "{shared} calls shared a reading");
        }
    }

    #[test]
    fn a_reading_that_expired_is_not_shared() {
        let (clock, mut recent) = (Clock::start(), Recent::default());
        for _ in 0..1000 {
            recent.now(&clock);
            let later = clock.now();
            recent.expire();
            assert!(recent.now(&clock) >= later);
        }
    }
}
