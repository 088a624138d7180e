//! Where the peer is: what arrives, and from where.
//!
//! A packet that is newer than all others and comes from elsewhere makes the new place a candidate.
//! The candidate is challenged, and its own challenges are answered. The peer's answer moves the path of
//! that kind.

use crate::config::Config;
use crate::crypto::rng::Rng;
use crate::net::{Arrival, Via};
use crate::path::manager::{DIRECT, Paths};
use crate::path::validation::is_answer;
use crate::path::{Path, id_toward};
use crate::recovery::PacketSpaces;
use crate::time::Instant;
use crate::wire::PacketNumber;

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

/// Of no sealed packet: nothing is an echo of a request.
pub(crate) const NO_PACKET: PacketNumber = PacketNumber::from_u64(u64::MAX);

impl<F: Copy> Paths<F> {
    /// The peer has not shown that it is where the only path leads, from where `received` bytes came and to
    /// where `sent` went: it has to be validated as any other candidate.
    pub(crate) fn doubt(&mut self, received: u64, sent: u64, now: Instant, rng: &mut Rng) {
        if let Some(path) = self.list.first_mut() {
            path.is_proved = false;
            path.candidates.note(path.via, NO_PACKET, received, now, rng);
            path.candidates.charge(&path.via, sent);
        }
    }

    /// The path of the kind of `via`.
    fn of_kind(&self, via: &Via) -> Option<&Path<F>> {
        self.get(id_toward(via)).filter(|path| path.is_way())
    }

    fn of_kind_mut(&mut self, via: &Via) -> Option<&mut Path<F>> {
        self.get_mut(id_toward(via)).filter(|path| path.is_way())
    }

    /// Whether a packet with this number, which is a duplicate, should be opened all the same: what came
    /// first may have been a copy, and this is the original.
    pub(crate) fn is_echo(&self, number: PacketNumber, via: &Via, now: Instant) -> bool {
        self.of_kind(via).is_some_and(|path| {
            let candidates = &path.candidates;
            let is_answer = candidates.is_late_answer(via, number, now);
            path.is_news(via) && (is_answer || candidates.is_echo(via, number, now))
        })
    }

    /// A genuine duplicate came by `via`. True if it shows the peer to be there: its first copy answered the
    /// challenge to that place and came from elsewhere.
    #[cold]
    pub(crate) fn on_echo(
        &mut self,
        number: PacketNumber,
        via: Via,
        config: &Config,
        now: Instant,
        rng: &mut Rng,
    ) -> bool {
        let answers = self
            .of_kind(&via)
            .is_some_and(|path| path.candidates.is_late_answer(&via, number, now));
        if answers {
            self.move_to(via, config, now, rng);
        }
        answers
    }

    /// Notes that the peer may be at the far end of `via`, from which an authenticated packet of `len` bytes
    /// came.
    #[cold]
    pub(crate) fn consider(
        &mut self,
        number: PacketNumber,
        via: Via,
        len: usize,
        now: Instant,
        rng: &mut Rng,
    ) -> bool {
        let path = self.of_kind_mut(&via).filter(|path| path.is_news(&via));
        path.is_some_and(|path| path.candidates.note(via, number, len as u64, now, rng))
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
        path.home = id_toward(&arrival.via);
        self.on_arrival(number, arrival, len, (newest, follow), now, rng)
    }

    /// Notes an authenticated packet that is counted elsewhere, the same way. `newest`: no later one arrived.
    pub(crate) fn on_uncounted(
        &mut self,
        number: PacketNumber,
        arrival: &Arrival,
        len: usize,
        newest: bool,
        now: Instant,
        rng: &mut Rng,
    ) -> Seen {
        self.on_arrival(number, arrival, len, (newest, true), now, rng)
    }

    #[inline]
    fn on_arrival(
        &mut self,
        number: PacketNumber,
        arrival: &Arrival,
        len: usize,
        follow: (bool, bool),
        now: Instant,
        rng: &mut Rng,
    ) -> Seen {
        let Some(path) = self.of_kind_mut(&arrival.via) else { return Seen::Nothing };
        let was_suspect = path.suspect_since.is_some();
        let seen = path.on_arrival(number, arrival, len, follow, now, rng);
        if was_suspect && path.suspect_since.is_none() {
            self.choose(now);
        }
        seen
    }

    /// The peer challenges us by a packet that arrived by `via`.
    pub(crate) fn on_challenge(&mut self, via: Via, token: [u8; 8]) {
        self.answers.retain(|(other, _)| id_toward(other) != id_toward(&via));
        self.answers.push((via, token));
    }

    /// The peer answered a challenge by the packet `number` that arrived by `via`.
    pub(crate) fn on_response(
        &mut self,
        (number, via): (PacketNumber, Via),
        token: [u8; 8],
        config: &Config,
        now: Instant,
        rng: &mut Rng,
    ) {
        let Some(path) = self.of_kind_mut(&via) else { return };
        if let Some(proved) = path.candidates.on_response(&via, token, number, now) {
            self.move_to(proved, config, now, rng);
            return;
        }
        let answered = path.check.as_mut().filter(|_| is_answer(&path.via, &via));
        if let Some(rtt) = answered.and_then(|check| check.on_response(token, now)) {
            path.on_checked(rtt, now);
            self.choose(now);
            return;
        }
        for path in &mut self.list {
            path.candidates.on_response(&via, token, number, now);
            path.previous.iter_mut().for_each(|previous| previous.on_response(&via, token));
        }
    }

    /// The peer has shown that it is at the far end of `via`, wherever it seemed to be.
    pub(crate) fn follow(
        &mut self,
        spaces: &mut PacketSpaces,
        via: Via,
        config: &Config,
        now: Instant,
        rng: &mut Rng,
    ) {
        self.ensure_way(spaces, via, config);
        if self.of_kind(&via).is_some_and(|path| path.is_news(&via) || !path.is_usable()) {
            self.move_to(via, config, now, rng);
        }
    }

    /// A pair of addresses was proved to lead both ways, in `rtt` if that is known: data takes it.
    pub(crate) fn adopt_direct(
        &mut self,
        spaces: &mut PacketSpaces,
        (via, rtt): (Via, Option<core::time::Duration>),
        config: &Config,
        now: Instant,
        rng: &mut Rng,
    ) {
        self.ensure_way(spaces, via, config);
        self.move_to(via, config, now, rng);
        if let Some(path) = self.of_kind_mut(&via) {
            path.on_checked(rtt, now);
        }
        self.choose(now);
    }

    /// The path of that kind leads to where `via` does from here on.
    #[cold]
    fn move_to(&mut self, via: Via, config: &Config, now: Instant, rng: &mut Rng) {
        let data = self.via();
        let Some(path) = self.of_kind_mut(&via) else { return };
        if path.move_to(via, config, now, rng.bytes()) && id_toward(&via) == DIRECT {
            self.away.interrupt();
        }
        self.has_moved |= data.zip(self.via()).is_some_and(|(was, is)| !was.is_same_remote(&is));
        self.has_news |= self.has_moved;
        if self.list.iter().filter(|path| path.is_proved).count() > 1 {
            self.list.iter_mut().filter(|path| path.is_proved).for_each(|path| path.watch(now));
        }
        self.choose(now);
    }
}

impl<F: Copy> Path<F> {
    /// An authenticated packet of `len` bytes came by a way of this kind. It shows something new about where
    /// the peer is if it is the newest and the peer may be followed.
    #[inline(always)] // Every packet comes by here.
    fn on_arrival(
        &mut self,
        number: PacketNumber,
        arrival: &Arrival,
        len: usize,
        (newest, follow): (bool, bool),
        now: Instant,
        rng: &mut Rng,
    ) -> Seen {
        let is_there = self.via.is_same_remote(&arrival.via);
        if is_there {
            self.on_heard(now);
        }
        if !newest {
            return Seen::Nothing;
        }
        if is_there {
            // Where it reached us is where our answers leave from.
            self.via = arrival.via;
        }
        if !is_there || !self.is_proved {
            self.on_news(number, arrival, len, follow, now, rng)
        } else {
            Seen::Nothing
        }
    }

    /// It is the newest packet, and did not come from where the peer is known to be.
    #[cold]
    fn on_news(
        &mut self,
        number: PacketNumber,
        arrival: &Arrival,
        len: usize,
        follow: bool,
        now: Instant,
        rng: &mut Rng,
    ) -> Seen {
        let previous = self.previous.filter(|left| left.via.is_same_remote(&arrival.via));
        if !follow || previous.is_some_and(|left| left.is_just_left(now)) {
            return Seen::Nothing;
        }
        if previous.is_some_and(|left| left.is_still_good(now)) {
            return Seen::Back(arrival.via);
        }
        if self.candidates.note(arrival.via, number, len as u64, now, rng) {
            return Seen::Candidate(arrival.via);
        }
        Seen::Nothing
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::net::Route;
    use crate::recovery::AckWant;
    use crate::wire::{Frame, Frames, Writer};
    use crate::{Identity, PeerId};
    use alloc::vec::Vec;

    const DELAY: Duration = Duration::from_millis(25);

    fn at(ms: u64) -> Instant {
        Instant::from_micros(1_000_000 + ms * 1000)
    }

    fn direct() -> Arrival {
        Arrival::from_remote(([10, 0, 0, 1], 1).into())
    }

    fn routed() -> Arrival {
        let id = |byte| -> PeerId { Identity::from_seed([byte; 32]).id() };
        Arrival::routed(Route::new(id(1), id(2)), None)
    }

    struct Both {
        paths: Paths<u32>,
        spaces: PacketSpaces,
        config: Config,
        rng: Rng,
    }

    impl Both {
        fn new() -> Self {
            let (mut paths, mut spaces) = (Paths::new(DELAY), PacketSpaces::default());
            let config = Config::default();
            paths.restart(&mut spaces, direct().via, &config);
            Self { paths, spaces, config, rng: Rng::from_seed([1; 32]) }
        }

        fn receive(&mut self, (id, counter): (u8, u64), arrival: &Arrival, ms: u64) -> Seen {
            let number = PacketNumber::new(id, counter).expect("small");
            assert!(!self.paths.is_duplicate(&self.spaces, number));
            self.paths.ensure(&mut self.spaces, id, arrival.via, &self.config).expect("legal");
            let seen = self.paths.on_received(number, arrival, 500, true, at(ms), &mut self.rng);
            self.paths.on_processed(number, AckWant::AtOnce, None, at(ms));
            assert!(self.paths.is_duplicate(&self.spaces, number));
            seen
        }

        /// The peer answers the challenge that is due, by a packet with this number.
        fn answer(&mut self, number: (u8, u64), arrival: &Arrival, ms: u64) {
            let challenge = self.paths.take_challenge(40, at(ms), &mut self.rng).expect("due");
            assert_eq!(challenge.via, arrival.via);
            self.receive(number, arrival, ms + 20);
            let number = PacketNumber::new(number.0, number.1).expect("small");
            let (config, rng) = (&self.config, &mut self.rng);
            let (from, now) = ((number, arrival.via), at(ms + 20));
            self.paths.on_response(from, challenge.token, config, now, rng);
        }

        /// The ids that are acknowledged in a packet on our path `id`.
        fn acknowledged(&mut self, id: u8, ms: u64) -> Vec<u8> {
            let mut buffer = [0; 500];
            let mut writer = Writer::new(&mut buffer);
            self.paths.write_acks(id, at(ms), &mut writer);
            let len = writer.position();
            let named = |frame| match frame {
                Ok(Frame::Ack(ack)) => ack.path,
                other => panic!("{other:?}"),
            };
            Frames::new(&buffer[..len]).map(named).collect()
        }
    }

    #[test]
    fn the_ids_of_the_peer_say_nothing_about_the_way_of_its_packets() {
        let mut both = Both::new();
        // Each id comes by both ways, our own ids crosswise.
        assert_eq!(both.receive((0, 0), &direct(), 0), Seen::Nothing);
        assert_eq!(both.receive((1, 0), &direct(), 0), Seen::Nothing);
        assert_eq!(both.receive((0, 1), &routed(), 1), Seen::Candidate(routed().via));
        for id in 2..=3 {
            assert_eq!(both.receive((id, 0), &direct(), 2), Seen::Nothing);
            assert_eq!(both.receive((id, 1), &routed(), 2), Seen::Nothing);
        }
        assert_eq!(both.paths.via(), Some(direct().via));
        assert_eq!(both.paths.route(), None, "not proved yet");
        assert_eq!(both.acknowledged(0, 3), [0, 1, 2, 3], "there is no other way");
        both.answer((0, 2), &routed(), 10);
        assert_eq!(both.paths.route(), Some(routed().via));
        assert_eq!(both.paths.via(), Some(direct().via), "data stays");
        assert!(!both.paths.take_news());
        // What comes by a way is acknowledged there, whatever its id.
        both.receive((1, 1), &direct(), 40);
        both.receive((2, 2), &routed(), 40);
        assert_eq!(both.acknowledged(0, 41), [1]);
        assert_eq!(both.acknowledged(1, 41), [0, 2]);
        let legal = both.paths.ensure(&mut both.spaces, 4, direct().via, &both.config);
        assert!(legal.is_err());
    }

    #[test]
    fn a_proved_pair_of_addresses_takes_data_from_a_neighbour_and_is_challenged_when_it_is_beside()
    {
        let mut both = Both::new();
        both.spaces = PacketSpaces::default();
        both.paths.restart(&mut both.spaces, routed().via, &both.config);
        assert!(both.paths.direct().is_none());
        let adopted = (direct().via, Some(Duration::from_millis(30)));
        let Both { paths, spaces, config, rng } = &mut both;
        paths.adopt_direct(spaces, adopted, config, at(0), rng);
        assert_eq!(paths.via(), Some(direct().via));
        assert_eq!(paths.direct().map(Path::via), Some(direct().via));
        assert_eq!(paths.route(), Some(routed().via), "it stays warm");
        assert_eq!(paths.primary().and_then(|path| path.stats().rtt), adopted.1);
        assert_eq!(paths.take_move(), Some(direct().via));
        assert_eq!(paths.take_move(), None, "told once");
    }
}
