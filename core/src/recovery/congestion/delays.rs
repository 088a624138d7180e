//! How the round-trip time varies. What varies fast is jitter: a queue that overflows stays full for longer.

use crate::recovery::Rtt;
use crate::time::{Instant, micros};

/// The least and the most of the last eight to sixteen round-trip times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delays {
    present: Range,
    last: Range,
    /// When the last sample was taken: an acknowledgement is one, however many packets it names.
    sampled_at: Option<Instant>,
    samples: u8,
}

/// In microseconds.
#[derive(Clone, Copy, Debug)]
struct Range {
    least: u32,
    most: u32,
    /// By how much a sample was less than one before it.
    fall: u32,
}

impl Delays {
    /// None was taken.
    pub(super) const NEW: Self =
        Self { present: Range::EMPTY, last: Range::EMPTY, sampled_at: None, samples: 0 };

    /// Takes the latest round-trip time.
    pub(super) fn take(&mut self, now: Instant, rtt: &Rtt) {
        if self.sampled_at.replace(now) == Some(now) {
            return;
        }
        if self.samples == SAMPLES {
            self.samples = 0;
            self.last = core::mem::replace(&mut self.present, Range::EMPTY);
        }
        self.samples += 1;
        let sample = u32::try_from(micros(rtt.latest())).unwrap_or(u32::MAX);
        self.present.least = self.present.least.min(sample);
        self.present.most = self.present.most.max(sample);
        self.present.fall = self.present.fall.max(self.present.most - sample);
    }

    /// The least, and how much more the most is. In microseconds.
    pub(super) fn least_and_spread(&self) -> (u64, u64) {
        let least = self.present.least.min(self.last.least);
        let most = self.present.most.max(self.last.most);
        (least.into(), most.saturating_sub(least).into())
    }

    /// By how much they fell, in microseconds: a queue that grows only rises, and jitter does both.
    pub(super) fn fall(&self) -> u64 {
        self.present.fall.max(self.last.fall).into()
    }
}

impl Range {
    const EMPTY: Self = Self { least: u32::MAX, most: 0, fall: 0 };
}

/// Rises of the round-trip time that mean nothing, in microseconds: timers, and who shares the processor.
pub(super) const LEAST_RISE: u64 = 2_000;
/// In each half of what `Delays` covers.
const SAMPLES: u8 = 8;
