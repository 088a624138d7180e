//! The one bound on the memory that the messages of all peers take.

use alloc::collections::BTreeSet;
use core::time::Duration;

use crate::config::Config;
use crate::pack::pack;
use crate::time::Instant;

/// What all peers together hold, or were told that they may send.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Bytes that all may hold.
    max: u64,
    /// Bytes that each peer may hold in each direction whatever the others hold.
    floor: u64,
    used: u64,
    /// What a peer may send at first.
    first: u64,
    /// Tickets of the peers that wait to send us a message for which there is no room.
    waiting: BTreeSet<u64>,
    last_ticket: u64,
    /// Until when it is the turn of the first.
    turn_ends: Option<Instant>,
}

/// What is free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) free: u64,
    /// What a peer may hold in each direction in any case.
    pub(crate) floor: u64,
    /// What a peer may send at first, before it shows that it uses that: a sixteenth of the even share of those that are
    /// there, and no less than the floor.
    pub(crate) first: u64,
}

impl Room {
    /// What a peer is granted at first that may be granted `most`.
    pub(crate) fn first_grant(&self, most: u64) -> u64 {
        self.allowance(0, most.min(self.first))
    }

    /// How much a peer may hold in one direction that holds `held` there and may hold `most` at all.
    pub(crate) fn allowance(&self, held: u64, most: u64) -> u64 {
        most.min(self.floor.max(held.saturating_add(self.free)))
    }
}

/// A peer's part of it.
#[derive(Debug, Default)]
pub(crate) struct Booking {
    bytes: u64,
    /// It waits for its turn to send us a message for which there is no room.
    ticket: Option<u64>,
}

pack!(Booking: bytes, ticket);

impl Booking {
    /// Whether the peer waits for its turn, or has it.
    pub(crate) const fn is_in_line(&self) -> bool {
        self.ticket.is_some()
    }
}

impl Memory {
    pub(crate) fn new(config: &Config) -> Self {
        let max = config.limits.max_memory;
        let peers = config.limits.max_peers as u64;
        Self {
            max,
            floor: LARGEST_FLOOR.min(max / (4 * peers)),
            used: 0,
            first: max / SHARES,
            waiting: BTreeSet::new(),
            last_ticket: 0,
            turn_ends: None,
        }
    }

    pub(crate) const fn used(&self) -> u64 {
        self.used
    }

    pub(crate) const fn room(&self) -> Room {
        Room { free: self.max.saturating_sub(self.used), floor: self.floor, first: self.first }
    }

    /// So many peers share it.
    pub(crate) fn set_peers(&mut self, peers: usize) {
        self.first = self.floor.max(self.max / (SHARES * (peers as u64).max(1)));
    }

    /// If so much is taken that peers are to give up credit that they do not use: what each may keep of it. Together they
    /// keep no more than a quarter of all.
    pub(crate) fn scarce(&self) -> Option<u64> {
        let Room { free, first, .. } = self.room();
        (free < self.max / 4).then_some(first.min(LARGEST_FLOOR))
    }

    /// A peer holds so many bytes now.
    pub(crate) const fn book(&mut self, booking: &mut Booking, bytes: u64) {
        self.used = self.used - booking.bytes + bytes;
        booking.bytes = bytes;
    }

    /// Whether it is the peer's turn to be sent a message for which there is no room. It stands in line
    /// from now on.
    pub(crate) fn take_turn(&mut self, booking: &mut Booking, now: Instant) -> bool {
        let ticket = *booking.ticket.get_or_insert_with(|| {
            self.last_ticket += 1;
            self.waiting.insert(self.last_ticket);
            self.last_ticket
        });
        // Who does not use its turn must not hold up the others for ever.
        if self.turn_ends.is_some_and(|at| at <= now) {
            self.waiting.pop_first();
            self.turn_ends = None;
        }
        if !self.waiting.contains(&ticket) {
            booking.ticket = None;
            return false;
        }
        let is_first = self.waiting.first() == Some(&ticket);
        if is_first && self.turn_ends.is_none() {
            self.turn_ends = Some(now + TURN);
        }
        is_first
    }

    /// The peer needs no turn any more.
    pub(crate) fn end_turn(&mut self, booking: &mut Booking) {
        let Some(ticket) = booking.ticket.take() else { return };
        if self.waiting.first() == Some(&ticket) {
            self.turn_ends = None;
        }
        self.waiting.remove(&ticket);
    }
}

/// However much memory there is, no peer keeps more than this when it is short.
const LARGEST_FLOOR: u64 = 64 << 10;
/// So many times what a peer may send at first, for each that is there, is all memory. Who comes one after the other has more
/// than the last: this way hundreds of thousands that only come hold less than three quarters together.
const SHARES: u64 = 16;
/// How long a peer may take to send its message before the next one has its turn.
const TURN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_take_turns_and_who_does_not_use_its_turn_loses_it() {
        let mut memory = Memory::new(&Config::default());
        let [mut a, mut b, mut c] = [0; 3].map(|_: i32| Booking::default());
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        assert!(memory.take_turn(&mut a, at(0)));
        assert!(!memory.take_turn(&mut b, at(0)) && !memory.take_turn(&mut c, at(0)));
        assert!(memory.take_turn(&mut a, at(9)), "it is still its turn");
        memory.end_turn(&mut a);
        assert!(!memory.take_turn(&mut c, at(9)), "the next in line is another");
        assert!(memory.take_turn(&mut b, at(9)));
        assert!(memory.take_turn(&mut c, at(19)), "B had its time");
        assert!(!memory.take_turn(&mut b, at(19)), "and is in line again");
        memory.end_turn(&mut c);
        assert!(memory.take_turn(&mut b, at(19)) || memory.take_turn(&mut b, at(19)));
    }

    #[test]
    fn what_is_booked_is_what_is_held() {
        let mut config = Config::default();
        (config.limits.max_memory, config.limits.max_peers) = (1 << 20, 8);
        let mut memory = Memory::new(&config);
        let (mut a, mut b) = (Booking::default(), Booking::default());
        memory.book(&mut a, 1000);
        memory.book(&mut b, 1 << 20);
        memory.book(&mut a, 500);
        assert_eq!((memory.used(), memory.room().free), ((1 << 20) + 500, 0));
        assert_eq!(memory.room().floor, 1 << 15);
        assert_eq!(memory.room().allowance(40_000, 1 << 30), 40_000, "no more than it has");
        assert_eq!(memory.room().allowance(0, 1 << 30), 1 << 15, "but no less than the floor");
        memory.book(&mut b, 0);
        assert_eq!(memory.room().allowance(0, 1 << 19), 1 << 19);
        memory.book(&mut a, 0);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn where_memory_is_scarce_all_together_may_keep_no_more_than_a_quarter() {
        let mut config = Config::default();
        (config.limits.max_memory, config.limits.max_peers) = (1 << 20, 64);
        let mut memory = Memory::new(&config);
        let mut booking = Booking::default();
        memory.book(&mut booking, 3 << 18);
        assert_eq!(memory.scarce(), None, "a quarter is free");
        memory.book(&mut booking, (3 << 18) + 1);
        for (peers, keep) in [(0, 64 << 10), (1, 64 << 10), (4, 16 << 10), (16, 4096), (70, 4096)] {
            memory.set_peers(peers);
            assert_eq!(memory.scarce(), Some(keep), "{peers} peers");
        }
        memory.set_peers(1);
        assert_eq!(memory.room().first_grant(1 << 30), 1 << 16);
        memory.book(&mut booking, (1 << 20) - 5000);
        assert_eq!(memory.room().first_grant(1 << 30), 5000, "what is free");
        assert_eq!(memory.room().first_grant(1000), 1000);
    }
}
