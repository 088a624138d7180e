//! How large the packets of a path are.

use core::time::Duration;

use super::Path;
use crate::mtu::News;
use crate::net::Via;
use crate::recovery::{Controller, Pace};
use crate::time::Instant;

impl<F: Copy> Path<F> {
    /// How large packets are.
    pub(crate) fn max_datagram(&self) -> usize {
        self.mtu.size().into()
    }

    /// How large the next packet may be. One that probes whether anything passes is smaller: what is lost because
    /// of its size is not to be lost again.
    pub(crate) fn next_limit(&self) -> usize {
        let size = self.mtu.size();
        if self.probes == 0 {
            return size.into();
        }
        self.mtu.limit_of_probe(self.loss.pto_count()).min(size).into()
    }

    /// What such a packet has room for without a message being cut that fits whole into any packet.
    pub(crate) fn next_room(&self) -> usize {
        let size = self.mtu.size();
        let least = if self.probes == 0 { size } else { self.via.base_datagram() };
        least.min(size).into()
    }

    /// Both ends agreed on datagrams of so many bytes.
    pub(super) fn set_max_datagram(&mut self, agreed: u16) {
        self.agreed_datagram = agreed;
        let most = self.most();
        self.allow(most);
    }

    /// What carries the packets takes them up to this size. True if larger ones would be of use that the peer would
    /// take; once.
    pub(crate) fn fit_into(&mut self, carried: u16) -> bool {
        self.allow(self.agreed_datagram.min(carried));
        self.mtu.size() < self.agreed_datagram && self.mtu.take_want_beyond()
    }

    fn allow(&mut self, most: u16) {
        if self.mtu.set_most(most) {
            self.congestion.on_mtu(self.mtu.size());
        }
    }

    /// Larger packets would be of use: more is to be sent than fits one.
    pub(crate) const fn want_larger(&mut self) {
        self.mtu.want();
    }

    /// Whether it would be of use to know whether larger packets pass.
    #[inline]
    pub(crate) const fn wants_larger(&self) -> bool {
        self.mtu.is_wanted()
    }

    /// How large a packet is to leave only to find out whether that size passes, if one is and may leave now.
    pub(super) fn due_size(&mut self, now: Instant, max_delay: Duration) -> Option<u16> {
        self.mtu.due(now, self.rtt.pto(max_delay).saturating_mul(2))
    }

    /// Such a packet leaves next. It is paced as any other, but its loss is none.
    pub(crate) fn on_size_probe(&mut self, now: Instant, size: u16) {
        self.mtu.on_probe(self.space.sent().next_counter(), size, now);
        let pace = self.pace();
        self.pacer.on_sent(now, size.into(), &pace);
    }

    /// How fast packets may leave: a burst has so many of this size.
    pub(super) fn pace(&self) -> Pace {
        Pace::new(&self.congestion, &self.rtt, self.mtu.size())
    }

    /// Draws the consequences of what arrived and was lost: packets had the size `was`. True if those of the least
    /// size do not pass, once.
    #[inline]
    pub(super) fn review_size(&mut self, was: u16) -> bool {
        self.mtu.is_alert() && self.find_size_news(was)
    }

    #[cold]
    fn find_size_news(&mut self, was: u16) -> bool {
        let news = self.mtu.review(was, self.space.sent().next_counter());
        let (size, via) = (self.mtu.size(), &self.via);
        if news == Some(News::Resized) {
            self.congestion.on_mtu(size);
            tracing::debug!(target: "handfast::path", %via, was, size, "datagrams resized");
        }
        news == Some(News::TooNarrow)
    }

    /// The way is another, or may be: what passed on the one before may not pass here.
    pub(super) fn restart_search(&mut self) {
        let most = self.most();
        self.mtu.restart(self.via.base_datagram(), most, self.space.sent().next_counter());
        self.congestion.on_mtu(self.mtu.size());
    }

    /// The most that packets may have before it is known what a neighbour takes that carries them.
    const fn most(&self) -> u16 {
        match self.via {
            Via::Direct(_) => self.agreed_datagram,
            Via::Routed(_) => self.via.base_datagram(),
        }
    }
}
