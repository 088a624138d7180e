//! How fast packets arrive that left all at once: the path spreads them as it carries them. So the rate of a path
//! shows after the first round trip, where Startup needs one for each time that it doubles.
//!
//! Such a measurement is short, and much disturbs it. Acknowledgements that are held up and arrive together make it
//! too large, and then it says nothing. Packets that others pass make it too small. So it ends nothing, but Startup
//! is careful from there on.

use crate::time::{Instant, micros};

/// The most that was measured. Nothing of it is remembered but that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Train {
    /// When the packets left that are counted.
    left_at: Option<Instant>,
    /// When the first of them were acknowledged.
    began_at: Option<Instant>,
    /// Bytes of those that were acknowledged after them, when the last of them were, and the longest pause, in
    /// microseconds.
    bytes: u64,
    last_at: Option<Instant>,
    pause: u64,
    /// Bytes per second.
    most: u64,
}

impl Train {
    /// Nothing was sent.
    pub(super) const fn new() -> Self {
        Self { left_at: None, began_at: None, bytes: 0, last_at: None, pause: 0, most: 0 }
    }

    /// A packet of `bytes`, sent at `sent_at`, was acknowledged. The path takes packets of `mtu`.
    pub(super) fn on_ack(&mut self, now: Instant, sent_at: Instant, bytes: u64, mtu: u16) {
        if self.left_at < Some(sent_at) {
            let most = self.most;
            *self = Self { left_at: Some(sent_at), began_at: Some(now), most, ..Self::new() };
            return;
        }
        let Some(began_at) = self.began_at.filter(|_| self.left_at == Some(sent_at)) else {
            return;
        };
        let took = micros(now.saturating_since(began_at));
        if took == 0 {
            return;
        }
        self.bytes += bytes;
        let last_at = self.last_at.replace(now).unwrap_or(began_at);
        self.pause = self.pause.max(micros(now.saturating_since(last_at)));
        // A line spreads them evenly, what holds them up does not.
        if self.bytes >= TELLING * u64::from(mtu) && self.pause <= took / 2 {
            self.most = self.most.max(self.bytes.saturating_mul(1_000_000) / took);
        }
    }

    /// What the path carries, in bytes per second, if a train showed it.
    pub(super) const fn rate(&self) -> Option<u64> {
        if self.most > 0 { Some(self.most) } else { None }
    }
}

/// So many packets after the first show it.
const TELLING: u64 = 5;

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const MTU: u16 = 1200;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(1 + micros)
    }

    /// What a train of ten packets shows, if each two of them are acknowledged after such pauses.
    fn shown(pauses: [u64; 5]) -> Option<u64> {
        let (mut train, mut now) = (Train::new(), 100_000);
        for pause in pauses {
            now += pause;
            (0..2).for_each(|_| train.on_ack(at(now), at(0), MTU.into(), MTU));
        }
        train.rate()
    }

    #[test]
    fn packets_that_left_at_once_show_the_rate_at_which_they_arrive() {
        let second = Duration::from_secs(1).as_micros() as u64;
        assert_eq!(shown([0, 500, 500, 500, 500]), Some(8 * 1200 * second / 2000));
        assert_eq!(shown([70_000, 500, 500, 500, 500]), shown([0, 500, 500, 500, 500]));
        // One that is held up spoils it, unless it is the last.
        assert_eq!(shown([0, 500, 500, 500, 90_000]), Some(6 * 1200 * second / 1500));
        assert_eq!(shown([0, 500, 4000, 500, 500]), None);
    }

    #[test]
    fn what_is_acknowledged_together_and_what_left_apart_shows_nothing() {
        assert_eq!(shown([0; 5]), None);
        let mut train = Train::new();
        for n in 0..100 {
            train.on_ack(at(100_000 + n * 500), at(n * 10), MTU.into(), MTU);
            // Of an older one nothing is known any more.
            train.on_ack(at(100_100 + n * 500), at((n * 10).saturating_sub(10)), MTU.into(), MTU);
        }
        assert_eq!(train.rate(), None);
    }
}
