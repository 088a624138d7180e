//! All paths of one peer: which one data takes, where the peer is followed to, and their deadlines.
//!
//! A packet that is newer than all others and comes from elsewhere makes the new place a candidate.
//! The candidate is challenged, and its own challenges are answered. The peer's answer moves the path.

use core::time::Duration;

use smallvec::SmallVec;

use super::validation::Challenge;
use super::{AckResult, Path, PathTimer};
use crate::Violation;
use crate::config::Config;
use crate::crypto::rng::Rng;
use crate::net::{Arrival, Ecn, FourTuple, Via};
use crate::recovery::{AckWant, PacketSpaces};
use crate::stats::PeerStats;
use crate::time::{Absence, Instant};
use crate::timer::Timers;
use crate::wire::{AckFrame, PacketNumber, Writer};

/// The paths of a peer. There is none before the first session.
#[derive(Debug)]
pub(crate) struct Paths<F> {
    /// One for each path id in use; data takes the first.
    list: SmallVec<[Path<F>; 1]>,
    /// A challenge of the peer that waits for its answer: the newest counts.
    answer: Option<(Via, [u8; 8])>,
    /// How long the peer delays acknowledgements at most.
    max_ack_delay: Duration,
    /// What the last acknowledgement or timeout led to.
    result: AckResult<F>,
}

/// What a timeout of a path asks for.
#[derive(Clone, Debug)]
pub(crate) enum PathTimeout<F> {
    /// Nothing, but there may be something to send.
    Ready,
    /// Frames may have been lost: they are in the result. A probe should repeat these.
    Loss(SmallVec<[F; 8]>),
}

/// What the place says from which an authenticated packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing new.
    Nothing,
    /// The peer may be there.
    Candidate(Via),
    /// The peer is back where it was before, as it said that it would be.
    Back(Via),
}

impl<F: Copy> Paths<F> {
    /// No path. The peer is taken to delay acknowledgements for `max_ack_delay` until it says so.
    pub(crate) fn new(max_ack_delay: Duration) -> Self {
        Self { list: SmallVec::new(), answer: None, max_ack_delay, result: AckResult::default() }
    }

    /// Starts over with one path that leads where `via` does.
    pub(crate) fn restart(&mut self, spaces: &mut PacketSpaces, via: Via, config: &Config) {
        self.clear();
        self.open(spaces, 0, via, config);
    }

    /// The peer has not shown that it is where the only path leads, from where `received` bytes came and to
    /// where `sent` went: it has to be validated as any other candidate.
    pub(crate) fn doubt(&mut self, received: u64, sent: u64, now: Instant, rng: &mut Rng) {
        if let Some(path) = self.list.first_mut() {
            path.is_proved = false;
            path.candidates.note(path.via, NO_COUNTER, received, now, rng);
            path.candidates.charge(&path.via, sent);
        }
    }

    /// Forgets all paths.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.answer = None;
    }

    /// Sockets closed: each path goes by the addresses that `replace` names instead of its own, if any.
    /// Returns whether one does.
    pub(crate) fn change_sockets(
        &mut self,
        config: &Config,
        mut replace: impl FnMut(&FourTuple) -> Option<FourTuple>,
    ) -> bool {
        let mut changed = false;
        for path in &mut self.list {
            changed |= path.change_socket(config, &mut replace);
        }
        changed
    }

    /// The path that data takes.
    pub(crate) fn primary(&self) -> Option<&Path<F>> {
        self.list.first()
    }

    pub(crate) fn primary_mut(&mut self) -> Option<&mut Path<F>> {
        self.list.first_mut()
    }

    /// What carries data to the peer.
    pub(crate) fn via(&self) -> Option<Via> {
        self.primary().map(Path::via)
    }

    /// How long to wait for an answer. Bounded, since the peer decides which round trip we measure.
    pub(crate) fn probe_timeout(&self) -> Duration {
        let pto = self.primary().map(|path| path.pto(self.max_ack_delay));
        pto.unwrap_or(Duration::from_secs(1)).min(LONGEST_PROBE_TIMEOUT)
    }

    /// The path with this id.
    pub(crate) fn get_mut(&mut self, id: u8) -> Option<&mut Path<F>> {
        self.list.iter_mut().find(|path| path.space.id() == id)
    }

    fn get(&self, id: u8) -> Option<&Path<F>> {
        self.list.iter().find(|path| path.space.id() == id)
    }

    /// Whether a packet with this number was received already, or is below the replay window.
    pub(crate) fn is_duplicate(&self, spaces: &PacketSpaces, number: PacketNumber) -> bool {
        match self.get(number.path()) {
            Some(path) => !path.space.is_new(number.counter()),
            None => spaces.is_used_up(number),
        }
    }

    /// Whether a packet with this number was sent a short while ago.
    pub(crate) fn was_sent_lately(&self, id: u8, counter: u64) -> bool {
        self.get(id).is_some_and(|path| path.space.was_sent_lately(counter))
    }

    /// Makes sure that there is a path with this id.
    ///
    /// # Errors
    /// There is no such path id.
    pub(crate) fn ensure(
        &mut self,
        spaces: &mut PacketSpaces,
        id: u8,
        via: Via,
        config: &Config,
    ) -> Result<(), Violation> {
        if self.get(id).is_none() {
            if usize::from(id) >= MAX_PATHS {
                return Err(Violation::TooManyPaths);
            }
            self.open(spaces, id, via, config);
        }
        Ok(())
    }

    /// The same without a limit: a liar has none.
    #[cfg(feature = "testing")]
    pub(crate) fn ensure_for_test(
        &mut self,
        spaces: &mut PacketSpaces,
        id: u8,
        via: Via,
        config: &Config,
    ) {
        if self.get(id).is_none() {
            self.open(spaces, id, via, config);
        }
    }

    /// Closes the path with this id, as if it was of no more use.
    #[cfg(feature = "testing")]
    pub(crate) fn close_for_test(&mut self, spaces: &mut PacketSpaces, id: u8) {
        let closed = self.list.iter().position(|path| path.space.id() == id);
        closed.into_iter().for_each(|at| spaces.close(&self.list.remove(at).space));
    }

    fn open(&mut self, spaces: &mut PacketSpaces, id: u8, via: Via, config: &Config) {
        let space = spaces.open(id, config.timers.max_ack_delay);
        self.list.extend(space.map(|space| Path::new(space, via, config)));
    }

    /// Whether a packet with this number, which is a duplicate, should be opened all the same: what came
    /// first may have been a copy, and this is the original.
    pub(crate) fn is_echo(&self, number: PacketNumber, via: &Via, now: Instant) -> bool {
        self.get(number.path()).is_some_and(|path| {
            let (candidates, counter) = (&path.candidates, number.counter());
            let is_answer = candidates.is_late_answer(via, counter, now);
            path.is_news(via) && (is_answer || candidates.is_echo(via, counter, now))
        })
    }

    /// A genuine duplicate came by `via`. Returns the place that it shows the peer to be at, if its first copy
    /// answered the challenge to that place and came from elsewhere.
    pub(crate) fn on_echo(
        &mut self,
        number: PacketNumber,
        via: Via,
        config: &Config,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Via> {
        let path = self.get_mut(number.path())?;
        let answers = path.candidates.is_late_answer(&via, number.counter(), now);
        let moved = answers && path.move_to(via, config, now, rng.bytes());
        moved.then_some(via)
    }

    /// Notes that the peer may be at the far end of `via`, from which an authenticated packet of `len` bytes
    /// came.
    pub(crate) fn consider(
        &mut self,
        number: PacketNumber,
        via: Via,
        len: usize,
        now: Instant,
        rng: &mut Rng,
    ) -> bool {
        let path = self.get_mut(number.path()).filter(|path| path.is_news(&via));
        path.is_some_and(|path| path.candidates.note(via, number.counter(), len as u64, now, rng))
    }

    /// Notes an authenticated packet of `len` bytes. Without `follow`, the peer is not followed to
    /// another place.
    pub(crate) fn on_received(
        &mut self,
        number: PacketNumber,
        arrival: &Arrival,
        len: usize,
        follow: bool,
        now: Instant,
        rng: &mut Rng,
    ) -> Seen {
        let Some(path) = self.get_mut(number.path()) else { return Seen::Nothing };
        let newest = path.space.on_received(number.counter(), path.rtt.smoothed(), now);
        if !newest {
            return Seen::Nothing;
        }
        let is_news = path.is_news(&arrival.via);
        if path.via.is_same_remote(&arrival.via) {
            // Where it reached us is where our answers leave from.
            path.via = arrival.via;
        }
        if !is_news {
            return Seen::Nothing;
        }
        let previous = path.previous.filter(|left| left.via.is_same_remote(&arrival.via));
        if !follow || previous.is_some_and(|left| left.is_just_left(now)) {
            return Seen::Nothing;
        }
        if previous.is_some_and(|left| left.is_still_good(now)) {
            return Seen::Back(arrival.via);
        }
        if path.candidates.note(arrival.via, number.counter(), len as u64, now, rng) {
            return Seen::Candidate(arrival.via);
        }
        Seen::Nothing
    }

    /// Notes that the frames of a packet were taken: it is to be acknowledged.
    pub(crate) fn on_processed(
        &mut self,
        number: PacketNumber,
        want: AckWant,
        ecn: Option<Ecn>,
        now: Instant,
    ) {
        if let Some(path) = self.get_mut(number.path()) {
            path.space.on_processed(number.counter(), want, ecn, path.rtt.smoothed(), now);
        }
    }

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
        match path {
            Some(path) => path.on_ack(now, frame, self.max_ack_delay, stats, &mut self.result),
            None if spaces.is_closed(frame.path) => Ok(()),
            None => Err(Violation::AckOfUnsent),
        }
    }

    /// The frames that arrived, and those that were lost, as far as the last acknowledgement or
    /// timeout showed. They are handed out once.
    pub(crate) fn resolved(&mut self) -> &mut AckResult<F> {
        &mut self.result
    }

    /// The peer challenges us by a packet that arrived by `via`.
    pub(crate) fn on_challenge(&mut self, via: Via, token: [u8; 8]) {
        self.answer = Some((via, token));
    }

    /// The peer answered a challenge by the packet `number` that arrived by `via`. Returns where it is now, if
    /// it moved.
    pub(crate) fn on_response(
        &mut self,
        (number, via): (PacketNumber, Via),
        token: [u8; 8],
        config: &Config,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Via> {
        for path in &mut self.list {
            let counter = (number.path() == path.space.id()).then_some(number.counter());
            if path.candidates.on_response(&via, token, counter, now) {
                return path.move_to(via, config, now, rng.bytes()).then_some(via);
            }
            path.previous.iter_mut().for_each(|previous| previous.on_response(&via, token));
        }
        None
    }

    /// The peer has shown that it is at the far end of `via`, wherever it seemed to be. True if it moved.
    pub(crate) fn follow(
        &mut self,
        via: Via,
        config: &Config,
        now: Instant,
        rng: &mut Rng,
    ) -> bool {
        let path = self.list.first_mut().filter(|path| path.is_news(&via));
        path.is_some_and(|path| path.move_to(via, config, now, rng.bytes()))
    }

    /// Our own addresses changed: every way is another from here on.
    pub(crate) fn on_local_change(&mut self, config: &Config) {
        for path in &mut self.list {
            path.via.forget_local();
            path.previous.iter_mut().for_each(|previous| previous.via.forget_local());
            path.begin_generation(config);
        }
    }

    /// The driver was away at times, up to the present call.
    pub(crate) fn on_absence(&mut self, absence: Absence) {
        self.list.iter_mut().for_each(|path| path.on_absence(absence));
    }

    /// The peer delays acknowledgements for so long at most.
    pub(crate) const fn set_max_ack_delay(&mut self, max_ack_delay: Duration) {
        self.max_ack_delay = max_ack_delay;
    }

    pub(crate) fn set_max_datagram(&mut self, max_datagram: u16) {
        self.list.iter_mut().for_each(|path| path.set_max_datagram(max_datagram));
    }

    /// Nothing was heard for a while: gives memory back.
    pub(crate) fn on_idle(&mut self) {
        self.result = AckResult::default();
        self.list.iter_mut().for_each(Path::on_idle);
    }

    /// Whether more packets wait for their fate than any honest peer leaves behind.
    pub(crate) fn is_overfull(&self) -> bool {
        self.list.iter().any(|path| path.space.is_overfull())
    }

    /// Whether an acknowledgement must leave now.
    pub(crate) fn is_ack_due(&self, now: Instant) -> bool {
        self.list.iter().any(|path| path.space.acks().is_due(now))
    }

    /// Writes acknowledgements for all paths that owe one, while they fit. Returns the highest counter
    /// in that of the primary path.
    pub(crate) fn write_acks(&mut self, now: Instant, writer: &mut Writer<'_>) -> Option<u64> {
        let mut primary = None;
        for (at, path) in self.list.iter_mut().enumerate() {
            if path.space.acks().wants_piggyback() {
                let largest = path.space.write_ack(now, writer);
                if at == 0 {
                    primary = largest;
                }
            }
        }
        primary
    }

    /// Forgets all deadlines: the peer ended.
    pub(crate) fn stop_timers(&mut self) {
        self.list.iter_mut().for_each(|path| path.timers = Timers::new());
    }

    /// Whether a challenge or the answer to one is due.
    pub(crate) fn has_validation_work(&self) -> bool {
        self.answer.is_some() || self.list.iter().any(Path::has_challenge)
    }

    /// Takes the answer to the peer's challenge, if its packet of `len` bytes may go where it belongs:
    /// a candidate is charged for it as for challenges, and any other place gets one answer for a
    /// packet at least as long.
    pub(crate) fn take_answer(&mut self, len: u64) -> Option<(Via, [u8; 8])> {
        let (via, token) = self.answer.take()?;
        let paid = self.list.iter_mut().find_map(|path| path.candidates.charge(&via, len));
        paid.unwrap_or(true).then_some((via, token))
    }

    /// Takes the next challenge whose packet of `len` bytes may be sent; its answer is awaited for
    /// `patience`.
    pub(crate) fn take_challenge(
        &mut self,
        len: u64,
        now: Instant,
        patience: Duration,
    ) -> Option<Challenge> {
        self.list.iter_mut().filter(|path| path.has_challenge()).find_map(|path| {
            let (via, token) = path.take_challenge(len, now, patience)?;
            Some(Challenge { path: path.space.id(), via, token })
        })
    }

    /// Sets the deadlines that depend on what was sent and received. Without `waits` nothing that was
    /// sent is missed.
    pub(crate) fn review(&mut self, now: Instant, waits: bool) {
        let max_delay = self.max_ack_delay;
        self.list.iter_mut().for_each(|path| path.review(now, max_delay, waits));
    }

    /// The earliest deadline of all paths.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.list.iter().filter_map(|path| path.timers.min()).min()
    }

    /// Acts on the next deadline that `now` has reached.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        stats: &mut PeerStats,
    ) -> Option<PathTimeout<F>> {
        let due = |path: &&mut Path<F>| path.timers.min().is_some_and(|at| at <= now);
        let path = self.list.iter_mut().filter(due).min_by_key(|path| path.timers.min())?;
        match path.timers.take_due::<PathTimer>(now)? {
            // Both only make the peer ready to transmit.
            PathTimer::Ack | PathTimer::Pace => {}
            PathTimer::Challenge => {
                path.candidates.on_timeout(now);
                path.timers.set(PathTimer::Challenge, path.candidates.deadline());
            }
            PathTimer::Loss => {
                path.on_loss_timeout(now, self.max_ack_delay, stats, &mut self.result);
                return Some(PathTimeout::Loss(path.probe_frames()));
            }
        }
        Some(PathTimeout::Ready)
    }
}

/// The end waits for the acknowledgement of a `Disconnect`, for late packets, and for answers from new
/// addresses, in multiples of a probe timeout that is taken to be at most this.
const LONGEST_PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Of no sealed packet: nothing is an echo of a request.
pub(crate) const NO_COUNTER: u64 = u64::MAX >> 8;
/// The most paths of one peer.
const MAX_PATHS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::Sent;

    const PATIENCE: Duration = Duration::from_millis(300);

    fn at(ms: u64) -> Instant {
        Instant::from_micros(1_000_000 + ms * 1000)
    }

    fn from(host: u8) -> Arrival {
        Arrival::from_remote(([10, 0, 0, host], 1).into())
    }

    /// Two paths to host 1.
    fn two() -> (Paths<u32>, Rng) {
        let (mut paths, config) = (Paths::new(PATIENCE), Config::default());
        let mut spaces = PacketSpaces::default();
        paths.restart(&mut spaces, from(1).via, &config);
        paths.ensure(&mut spaces, 1, from(1).via, &config).expect("few");
        (paths, Rng::from_seed([1; 32]))
    }

    /// A packet on the path `id` comes from `host`.
    fn receive(paths: &mut Paths<u32>, rng: &mut Rng, id: u8, counter: u64, host: u8) {
        let number = PacketNumber::new(id, counter).expect("small");
        let candidate = paths.on_received(number, &from(host), 1000, true, at(0), rng);
        assert_eq!(candidate, Seen::Candidate(from(host).via));
    }

    fn challenge(paths: &mut Paths<u32>, ms: u64) -> Option<u8> {
        paths.take_challenge(40, at(ms), PATIENCE).map(|challenge| challenge.path)
    }

    fn fire(paths: &mut Paths<u32>, ms: u64) {
        let fired = paths.handle_timeout(at(ms), &mut PeerStats::default());
        assert!(matches!(fired, Some(PathTimeout::Ready)), "{fired:?}");
    }

    #[test]
    fn each_path_waits_for_the_answer_to_its_own_challenge() {
        let (mut paths, mut rng) = two();
        receive(&mut paths, &mut rng, 0, 0, 2);
        assert_eq!(challenge(&mut paths, 0), Some(0));
        receive(&mut paths, &mut rng, 1, 0, 3);
        assert_eq!(challenge(&mut paths, 100), Some(1));
        assert_eq!(paths.deadline(), Some(at(300)), "the second does not put off the first");
        fire(&mut paths, 300);
        assert_eq!(challenge(&mut paths, 300), Some(0), "only its own challenge is due again");
        assert_eq!(challenge(&mut paths, 300), None);
        assert_eq!(paths.deadline(), Some(at(400)));
        fire(&mut paths, 400);
        assert_eq!(challenge(&mut paths, 400), Some(1));
        assert_eq!(paths.deadline(), Some(at(600)));
    }

    #[test]
    fn what_was_sent_before_the_peer_moved_tells_nothing_about_the_new_way() {
        let (mut paths, mut rng) = two();
        let sent = Sent { size: 1000, ack_eliciting: true, ..Sent::default() };
        let path = paths.primary_mut().expect("a path");
        (0..20).for_each(|_| path.on_sent(at(0), sent));
        assert_eq!(path.stats().bytes_in_flight, 20_000);
        paths.follow(from(2).via, &Config::default(), at(100), &mut rng);
        let path = paths.primary_mut().expect("a path");
        let fresh = path.stats();
        assert_eq!(fresh.bytes_in_flight, 0);
        (0..4).for_each(|_| path.on_sent(at(110), sent));
        // All that was sent to the old place is lost; what was sent to the new one arrives.
        let mut buffer = [0; 64];
        let mut writer = Writer::new(&mut buffer);
        assert_eq!(crate::wire::encode_ack(&mut writer, 0, 0, None, core::iter::once(20..=23)), 1);
        let written = writer.position();
        let crate::wire::Frame::Ack(ack) =
            crate::wire::Frames::new(&buffer[..written]).next().expect("one").expect("legal")
        else {
            panic!("an acknowledgement")
        };
        let mut stats = PeerStats::default();
        paths.on_ack(&PacketSpaces::default(), at(160), &ack, &mut stats).expect("was sent");
        assert_eq!((stats.packets_lost, stats.congestion_events), (20, 0));
        let now = paths.primary().expect("a path").stats();
        assert_eq!(now.bytes_in_flight, 0);
        assert_eq!(now.rtt, Some(Duration::from_millis(50)));
        assert!(now.congestion_window >= fresh.congestion_window, "no slowdown");
    }
}
