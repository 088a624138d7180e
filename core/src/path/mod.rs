//! Ways to a peer: where each leads, whether the peer is there, and how fast it may be used.
//!
//! A [`Path`] is what was learned about one way. The packet numbers under which it is used are a
//! [`PacketSpace`]: they outlive the way, because a number is a nonce. When the peer is found to be
//! elsewhere, a new *generation* begins: what becomes of packets sent before counts for the messages
//! in them, but shows nothing about the new way (RFC 9000 section 9.4).

mod alive;
mod away;
mod check;
mod choice;
mod follow;
mod manager;
mod marking;
mod result;
mod size;
mod validation;

use alloc::boxed::Box;
use core::time::Duration;

use smallvec::SmallVec;

use crate::StandbyPath;
use crate::Violation;
use crate::config::{BASE_DATAGRAM, Config};
use crate::crypto::rng::Rng;
use crate::mtu::Mtu;
use crate::net::{FourTuple, Via};
use crate::pack::pack;
use crate::recovery::{
    Arrived, Congestion, Controller, Loss, Marking, Pacer, PacketSpace, ResolvedPacket, Rtt, Sent,
    Timeout,
};
use crate::stats::{PathStats, PeerStats};
use crate::time::{Absence, Instant};
use crate::timer::{TimerKind, Timers};
use crate::wire::AckFrame;

use check::Check;
pub(crate) use choice::PathTimeout;
pub(crate) use follow::{NO_PACKET, Seen};
pub(crate) use manager::Paths;
pub(crate) use result::AckResult;
use result::note_lost;
pub(crate) use validation::Challenge;
use validation::{Candidates, Previous};

/// One way to the peer.
#[derive(Debug)]
pub(crate) struct Path<F> {
    space: PacketSpace<F>,
    via: Via,
    /// The peer has shown that it is there. Else nothing goes there but what goes to candidates.
    is_proved: bool,
    /// The id of the path by which the newest packets under this id came: the peer chooses it.
    home: u8,
    /// What is sent on it goes unanswered since then.
    suspect_since: Option<Instant>,
    /// When a packet last arrived by it, and when one sent on it was last acknowledged.
    heard_at: Instant,
    acked_at: Instant,
    /// Since when an acknowledgement is awaited, whatever is sent meanwhile; the end of time if none is.
    waits_since: Instant,
    /// Challenges to it while it is not the only path.
    check: Option<Box<Check>>,
    /// Where the peer was before the last change.
    previous: Option<Previous>,
    /// Where the peer's newest packets come from, if it was not validated there yet.
    candidates: Candidates,
    timers: Timers<{ PathTimer::COUNT }>,
    rtt: Rtt,
    loss: Loss,
    congestion: Congestion,
    pacer: Pacer,
    /// Packets that may leave at once, whatever the window says.
    probes: u32,
    /// When an acknowledgement last left in a packet that is acknowledged itself.
    answered_ack_at: Option<Instant>,
    /// When a packet last left that is to be acknowledged at once.
    asked_at: Option<Instant>,
    /// The absences of the driver that this path made up for.
    absence: Absence,
    /// The largest datagram that both ends agreed on.
    agreed_datagram: u16,
    /// How large packets are that go this way.
    mtu: Mtu,
    /// Whether they are marked as ECN-capable.
    marking: Marking,
}

pack!(Path<F>:
    space, via, is_proved, home, suspect_since, heard_at, acked_at, waits_since, check, previous,
    candidates, timers, rtt, loss, congestion, pacer, probes, answered_ack_at, asked_at, absence,
    agreed_datagram, mtu, marking,
);

/// What a path waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathTimer {
    /// An acknowledgement has waited long enough for company.
    Ack,
    /// The challenge to a candidate is overdue, the path is to be looked at, or nothing was acknowledged for
    /// so long that another path is better.
    Challenge,
    /// A packet is overdue.
    Loss,
    /// The next packet may leave.
    Pace,
}

impl PathTimer {
    const COUNT: usize = 4;
}

impl TimerKind<{ Self::COUNT }> for PathTimer {
    const ALL: [Self; Self::COUNT] = [Self::Ack, Self::Challenge, Self::Loss, Self::Pace];

    fn index(self) -> usize {
        self as usize
    }
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

impl<F: Copy> Path<F> {
    /// A path of which nothing is known.
    fn new(space: PacketSpace<F>, via: Via, config: &Config) -> Self {
        Self {
            home: id_toward(&via),
            space,
            via,
            is_proved: false,
            suspect_since: None,
            heard_at: LONG_AGO,
            acked_at: LONG_AGO,
            waits_since: Instant::MAX,
            check: None,
            previous: None,
            candidates: Candidates::default(),
            timers: Timers::new(),
            rtt: Rtt::new(),
            loss: Loss::new(),
            congestion: Congestion::new(config.congestion, via.base_datagram()),
            pacer: Pacer::new(),
            probes: 0,
            answered_ack_at: None,
            asked_at: None,
            absence: Absence::default(),
            agreed_datagram: BASE_DATAGRAM,
            mtu: Mtu::new(via.base_datagram()),
            marking: Marking::new(config.congestion),
        }
    }

    /// The packet numbers in use on it.
    pub(crate) const fn space(&self) -> &PacketSpace<F> {
        &self.space
    }

    pub(crate) const fn space_mut(&mut self) -> &mut PacketSpace<F> {
        &mut self.space
    }

    /// What carries its packets.
    pub(crate) const fn via(&self) -> Via {
        self.via
    }

    /// The same without a copy.
    #[inline]
    pub(crate) const fn way(&self) -> &Via {
        &self.via
    }

    /// Whether the peer has shown that it is where its packets are carried to.
    pub(crate) const fn is_proved(&self) -> bool {
        self.is_proved
    }

    /// What carried them before the last change.
    pub(crate) fn previous(&self) -> Option<Via> {
        self.previous.map(|previous| previous.via)
    }

    /// Takes an acknowledgement of what we sent.
    pub(crate) fn on_ack(
        &mut self,
        now: Instant,
        frame: &AckFrame<'_>,
        max_delay: Duration,
        stats: &mut PeerStats,
        result: &mut AckResult<F>,
    ) -> Result<(), Violation> {
        let (congestion, rtt) = (&mut self.congestion, &mut self.rtt);
        let size = self.mtu.size();
        let (mtu, mut arrived) = (&mut self.mtu, Arrived::default());
        let visit = |settled: ResolvedPacket<'_, F>| {
            settled.frames.for_each(|frame| result.acked.push(*frame));
            if settled.on_path {
                mtu.on_acked(settled.counter, settled.packet.size);
                arrived.add(settled.packet, settled.ack_eliciting);
            }
            stats.packets_spuriously_lost += u64::from(settled.was_lost);
            if !settled.was_lost && settled.ack_eliciting && settled.on_path {
                let packet = settled.packet;
                result.news.push((packet.sent_at, packet.size));
            }
        };
        let outcome = self
            .space
            .sent_mut()
            .on_ack(frame.ranges(), visit)
            .map_err(|_| Violation::AckOfUnsent)?;
        // An absence between a packet and its acknowledgement is no round trip.
        let present = |sent_at: &Instant| Some(*sent_at) >= self.absence.until;
        if let Some(sent_at) = outcome.sample_sent_at.filter(present) {
            let delay = Duration::from_micros(frame.delay_micros);
            rtt.measure(now, now.saturating_since(sent_at), delay, max_delay);
        }
        for (sent_at, size) in result.news.drain(..) {
            congestion.on_ack(now, sent_at, size.into(), rtt);
        }
        if outcome.epoch_spurious {
            congestion.on_spurious(now);
        }
        if let Some(largest) = outcome.acked_our_ack {
            self.space.on_ack_of_ack(largest);
        }
        if let Some((_, sent_at)) = outcome.largest {
            let newest = outcome.largest_on_path.then_some(sent_at);
            self.on_marks(now, frame.ecn, arrived, newest, stats);
        }
        if outcome.ack_eliciting {
            self.on_acknowledged(now);
        }
        self.loss.on_ack(&outcome, &self.rtt, now);
        let (sent, lost) = (self.space.sent_mut(), &mut result.lost);
        let losses = self.loss.detect(sent, &self.rtt, max_delay, now, |settled| {
            note_lost(settled, (&mut self.mtu, &mut self.marking), lost);
        });
        self.on_losses(now, losses, stats);
        self.after_ack(now, stats);
        result.is_too_narrow |= self.review_size(size);
        Ok(())
    }

    /// A deadline of loss detection passed.
    fn on_loss_timeout(
        &mut self,
        now: Instant,
        max_delay: Duration,
        stats: &mut PeerStats,
        result: &mut AckResult<F>,
    ) {
        let (lost, size) = (&mut result.lost, self.mtu.size());
        let sent = self.space.sent_mut();
        let timeout = self.loss.on_timeout(sent, &self.rtt, max_delay, now, |settled| {
            note_lost(settled, (&mut self.mtu, &mut self.marking), lost);
        });
        match timeout {
            Timeout::Nothing => {}
            Timeout::LossDetected(losses) => self.on_losses(now, losses, stats),
            Timeout::Probe(count) => {
                stats.probe_timeouts += 1;
                self.probes = count;
            }
        }
        result.is_too_narrow |= self.review_size(size);
    }

    /// What a probe should repeat: the frames of the oldest and of the newest packet under way.
    fn probe_frames(&mut self) -> SmallVec<[F; 8]> {
        if self.probes == 0 {
            return SmallVec::new();
        }
        let sent = self.space.sent_mut();
        let oldest = sent.oldest_in_flight().map(|(counter, _)| counter);
        let newest = sent.newest_in_flight().map(|(counter, _)| counter);
        let counters = oldest.into_iter().chain(newest.filter(|_| newest != oldest));
        counters.flat_map(|counter| sent.frames_of(counter).copied()).collect()
    }

    /// Whether a packet of `bytes` with data may leave now.
    pub(crate) fn permit(&self, now: Instant, bytes: usize) -> Permit {
        if self.probes > 0 {
            return Permit::Now;
        }
        let bytes = bytes as u64;
        if self.space.sent().bytes_in_flight() + bytes > self.congestion.window() {
            return Permit::Full;
        }
        if self.pacer.is_low(bytes, self.mtu.size()) {
            return Permit::Now;
        }
        self.pacer.delay(now, bytes, &self.pace()).map_or(Permit::Now, Permit::Later)
    }

    /// Waits until `at` before the next packet, or not at all.
    pub(crate) fn schedule_pacing(&mut self, at: Option<Instant>) {
        self.timers.set(PathTimer::Pace, at);
    }

    /// Whether so much is unacknowledged beyond the window that control frames wait too, but for
    /// probes: a peer that only asks and never acknowledges would make us remember without end.
    pub(crate) fn is_unheard(&self) -> bool {
        let sent = self.space.sent();
        self.probes == 0
            && sent.packets_in_flight() >= MAX_UNHEARD
            && sent.bytes_in_flight() > self.congestion.window()
    }

    /// Whether a probe is due.
    pub(crate) const fn owes_probe(&self) -> bool {
        self.probes > 0
    }

    /// Whether a packet with an acknowledgement should be one that is acknowledged itself: much is repeated
    /// in each, and for a round trip none was sent whose arrival we will know of (RFC 9000 section 13.2.4).
    pub(crate) fn wants_ack_of_ack(&self, now: Instant) -> bool {
        let is_due = |at| now >= at + self.rtt.smoothed();
        self.space.acks().is_long() && self.answered_ack_at.is_none_or(is_due)
    }

    /// The packet whose frames were pushed leaves.
    pub(crate) fn on_sent(&mut self, now: Instant, sent: Sent) {
        let bytes = u64::from(sent.size);
        self.marking.on_sent(sent.is_marked);
        self.space.sent_mut().commit(now, sent);
        if !sent.ack_eliciting {
            return;
        }
        if sent.acks_up_to.is_some() {
            self.answered_ack_at = Some(now);
        }
        if sent.asks_ack_now {
            self.asked_at = Some(now);
        }
        self.probes = self.probes.saturating_sub(1);
        self.waits_since = self.waits_since.min(now);
        let pace = self.pace();
        self.pacer.on_sent(now, bytes, &pace);
        self.congestion.on_sent(now, bytes, self.space.sent().bytes_in_flight());
    }

    pub(crate) fn stats(&self) -> PathStats {
        PathStats {
            rtt: self.measured_round_trip(),
            latest_rtt: self.rtt.is_sampled().then(|| self.rtt.latest()),
            least_rtt: self.rtt.min(),
            congestion_window: self.congestion.window(),
            bytes_in_flight: self.space.sent().bytes_in_flight(),
            max_datagram: self.mtu.size(),
            is_ecn_capable: self.marking.is_valid(),
        }
    }

    /// The same for the application, of a path beside that of data.
    pub(crate) fn info(&self) -> StandbyPath {
        StandbyPath::new(self.via, self.is_usable(), self.stats())
    }

    /// The driver was away. That no acknowledgement came meanwhile shows nothing.
    fn on_absence(&mut self, absence: Absence) {
        let Some(until) = absence.until.filter(|_| absence != self.absence) else { return };
        self.loss.on_absence(until);
        if self.waits_since != Instant::MAX {
            self.waits_since = self.waits_since.max(until);
        }
        self.congestion.on_absence(absence.total.saturating_sub(self.absence.total));
        self.absence = absence;
    }

    /// Nothing was heard for a while: gives memory back.
    fn on_idle(&mut self) {
        if self.space.on_idle() {
            self.congestion.on_idle();
        }
    }

    /// The peer is there now. What was learned no longer holds, unless only its port changed (RFC 9000
    /// section 9.4). `token` is random: it challenges the place that the peer left. True if that is another.
    fn move_to(&mut self, via: Via, config: &Config, now: Instant, token: [u8; 8]) -> bool {
        let is_other_way = !via.is_same_way(&self.via);
        let left = Previous::new(self.via, now, token);
        let is_elsewhere = !self.via.is_same_remote(&via);
        self.on_moved(now);
        if is_elsewhere {
            self.previous = self.is_proved.then_some(left);
        }
        self.via = via;
        if is_other_way {
            self.begin_generation(config);
        } else if is_elsewhere {
            self.restart_search();
        }
        self.candidates.clear();
        self.schedule_challenge();
        is_elsewhere
    }

    /// Whether a packet from there would show something new about where the peer is.
    fn is_news(&self, via: &Via) -> bool {
        !self.is_proved || !self.via.is_same_remote(via)
    }

    /// Whether a challenge is to be sent now.
    fn has_challenge(&self) -> bool {
        self.candidates.is_due()
            || self.check.as_ref().is_some_and(|check| check.is_due())
            || self.previous.as_ref().is_some_and(|previous| previous.is_due())
    }

    /// Takes the next challenge whose packet of `len` bytes may be sent.
    fn take_challenge(
        &mut self,
        len: u64,
        now: Instant,
        patience: Duration,
        rng: &mut Rng,
    ) -> Option<(Via, [u8; 8])> {
        let (via, rests) = (self.via, !self.is_proved);
        let taken = self.candidates.take_challenge(len, now, patience).or_else(|| {
            let token = self.check.as_mut()?.take(rests, now, patience, rng)?;
            Some((via, token))
        });
        self.schedule_challenge();
        taken.or_else(|| self.previous.as_mut()?.take_challenge())
    }

    /// Packets leave by another socket, and so perhaps from another address. Returns whether they do.
    fn change_socket(
        &mut self,
        config: &Config,
        replace: &mut impl FnMut(&FourTuple) -> Option<FourTuple>,
    ) -> bool {
        let Via::Direct(tuple) = &mut self.via else { return false };
        let Some(other) = replace(tuple) else { return false };
        *tuple = other;
        self.begin_generation(config);
        true
    }

    /// Sets the deadlines that depend on what was sent and received. Without `waits` nothing that was
    /// sent is missed.
    fn review(&mut self, now: Instant, max_delay: Duration, waits: bool) {
        let loss = self.loss.deadline(self.space.sent(), &self.rtt, max_delay).filter(|_| waits);
        // Good news shortens the wait for what was sent before: it may be over already.
        self.timers.set(PathTimer::Loss, loss.map(|at| at.max(now)));
        // What is due already only waits for the driver to ask.
        let ack = self.space.acks().deadline().filter(|at| *at > now);
        self.timers.set(PathTimer::Ack, ack);
        if self.check.is_some() {
            self.schedule_challenge();
            let distress = self.distress_at(max_delay).filter(|_| waits).map(|at| at.max(now));
            let first = self.timers.get(PathTimer::Challenge).into_iter().chain(distress).min();
            self.timers.set(PathTimer::Challenge, first);
        }
    }
}

/// The id of the path of that kind: ids are the sender's choice, and this is ours.
const fn id_toward(via: &Via) -> u8 {
    match via {
        Via::Direct(_) => 0,
        Via::Routed(_) => 1,
    }
}

/// Before all packets.
const LONG_AGO: Instant = Instant::from_micros(0);
/// While there is another path, data goes unanswered for no longer than this on one, or its probe timeout.
const LONGEST_DISTRESS: Duration = Duration::from_millis(700);
/// Packets in flight beyond which control frames respect the congestion window.
const MAX_UNHEARD: u32 = 4096;
