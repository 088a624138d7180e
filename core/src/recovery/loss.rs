//! Loss detection on one path: RFC 9002 section 6, by time first.
//!
//! Counting packets finds losses sooner but calls every reordered packet lost, so the count is
//! only trusted until the path is seen to reorder, and the time allowed is learned from late packets.

use core::time::Duration;

use super::lateness::Lateness;
use super::rtt::{GRANULARITY, Rtt};
use super::sent::{AckOutcome, Packet, ResolvedPacket, SentPackets};
use crate::pack::pack;
use crate::time::{Instant, micros};

/// When packets of one path count as lost, and when to probe.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loss {
    /// When the oldest packet in flight is lost, if something sent after it has arrived.
    deadline: Option<Instant>,
    lateness: Lateness,
    /// When the losses began that were answered last.
    epoch_start: Option<Instant>,
    /// When the losses began that are taken back together.
    episode_start: Option<Instant>,
    /// When the last probe was asked for.
    probed_at: Option<Instant>,
    /// The end of the driver's last absence. What was sent before is missed from then on.
    present_since: Option<Instant>,
    pto_count: u8,
}

pack!(Loss: deadline, lateness, epoch_start, episode_start, probed_at, present_since, pto_count);

/// What a round of detection found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LossOutcome {
    /// Packets declared lost.
    pub(crate) packets: u32,
    /// When the newest of them was sent that tells of congestion on the present path: what was sent before the
    /// peer moved does not.
    pub(crate) congestion: Option<Instant>,
    /// The bytes of those.
    pub(crate) bytes: u64,
    /// Nothing got through for so long that the path must be taken for changed
    /// (RFC 9002 section 7.6).
    pub(crate) persistent: bool,
    /// It is not known yet whether the losses before these were ones: both turn out spurious together.
    pub(crate) is_continued: bool,
}

/// What a timer that fired means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// Not due.
    Nothing,
    /// Packets were looked through; they may still be in time.
    LossDetected(LossOutcome),
    /// Nothing is known to be lost, but all is silent: send this many packets that the peer must
    /// acknowledge, beyond what the window allows if need be.
    Probe(u32),
}

impl Loss {
    /// No packet was sent.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The driver was away until `until`: acknowledgements may have come that it did not see yet.
    pub(crate) fn on_absence(&mut self, until: Instant) {
        self.present_since = Some(until);
    }

    /// Learns from an acknowledgement. Detection is to follow, with the same `now`.
    pub(crate) fn on_ack(&mut self, outcome: &AckOutcome, rtt: &Rtt, now: Instant) {
        if outcome.ack_eliciting {
            self.pto_count = 0;
        }
        if let Some(sent_at) = outcome.late_sent_at
            && self.present_since <= Some(sent_at)
        {
            self.lateness.note(sent_at, rtt, now);
        }
        if outcome.epoch_spurious {
            self.epoch_start = None;
            self.episode_start = None;
        }
    }

    /// Declares packets lost and hands each to `visit`. Costs O(lost): the search stops at the
    /// first packet that may still be in time, since those behind it were sent later.
    ///
    /// `max_ack_delay` is the peer's.
    pub(crate) fn detect<F: Copy>(
        &mut self,
        ledger: &mut SentPackets<F>,
        rtt: &Rtt,
        max_ack_delay: Duration,
        now: Instant,
        mut visit: impl FnMut(ResolvedPacket<'_, F>),
    ) -> LossOutcome {
        self.lateness.review(now);
        let patience = self.lateness.patience(rtt).max(GRANULARITY);
        let mut outcome = LossOutcome::default();
        let mut run = PersistentCongestion::new(rtt, max_ack_delay, self.present_since);
        self.deadline = None;
        while let Some((counter, packet)) = ledger.oldest_in_flight() {
            if counter >= ledger.acked_end() {
                break;
            }
            let late_at = self.missed_from(packet.sent_at) + patience;
            let is_overtaken =
                !self.lateness.is_known() && ledger.is_overtaken(counter, PACKET_THRESHOLD);
            if now < late_at && !is_overtaken {
                self.deadline = Some(late_at);
                break;
            }
            outcome.packets += 1;
            if ledger.tells_of_congestion(&packet) {
                outcome.is_continued |= self.note_epoch(ledger, &packet, rtt, now);
                outcome.congestion = Some(packet.sent_at);
                outcome.bytes += u64::from(packet.size);
                outcome.persistent |= run.covers(counter, &packet, ledger);
            }
            ledger.lose(counter, &mut visit);
        }
        let horizon = rtt.pto(max_ack_delay).saturating_mul(SPURIOUS_HORIZON);
        let just_back = self.present_since.is_some_and(|since| now < since + horizon);
        ledger.forget(now, if just_back { Duration::MAX } else { horizon });
        outcome
    }

    /// When to call [`on_timeout`](Self::on_timeout).
    pub(crate) fn deadline<F: Copy>(
        &self,
        ledger: &SentPackets<F>,
        rtt: &Rtt,
        max_ack_delay: Duration,
    ) -> Option<Instant> {
        if ledger.packets_in_flight() == 0 {
            return None;
        }
        let probe = || {
            let since = ledger.last_eliciting_sent_at().max(self.probed_at)?;
            let is_awaited = ledger.last_eliciting_asks_ack_now();
            let delay = if is_awaited { max_ack_delay.min(AT_ONCE) } else { max_ack_delay };
            let since = self.missed_from(since).as_micros();
            Some(Instant::from_micros(since.saturating_add(self.probe_interval(rtt, delay))))
        };
        self.deadline.or_else(probe)
    }

    /// Acts on time passing: detects losses, or asks for probes.
    pub(crate) fn on_timeout<F: Copy>(
        &mut self,
        ledger: &mut SentPackets<F>,
        rtt: &Rtt,
        max_ack_delay: Duration,
        now: Instant,
        visit: impl FnMut(ResolvedPacket<'_, F>),
    ) -> Timeout {
        if self.deadline(ledger, rtt, max_ack_delay).is_none_or(|deadline| now < deadline) {
            return Timeout::Nothing;
        }
        if self.deadline.is_some() {
            return Timeout::LossDetected(self.detect(ledger, rtt, max_ack_delay, now, visit));
        }
        self.pto_count = self.pto_count.saturating_add(1);
        // Even a probe that cannot be sent moves the deadline.
        self.probed_at = Some(now);
        Timeout::Probe(if ledger.packets_in_flight() >= MANY_IN_FLIGHT { 2 } else { 1 })
    }

    /// Probes asked for since the peer last acknowledged anything.
    pub(crate) const fn pto_count(&self) -> u8 {
        self.pto_count
    }

    /// The wait doubles with each probe, but while data is pending it stays short enough to notice
    /// within two seconds that the path is back.
    ///
    /// In microseconds: it is asked for after each packet.
    fn probe_interval(&self, rtt: &Rtt, max_ack_delay: Duration) -> u64 {
        let pto = rtt.pto_micros(max_ack_delay);
        let doubled = pto.saturating_mul(1 << self.pto_count.min(MAX_BACKOFF));
        doubled.min(pto.max(micros(LONGEST_BACKOFF)))
    }

    /// From when on an acknowledgement of what was sent at `sent_at` is missed.
    fn missed_from(&self, sent_at: Instant) -> Instant {
        self.present_since.map_or(sent_at, |since| since.max(sent_at))
    }

    /// A loss of a packet sent after the current epoch began starts the next one, as it does in
    /// the congestion controller. True if it goes on with what the one before is about: on a path that
    /// reorders, packets of several epochs may still come late.
    #[cold]
    fn note_epoch<F: Copy>(
        &mut self,
        ledger: &mut SentPackets<F>,
        packet: &Packet,
        rtt: &Rtt,
        now: Instant,
    ) -> bool {
        if self.epoch_start.is_some_and(|start| packet.sent_at <= start) {
            return false;
        }
        self.epoch_start = Some(now);
        let span = rtt.smoothed().saturating_mul(EPISODE);
        let is_continued = self.lateness.is_known()
            && ledger.misses_any()
            && self.episode_start.is_some_and(|start| now < start + span);
        if !is_continued {
            self.episode_start = Some(now);
            ledger.begin_loss_epoch();
        }
        is_continued
    }
}

/// Looks for a run of lost packets, none between them acknowledged, that spans the duration of
/// persistent congestion.
struct PersistentCongestion {
    /// None until the round-trip time is known.
    duration: Option<Duration>,
    /// When the first packet of the run was sent, and the counter of its last.
    run: Option<(Instant, u64)>,
    /// The end of the driver's last absence, which no run spans.
    present_since: Option<Instant>,
}

impl PersistentCongestion {
    fn new(rtt: &Rtt, max_ack_delay: Duration, present_since: Option<Instant>) -> Self {
        let duration = rtt.pto(max_ack_delay).saturating_mul(PERSISTENT_CONGESTION);
        Self { duration: rtt.is_sampled().then_some(duration), run: None, present_since }
    }

    fn covers<F: Copy>(&mut self, counter: u64, packet: &Packet, ledger: &SentPackets<F>) -> bool {
        let unbroken = self.run.filter(|(_, last)| !ledger.any_acked(last + 1..counter));
        let start = unbroken.map_or(packet.sent_at, |(start, _)| start);
        let start = self.present_since.filter(|since| *since <= packet.sent_at).max(Some(start));
        let start = start.unwrap_or(packet.sent_at);
        self.run = Some((start, counter));
        self.duration.is_some_and(|duration| packet.sent_at.saturating_since(start) > duration)
    }
}

/// `kPacketThreshold` of RFC 9002 section 6.1.1.
const PACKET_THRESHOLD: u64 = 3;
/// So many round trips after the first, losses still belong together with it.
const EPISODE: u32 = 4;
/// How long the peer delays an acknowledgement that was asked for at once.
const AT_ONCE: Duration = Duration::from_millis(1);
/// In probe timeouts: `kPersistentCongestionThreshold` of RFC 9002 section 7.6.1.
const PERSISTENT_CONGESTION: u32 = 3;
/// How long lost packets are remembered, in probe timeouts.
const SPURIOUS_HORIZON: u32 = 3;
/// With so many packets in flight a probe is two packets (RFC 9002 section 6.2.4 allows two).
const MANY_IN_FLIGHT: u32 = 4;
/// RFC 9002 section 6.2.1 doubles the wait without end; here [`LONGEST_BACKOFF`] bounds it.
const MAX_BACKOFF: u8 = 16;
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
