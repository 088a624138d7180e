//! Whether the peer is at an address: challenges to it (RFC 9000 section 8.2), and what may be sent there
//! before it answers (section 8.1).
//!
//! Whoever copies the packets of a peer and is faster can have his own address looked at first. So several
//! addresses may be candidates at a time, and the packet that made one of them a candidate makes another
//! one when it comes again from there: the second is the original.

use alloc::vec::Vec;
use core::time::Duration;

use crate::crypto::rng::Rng;
use crate::net::Via;
use crate::pack::{pack, pack_enum, pack_never};
use crate::time::Instant;
use crate::wire::PacketNumber;

/// A challenge to write: to whom, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The path id under which it is sealed.
    pub(crate) path: u8,
    pub(crate) via: Via,
    pub(crate) token: [u8; 8],
}

/// A place from which packets of the peer come, not validated yet.
///
/// Nothing goes there but challenges and answers to the peer's own, and no more than three times what
/// came from there (RFC 9000 sections 8.1 and 9.3.1).
#[derive(Clone, Copy, Debug)]
struct Candidate {
    via: Via,
    token: [u8; 8],
    received: u64,
    sent: u64,
    tries: u8,
    due: bool,
    /// When the last challenge should have been answered.
    answer_by: Option<Instant>,
    /// The number of the packet that made it a candidate, and when that came.
    made_by: (PacketNumber, Instant),
    /// The same of the packet that answered its challenge, but came from elsewhere.
    answered_by: Option<(PacketNumber, Instant)>,
}

pack_never!(Candidate);

impl Candidate {
    /// Whether `len` more bytes may go there; they count as sent then.
    const fn charge(&mut self, len: u64) -> bool {
        let allowed = self.sent + len <= self.received * AMPLIFICATION;
        if allowed {
            self.sent += len;
        }
        allowed
    }

    /// Takes the challenge that is due. `None` if its `len` bytes are too many to send there.
    fn take_challenge(&mut self, len: u64, answer_by: Instant) -> Option<[u8; 8]> {
        self.due = false;
        self.tries += 1;
        self.answer_by = Some(answer_by);
        self.charge(len).then_some(self.token)
    }
}

/// The places from which newest packets of the peer came on one path, and that are not validated.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    list: Vec<Candidate>,
    /// Those that did not answer, and until when they are none.
    barred: Vec<(Via, Instant)>,
}

pack!(Candidates: list, barred);

impl Candidates {
    /// A packet of `len` bytes came from `via`. True if that is a candidate now, and was none before.
    pub(super) fn note(
        &mut self,
        via: Via,
        number: PacketNumber,
        len: u64,
        now: Instant,
        rng: &mut Rng,
    ) -> bool {
        if let Some(known) = self.at(&via) {
            known.received += len;
            return false;
        }
        let has_room = self.has_room_for(&via, now);
        if has_room {
            self.list.push(Candidate {
                via,
                token: rng.bytes(),
                received: len,
                sent: 0,
                tries: 0,
                due: true,
                answer_by: None,
                made_by: (number, now),
                answered_by: None,
            });
        }
        has_room
    }

    /// Whether a packet with this number came before from elsewhere, and made that a candidate: then it
    /// makes one of `via` as well.
    pub(super) fn is_echo(&self, via: &Via, number: PacketNumber, now: Instant) -> bool {
        let made_one = |one: &Candidate| is_same(one.made_by, number, now);
        self.list.iter().any(made_one) && self.has_room_for(via, now)
    }

    /// Whether a packet with this number came before from elsewhere, and answered the challenge to `via`.
    pub(super) fn is_late_answer(&self, via: &Via, number: PacketNumber, now: Instant) -> bool {
        let answered = |one: &Candidate| one.answered_by.is_some_and(|by| is_same(by, number, now));
        self.list.iter().any(|one| one.via.is_same_remote(via) && answered(one))
    }

    /// A packet with this number came from `via` with an answer. Returns the place that is proved by it: the one that
    /// the challenge went to.
    pub(super) fn on_response(
        &mut self,
        via: &Via,
        token: [u8; 8],
        number: PacketNumber,
        now: Instant,
    ) -> Option<Via> {
        let one = self.list.iter_mut().find(|one| one.token == token)?;
        one.answered_by = Some((number, now));
        is_answer(&one.via, via).then_some(one.via)
    }

    /// Whether `len` bytes that answer a challenge of the peer may go to `via`. `None` if it is no candidate.
    pub(super) fn charge(&mut self, via: &Via, len: u64) -> Option<bool> {
        self.at(via).map(|one| one.charge(len))
    }

    /// Whether a challenge is to be sent now.
    pub(super) fn is_due(&self) -> bool {
        self.list.iter().any(|one| one.due)
    }

    /// Takes the next challenge whose packet of `len` bytes may be sent; its answer is awaited for
    /// `patience`.
    pub(super) fn take_challenge(
        &mut self,
        len: u64,
        now: Instant,
        patience: Duration,
    ) -> Option<(Via, [u8; 8])> {
        let due = self.list.iter_mut().filter(|one| one.due);
        due.filter_map(|one| Some((one.via, one.take_challenge(len, now + patience)?))).next()
    }

    /// When the next answer is overdue.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.list.iter().filter_map(|one| one.answer_by.filter(|_| !one.due)).min()
    }

    /// What did not answer in time is challenged again, or is no candidate for a while.
    pub(super) fn on_timeout(&mut self, now: Instant) {
        self.barred.retain(|(_, until)| now < *until);
        let Self { list, barred } = self;
        list.retain_mut(|one| {
            let overdue = !one.due && one.answer_by.is_some_and(|at| at <= now);
            one.due |= overdue;
            let exhausted = overdue && one.tries >= MAX_TRIES;
            if exhausted && barred.len() < MAX_BARRED {
                barred.push((one.via, now + BARRED));
            }
            !exhausted
        });
    }

    /// The peer is not at those, as somebody says who would pass packets on: they are none for a while.
    pub(super) fn bar(&mut self, is_meant: impl Fn(&Via) -> bool, now: Instant) {
        let Self { list, barred } = self;
        for one in list.iter().filter(|one| is_meant(&one.via)) {
            if barred.len() < MAX_BARRED {
                barred.push((one.via, now + BARRED));
            }
        }
        list.retain(|one| !is_meant(&one.via));
    }

    /// One of them, or none, turned out to be where the peer is.
    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    fn at(&mut self, via: &Via) -> Option<&mut Candidate> {
        self.list.iter_mut().find(|one| one.via.is_same_remote(via))
    }

    fn has_room_for(&self, via: &Via, now: Instant) -> bool {
        let known = self.list.iter().any(|one| one.via.is_same_remote(via));
        let barred = |(place, until): &(Via, Instant)| place.is_same_remote(via) && now < *until;
        self.list.len() < MAX_CANDIDATES && !known && !self.barred.iter().any(barred)
    }
}

/// Whether a packet that came a short while ago had this number.
fn is_same((by, at): (PacketNumber, Instant), number: PacketNumber, now: Instant) -> bool {
    by == number && now < at + ECHO
}

/// The place that the peer left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Previous {
    pub(super) via: Via,
    since: Instant,
    token: [u8; 8],
    question: Question,
}

pack!(Previous: via, since, token, question);

/// Whether the peer is still at the place that it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Due,
    Asked,
    Answered,
}

pack_enum!(Question: Due, Asked, Answered);

impl Previous {
    /// The peer left `via`. `token` is random.
    pub(super) const fn new(via: Via, since: Instant, token: [u8; 8]) -> Self {
        Self { via, since, token, question: Question::Due }
    }

    /// Whether late packets still come from there.
    pub(super) fn is_just_left(&self, now: Instant) -> bool {
        now < self.since + FLAP_GUARD
    }

    /// Whether the peer is there if its newest packet comes from there.
    pub(super) fn is_still_good(&self, now: Instant) -> bool {
        self.question == Question::Answered && now < self.since + STILL_GOOD
    }

    pub(super) fn is_due(&self) -> bool {
        self.question == Question::Due
    }

    /// Takes the one challenge, if it is due.
    pub(super) fn take_challenge(&mut self) -> Option<(Via, [u8; 8])> {
        let due = core::mem::replace(&mut self.question, Question::Asked) == Question::Due;
        due.then_some((self.via, self.token))
    }

    /// A challenge was answered with `token`, from `via`.
    pub(super) fn on_response(&mut self, via: &Via, token: [u8; 8]) {
        let genuine = self.token == token && self.via.is_same_remote(via);
        if self.question == Question::Asked && genuine {
            self.question = Question::Answered;
        }
    }
}

/// Whether an answer that comes by `from` shows that the challenge led to the peer that went to `to`. Those that pass
/// packets on choose the way back, so it need not be the same neighbour: only the peer can open what it carried.
pub(super) fn is_answer(to: &Via, from: &Via) -> bool {
    to.is_same_remote(from) || (to.route().is_some() && from.route().is_some())
}

/// How often a candidate is challenged.
const MAX_TRIES: u8 = 3;
/// Bytes sent to an address that is not validated, per byte received from it (RFC 9000 section 8.1).
const AMPLIFICATION: u64 = 3;
/// The most candidates of one path.
const MAX_CANDIDATES: usize = 3;
/// How long after a packet made a candidate the same packet may make others.
const ECHO: Duration = Duration::from_secs(1);
/// For so long a place that did not answer is no candidate again.
const BARRED: Duration = Duration::from_secs(30);
/// How many such places are remembered.
const MAX_BARRED: usize = 16;
/// For so long a peer that left an address is not followed back to it: late packets still come from there
/// (RFC 9000 section 9.3).
const FLAP_GUARD: Duration = Duration::from_secs(2);
/// For so long it is followed back without a new challenge, if it answered that after it left.
const STILL_GOOD: Duration = Duration::from_secs(10);
