//! Whether a path leads to the peer and back: challenges to validated places, distress and rest.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::check::{Check, DIRECT_INTERVAL, ROUTED_INTERVAL};
use super::result::note_lost;
use super::{AckResult, LONGEST_DISTRESS, Path, PathTimer, id_toward};
use crate::config::Config;
use crate::net::Via;
use crate::recovery::{Congestion, Controller, Loss, Pacer, Rtt};
use crate::stats::PeerStats;
use crate::time::Instant;
use crate::timer::Timers;

impl<F: Copy> Path<F> {
    /// What an answer takes, as far as it is known.
    pub(crate) const fn round_trip(&self) -> Duration {
        self.rtt.smoothed()
    }

    /// The same if it was measured.
    #[inline]
    pub(crate) fn measured_round_trip(&self) -> Option<Duration> {
        self.rtt.is_sampled().then(|| self.rtt.smoothed())
    }

    /// Probes since the peer last acknowledged anything.
    pub(crate) const fn unanswered_probes(&self) -> u8 {
        self.loss.pto_count()
    }

    /// How long to wait for an acknowledgement before probing.
    pub(crate) fn pto(&self, max_delay: Duration) -> Duration {
        self.rtt.pto(max_delay)
    }

    /// Whether it is a path that we send on: only the peer uses an id that leads elsewhere.
    pub(super) fn is_way(&self) -> bool {
        self.space.id() == id_toward(&self.via)
    }

    /// Whether packets that come by `via` show something about this path.
    pub(super) fn is_way_of(&self, via: &Via) -> bool {
        self.space.id() == id_toward(via) && self.is_way()
    }

    /// Whether data may take it.
    pub(super) fn is_usable(&self) -> bool {
        self.is_proved && self.suspect_since.is_none()
    }

    /// The peer is there, and hears us.
    #[cold]
    pub(super) fn on_two_way(&mut self, now: Instant) {
        self.is_proved = true;
        (self.heard_at, self.acked_at) = (now, now);
        // What answers challenges may swallow data all the same: what data waits for is not put off by that.
        if self.suspect_since.take().is_some() {
            self.wait_anew(now);
        }
        let interval = self.interval();
        self.check.iter_mut().for_each(|check| check.wait_until(now + interval));
    }

    /// The peer has shown that it is elsewhere. What was sent where it was gets more time; but not if it was there for a
    /// moment only, or who makes it seem to move all the time could keep data waiting for ever.
    pub(super) fn on_moved(&mut self, now: Instant) {
        if self.previous.is_none_or(|previous| !previous.is_just_left(now)) {
            self.wait_anew(now);
        }
        self.on_two_way(now);
    }

    fn wait_anew(&mut self, now: Instant) {
        if self.waits_since != Instant::MAX {
            self.waits_since = now;
        }
    }

    /// Something that was sent on it arrived.
    pub(super) fn on_acknowledged(&mut self, now: Instant) {
        self.acked_at = now;
        let waits = self.space.sent().packets_in_flight() > 0;
        self.waits_since = if waits { now } else { Instant::MAX };
        self.end_distress(now);
    }

    /// A packet of the peer came by it.
    #[inline]
    pub(super) fn on_heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.check.iter_mut().for_each(|check| check.lull.on_heard(now));
        self.end_distress(now);
    }

    /// Once something went each way since its distress began, it leads both ways.
    #[inline]
    fn end_distress(&mut self, now: Instant) {
        if self.suspect_since.is_some_and(|since| self.two_way_at() > since) {
            self.on_two_way(now);
        }
    }

    /// All that an acknowledgement shows is known.
    pub(super) fn after_ack(&mut self, now: Instant, stats: &mut PeerStats) {
        let in_flight = self.space.sent().bytes_in_flight();
        let slowed = self.congestion.after_ack(now, in_flight, &self.rtt);
        stats.congestion_events += u64::from(slowed);
    }

    /// Whether [`note_lack`](Self::note_lack) makes a difference: else nobody finds out.
    #[inline]
    pub(crate) fn heeds_lack(&self) -> bool {
        self.congestion.heeds_lack()
    }

    /// More could leave than there is to send.
    pub(crate) fn note_lack(&mut self) {
        self.congestion.on_lack(self.space.sent().bytes_in_flight());
    }

    /// A challenge to it was answered, after `rtt` if that is known.
    pub(super) fn on_checked(&mut self, rtt: Option<Duration>, now: Instant) {
        if let Some(rtt) = rtt {
            self.rtt.measure(now, rtt, Duration::ZERO, Duration::ZERO);
        }
        self.on_two_way(now);
        self.schedule_challenge();
    }

    /// The handshake by it took `rtt`.
    pub(super) fn on_handshake(&mut self, now: Instant, rtt: Duration) {
        if !self.rtt.is_sampled() {
            self.rtt.measure(now, rtt, Duration::ZERO, Duration::ZERO);
        }
    }

    /// It leads where `via` does from here on; so far only the peer used its id.
    pub(super) fn lead(&mut self, via: Via, config: &Config) {
        self.via = via;
        self.begin_generation(config);
    }

    /// How often it is challenged while nothing else shows that it leads both ways.
    pub(super) const fn interval(&self) -> Duration {
        match self.via {
            Via::Direct(_) => DIRECT_INTERVAL,
            Via::Routed(_) => ROUTED_INTERVAL,
        }
    }

    /// When it last was seen to lead both ways.
    pub(super) fn two_way_at(&self) -> Instant {
        self.heard_at.min(self.acked_at)
    }

    /// It is not the only path any more.
    pub(super) fn watch(&mut self, now: Instant) {
        if self.check.is_none() {
            self.check = Some(Box::new(Check::new(now + self.interval())));
            self.schedule_challenge();
        }
    }

    /// How long data may go unanswered while there is another path.
    pub(super) fn patience(&self, max_ack_delay: Duration) -> Duration {
        let pto = self.rtt.pto(max_ack_delay);
        (pto * 3).min(LONGEST_DISTRESS).max(pto)
    }

    /// When that is over, if something waits for an answer.
    pub(super) fn distress_at(&self, max_ack_delay: Duration) -> Option<Instant> {
        let waits = self.suspect_since.is_none() && self.waits_since != Instant::MAX;
        waits.then(|| self.waits_since + self.patience(max_ack_delay))
    }

    /// It does not answer: nothing is sent on it until it does.
    pub(super) fn rest(&mut self, now: Instant, stats: &mut PeerStats, result: &mut AckResult<F>) {
        self.is_proved = false;
        self.suspect_since = None;
        self.previous = None;
        self.probes = 0;
        let (sent, lost) = (self.space.sent_mut(), &mut result.lost);
        while let Some((counter, _)) = sent.oldest_in_flight() {
            stats.packets_lost += 1;
            sent.lose(counter, |settled| {
                note_lost(settled, (&mut self.mtu, &mut self.marking), lost);
            });
        }
        self.waits_since = Instant::MAX;
        self.loss = Loss::new();
        self.timers = Timers::new();
        match (self.via, &mut self.check) {
            (Via::Direct(_), Some(check)) => check.rest(now),
            _ => self.check = None,
        }
        self.schedule_challenge();
    }

    /// The frames of all packets under way.
    pub(super) fn frames_under_way(&mut self, frames: &mut Vec<F>) {
        let sent = self.space.sent_mut();
        let oldest = sent.oldest_in_flight().map(|(counter, _)| counter);
        let newest = sent.newest_in_flight().map(|(counter, _)| counter);
        let (Some(oldest), Some(newest)) = (oldest, newest) else { return };
        for counter in oldest..=newest {
            if sent.is_in_flight(counter) {
                frames.extend(sent.frames_of(counter).copied());
            }
        }
    }

    /// When the challenges of the path are to be looked at.
    pub(super) fn schedule_challenge(&mut self) {
        let check = self.check.as_ref().and_then(|check| check.deadline());
        let lull = self.check.as_ref().and_then(|check| check.lull.deadline());
        let first = self.candidates.deadline().into_iter().chain(check).chain(lull).min();
        self.timers.set(PathTimer::Challenge, first);
    }

    /// The way is another from here on, at either end: everything is to be learned anew.
    pub(super) fn begin_generation(&mut self, config: &Config) {
        self.space.sent_mut().begin_generation();
        self.rtt = Rtt::new();
        self.loss = Loss::new();
        self.congestion = Congestion::new(config.congestion, self.via.base_datagram());
        self.pacer = Pacer::new();
        self.marking.restart();
        self.restart_search();
    }
}
