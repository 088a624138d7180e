//! Where the peer is: what arrives, and from where.
//!
//! A packet that is newer than all others and comes from elsewhere makes the new place a candidate.
//! The candidate is challenged, and its own challenges are answered. The peer's answer moves the path of
//! that kind.

use crate::config::Config;
use crate::crypto::rng::Rng;
use crate::net::{Arrival, Via};
use crate::path::manager::Paths;
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
        let Some(path) = self.of_kind_mut(&arrival.via) else { return Seen::Nothing };
        let is_there = path.via.is_same_remote(&arrival.via);
        if is_there {
            path.heard_at = now;
        }
        if !newest {
            return Seen::Nothing;
        }
        let is_news = path.is_news(&arrival.via);
        if is_there {
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
        if path.candidates.note(arrival.via, number, len as u64, now, rng) {
            return Seen::Candidate(arrival.via);
        }
        Seen::Nothing
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
        if path.candidates.on_response(&via, token, number, now) {
            self.move_to(via, config, now, rng);
            return;
        }
        let answered = path.check.as_mut().filter(|_| path.via.is_same_remote(&via));
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
        self.away_until = now;
        self.move_to(via, config, now, rng);
        if let Some(path) = self.of_kind_mut(&via) {
            path.on_checked(rtt, now);
        }
    }

    /// The path of that kind leads to where `via` does from here on.
    fn move_to(&mut self, via: Via, config: &Config, now: Instant, rng: &mut Rng) {
        let data = self.via();
        let Some(path) = self.of_kind_mut(&via) else { return };
        path.move_to(via, config, now, rng.bytes());
        self.has_moved |= data.zip(self.via()).is_some_and(|(was, is)| !was.is_same_remote(&is));
        self.has_news |= self.has_moved;
        if self.list.iter().filter(|path| path.is_proved).count() > 1 {
            self.list.iter_mut().filter(|path| path.is_proved).for_each(|path| path.watch(now));
        }
        self.choose(now);
    }
}
