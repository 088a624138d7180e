//! How large the datagrams of one path are: the search for the largest that passes, by probes that are lost without
//! harm, and the way back when what passed does not any more (RFC 8899).
//!
//! A plain state machine over counters, sizes and times. It knows no paths, packets or peers, and has no timers: it
//! acts when there is something to send that a larger datagram would help.

mod hole;
mod search;

use core::time::Duration;

use crate::pack::pack;
use crate::time::Instant;
use hole::Hole;
use search::Search;

/// The size of datagrams of one path.
#[derive(Debug)]
pub(crate) struct Mtu {
    /// What is taken to pass without asking.
    base: u16,
    /// What both ends, and whatever carries the packets, allow.
    most: u16,
    /// What passes, as far as is known.
    size: u16,
    /// Packets before this one went another way.
    since: u64,
    search: Search,
    hole: Hole,
    /// The first packet that seemed too large, when larger ones seemed not to pass any more. If that or a later one
    /// arrives after all, they do.
    too_large: Option<u64>,
    /// Something is suspected, under way or to be reported: each acknowledgement is to be looked at.
    is_alert: bool,
    /// That the base does not pass was reported.
    is_told: bool,
}

pack!(Mtu: base, most, size, since, search, hole, too_large, is_alert, is_told);

/// What became known about the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Datagrams have another size from here on.
    Resized,
    /// Those of the base do not pass, smaller ones do. Told once.
    TooNarrow,
}

impl Mtu {
    /// Nothing is known beyond that datagrams of `base` bytes should pass.
    pub(crate) const fn new(base: u16) -> Self {
        Self {
            base,
            most: base,
            size: base,
            since: 0,
            search: Search::new(),
            hole: Hole::new(0),
            too_large: None,
            is_alert: false,
            is_told: false,
        }
    }

    /// The size of datagrams.
    pub(crate) const fn size(&self) -> u16 {
        self.size
    }

    /// How large a packet is at most that is to get through when `unanswered` probe timeouts in a row were: what
    /// is lost because of its size shows only if something smaller arrives.
    pub(crate) const fn limit_of_probe(&self, unanswered: u8) -> u16 {
        if unanswered > 1 { SMALL } else { self.base }
    }

    /// Another way: all that was learned is forgotten. The packets from `next` on take it.
    pub(crate) const fn restart(&mut self, base: u16, most: u16, next: u64) {
        *self = Self { most, since: next, hole: Hole::new(next), ..Self::new(base) };
    }

    /// The most that may be used changed. True if datagrams become smaller by that.
    pub(crate) fn set_most(&mut self, most: u16) -> bool {
        let most = most.max(self.base);
        if most > self.most {
            self.search.begin();
        }
        self.most = most;
        let shrinks = most < self.size;
        self.size = self.size.min(most);
        shrinks
    }

    /// Larger datagrams would be of use.
    pub(crate) const fn want(&mut self) {
        self.search.want();
    }

    /// Whether larger ones would be of use than are allowed; once.
    pub(crate) const fn take_want_beyond(&mut self) -> bool {
        self.size == self.most && self.search.take_want()
    }

    /// Whether a probe may be due.
    #[inline]
    pub(crate) const fn is_wanted(&self) -> bool {
        self.search.is_wanted() && self.size < self.most
    }

    /// The size of the probe that is due. One that is not acknowledged after `patience` was lost.
    pub(crate) fn due(&mut self, now: Instant, patience: Duration) -> Option<u16> {
        self.search.due(now, patience, self.size..=self.most)
    }

    /// A probe left.
    pub(crate) const fn on_probe(&mut self, counter: u64, size: u16, now: Instant) {
        self.search.on_probe(counter, size, now);
        self.is_alert = true;
    }

    /// A packet arrived, a probe or not.
    #[inline]
    pub(crate) fn on_acked(&mut self, counter: u64, size: u16) {
        if self.is_alert {
            self.on_acked_while_alert(counter, size);
        }
    }

    /// Whatever is larger than packets are now is a probe, or was sent before they became smaller.
    fn on_acked_while_alert(&mut self, counter: u64, size: u16) {
        if counter < self.since {
            return;
        }
        self.hole.on_acked(counter, size);
        self.search.on_acked(counter);
        let is_older = self.too_large.is_some_and(|first| counter < first);
        if is_older || size <= self.size || size > self.most {
            return;
        }
        self.size = size;
        self.hole = Hole::new(counter);
        self.search.on_passed(size);
        self.too_large = None;
    }

    /// A packet that the peer had to acknowledge was lost.
    pub(crate) fn on_lost(&mut self, counter: u64, size: u16) {
        let is_settled = self.is_told && self.size == self.base;
        if counter >= self.since && size > self.floor() && !is_settled {
            self.hole.on_lost(counter, size);
            self.is_alert = true;
        }
    }

    /// Whether what arrives or is lost may show something.
    #[inline]
    pub(crate) const fn is_alert(&self) -> bool {
        self.is_alert
    }

    /// Draws the consequences of what arrived and of what was lost, `was` being the size before. `next` is the next
    /// packet.
    pub(crate) fn review(&mut self, was: u16, next: u64) -> Option<News> {
        let mut news = (self.size != was).then_some(News::Resized);
        if self.size > self.base && self.hole.is_likely() {
            self.too_large = Some(self.hole.first_lost());
            self.search.confirm(self.size);
            self.size = self.base;
            self.hole = Hole::new(next);
            news = Some(News::Resized);
        } else if self.hole.is_certain() {
            self.is_told = true;
            self.hole = Hole::new(next);
            news = Some(News::TooNarrow);
        }
        let is_open = self.search.is_under_way() || self.too_large.is_some();
        self.is_alert = is_open || self.hole.is_suspected();
        news
    }

    /// Packets of more bytes may be too large where smaller ones pass.
    const fn floor(&self) -> u16 {
        if self.size > self.base { self.base } else { SMALL }
    }
}

/// Datagrams of so many bytes pass wherever IP does: 576 bytes with the headers of IPv4 and UDP.
const SMALL: u16 = 548;

#[cfg(test)]
mod tests;
