//! All paths of one peer: which one data takes, what arrives under which id, and their deadlines.
//!
//! We send on two at most: one to an address of the peer, and one by way of a neighbour. Each has an id of
//! its own. The peer chooses its ids by itself: what arrives is counted and acknowledged by its id, and
//! shows something about the path by whose kind of way it came.

use core::time::Duration;

use alloc::vec::Vec;

use super::away::Away;
use super::validation::Challenge;
use super::{AckResult, Path, Permit, id_toward};
use crate::Violation;
use crate::config::Config;
use crate::crypto::rng::Rng;
use crate::net::{Ecn, FourTuple, SocketId, Via};
use crate::pack::pack;
use crate::recovery::{AckWant, PacketSpaces};
use crate::time::{Absence, Instant};
use crate::timer::Timers;
use crate::wire::{PacketNumber, Writer};

/// The paths of a peer. There is none before the first session.
#[derive(Debug)]
pub(crate) struct Paths<F> {
    /// One for each path id in use; data takes the first.
    pub(super) list: Vec<Path<F>>,
    /// Challenges of the peer that wait for their answers: of each kind of way the newest.
    pub(super) answers: Vec<(Via, [u8; 8])>,
    /// How long the peer delays acknowledgements at most.
    pub(super) max_ack_delay: Duration,
    /// Data takes another way, and nobody was told.
    pub(super) has_moved: bool,
    /// Data takes a path of the other kind: the peer is to see that.
    pub(super) has_switched: bool,
    /// That, or something under way is to be sent again.
    pub(super) has_news: bool,
    /// What keeps data from the direct path.
    pub(super) away: Away,
    /// What the last acknowledgement or timeout led to.
    pub(super) result: AckResult<F>,
}

pack!(Paths<F>: list, answers, max_ack_delay, has_moved, has_switched, has_news, away, result);

impl<F: Copy> Paths<F> {
    /// No path. The peer is taken to delay acknowledgements for `max_ack_delay` until it says so.
    pub(crate) fn new(max_ack_delay: Duration) -> Self {
        Self {
            list: Vec::new(),
            answers: Vec::new(),
            max_ack_delay,
            has_moved: false,
            has_switched: false,
            has_news: false,
            away: Away::default(),
            result: AckResult::default(),
        }
    }

    /// Starts over with one path that leads where `via` does.
    pub(crate) fn restart(&mut self, spaces: &mut PacketSpaces, via: Via, config: &Config) {
        self.clear();
        self.open(spaces, id_toward(&via), via, config);
        self.list.iter_mut().for_each(|path| path.is_proved = true);
    }

    /// Forgets all paths.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.answers.clear();
        self.away.come_back();
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

    /// Whether data takes another way, or something under way is to be sent again; once.
    #[inline]
    pub(crate) const fn take_news(&mut self) -> bool {
        core::mem::replace(&mut self.has_news, false)
    }

    /// What carries data, if that is another way than when this was last asked.
    pub(crate) fn take_move(&mut self) -> Option<Via> {
        if core::mem::take(&mut self.has_moved) { self.via() } else { None }
    }

    /// Whether data takes a path of the other kind than when this was last asked: the peer is to see that.
    pub(crate) const fn take_switch(&mut self) -> bool {
        core::mem::replace(&mut self.has_switched, false)
    }

    /// The path beside that of data, if the peer has shown that it is there.
    pub(crate) fn standby(&self) -> Option<&Path<F>> {
        self.list.iter().skip(1).find(|path| path.is_proved)
    }

    /// The path that leads directly to the peer, if the peer answers there.
    pub(crate) fn direct(&self) -> Option<&Path<F>> {
        self.get(DIRECT).filter(|path| path.is_usable() && path.is_way())
    }

    /// The socket by which the direct path leaves, whether the peer answers there or is being asked; `None` if there is no
    /// such path, or if it was given up.
    pub(crate) fn direct_socket(&self) -> Option<SocketId> {
        self.get(DIRECT).filter(|path| path.is_proved && path.is_way())?.via.socket()
    }

    /// What carries packets by way of a neighbour, if the peer answers there.
    pub(crate) fn route(&self) -> Option<Via> {
        let path = self.get(ROUTED).filter(|path| path.is_usable() && path.is_way())?;
        Some(path.via)
    }

    /// The id under which packets go by `via`.
    pub(crate) fn id_toward(&self, via: &Via) -> Option<u8> {
        let kind = self.get(id_toward(via)).filter(|path| path.is_way());
        kind.or_else(|| self.primary()).map(|path| path.space.id())
    }

    /// The path with this id.
    pub(crate) fn get_mut(&mut self, id: u8) -> Option<&mut Path<F>> {
        self.list.iter_mut().find(|path| path.space.id() == id)
    }

    pub(super) fn get(&self, id: u8) -> Option<&Path<F>> {
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

    /// Makes sure that packets under this id are counted, and that there is a path of the kind of `via`, by
    /// which one arrived.
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
        let is_usual = |path: &Path<F>| path.space.id() == id && path.is_way_of(&via);
        if self.list.first().is_some_and(is_usual) {
            Ok(())
        } else {
            self.seek(spaces, id, via, config)
        }
    }

    #[cold]
    fn seek(
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
        self.ensure_way(spaces, via, config);
        Ok(())
    }

    /// Makes sure that there is a path of the kind of `via`.
    pub(crate) fn ensure_way(&mut self, spaces: &mut PacketSpaces, via: Via, config: &Config) {
        let id = id_toward(&via);
        match self.get_mut(id) {
            None => self.open(spaces, id, via, config),
            // So far only the peer used the id.
            Some(path) if !path.is_way() => path.lead(via, config),
            Some(_) => {}
        }
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
        let Some(space) = spaces.open(id, config.timers.max_ack_delay) else { return };
        let agreed = self.list.first().map(|path| (path.agreed_datagram, path.absence));
        let mut path = Path::new(space, via, config);
        if let Some((datagram, absence)) = agreed {
            path.set_max_datagram(datagram);
            path.absence = absence;
        }
        // Few peers have a second.
        self.list.reserve_exact(1);
        self.list.push(path);
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

    /// The frames that arrived, and those that were lost, as far as the last acknowledgement or
    /// timeout showed. They are handed out once.
    pub(crate) fn resolved(&mut self) -> &mut AckResult<F> {
        &mut self.result
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
    #[inline]
    pub(crate) fn on_absence(&mut self, absence: Absence) {
        // Most never are.
        if absence.until.is_some() {
            self.make_up_for(absence);
        }
    }

    #[cold]
    fn make_up_for(&mut self, absence: Absence) {
        self.list.iter_mut().for_each(|path| path.on_absence(absence));
    }

    /// Whether a packet on the path of data may ask for an acknowledgement at once: it costs none more
    /// than without if none was asked for as long as one may wait.
    pub(crate) fn may_ask_ack_now(&self, now: Instant) -> bool {
        let asked_at = self.primary().and_then(|path| path.asked_at);
        asked_at.is_none_or(|at| at + self.max_ack_delay < now)
    }

    /// The handshake with whoever is at the far end of `via` took `rtt`: so long a packet and its answer
    /// take.
    pub(crate) fn on_handshake(&mut self, now: Instant, via: &Via, rtt: Duration) {
        if let Some(path) = self.primary_mut()
            && path.via.is_same_remote(via)
        {
            path.on_handshake(now, rtt);
        }
    }

    /// The peer delays acknowledgements for so long at most.
    pub(crate) const fn set_max_ack_delay(&mut self, max_ack_delay: Duration) {
        self.max_ack_delay = max_ack_delay;
    }

    pub(crate) fn set_max_datagram(&mut self, max_datagram: u16) {
        self.list.iter_mut().for_each(|path| path.set_max_datagram(max_datagram));
    }

    /// How large a packet is to leave on the path of data now only to find out whether that size passes, if one is.
    pub(crate) fn due_size(&mut self, now: Instant) -> Option<u16> {
        let max_delay = self.max_ack_delay;
        let path = self.primary_mut().filter(|path| !path.owes_probe())?;
        let may_leave = path.permit(now, path.max_datagram()) == Permit::Now;
        if may_leave { path.due_size(now, max_delay) } else { None }
    }

    /// Nothing was heard for a while: gives memory back.
    pub(crate) fn on_idle(&mut self) {
        self.result = AckResult::default();
        self.list.iter_mut().for_each(Path::on_idle);
    }

    /// Nobody talks to the peer. If nothing is in flight, and no acknowledgement owed, gives memory back, and forgets what
    /// was learned about the capacity of its paths: that is stale. Returns whether that is so.
    pub(crate) fn rest(&mut self) -> bool {
        let is_busy = |path: &Path<F>| {
            path.space.sent().packets_in_flight() > 0 || path.space.acks().deadline().is_some()
        };
        if self.list.iter().any(is_busy) {
            return false;
        }
        self.on_idle();
        self.list.iter_mut().for_each(|path| path.congestion.restart());
        true
    }

    /// Whether more packets wait for their fate than any honest peer leaves behind.
    pub(crate) fn is_overfull(&self) -> bool {
        self.list.iter().any(|path| path.space.is_overfull())
    }

    /// Whether an acknowledgement must leave now.
    pub(crate) fn is_ack_due(&self, now: Instant) -> bool {
        let is_due = |(_, path): &(usize, &Path<F>)| path.space.acks().is_due(now);
        let mut due = self.list.iter().enumerate().filter(is_due);
        due.any(|(at, _)| self.home_of(at) == 0)
    }

    /// Writes the acknowledgements that belong on the path `id`, while they fit. Returns the highest counter
    /// in that of its own packets.
    pub(crate) fn write_acks(
        &mut self,
        id: u8,
        now: Instant,
        writer: &mut Writer<'_>,
    ) -> Option<u64> {
        if let [path] = &mut self.list[..] {
            let is_owed = path.space.acks().wants_piggyback();
            return if is_owed { path.space.write_ack(now, writer) } else { None };
        }
        let mut own = None;
        for at in 0..self.list.len() {
            let is_owed = self.list[at].space.acks().wants_piggyback();
            if is_owed && self.list[self.home_of(at)].space.id() == id {
                let space = &mut self.list[at].space;
                let largest = space.write_ack(now, writer);
                if space.id() == id {
                    own = largest;
                }
            }
        }
        own
    }

    /// Where the acknowledgement of packets under an id goes: back where they came from, if that answers.
    /// So a peer that finds one path broken hears of what it sends on the other.
    fn home_of(&self, at: usize) -> usize {
        if self.list.len() == 1 {
            return 0;
        }
        let home = self.list[at].home;
        let is_home = |path: &Path<F>| path.space.id() == home && path.is_usable();
        self.list.iter().position(is_home).unwrap_or(0)
    }

    /// The path beside that of data on which a packet is to leave now, and why: to acknowledge, or to probe.
    #[inline]
    pub(crate) fn beside(&self, now: Instant) -> Option<(u8, Via)> {
        if self.list.len() < 2 { None } else { self.find_beside(now) }
    }

    #[cold]
    fn find_beside(&self, now: Instant) -> Option<(u8, Via)> {
        let is_due = |at: usize| {
            let probes = self.list[at].probes > 0 && self.list[at].is_proved;
            let acks = |of: usize| self.list[of].space.acks().is_due(now) && self.home_of(of) == at;
            probes || (0..self.list.len()).any(acks)
        };
        let at = (1..self.list.len()).find(|at| is_due(*at))?;
        Some((self.list[at].space.id(), self.list[at].via))
    }

    /// Forgets all deadlines: the peer ended.
    pub(crate) fn stop_timers(&mut self) {
        self.list.iter_mut().for_each(|path| path.timers = Timers::new());
    }

    /// Whether a challenge or the answer to one is due.
    pub(crate) fn has_validation_work(&self) -> bool {
        !self.answers.is_empty() || self.list.iter().any(Path::has_challenge)
    }

    /// Takes the answer to the peer's challenge, if its packet of `len` bytes may go where it belongs:
    /// a candidate is charged for it as for challenges, and any other place gets one answer for a
    /// packet at least as long.
    pub(crate) fn take_answer(&mut self, len: u64) -> Option<(Via, [u8; 8])> {
        let (via, token) = self.answers.pop()?;
        let paid = self.list.iter_mut().find_map(|path| path.candidates.charge(&via, len));
        paid.unwrap_or(true).then_some((via, token))
    }

    /// Takes the next challenge whose packet of `len` bytes may be sent; its answer is awaited for
    /// three probe timeouts.
    pub(crate) fn take_challenge(
        &mut self,
        len: u64,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Challenge> {
        let max_ack_delay = self.max_ack_delay;
        self.list.iter_mut().filter(|path| path.has_challenge()).find_map(|path| {
            let patience = path.pto(max_ack_delay).min(LONGEST_PROBE_TIMEOUT) * 3;
            let (via, token) = path.take_challenge(len, now, patience, rng)?;
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
}

/// The end waits for the acknowledgement of a `Disconnect`, for late packets, and for answers from new
/// addresses, in multiples of a probe timeout that is taken to be at most this.
const LONGEST_PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// The ids of our paths.
pub(super) const DIRECT: u8 = 0;
pub(super) const ROUTED: u8 = 1;
/// The most path ids of the peer.
const MAX_PATHS: usize = 4;

#[cfg(test)]
mod tests {
    use core::ops::RangeInclusive;

    use super::*;
    use crate::net::{Arrival, Route};
    use crate::path::LONGEST_DISTRESS;
    use crate::path::{PathTimeout, Seen};
    use crate::recovery::Sent;
    use crate::stats::PeerStats;

    /// How long the peer delays acknowledgements, and three probe timeouts before the first measurement.
    const ACK_DELAY: Duration = Duration::from_millis(300);
    const PATIENCE: u64 = 3 * (333 + 300);

    fn at(ms: u64) -> Instant {
        Instant::from_micros(1_000_000 + ms * 1000)
    }

    fn from(host: u8) -> Arrival {
        Arrival::from_remote(([10, 0, 0, host], 1).into())
    }

    fn id(byte: u8) -> crate::PeerId {
        crate::Identity::from_seed([byte; 32]).id()
    }

    /// By way of the neighbour with that number.
    fn by_way_of(neighbour: u8) -> Arrival {
        Arrival::routed(Route::new(id(neighbour), id(99)), None)
    }

    /// Two paths: to host 1, and by way of neighbour 1.
    fn two() -> (Paths<u32>, Rng) {
        let (mut paths, config) = (Paths::new(ACK_DELAY), Config::default());
        let mut spaces = PacketSpaces::default();
        paths.restart(&mut spaces, from(1).via, &config);
        let route = by_way_of(1).via;
        paths.follow(&mut spaces, route, &config, at(0), &mut Rng::from_seed([2; 32]));
        (paths, Rng::from_seed([1; 32]))
    }

    /// The first packet under `id` arrives.
    fn receive(paths: &mut Paths<u32>, rng: &mut Rng, id: u8, arrival: &Arrival) {
        let number = PacketNumber::new(id, 0).expect("small");
        let candidate = paths.on_received(number, arrival, 1000, true, at(0), rng);
        assert_eq!(candidate, Seen::Candidate(arrival.via));
    }

    fn challenge(paths: &mut Paths<u32>, ms: u64) -> Option<u8> {
        paths
            .take_challenge(40, at(ms), &mut Rng::from_seed([3; 32]))
            .map(|challenge| challenge.path)
    }

    fn fire(paths: &mut Paths<u32>, ms: u64) {
        let fired = paths.handle_timeout(at(ms), &mut PeerStats::default());
        assert!(matches!(fired, Some(PathTimeout::Ready)), "{fired:?}");
    }

    /// The peer acknowledges packets of our path 0.
    fn acknowledge(paths: &mut Paths<u32>, counters: RangeInclusive<u64>, ms: u64) -> PeerStats {
        let mut buffer = [0; 64];
        let mut writer = Writer::new(&mut buffer);
        assert_eq!(crate::wire::encode_ack(&mut writer, 0, 0, None, core::iter::once(counters)), 1);
        let written = writer.position();
        let crate::wire::Frame::Ack(ack) =
            crate::wire::Frames::new(&buffer[..written]).next().expect("one").expect("legal")
        else {
            panic!("an acknowledgement")
        };
        let mut stats = PeerStats::default();
        paths.on_ack(&PacketSpaces::default(), at(ms), &ack, &mut stats).expect("was sent");
        stats
    }

    fn fire_loss(paths: &mut Paths<u32>, ms: u64) {
        let fired = paths.handle_timeout(at(ms), &mut PeerStats::default());
        assert!(matches!(fired, Some(PathTimeout::Loss(_))), "{fired:?}");
    }

    #[test]
    fn each_path_waits_for_the_answer_to_its_own_challenge() {
        let (mut paths, mut rng) = two();
        receive(&mut paths, &mut rng, 0, &from(2));
        assert_eq!(challenge(&mut paths, 0), Some(0));
        receive(&mut paths, &mut rng, 1, &by_way_of(3));
        assert_eq!(challenge(&mut paths, 100), Some(1));
        assert_eq!(paths.deadline(), Some(at(PATIENCE)), "the second does not put off the first");
        fire(&mut paths, PATIENCE);
        assert_eq!(challenge(&mut paths, PATIENCE), Some(0), "only its own challenge is due again");
        assert_eq!(challenge(&mut paths, PATIENCE), None);
        assert_eq!(paths.deadline(), Some(at(100 + PATIENCE)));
        fire(&mut paths, 100 + PATIENCE);
        assert_eq!(challenge(&mut paths, 100 + PATIENCE), Some(1));
        assert_eq!(paths.deadline(), Some(at(2 * PATIENCE)));
    }

    #[test]
    fn a_path_on_which_all_is_settled_waits_for_nothing_though_a_packet_was_lost() {
        let (mut paths, _) = two();
        let sent = Sent { size: 100, ack_eliciting: true, ..Sent::default() };
        let path = paths.primary_mut().expect("a path");
        (0..2).for_each(|n| path.on_sent(at(n), sent));
        acknowledge(&mut paths, 1..=1, 60);
        let patience = |paths: &Paths<u32>| paths.list[0].distress_at(ACK_DELAY);
        assert!(patience(&paths).is_some(), "the first is still missed");
        paths.review(at(60), true);
        fire_loss(&mut paths, 90);
        assert_eq!(paths.list[0].stats().bytes_in_flight, 0, "it is lost");
        assert_eq!(patience(&paths), None);
    }

    #[test]
    fn a_path_is_good_again_once_one_packet_went_each_way_whichever_was_known_first() {
        for acknowledged_first in [true, false] {
            let (mut paths, mut rng) = two();
            paths.list.iter_mut().for_each(|path| path.is_proved = true);
            let sent = Sent { size: 100, ack_eliciting: true, ..Sent::default() };
            paths.list[0].on_sent(at(0), sent);
            paths.list[0].suspect_since = Some(at(1000));
            paths.choose(at(1000));
            assert_eq!(paths.via(), Some(by_way_of(1).via));
            for (ms, acknowledges) in [(1100, acknowledged_first), (1200, !acknowledged_first)] {
                assert!(paths.direct().is_none());
                if acknowledges {
                    acknowledge(&mut paths, 0..=0, ms);
                } else {
                    let number = PacketNumber::new(0, 0).expect("small");
                    paths.on_received(number, &from(1), 100, true, at(ms), &mut rng);
                }
            }
            assert!(paths.direct().is_some(), "acknowledged first: {acknowledged_first}");
        }
    }

    #[test]
    fn the_round_trip_of_a_handshake_long_ago_gives_way_to_the_next_sample() {
        let (mut paths, _) = two();
        paths.on_handshake(at(0), &from(1).via, Duration::from_millis(100));
        let sent = Sent { size: 100, ack_eliciting: true, ..Sent::default() };
        paths.list[0].on_sent(at(20_000), sent);
        acknowledge(&mut paths, 0..=0, 20_020);
        assert_eq!(paths.list[0].stats().rtt, Some(Duration::from_millis(20)));
    }

    #[test]
    fn the_only_path_is_challenged_while_it_is_in_distress_though_nothing_is_to_be_sent() {
        let (mut paths, _) = two();
        paths.list.truncate(1);
        paths.list[0].is_proved = true;
        paths.list[0].watch(at(0));
        paths.list[0].suspect_since = Some(at(0));
        let mut challenges = Vec::new();
        for ms in 0..100_000 {
            while paths.deadline().is_some_and(|due| due <= at(ms)) {
                fire(&mut paths, ms);
            }
            challenges.extend(challenge(&mut paths, ms).map(|_| ms / 25_000));
        }
        assert_eq!(challenges, [1, 1, 1, 2, 2, 2, 3, 3, 3], "three, and then a pause of 25 s");
    }

    #[test]
    fn larger_packets_of_others_are_wanted_of_the_path_that_carries_them_though_data_takes_another()
    {
        for data_takes in [DIRECT, ROUTED] {
            let (mut paths, _) = two();
            paths.set_max_datagram(1452);
            paths.list.iter_mut().for_each(|path| path.is_proved = true);
            if data_takes == ROUTED {
                paths.list.swap(0, 1);
            }
            assert_eq!(paths.list[0].space.id(), data_takes);
            paths.carry_larger(at(0));
            assert!(paths.get(DIRECT).is_some_and(Path::wants_larger), "{data_takes}");
            let routed = paths.get_mut(ROUTED).expect("a route");
            assert!(!routed.fit_into(routed.via.base_datagram()), "{data_takes}: nobody asked it");
        }
    }

    #[test]
    fn who_makes_the_peer_seem_to_move_all_the_time_does_not_keep_data_on_a_path_that_swallows_it()
    {
        let (mut paths, mut rng) = two();
        let sent = Sent { size: 1000, ack_eliciting: true, ..Sent::default() };
        let (mut spaces, config) = (PacketSpaces::default(), Config::default());
        let mut left_at = None;
        for ms in 0..3000 {
            if ms % 20 == 0 && paths.list[0].space.id() == DIRECT {
                paths.list[0].on_sent(at(ms), sent);
            }
            if ms % 100 == 99 {
                let host = 2 + (ms / 100) as u8;
                paths.follow(&mut spaces, from(host).via, &config, at(ms), &mut rng);
            }
            paths.review(at(ms), true);
            while paths.deadline().is_some_and(|due| due <= at(ms)) {
                paths.handle_timeout(at(ms), &mut PeerStats::default());
                paths.review(at(ms), true);
            }
            if paths.list[0].space.id() == ROUTED {
                left_at.get_or_insert(ms);
            }
        }
        let longest = 2 * LONGEST_DISTRESS.as_millis() as u64;
        assert!(left_at.is_some_and(|ms| ms <= longest), "{left_at:?}");
    }

    #[test]
    fn what_was_sent_before_the_peer_moved_tells_nothing_about_the_new_way() {
        let (mut paths, mut rng) = two();
        let sent = Sent { size: 1000, ack_eliciting: true, ..Sent::default() };
        let path = paths.primary_mut().expect("a path");
        (0..20).for_each(|_| path.on_sent(at(0), sent));
        assert_eq!(path.stats().bytes_in_flight, 20_000);
        paths.follow(
            &mut PacketSpaces::default(),
            from(2).via,
            &Config::default(),
            at(100),
            &mut rng,
        );
        let path = paths.primary_mut().expect("a path");
        let fresh = path.stats();
        assert_eq!(fresh.bytes_in_flight, 0);
        (0..4).for_each(|_| path.on_sent(at(110), sent));
        // All that was sent to the old place is lost; what was sent to the new one arrives.
        let stats = acknowledge(&mut paths, 20..=23, 160);
        assert_eq!((stats.packets_lost, stats.congestion_events), (20, 0));
        let now = paths.primary().expect("a path").stats();
        assert_eq!(now.bytes_in_flight, 0);
        assert_eq!(now.rtt, Some(Duration::from_millis(50)));
        assert!(now.congestion_window >= fresh.congestion_window, "no slowdown");
    }
}
