//! Which path data takes: the direct one while the peer answers there, else the one by way of a neighbour.

use core::time::Duration;

use smallvec::SmallVec;

use crate::PeerId;
use crate::Violation;
use crate::config::Config;
use crate::crypto::rng::Rng;
use crate::net::{Place, Via};
use crate::path::away::Return;
use crate::path::manager::{DIRECT, Paths, ROUTED};
use crate::path::{Path, PathTimer, follow::NO_PACKET, id_toward};
use crate::recovery::PacketSpaces;
use crate::stats::PeerStats;
use crate::time::Instant;
use crate::wire::AckFrame;

/// What a timeout of a path asks for.
#[derive(Clone, Debug)]
pub(crate) enum PathTimeout<F> {
    /// Nothing, but there may be something to send.
    Ready,
    /// Frames may have been lost: they are in the result. A probe should repeat these.
    Loss(SmallVec<[F; 8]>),
}

impl<F: Copy> Paths<F> {
    /// Takes an acknowledgement of what we sent. One for a path that was closed meanwhile is ignored.
    ///
    /// # Errors
    /// It acknowledges what was never sent.
    pub(crate) fn on_ack(
        &mut self,
        spaces: &PacketSpaces,
        now: Instant,
        frame: &AckFrame<'_>,
        stats: &mut PeerStats,
    ) -> Result<(), Violation> {
        let path = self.list.iter_mut().find(|path| path.space.id() == frame.path);
        let Some(path) = path else {
            let is_closed = spaces.is_closed(frame.path);
            return if is_closed { Ok(()) } else { Err(Violation::AckOfUnsent) };
        };
        let was_suspect = path.suspect_since.is_some();
        path.on_ack(now, frame, self.max_ack_delay, stats, &mut self.result)?;
        let is_better = was_suspect && path.suspect_since.is_none();
        if is_better || (frame.path == DIRECT && self.away.on_ack(frame)) {
            self.choose(now);
        }
        self.review_trial(now);
        Ok(())
    }

    /// Acts on the next deadline that `now` has reached.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        stats: &mut PeerStats,
    ) -> Option<PathTimeout<F>> {
        let due = |path: &&mut Path<F>| path.timers.min().is_some_and(|at| at <= now);
        let paths = self.list.iter_mut().enumerate().filter(|(_, path)| due(path));
        let (at, path) = paths.min_by_key(|(_, path)| path.timers.min())?;
        match path.timers.take_due::<PathTimer>(now)? {
            // Both only make the peer ready to transmit.
            PathTimer::Ack | PathTimer::Pace => {}
            PathTimer::Challenge => self.on_challenge_timeout(at, now, stats),
            PathTimer::Loss => {
                path.on_loss_timeout(now, self.max_ack_delay, stats, &mut self.result);
                // What was under way on a path that does not answer is sent again on the other already.
                let is_left = at > 0 && path.suspect_since.is_some();
                let frames = if is_left { SmallVec::new() } else { path.probe_frames() };
                if path.unanswered_probes() >= PROBES_TO_DISTRESS {
                    self.suspect(at, now);
                }
                self.review_trial(now);
                return Some(PathTimeout::Loss(frames));
            }
        }
        Some(PathTimeout::Ready)
    }

    /// Challenges went unanswered, or it is time to look whether the path still leads both ways.
    #[cold]
    fn on_challenge_timeout(&mut self, at: usize, now: Instant, stats: &mut PeerStats) {
        let path = &self.list[at];
        let distress = path.distress_at(self.max_ack_delay).filter(|_| path.check.is_some());
        if distress.is_some_and(|at| at <= now) {
            self.suspect(at, now);
            return;
        }
        self.look_for_lull(at, now);
        let has_other =
            (0..self.list.len()).any(|other| other != at && self.list[other].is_usable());
        let path = &mut self.list[at];
        path.candidates.on_timeout(now);
        let interval = path.interval();
        let is_suspect = path.suspect_since.is_some();
        let is_seen = !is_suspect && path.two_way_at() + interval > now;
        let (seen_until, is_proved) = (path.two_way_at() + interval, path.is_proved);
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let check = path.check.as_mut().filter(|check| due(check.deadline()));
        let (mut has_failed, mut shows_itself) = (false, false);
        if let Some(check) = check {
            if !is_proved {
                check.ask_again();
            } else if check.is_asking() && check.has_failed() {
                has_failed = true;
            } else if at == 0 && !has_other && !is_suspect {
                check.wait_until(now + interval);
            } else if is_seen {
                check.wait_until(seen_until);
                shows_itself = true;
            } else {
                check.ask();
            }
        }
        path.schedule_challenge();
        if has_failed {
            self.give_up(at, now, stats);
        } else if shows_itself {
            // Data may have waited for its time to come back.
            self.choose(now);
        }
    }

    /// What came by the path may have stopped. Then the peer is asked on each path: what leaves shows where we are,
    /// to it and to the neighbour that carries it.
    fn look_for_lull(&mut self, at: usize, now: Instant) {
        let path = &mut self.list[at];
        let heard_at = path.heard_at;
        let stopped = path.check.as_mut().is_some_and(|check| check.lull.on_look(heard_at, now));
        // What awaits an acknowledgement asks already.
        if stopped && self.list.iter().all(|path| path.waits_since == Instant::MAX) {
            for path in self.list.iter_mut().filter(|path| path.is_usable()) {
                path.probes = path.probes.max(1);
            }
        }
    }

    /// A path answers no challenge: if there is another, nothing takes it any more.
    fn give_up(&mut self, at: usize, now: Instant, stats: &mut PeerStats) {
        let id = self.list[at].space.id();
        self.list[at].suspect_since.get_or_insert(now);
        self.choose(now);
        let Some(at) = self.list.iter().position(|path| path.space.id() == id) else { return };
        let path = &mut self.list[at];
        if at > 0 {
            path.rest(now, stats, &mut self.result);
            if id == DIRECT {
                self.away.interrupt();
            }
        } else {
            let next = now + path.interval();
            path.check.iter_mut().for_each(|check| check.wait_until(next));
            path.schedule_challenge();
        }
    }

    /// What was sent on the path goes unanswered. What is under way there is sent on the other as well.
    fn suspect(&mut self, at: usize, now: Instant) {
        let path = &mut self.list[at];
        if path.suspect_since.is_some() {
            return;
        }
        path.suspect_since = Some(now);
        if let Some(check) = &mut path.check {
            check.wait_until(now);
            check.ask();
        }
        path.schedule_challenge();
        if at > 0 {
            path.frames_under_way(&mut self.result.doubtful);
            self.has_news = true;
            if path.space.id() == DIRECT {
                self.away.on_unanswered(now);
            }
        }
        self.choose(now);
    }

    /// Has data take the best path.
    #[cold]
    pub(super) fn choose(&mut self, now: Instant) {
        let usable = |id: u8| move |path: &Path<F>| path.space.id() == id && path.is_usable();
        let direct = self.list.iter().position(usable(DIRECT));
        let best = direct.or_else(|| self.list.iter().position(usable(ROUTED)));
        let Some(at) = best.filter(|at| *at > 0) else { return };
        let may = if self.list[0].is_usable() { self.away.on_answer(now) } else { Return::Free };
        let path = &mut self.list[at];
        match may {
            Return::Free => self.switch(at, now),
            // It shows itself once more when it may be taken again.
            Return::NotBefore(until) => {
                path.check.iter_mut().for_each(|check| check.wait_until(until));
                path.acked_at = path.acked_at.min(until.saturating_sub(path.interval()));
                path.schedule_challenge();
            }
            Return::Try => path.probes = path.probes.max(1),
            Return::Tried => {}
        }
    }

    /// Data takes the path `at`.
    fn switch(&mut self, at: usize, now: Instant) {
        let left = &mut self.list[0];
        left.timers.clear(PathTimer::Pace);
        if left.suspect_since.is_some() {
            left.frames_under_way(&mut self.result.doubtful);
            if left.space.id() == DIRECT {
                self.away.leave(now);
            }
        }
        self.list.swap(0, at);
        if self.list[0].space.id() == DIRECT {
            self.away.come_back();
        }
        (self.has_moved, self.has_switched, self.has_news) = (true, true, true);
    }

    /// Whether data takes a path that does not answer.
    pub(crate) fn is_in_distress(&self) -> bool {
        self.list.first().is_some_and(|path| path.suspect_since.is_some())
    }

    /// The direct path, whether or not data takes it, if it can carry packets of others: `None` while it does not
    /// answer for so long that it may lead from the peer to us alone, or if there is none.
    pub(crate) fn carrier(&self, now: Instant) -> Option<&Path<F>> {
        self.list.get(self.carrier_at(now)?)
    }

    fn carrier_at(&self, now: Instant) -> Option<usize> {
        let is_direct = |path: &Path<F>| path.space.id() == DIRECT && path.is_way();
        let at = self.list.iter().position(is_direct)?;
        let path = &self.list[at];
        let is_heard = path.suspect_since.is_none_or(|since| now < since + UNHEARD);
        (is_heard && (at == 0 || path.is_proved)).then_some(at)
    }

    /// Packets of others do not fit the path that carries them, whichever data takes: larger ones would be of use
    /// there. They are looked for while data takes it, too.
    pub(crate) fn carry_larger(&mut self, now: Instant) {
        if let Some(at) = self.carrier_at(now) {
            self.list[at].want_larger();
        }
    }

    /// A direct path beside that of data shows now whether it leads both ways.
    pub(crate) fn ask_direct(&mut self) {
        let beside = self.list.iter_mut().skip(1);
        let path = beside.into_iter().find(|path| path.space.id() == DIRECT && path.is_usable());
        let Some(path) = path else { return };
        if let Some(check) = path.check.as_mut().filter(|check| !check.is_asking()) {
            check.ask();
            path.schedule_challenge();
        }
    }

    /// A direct path that was given up is asked for again within `pause`, however long it has not answered. `false` if
    /// none is asked for.
    pub(crate) fn hasten_direct(&mut self, now: Instant, pause: Duration) -> bool {
        let Some(path) = self.get_mut(DIRECT).filter(|path| path.is_way()) else { return false };
        let is_proved = path.is_proved;
        let Some(check) = &mut path.check else { return false };
        if !is_proved {
            check.hasten(now, pause);
            path.schedule_challenge();
        }
        true
    }

    /// All packets of a trial may be lost, and known to be: then nothing else asks again.
    #[inline]
    pub(super) fn review_trial(&mut self, now: Instant) {
        if self.away.is_sent() {
            self.judge_trial(now);
        }
    }

    #[cold]
    fn judge_trial(&mut self, now: Instant) {
        let is_lost = |path: &&mut Path<F>| path.space.sent().packets_in_flight() == 0;
        let found = self.list.iter_mut().find(|path| path.space.id() == DIRECT);
        let Some(path) = found.filter(is_lost) else { return };
        if self.away.is_trying() {
            path.probes = path.probes.max(1);
        } else {
            self.away.on_unanswered(now);
            self.choose(now);
        }
    }

    /// Whether what probes the path with this id is to be as large as data.
    pub(crate) fn is_trial(&self, id: u8) -> bool {
        id == DIRECT && self.away.is_trying()
    }

    /// It was, in the packet with this number.
    pub(crate) fn on_trial_sent(&mut self, counter: u64) {
        self.away.on_sent(counter);
    }

    /// The peer may be reached as `via` says: it is challenged there.
    pub(crate) fn try_way(
        &mut self,
        spaces: &mut PacketSpaces,
        via: Via,
        config: &Config,
        now: Instant,
        rng: &mut Rng,
    ) {
        self.ensure_way(spaces, via, config);
        if let Some(path) = self.get_mut(id_toward(&via)).filter(|path| path.is_news(&via)) {
            path.candidates.note(via, NO_PACKET, OWN_CHALLENGES, now, rng);
        }
    }

    /// The peer may be at `address`, and answers elsewhere: it is asked for there as if a direct path had been given up.
    /// Does nothing if there is a direct path, or was one.
    pub(crate) fn seek_at(
        &mut self,
        spaces: &mut PacketSpaces,
        address: Via,
        config: &Config,
        now: Instant,
    ) {
        if self.get(DIRECT).is_some_and(Path::is_way) {
            return;
        }
        self.ensure_way(spaces, address, config);
        if let Some(path) = self.get_mut(DIRECT) {
            path.watch(now);
            path.check.iter_mut().for_each(|check| check.rest(now));
            path.schedule_challenge();
        }
    }

    /// The neighbour does not pass packets on to the peer. True if data took that way and has no other.
    pub(crate) fn on_refused(
        &mut self,
        neighbour: PeerId,
        now: Instant,
        stats: &mut PeerStats,
    ) -> bool {
        let leads = |via: &Via| Place::from(via) == Place::Behind(neighbour);
        let Some(path) = self.get_mut(ROUTED).filter(|path| path.is_way()) else { return false };
        path.candidates.bar(|via| leads(via), now);
        path.schedule_challenge();
        if !path.is_proved || !leads(&path.via) {
            return false;
        }
        let id = path.space.id();
        let at = self.list.iter().position(|path| path.space.id() == id).unwrap_or(0);
        self.give_up(at, now, stats);
        self.list.first().is_some_and(|path| leads(&path.via))
    }
}

/// So many probes without an answer put a path in distress, also one that was the only one.
const PROBES_TO_DISTRESS: u8 = 2;
/// A path in distress for so long carries nothing of others: a moment of loss is over by then.
const UNHEARD: Duration = Duration::from_secs(3);
/// We open a way ourselves by so much as if it had come from there: the neighbour offered to carry it, or the peer was
/// there before, and no more than three challenges go there.
const OWN_CHALLENGES: u64 = 64;
