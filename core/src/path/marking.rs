//! ECN marks: which packets of a path have one, and what it means that routers changed some (RFC 9000 section 13.4).

use super::Path;
use crate::net::Ecn;
use crate::recovery::{Arrived, Congestion, Controller, Signs};
use crate::stats::PeerStats;
use crate::time::Instant;
use crate::wire::EcnCounts;

impl<F: Copy> Path<F> {
    /// The mark of the next packets. Probes have none: if marked packets do not pass, these do.
    pub(crate) fn mark(&self) -> Option<Ecn> {
        let is_marked = self.marking.is_on() && self.probes == 0;
        is_marked.then_some(Ecn::Ect0)
    }

    /// Takes what an acknowledgement says about marks. `newest`: when the newest packet was sent that it
    /// names for the first time, if that was on this path.
    pub(super) fn on_marks(
        &mut self,
        now: Instant,
        counts: Option<EcnCounts>,
        arrived: Arrived,
        newest: Option<Instant>,
        stats: &mut PeerStats,
    ) {
        let was_on = self.marking.is_on();
        let marked = self.marking.on_ack(counts.unwrap_or_default(), arrived);
        if !self.marking.is_on() {
            if was_on {
                tracing::debug!(target: "handfast::path", via = %self.via, "ECN marks do not pass");
            }
            return;
        }
        stats.congestion_marks += marked;
        let Some(sent_at) = newest else { return };
        let is_small = self.congestion.window() <= SMALL_PACKETS * u64::from(self.mtu.size());
        if self.marking.is_futile(now, sent_at, marked > 0, is_small) {
            tracing::debug!(target: "handfast::path", via = %self.via, "ECN marks mean nothing");
            // Nor did those that it slowed down for.
            self.congestion = Congestion::new(self.marking.control(), self.mtu.size());
            return;
        }
        let (persistent, is_continued) = (false, false);
        let signs = Signs { sent_at, bytes: 0, persistent, ecn: true, is_continued };
        let slowed = marked > 0 && self.congestion.on_congestion(now, &signs, &self.rtt);
        stats.congestion_events += u64::from(slowed);
    }
}

/// A window of so many packets is small: the least has half of them.
const SMALL_PACKETS: u64 = 8;
