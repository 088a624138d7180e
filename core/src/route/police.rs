//! How fast packets may pass.

use crate::time::Instant;

/// A token bucket of bytes, known by when it will be full (the generic cell rate algorithm of ITU-T
/// I.371). It is as deep as a queue of 20 ms would be, so it drops what that would drop, without its delay.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ByteBucket {
    /// In nanoseconds.
    full_at: u64,
}

impl ByteBucket {
    /// Whether `bytes` may pass at `rate` bytes per second.
    pub(super) fn has(&self, now: Instant, rate: u64, bytes: usize) -> bool {
        self.after(now, rate, bytes).is_some()
    }

    /// They pass.
    pub(super) fn spend(&mut self, now: Instant, rate: u64, bytes: usize) {
        self.full_at = self.after(now, rate, bytes).unwrap_or(self.full_at);
    }

    /// Whether a queue in its place would be longer than one should be: what may be marked is, before anything
    /// does not pass.
    pub(super) fn is_low(&self, now: Instant, rate: u64) -> bool {
        self.full_at.saturating_sub(nanos(now)) > time_of(depth(rate) / LOW, rate)
    }

    /// Whether nothing is missing from it.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= nanos(now)
    }

    /// When it is full once so many bytes have passed; `None` if there is too little in it.
    fn after(&self, now: Instant, rate: u64, bytes: usize) -> Option<u64> {
        let now = nanos(now);
        let full_at = self.full_at.max(now).checked_add(time_of(bytes as u64, rate))?;
        (full_at - now <= time_of(depth(rate), rate)).then_some(full_at)
    }
}

/// What passes at once after a pause.
fn depth(rate: u64) -> u64 {
    (rate / 50).max(SHALLOWEST)
}

/// In nanoseconds, rounded up.
fn time_of(bytes: u64, rate: u64) -> u64 {
    let nanos = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

fn nanos(now: Instant) -> u64 {
    now.as_micros().saturating_mul(1_000)
}

/// One batch of a fast sender.
const SHALLOWEST: u64 = 64 << 10;
/// A bucket is low when so much of its depth is gone: 5 of 20 ms.
const LOW: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_more_passes_than_the_rate_and_the_depth_allow(
            rate in 10_000_u64..200_000_000,
            steps in prop::collection::vec((0_u64..50_000, 33_usize..1_200), 1..400),
        ) {
            let (mut bucket, mut at, mut passed) = (ByteBucket::default(), 1_000_000, 0_u64);
            let start = at;
            for (pause, bytes) in steps {
                at += pause;
                let now = Instant::from_micros(at);
                if bucket.has(now, rate, bytes) {
                    bucket.spend(now, rate, bytes);
                    passed += bytes as u64;
                }
                let allowed = depth(rate) + rate * (at - start) / 1_000_000;
                prop_assert!(passed <= allowed, "{passed} of {allowed}");
            }
            // After a pause all of it is there again.
            let later = Instant::from_micros(at + 20_000_000);
            prop_assert!(bucket.is_full(later) && bucket.has(later, rate, depth(rate) as usize));
        }
    }
}
