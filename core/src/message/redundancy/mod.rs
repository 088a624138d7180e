//! Copies of small urgent messages, sent before anybody can know whether the first was lost.
//!
//! A loss costs more than a round trip, a copy some bytes. So while parts are being lost, each small message of the
//! most urgent class is sent once more: a little later, so that one burst does not take both, in the next packet that
//! leaves anyway, or after a while in one of its own. While many are lost, what that leaves of the budget goes into a
//! third time. The budget is a part of what urgent messages cost themselves.
//!
//! In all classes, a small message that is sent again because it was lost is sent once more after that, in the next
//! packet that leaves anyway, if nothing else wants the room: to lose it twice costs another round trip.
//!
//! Beside large messages, both are done for small ones of all classes, ahead of the large ones: what those take is so much
//! that a hundredth or two of it pays for all copies. So it is at the beginning, too, before anything was lost:
//! who looks for the rate of a path finds it by sending too much.

mod loss_share;

use alloc::collections::VecDeque;
use core::time::Duration;

use loss_share::LossShare;

use super::outgoing::{Outgoing, Part};
use crate::delivery::Priority;
use crate::pack::pack;
use crate::time::Instant;

/// Which messages are to be sent once more, and what for.
#[derive(Debug, Default)]
pub(super) struct Redundancy {
    loss: LossShare,
    /// Bytes that copies may take.
    budget: usize,
    /// In the order in which they were sent first.
    second: VecDeque<Waiting>,
    /// How many of those, from the first on, wait for no other packet any more.
    overdue: usize,
    /// The same for the third time. They always wait for another packet.
    third: VecDeque<Waiting>,
    /// Those that were lost before. They wait for another packet with room to spare.
    repaired: VecDeque<Waiting>,
    /// Those that were sent first, and wait for a packet with a part of a large message.
    beside: VecDeque<Waiting>,
    /// Bytes that copies may take of what is for large messages.
    allowance: usize,
}

pack!(Redundancy: loss, budget, second, overdue, third, repaired, beside, allowance);

/// A part that is to be sent once more.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    part: Part,
    /// From when on it may join another packet, and until when it waits for one.
    from: Instant,
    until: Instant,
}

pack!(Waiting: part, from, until);

/// A part that may be sent once more now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spare {
    pub(super) part: Part,
    is_third: bool,
}

impl Redundancy {
    /// A part was acknowledged, or was lost.
    #[inline]
    pub(super) fn note_resolved(&mut self, is_lost: bool) {
        self.loss.note(is_lost);
    }

    /// So many bytes of urgent messages were written into a packet.
    pub(super) fn earn(&mut self, len: usize) {
        self.budget = (self.budget + (len + PACKET_COST) * SHARE.0 / SHARE.1).min(MOST_SAVED);
    }

    /// So many bytes of messages of a less urgent class were written into a packet.
    #[inline]
    pub(super) fn allow(&mut self, len: usize) {
        if len > LONGEST as usize {
            self.allowance = (self.allowance + len / ALLOWED).min(MOST_SAVED);
        }
    }

    /// Some of a message was sent for the first time; `round_trip` is what an answer takes.
    #[inline]
    pub(super) fn note_sent(
        &mut self,
        message: &Outgoing,
        part: Part,
        now: Instant,
        round_trip: Duration,
    ) {
        if self.loss.is_felt() || (self.allowance > 0 && self.loss.is_unknown()) {
            self.note_at_risk(message, part, now, round_trip);
        }
    }

    /// The same while losses are felt, or may come.
    #[cold]
    fn note_at_risk(&mut self, message: &Outgoing, part: Part, now: Instant, round_trip: Duration) {
        if part.len > LONGEST || part.len != message.len() || !message.delivery.reliable {
            return;
        }
        if self.loss.is_felt() && message.delivery.priority == Priority::REAL_TIME {
            self.wait(part, now, round_trip);
        } else if self.allowance > 0 && (self.loss.is_felt() || self.loss.is_unknown()) {
            let (gap, wait) = pauses(round_trip);
            let is_late = |waiting: &&Waiting| waiting.until < now;
            while self.beside.front().filter(is_late).is_some() {
                self.beside.pop_front();
            }
            push(&mut self.beside, Waiting { part, from: now + gap, until: now + gap + wait });
        }
    }

    /// The part that may be sent once more now at the cost of large messages. It is named no second time.
    pub(super) fn take_beside(&mut self, now: Instant) -> Option<Part> {
        for queue in [&mut self.beside, &mut self.repaired] {
            while let Some(waiting) = queue.front().filter(|waiting| waiting.from <= now) {
                if waiting.until >= now {
                    let cost = cost(waiting.part.len, false);
                    self.allowance = self.allowance.checked_sub(cost)?;
                    return queue.pop_front().map(|waiting| waiting.part);
                }
                queue.pop_front();
            }
        }
        None
    }

    /// All of a message of that priority was sent again, as it was lost.
    pub(super) fn note_repaired(
        &mut self,
        priority: Priority,
        part: Part,
        now: Instant,
        round_trip: Duration,
    ) {
        if priority != Priority::REAL_TIME && part.len <= LONGEST {
            let (gap, wait) = pauses(round_trip);
            push(&mut self.repaired, Waiting { part, from: now + gap, until: now + wait });
        }
    }

    /// The part that was lost before and may be sent once more now. It is named no second time.
    pub(super) fn take_repaired(&mut self, now: Instant) -> Option<Part> {
        while self.repaired.front().filter(|waiting| waiting.from <= now).is_some() {
            let waiting = self.repaired.pop_front()?;
            if now <= waiting.until {
                return Some(waiting.part);
            }
        }
        None
    }

    /// Whether there may be one.
    #[inline]
    pub(super) fn has_repaired(&self) -> bool {
        !self.repaired.is_empty()
    }

    fn wait(&mut self, part: Part, now: Instant, round_trip: Duration) {
        let (gap, wait) = pauses(round_trip);
        push(&mut self.second, Waiting { part, from: now + gap, until: now + wait });
        if self.loss.is_heavy() {
            push(&mut self.third, Waiting { part, from: now + wait + gap, until: now + wait * 2 });
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.second.is_empty() && self.third.is_empty()
    }

    /// Whether some wait for nothing but large messages.
    #[inline]
    pub(super) fn has_beside(&self) -> bool {
        self.allowance > 0 && !(self.beside.is_empty() && self.repaired.is_empty())
    }

    /// Whether some copy waits for no other packet any more.
    pub(super) const fn is_overdue(&self) -> bool {
        self.overdue > 0
    }

    /// When the next copy waits for no other packet any more.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.second.get(self.overdue).map(|waiting| waiting.until)
    }

    pub(super) fn pass_deadlines(&mut self, now: Instant) {
        while self.next_deadline().is_some_and(|at| at <= now) {
            self.overdue += 1;
        }
    }

    /// The part that may be sent once more now, if there is one. It is named no second time.
    pub(super) fn take(&mut self, now: Instant) -> Option<Spare> {
        let is_due = |waiting: &&Waiting| waiting.from <= now;
        if self.second.front().filter(is_due).is_some() {
            self.overdue = self.overdue.saturating_sub(1);
            return self.second.pop_front().map(|it| Spare { part: it.part, is_third: false });
        }
        while self.third.front().filter(is_due).is_some() {
            let waiting = self.third.pop_front()?;
            if now <= waiting.until {
                return Some(Spare { part: waiting.part, is_third: true });
            }
        }
        None
    }

    /// Whether the budget allows a copy, in a packet of its own if it is `alone`.
    pub(super) const fn affords(&self, spare: Spare, alone: bool) -> bool {
        // Others are to be sent a second time before this one is a third time.
        let reserve = if spare.is_third { MOST_SAVED / 2 } else { 0 };
        cost(spare.part.len, alone) + reserve <= self.budget && !(spare.is_third && alone)
    }

    /// Such a copy was sent.
    pub(super) fn spend(&mut self, spare: Spare, alone: bool) {
        self.budget = self.budget.saturating_sub(cost(spare.part.len, alone));
    }

    /// Forgets copies that come too late for any packet.
    pub(super) fn rest(&mut self, now: Instant) {
        for queue in [&mut self.beside, &mut self.repaired] {
            queue.retain(|waiting| waiting.until >= now);
            queue.shrink_to_fit();
        }
    }

    /// Nothing is sent once more.
    pub(super) fn clear(&mut self) {
        (self.second, self.overdue, self.third, self.repaired) = Default::default();
        self.beside = VecDeque::new();
    }
}

/// By how much a copy comes later, and for how long it waits for another packet.
fn pauses(round_trip: Duration) -> (Duration, Duration) {
    let gap = (round_trip / 16).clamp(LEAST_GAP, MOST_GAP);
    (gap, (round_trip / 4).clamp(LEAST_WAIT, MOST_WAIT))
}

fn push(queue: &mut VecDeque<Waiting>, waiting: Waiting) {
    if queue.len() < MOST_WAITING {
        queue.push_back(waiting);
    }
}

const fn cost(len: u32, alone: bool) -> usize {
    len as usize + FRAME_COST + if alone { PACKET_COST } else { 0 }
}

/// Longer messages are not sent once more.
const LONGEST: u32 = 512;
/// So many wait at most; of others there are no copies.
const MOST_WAITING: usize = 128;
/// Copies may take so much of what urgent messages take.
const SHARE: (usize, usize) = (3, 5);
/// Of what large messages take, copies may take one of so many bytes.
const ALLOWED: usize = 64;
/// At most so many bytes are saved up for copies.
const MOST_SAVED: usize = 2048;
/// What a packet costs beside its frames: headers, seal, and its acknowledgement with the same.
const PACKET_COST: usize = 120;
/// What a frame costs beside its payload.
const FRAME_COST: usize = 8;
/// The least and the most by which a copy comes later: a burst of losses is not to take both.
const LEAST_GAP: Duration = Duration::from_millis(1);
const MOST_GAP: Duration = Duration::from_millis(10);
/// The least and the most for which it waits for a packet to join.
const LEAST_WAIT: Duration = Duration::from_millis(4);
const MOST_WAIT: Duration = Duration::from_millis(50);
