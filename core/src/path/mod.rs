//! One path to a peer: its packet numbers in both directions, its losses, its congestion.

mod validation;

use alloc::vec::Vec;
use core::time::Duration;

use smallvec::SmallVec;

use crate::Violation;
pub(crate) use validation::{Answering, Candidate};

use crate::config::{BASE_DATAGRAM, Config};
use crate::crypto::rng::Rng;
use crate::net::Via;
use crate::peer::SentFrame;
use crate::recovery::{
    AckTracker, Congestion, Controller, Loss, LossOutcome, Pace, Pacer, ReplayWindow, Rtt, Sent,
    SentPackets, Settled, Timeout,
};
use crate::stats::{PathStats, PeerStats};
use crate::time::Instant;
use crate::wire::{self, AckFrame, PacketNumber, Writer};

/// The state that goes with one path id.
#[derive(Debug)]
pub(crate) struct PeerPath {
    pub(crate) id: u8,
    pub(crate) via: Via,
    /// An address from which the peer's newest packets come, not proved yet.
    pub(crate) candidate: Option<Candidate>,
    /// The via before the last change, and when that was.
    pub(crate) left: Option<(Via, Instant)>,
    window: ReplayWindow,
    highest: Option<u64>,
    /// When and with which counter the present round trip of arrivals began.
    spell: Option<(Instant, u64)>,
    /// The next packet number to leave out.
    skip_at: Option<u64>,
    pub(crate) acks: AckTracker,
    pub(crate) ledger: SentPackets<SentFrame>,
    rtt: Rtt,
    loss: Loss,
    congestion: Congestion,
    pacer: Pacer,
    /// Congestion marks that the peer reported so far.
    ce_reported: u64,
    /// Packets that may leave at once, whatever the window says.
    probes: u32,
    max_datagram: u16,
}

/// Whether a packet with data may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    Now,
    /// Too soon after the last ones.
    Later(Instant),
    /// The congestion window is full.
    Full,
}

/// What an acknowledgement or a timeout did to packets and their frames. One is reused, so that it
/// costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    pub(crate) acked: Vec<SentFrame>,
    pub(crate) lost: Vec<SentFrame>,
    /// Of packets acknowledged in time: when sent, how large, whether little was to be sent then.
    news: Vec<(Instant, u16, bool)>,
}

impl PeerPath {
    pub(crate) fn new(id: u8, via: Via, config: &Config) -> Self {
        Self {
            id,
            via,
            candidate: None,
            left: None,
            window: ReplayWindow::new(),
            highest: None,
            spell: None,
            skip_at: None,
            acks: AckTracker::new(config.max_ack_delay),
            ledger: SentPackets::new(0),
            rtt: Rtt::new(),
            loss: Loss::new(),
            congestion: Congestion::new(config.congestion, BASE_DATAGRAM),
            pacer: Pacer::new(),
            ce_reported: 0,
            probes: 0,
            max_datagram: BASE_DATAGRAM,
        }
    }

    /// Whether a packet with this counter is neither seen nor too old.
    pub(crate) fn is_new(&self, counter: u64) -> bool {
        self.window.is_new(counter)
    }

    /// Notes an authenticated packet; true if no later one was sent before it.
    pub(crate) fn note_received(&mut self, counter: u64, now: Instant) -> bool {
        self.widen_window(counter, now);
        self.window.insert(counter);
        let newest = self.highest.is_none_or(|highest| counter > highest);
        if newest {
            self.highest = Some(counter);
        }
        newest
    }

    /// The replay window covers twice what arrives in a round trip, so that reordering is not taken
    /// for replay. The first packets of a busy spell widen it already.
    fn widen_window(&mut self, counter: u64, now: Instant) {
        let (since, first) = *self.spell.get_or_insert((now, counter));
        let arrived = counter.saturating_sub(first);
        if arrived > IN_USE {
            self.window.grow(WINDOW_IN_USE.max(2 * arrived));
        }
        if now.saturating_since(since) >= self.rtt.smoothed() {
            self.spell = Some((now, counter));
        }
    }

    /// Nothing was heard for a while: gives memory back.
    pub(crate) fn rest(&mut self) {
        if self.ledger.packets_in_flight() == 0 {
            self.ledger.release();
            self.congestion.on_idle();
        }
        self.window.shrink();
        self.spell = None;
    }

    /// Leaves out a packet number now and then: a peer that acknowledges it is guessing, to make us
    /// send faster than the path bears.
    pub(crate) fn skip_number_sometimes(&mut self, now: Instant, rng: &mut Rng) {
        let next = self.ledger.next_counter();
        let at = *self.skip_at.get_or_insert_with(|| next + SKIP_AFTER + rng.below(SKIP_AFTER));
        if next >= at {
            self.ledger.skip_counter(now);
            self.skip_at = None;
        }
    }

    /// Writes an acknowledgement of what arrived; true if it fit. Returns the highest counter.
    pub(crate) fn write_ack(&mut self, now: Instant, writer: &mut Writer<'_>) -> Option<u64> {
        let ecn = self.acks.ecn();
        let delay = crate::time::micros(self.acks.delay(now));
        let largest = self.acks.ranges().next().map(|range| *range.end());
        let written = wire::encode_ack(writer, self.id, delay, ecn, self.acks.ranges());
        if written == 0 {
            return None;
        }
        self.acks.on_sent();
        largest
    }

    /// Takes an acknowledgement of what we sent.
    pub(crate) fn on_ack(
        &mut self,
        now: Instant,
        frame: &AckFrame<'_>,
        max_delay: Duration,
        stats: &mut PeerStats,
        fates: &mut Fates,
    ) -> Result<(), Violation> {
        let (congestion, rtt) = (&mut self.congestion, &mut self.rtt);
        let visit = |settled: Settled<'_, SentFrame>| {
            fates.acked.extend(settled.frames.copied());
            if !settled.was_lost && settled.ack_eliciting {
                let packet = settled.packet;
                fates.news.push((packet.sent_at, packet.size, packet.app_limited));
            }
        };
        let outcome =
            self.ledger.on_ack(frame.ranges(), visit).map_err(|_| Violation::AckOfUnsent)?;
        if let Some(sent_at) = outcome.sample_sent_at {
            let delay = Duration::from_micros(frame.delay_micros);
            rtt.update(now.saturating_since(sent_at), delay, max_delay);
        }
        for (sent_at, size, app_limited) in fates.news.drain(..) {
            congestion.on_ack(now, sent_at, size.into(), rtt, app_limited);
        }
        stats.packets_spuriously_lost += u64::from(outcome.spurious);
        if outcome.epoch_spurious {
            congestion.on_spurious(now);
        }
        if let Some(largest) = outcome.acked_our_ack {
            self.acks.on_ack_of_ack(largest);
        }
        self.on_marks(now, frame, outcome.largest.map(|(_, sent_at)| sent_at), stats);
        self.loss.on_ack(&outcome, &self.rtt, now);
        let lost = &mut fates.lost;
        let losses = self.loss.detect(&mut self.ledger, &self.rtt, max_delay, now, |settled| {
            note_lost(settled, lost);
        });
        self.on_losses(now, losses, stats);
        Ok(())
    }

    /// A deadline of loss detection passed.
    pub(crate) fn on_loss_timeout(
        &mut self,
        now: Instant,
        max_delay: Duration,
        stats: &mut PeerStats,
        fates: &mut Fates,
    ) {
        let lost = &mut fates.lost;
        let timeout =
            self.loss.on_timeout(&mut self.ledger, &self.rtt, max_delay, now, |settled| {
                note_lost(settled, lost);
            });
        match timeout {
            Timeout::Nothing => {}
            Timeout::LossDetected(losses) => self.on_losses(now, losses, stats),
            Timeout::Probe(count) => {
                stats.probe_timeouts += 1;
                self.probes = count;
            }
        }
    }

    /// What a probe should repeat: the frames of the oldest and of the newest packet under way.
    pub(crate) fn probe_frames(&mut self) -> SmallVec<[SentFrame; 8]> {
        if self.probes == 0 {
            return SmallVec::new();
        }
        let oldest = self.ledger.oldest_in_flight().map(|(counter, _)| counter);
        let newest = self.ledger.newest_in_flight().map(|(counter, _)| counter);
        let counters = oldest.into_iter().chain(newest.filter(|_| newest != oldest));
        counters.flat_map(|counter| self.ledger.frames_of(counter).copied()).collect()
    }

    /// When loss detection wants to be called.
    pub(crate) fn loss_deadline(&self, max_delay: Duration) -> Option<Instant> {
        self.loss.deadline(&self.ledger, &self.rtt, max_delay)
    }

    /// Whether a packet of `bytes` with data may leave now.
    pub(crate) fn permit(&self, now: Instant, bytes: usize) -> Permit {
        if self.probes > 0 {
            return Permit::Now;
        }
        let bytes = bytes as u64;
        if self.ledger.bytes_in_flight() + bytes > self.congestion.window() {
            return Permit::Full;
        }
        self.pacer.delay(now, bytes, &self.pace()).map_or(Permit::Now, Permit::Later)
    }

    /// Whether so much is unacknowledged beyond the window that control frames wait too, but for
    /// probes: a peer that only asks and never acknowledges would make us remember without end.
    pub(crate) fn is_unheard(&self) -> bool {
        self.probes == 0
            && self.ledger.packets_in_flight() >= MAX_UNHEARD
            && self.ledger.bytes_in_flight() > self.congestion.window()
    }

    /// Whether more packets wait for their fate than any honest peer leaves behind.
    pub(crate) fn is_overfull(&self) -> bool {
        self.ledger.len() > MAX_REMEMBERED
    }

    /// Whether a probe is due.
    pub(crate) fn owes_probe(&self) -> bool {
        self.probes > 0
    }

    /// The packet whose frames were pushed leaves. `app_limited` if nothing more waits.
    pub(crate) fn note_sent(&mut self, now: Instant, sent: Sent) {
        let bytes = u64::from(sent.size);
        self.ledger.commit(now, sent);
        if !sent.ack_eliciting {
            return;
        }
        self.probes = self.probes.saturating_sub(1);
        let pace = self.pace();
        self.pacer.on_sent(now, bytes, &pace);
        self.congestion.on_sent(now, bytes, self.ledger.bytes_in_flight());
    }

    /// The number of the next packet; `None` when all are used up.
    pub(crate) fn next_number(&self) -> Option<PacketNumber> {
        PacketNumber::new(self.id, self.ledger.next_counter())
    }

    /// Whether a packet with this counter left a short while ago.
    pub(crate) fn was_sent_lately(&self, counter: u64) -> bool {
        let next = self.ledger.next_counter();
        counter < next && next - counter <= LATELY
    }

    /// Probes since the peer last acknowledged anything.
    pub(crate) fn unanswered_probes(&self) -> u8 {
        self.loss.pto_count()
    }

    pub(crate) fn pto(&self, max_delay: Duration) -> Duration {
        self.rtt.pto(max_delay)
    }

    pub(crate) fn max_datagram(&self) -> usize {
        self.max_datagram.into()
    }

    pub(crate) fn set_max_datagram(&mut self, max_datagram: u16) {
        self.max_datagram = max_datagram;
        self.congestion.on_mtu(max_datagram);
    }

    /// Our own addresses changed.
    pub(crate) fn forget_local(&mut self) {
        self.via.forget_local();
        self.left.iter_mut().for_each(|(left, _)| left.forget_local());
    }

    /// The peer is elsewhere now: what was learned about the way there no longer holds, unless only
    /// its port changed.
    pub(crate) fn move_to(&mut self, via: Via, config: &Config, now: Instant) {
        let ip = |path: &Via| path.remote().map(|remote| remote.ip());
        if ip(&via) != ip(&self.via) {
            self.rtt = Rtt::new();
            self.loss = Loss::new();
            self.congestion = Congestion::new(config.congestion, self.max_datagram);
            self.pacer = Pacer::new();
        }
        self.left = Some((self.via, now));
        self.via = via;
        self.candidate = None;
    }

    pub(crate) fn stats(&self) -> PathStats {
        PathStats {
            rtt: self.rtt.is_sampled().then(|| self.rtt.smoothed()),
            congestion_window: self.congestion.window(),
            bytes_in_flight: self.ledger.bytes_in_flight(),
            max_datagram: self.max_datagram,
        }
    }

    /// Routers reported congestion through the peer.
    fn on_marks(
        &mut self,
        now: Instant,
        frame: &AckFrame<'_>,
        sent_at: Option<Instant>,
        stats: &mut PeerStats,
    ) {
        let Some((ecn, sent_at)) = frame.ecn.zip(sent_at) else { return };
        if ecn.ce > self.ce_reported {
            self.ce_reported = ecn.ce;
            let slowed = self.congestion.on_congestion(now, sent_at, false, true);
            stats.congestion_events += u64::from(slowed);
        }
    }

    fn on_losses(&mut self, now: Instant, losses: LossOutcome, stats: &mut PeerStats) {
        stats.packets_lost += u64::from(losses.packets);
        if let Some(sent_at) = losses.congestion {
            let slowed = self.congestion.on_congestion(now, sent_at, losses.persistent, false);
            stats.congestion_events += u64::from(slowed);
        }
    }

    fn pace(&self) -> Pace {
        Pace::new(&self.congestion, &self.rtt, self.max_datagram)
    }
}

/// Collects the frames of a packet declared lost.
fn note_lost(settled: Settled<'_, SentFrame>, lost: &mut Vec<SentFrame>) {
    let Settled { counter, frames, .. } = settled;
    tracing::debug!(target: "handfast::packet", counter, "declared lost");
    lost.extend(frames.copied());
}

/// Numbers are left out after this many packets to twice as many.
const SKIP_AFTER: u64 = 256;
/// So many packets in a round trip make a path one in use.
const IN_USE: u64 = 64;
/// How many numbers the replay window of a path in use covers.
const WINDOW_IN_USE: u64 = 2048;
/// Packets in flight beyond which control frames respect the congestion window.
const MAX_UNHEARD: u32 = 4096;
/// Packets remembered at most: 300 MB under way, 8 MB of memory.
const MAX_REMEMBERED: usize = 1 << 18;
/// How many numbers back a hint may refer to.
const LATELY: u64 = 1024;
