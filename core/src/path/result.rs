//! What acknowledgements and timeouts lead to.

use alloc::vec::Vec;

use super::Path;
use crate::mtu::Mtu;
use crate::pack::pack;
use crate::recovery::{Controller, LossOutcome, Marking, ResolvedPacket, Signs};
use crate::stats::PeerStats;
use crate::time::Instant;

/// What an acknowledgement or a timeout did to packets: their frames. One is reused, so that it costs
/// no allocation.
#[derive(Debug)]
pub(crate) struct AckResult<F> {
    pub(super) acked: Vec<F>,
    pub(super) lost: Vec<F>,
    /// Under way on a path that does not answer: to be sent again on another.
    pub(super) doubtful: Vec<F>,
    /// Of packets acknowledged in time: when sent, how large.
    pub(super) news: Vec<(Instant, u16)>,
    /// A path does not carry packets of the least size, which nobody was told yet.
    pub(super) is_too_narrow: bool,
}

pack!(AckResult<F>: acked, lost, doubtful, news, is_too_narrow);

impl<F> AckResult<F> {
    /// Takes the frames that arrived.
    pub(crate) fn drain_acked(&mut self) -> impl Iterator<Item = F> + '_ {
        self.acked.drain(..)
    }

    /// Takes the frames that were lost.
    pub(crate) fn drain_lost(&mut self) -> impl Iterator<Item = F> + '_ {
        self.lost.drain(..)
    }

    /// Whether a path turned out not to carry packets of the least size; once.
    pub(crate) const fn take_too_narrow(&mut self) -> bool {
        core::mem::replace(&mut self.is_too_narrow, false)
    }

    /// Takes the frames that should be sent on another path as well.
    pub(crate) fn drain_doubtful(&mut self) -> impl Iterator<Item = F> + '_ {
        self.doubtful.drain(..)
    }
}

impl<F> Default for AckResult<F> {
    fn default() -> Self {
        Self {
            acked: Vec::new(),
            lost: Vec::new(),
            doubtful: Vec::new(),
            news: Vec::new(),
            is_too_narrow: false,
        }
    }
}

impl<F: Copy> Path<F> {
    /// What packets that were declared lost show.
    #[inline]
    pub(super) fn on_losses(&mut self, now: Instant, losses: LossOutcome, stats: &mut PeerStats) {
        if losses.packets > 0 {
            self.answer_losses(now, losses, stats);
        }
    }

    #[cold]
    fn answer_losses(&mut self, now: Instant, losses: LossOutcome, stats: &mut PeerStats) {
        stats.packets_lost += u64::from(losses.packets);
        if self.space.sent().packets_in_flight() == 0 {
            // Nothing is waited for any more, or the path would be in distress for what is lost already.
            self.waits_since = Instant::MAX;
        }
        if let Some(sent_at) = losses.congestion {
            let LossOutcome { bytes, persistent, is_continued, .. } = losses;
            let signs = Signs { sent_at, bytes, persistent, ecn: false, is_continued };
            let slowed = self.congestion.on_congestion(now, &signs, &self.rtt);
            stats.congestion_events += u64::from(slowed);
        }
    }
}

/// Collects the frames of a packet declared lost, which may have been too large, or marked.
#[cold]
pub(super) fn note_lost<F: Copy>(
    settled: ResolvedPacket<'_, F>,
    (mtu, marking): (&mut Mtu, &mut Marking),
    lost: &mut Vec<F>,
) {
    let ResolvedPacket { counter, frames, packet, on_path, .. } = settled;
    if on_path {
        mtu.on_lost(counter, packet.size);
        marking.on_lost(packet);
    }
    tracing::debug!(target: "handfast::packet", counter, "declared lost");
    lost.extend(frames.copied());
}
