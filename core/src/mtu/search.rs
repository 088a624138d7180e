//! Which size is tried next, and when.

use core::ops::RangeInclusive;
use core::time::Duration;

use crate::pack::pack;
use crate::time::Instant;

/// The search on one path. One probe is under way at a time.
#[derive(Debug)]
pub(super) struct Search {
    /// Larger datagrams would be of use: what is to be sent fills the present ones.
    is_wanted: bool,
    /// What passed before, and seems not to any more: it is tried first.
    doubtful: Option<u16>,
    /// The smallest size that seems not to pass; `None` before one was found.
    too_large: Option<u16>,
    /// How often the present size was tried in vain.
    tries: u8,
    probe: Option<Probe>,
    /// It rests until then.
    resumes_at: Option<Instant>,
    /// How long it rests the next time.
    pause: Duration,
    /// When a size stopped passing last.
    hole_at: Option<Instant>,
}

pack!(Search: is_wanted, doubtful, too_large, tries, probe, resumes_at, pause, hole_at);

/// A probe under way.
#[derive(Clone, Copy, Debug)]
struct Probe {
    counter: u64,
    size: u16,
    sent_at: Instant,
    /// A packet sent after it arrived: that it did not is because of its size, or chance.
    is_overtaken: bool,
}

pack!(Probe: counter, size, sent_at, is_overtaken);

impl Search {
    pub(super) const fn new() -> Self {
        Self {
            is_wanted: false,
            doubtful: None,
            too_large: None,
            tries: 0,
            probe: None,
            resumes_at: None,
            pause: FIRST_PAUSE,
            hole_at: None,
        }
    }

    pub(super) const fn want(&mut self) {
        self.is_wanted = true;
    }

    pub(super) const fn take_want(&mut self) -> bool {
        core::mem::replace(&mut self.is_wanted, false)
    }

    pub(super) const fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    pub(super) const fn is_under_way(&self) -> bool {
        self.probe.is_some()
    }

    /// Starts over at once.
    pub(super) const fn begin(&mut self) {
        self.doubtful = None;
        self.too_large = None;
        self.tries = 0;
        self.resumes_at = None;
    }

    /// The size of the probe that is due; `sizes` are from what passes up to what is allowed.
    pub(super) fn due(
        &mut self,
        now: Instant,
        patience: Duration,
        sizes: RangeInclusive<u16>,
    ) -> Option<u16> {
        if self.probe.is_some_and(|probe| now < probe.sent_at + patience) {
            return None;
        }
        if let Some(probe) = self.probe.take() {
            self.on_unanswered(&probe, now);
        }
        if let Some(at) = self.resumes_at {
            if now < at {
                self.is_wanted = false;
                return None;
            }
            self.begin();
        }
        let next = self.next(&sizes);
        if next.is_none() {
            self.is_wanted = false;
            self.rest(now);
        }
        next
    }

    /// What is possible first, since most paths carry that; then the middle of what is left.
    fn next(&self, sizes: &RangeInclusive<u16>) -> Option<u16> {
        let (passes, most) = (*sizes.start(), *sizes.end());
        if let Some(size) = self.doubtful {
            return Some(size.min(most)).filter(|size| *size > passes);
        }
        let Some(too_large) = self.too_large.filter(|size| *size <= most) else {
            return Some(most);
        };
        let is_open = too_large.saturating_sub(passes) > GRAIN;
        is_open.then_some(passes.midpoint(too_large))
    }

    pub(super) const fn on_probe(&mut self, counter: u64, size: u16, now: Instant) {
        self.is_wanted = false;
        self.probe = Some(Probe { counter, size, sent_at: now, is_overtaken: false });
    }

    /// A packet arrived.
    pub(super) fn on_acked(&mut self, counter: u64) {
        let Some(probe) = &mut self.probe else { return };
        probe.is_overtaken |= counter > probe.counter;
        if counter == probe.counter {
            self.probe = None;
        }
    }

    /// So much passes.
    pub(super) fn on_passed(&mut self, size: u16) {
        self.tries = 0;
        self.doubtful = None;
        self.too_large = self.too_large.filter(|too_large| *too_large > size);
    }

    /// What passed seems not to pass any more.
    pub(super) const fn confirm(&mut self, size: u16) {
        self.begin();
        self.doubtful = Some(size);
        self.probe = None;
    }

    /// It does not.
    fn on_hole(&mut self, now: Instant) {
        let is_rare = self.hole_at.is_none_or(|at| now >= at + LONGEST_PAUSE * 2);
        self.hole_at = Some(now);
        if is_rare {
            self.pause = FIRST_PAUSE;
        }
        self.rest(now);
    }

    /// A probe of which nothing is heard tells something only if others were answered.
    fn on_unanswered(&mut self, probe: &Probe, now: Instant) {
        if !probe.is_overtaken {
            return;
        }
        self.tries += 1;
        if self.tries < TRIES {
            return;
        }
        self.tries = 0;
        if self.doubtful.take().is_some() {
            self.on_hole(now);
        } else {
            self.too_large = Some(probe.size);
        }
    }

    fn rest(&mut self, now: Instant) {
        self.resumes_at = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// How often a size is tried: `MAX_PROBES` of RFC 8899 section 5.1.2.
const TRIES: u8 = 3;
/// The search ends when it is known this closely what passes.
const GRAIN: u16 = 8;
/// How long it rests before it begins again, at first and at most (`PMTU_RAISE_TIMER` of RFC 8899 section 5.1.1).
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
