//! The receiver's side of credit: how much the peer may send, and what it is told of that.

use core::time::Duration;

use super::returned::Returned;
use crate::Violation;
use crate::memory::Room;
use crate::message::MESSAGE_CHARGE;
use crate::pack::pack;
use crate::time::Instant;

/// What a peer that nothing is known of may send at first.
pub(crate) const FIRST_WINDOW: u64 = 256 << 10;

/// Credit of one peer, counted from the beginning of the pair of incarnations.
#[derive(Debug)]
pub(crate) struct ReceiveCredit {
    most: Most,
    /// What may be on the way or wait, as far as memory allows.
    window: u64,
    /// What arrived, in part at least, and what was given back of that.
    charged: u64,
    returned: u64,
    /// What the peer may send in all, and what it was told of that.
    limit: u64,
    told: u64,
    /// What was given back, by channel.
    channels: Returned,
    due: bool,
    /// What the peer gave up of its credit; that counts as charged and given back.
    forfeited: u64,
    /// What it may keep, if it is to be asked to give up the rest.
    reclaim: Option<u64>,
    /// What was charged when it was last considered for that.
    considered: u64,
    /// When a part of the window last came together.
    last_part: Option<Instant>,
    /// What came, as it is charged, since the window was last judged.
    came: u64,
    blocked: Blocked,
}

pack!(ReceiveCredit:
    most, window, charged, returned, limit, told, channels, due, forfeited, reclaim, considered,
    last_part, came, blocked,
);

/// What a peer may send at most.
#[derive(Clone, Copy, Debug)]
struct Most {
    window: u64,
    /// The cost of the largest message.
    message: u64,
}

pack!(Most: window, message);

/// What the peer said of being stuck.
#[derive(Debug, Default)]
struct Blocked {
    /// It is, and hears of all that is given back.
    is_stuck: bool,
    /// What the message costs for which the limit is to be raised.
    wanted: Option<u64>,
    /// The limit that was raised for such a message last.
    answered: u64,
    /// Once so much was given back, it was taken, or as much of others.
    taken_at: u64,
}

pack!(Blocked: is_stuck, wanted, answered, taken_at);

/// What else counts when credit is reviewed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Review {
    pub(crate) now: Instant,
    pub(crate) round_trip: Duration,
    pub(crate) room: Room,
}

impl ReceiveCredit {
    pub(crate) fn new(window: u64, max_message: u32) -> Self {
        let first = FIRST_WINDOW.min(window);
        Self {
            most: Most { window, message: u64::from(max_message) + MESSAGE_CHARGE },
            window: first,
            charged: 0,
            returned: 0,
            limit: first,
            told: first,
            channels: Returned::default(),
            due: false,
            forfeited: 0,
            reclaim: None,
            considered: 0,
            last_part: None,
            came: 0,
            blocked: Blocked::default(),
        }
    }

    /// A message arrives of which nothing arrived before.
    #[inline]
    pub(crate) fn charge(&mut self, cost: u64) -> Result<(), Violation> {
        self.charged += cost;
        if self.charged > self.told { Err(Violation::BeyondCredit) } else { Ok(()) }
    }

    /// A message of a channel was taken, or is not wanted any more.
    #[inline]
    pub(crate) fn give_back(&mut self, channel: u16, cost: u64) {
        self.returned += cost;
        self.channels.add(channel, cost);
    }

    /// Part of a message came, or all of it: what that costs.
    pub(crate) const fn note_arrival(&mut self, cost: u64) {
        self.came += cost;
    }

    /// Whether a good part of the window came since it was last judged, and it may still grow. A sender that starts
    /// slowly doubles what it sends with each round trip, and what it sends again takes one or two more. Nothing may be
    /// given back until that is there, so the window is to be many times what comes in a round trip.
    pub(crate) const fn is_outrun(&self) -> bool {
        self.window < self.most.window && self.came >= self.window / 8
    }

    /// The sender is stuck at `limit`, for want of a higher one if a message's cost is named.
    pub(crate) fn on_blocked(&mut self, limit: u64, cost: u64) {
        self.due |= limit < self.told;
        self.blocked.is_stuck |= limit >= self.told;
        if cost > 0 && limit >= self.blocked.answered {
            self.blocked.wanted = Some(cost.min(self.most.message));
        }
    }

    /// Memory is scarce: the peer is to be asked to give up its credit, but for `keep`, if it has more and used none
    /// since it was last considered.
    pub(crate) fn reclaim(&mut self, keep: u64) {
        let before = core::mem::replace(&mut self.considered, self.charged);
        self.reclaim = (before == self.charged && self.unused() > keep).then_some(keep);
    }

    /// What the peer was told that it may send, and did not begin as far as we know.
    const fn unused(&self) -> u64 {
        self.told.saturating_sub(self.charged)
    }

    /// What the peer may keep of its credit, if it is to be asked now to give up the rest.
    pub(crate) const fn reclaims(&self) -> Option<u64> {
        self.reclaim
    }

    /// The peer was asked. If that is lost, it is considered again in time.
    pub(crate) const fn note_reclaimed(&mut self) {
        self.reclaim = None;
    }

    /// The peer gave up so much in all. The window is what is left: it grows again once that is used.
    pub(crate) fn on_forfeit(&mut self, total: u64) -> Result<(), Violation> {
        let more = total.saturating_sub(self.forfeited);
        if more > self.unused() {
            return Err(Violation::BeyondCredit);
        }
        if more == 0 {
            return Ok(());
        }
        self.forfeited = total;
        self.charged += more;
        self.returned += more;
        self.considered = self.charged;
        self.window = self.window.min(self.promised()).max(LEAST_WINDOW.min(self.most.window));
        Ok(())
    }

    /// What the peer may send, or keeps us holding: all that it was told, less what was given back.
    pub(crate) const fn promised(&self) -> u64 {
        self.limit - self.returned
    }

    /// Whether a message that was let in takes more than the peer may hold in any case, and was not taken yet.
    pub(crate) const fn is_beyond(&self, room: Room) -> bool {
        self.promised() > room.floor && self.returned < self.blocked.taken_at
    }

    /// Whether a message is to be let in that finds no room in memory: it needs a turn.
    pub(crate) fn needs_turn(&self, room: Room, older: u64) -> bool {
        let wanted = self.blocked.wanted.filter(|cost| self.may_raise(*cost, older));
        wanted.is_some_and(|cost| cost > room.free)
    }

    /// Decides how much the peer may send, and whether it is to be told. `unread` bytes of this and of
    /// `older` incarnations wait; `has_turn` if memory is no obstacle to a message that waits.
    pub(crate) fn review(&mut self, review: Review, unread: u64, older: u64, has_turn: bool) {
        self.raise(review.room, older);
        let is_worth_telling = self.is_worth_telling(unread);
        // The application took what it could, or goes on taking.
        if self.is_outrun() && (unread == 0 || is_worth_telling) {
            self.widen(review, older);
            self.due |= self.limit > self.told;
        }
        self.due |= is_worth_telling;
        if let Some(cost) = self.blocked.wanted.filter(|cost| self.may_raise(*cost, older))
            && (has_turn || cost <= review.room.free)
        {
            self.limit += cost;
            let (answered, taken_at) = (self.limit, self.returned + cost);
            self.blocked = Blocked { is_stuck: true, wanted: None, answered, taken_at };
        }
        self.due |= self.blocked.is_stuck && (self.limit > self.told || self.channels.has_news());
    }

    /// Whether the peer may send so much more than it was told that it should hear of it, while so many
    /// bytes wait.
    #[inline]
    pub(crate) fn is_worth_telling(&self, unread: u64) -> bool {
        let news = self.limit - self.told;
        if news < (self.window / 32).max(1) {
            return false;
        }
        let free = self.promised().saturating_sub(unread);
        // A sender that starts slowly doubles what it sends with each round trip. A window that may still grow
        // has to keep ahead of it, and is told of in smaller parts.
        let part = if self.window < self.most.window { free / 8 } else { free / 4 };
        news >= part
    }

    /// Raises the limit as far as window and memory allow; it never falls.
    fn raise(&mut self, room: Room, older: u64) {
        let window = self.window.min(self.most.window.saturating_sub(older));
        let affordable = room.allowance(self.promised(), window);
        self.limit = self.limit.max(self.returned + affordable);
    }

    /// Doubles the window of a sender that is fast. For the first part it is not judged: a sender that
    /// starts slowly must not be held back by credit, or its congestion window outgrows what is in flight.
    fn widen(&mut self, review: Review, older: u64) {
        self.came = 0;
        let patience = (review.round_trip * 2).max(LEAST_PATIENCE);
        let fast = self.last_part.is_none_or(|last| review.now <= last + patience);
        self.last_part = Some(review.now);
        if fast {
            self.double(review.room, older);
        }
    }

    fn double(&mut self, room: Room, older: u64) {
        if self.window < self.most.window && self.window <= room.free {
            self.window = (self.window * 2).min(self.most.window);
            self.raise(room, older);
        }
    }

    /// Whether the limit may be raised for a message that costs so much: so far that two of the largest
    /// messages fit beside a full window, for one of them may wait on a channel that nobody reads.
    const fn may_raise(&self, cost: u64, older: u64) -> bool {
        self.promised() + older + cost <= self.most.window + 2 * self.most.message
    }

    pub(crate) const fn is_due(&self) -> bool {
        self.due
    }

    /// The limit to send to the peer now.
    pub(crate) fn advertise(&mut self) -> u64 {
        self.due = false;
        // Who is stuck and hears nothing new stays stuck, and does not say so again.
        self.blocked.is_stuck &= self.limit <= self.told;
        self.told = self.limit;
        self.told
    }

    /// A channel of which the peer is to be told what was given back, and how much that is.
    pub(crate) fn next_channel(&mut self) -> Option<(u16, u64)> {
        self.channels.take_news()
    }

    /// The limit sent last did not arrive, or did not fit.
    pub(crate) fn repeat(&mut self) {
        self.due = true;
    }

    /// What was sent last of a channel did not arrive, or did not fit.
    pub(crate) fn repeat_channel(&mut self, channel: u16) {
        self.due |= self.channels.repeat(channel);
    }

    /// What a peer that starts over is granted while `unread` bytes wait: the first window, or what
    /// they leave of the largest one, or what memory allows.
    pub(crate) fn fresh_grant(&self, unread: u64, room: Room) -> u64 {
        let first = FIRST_WINDOW.min(self.most.window.saturating_sub(unread));
        room.first_grant(first)
    }

    /// The most that a peer that starts over may have been granted while `unread` bytes wait.
    pub(crate) const fn most_granted(&self, unread: u64) -> u64 {
        self.most.window.saturating_sub(unread)
    }

    /// The peer starts over, having been granted `told`.
    pub(crate) fn restart(&mut self, told: u64) {
        let Most { window, message } = self.most;
        let max_message = (message - MESSAGE_CHARGE) as u32;
        let first = Self::new(window, max_message);
        let window = first.window.min(told.max(LEAST_WINDOW));
        *self = Self { window, limit: told, told, ..first };
    }
}

/// A window can grow from here.
const LEAST_WINDOW: u64 = 1 << 10;
/// Round trips on a local network are too short to judge an application by.
const LEAST_PATIENCE: Duration = Duration::from_millis(20);
