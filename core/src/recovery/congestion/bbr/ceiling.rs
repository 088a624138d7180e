//! How much may be in flight whatever rate and round trip say. In bytes.
//!
//! In draft-ietf-ccwg-bbr, `inflight_longterm` falls by less than others' windows after congestion and grows
//! within a few round trips: beside CUBIC on a short queue that takes everything. Here it is a window of CUBIC,
//! which answers nothing but congestion that is confirmed, and which is forgotten when its curve is over.

use core::time::Duration;

use super::super::Controller;
use super::super::cubic::Cubic;
use crate::recovery::Rtt;
use crate::time::Instant;

/// What congestion showed to be too much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ceiling {
    window: Option<Cubic>,
}

impl Ceiling {
    /// None is known.
    pub(super) const fn new() -> Self {
        Self { window: None }
    }

    /// The path bore `in_flight` bytes, and no more, as losses or a mark show.
    pub(super) fn cut(&mut self, now: Instant, in_flight: u64, marked: bool, mtu: u16) {
        self.window.get_or_insert_with(|| Cubic::new(mtu)).slow_down(now, in_flight, marked);
    }

    /// What it showed is forgotten if it is long ago.
    pub(super) fn review(&mut self, now: Instant) {
        self.window = self.window.filter(|window| !window.is_beyond(now));
    }

    pub(super) fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64) {
        self.window.iter_mut().for_each(|window| window.on_sent(now, bytes, in_flight));
    }

    pub(super) fn on_ack(&mut self, now: Instant, sent_at: Instant, bytes: u64, rtt: &Rtt) {
        self.window.iter_mut().for_each(|window| window.on_ack(now, sent_at, bytes, rtt));
    }

    /// Whether the path was overrun.
    pub(super) const fn is_known(&self) -> bool {
        self.window.is_some()
    }

    /// Nobody looked for so long.
    pub(super) fn on_absence(&mut self, span: Duration) {
        self.window.iter_mut().for_each(|window| window.on_absence(span));
    }

    /// The most that may be in flight.
    pub(super) fn most(&self) -> u64 {
        self.window.map_or(u64::MAX, |window| window.window())
    }
}
