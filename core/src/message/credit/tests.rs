//! Both ends of credit, and a network between them that loses and reorders what they say.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::memory::Room;
use crate::time::Instant;

#[derive(Clone, Copy, Debug)]
enum Said {
    Message(u64),
    Credit(u64),
    Reclaim(u64),
    Forfeit(u64),
}

struct Ends {
    sender: SendCredit,
    receiver: ReceiveCredit,
    on_the_way: Vec<Said>,
    unread: Vec<u64>,
}

impl Ends {
    fn new() -> Self {
        let (mut sender, mut receiver) =
            (SendCredit::default(), ReceiveCredit::new(50_000, 20_000));
        receiver.restart(10_000);
        sender.restart(10_000);
        Self { sender, receiver, on_the_way: Vec::new(), unread: Vec::new() }
    }

    fn begin(&mut self, cost: u64) {
        let candidate = Candidate { lane: 0, place: 0, cost, is_passed: false };
        if self.sender.admits(candidate) {
            self.sender.spend(candidate);
            self.on_the_way.push(Said::Message(cost));
        } else {
            self.sender.withdraw(0, 0);
        }
    }

    fn arrive(&mut self, said: Said) {
        match said {
            Said::Message(cost) => {
                self.receiver.charge(cost).expect("within what it was told");
                self.receiver.note_arrival(cost);
                self.unread.push(cost);
            }
            Said::Credit(limit) => _ = self.sender.grant(limit),
            Said::Reclaim(keep) => self.sender.forfeit(keep),
            Said::Forfeit(total) => {
                self.receiver.on_forfeit(total).expect("within what it was told");
            }
        }
    }

    /// What is lost is said again, but for questions.
    fn lose(&mut self, said: Said) {
        match said {
            Said::Message(_) | Said::Credit(_) => self.on_the_way.push(said),
            Said::Reclaim(_) => {}
            Said::Forfeit(_) => self.sender.set_forfeit_due(true),
        }
    }

    fn speak(&mut self, free: u64) {
        let room = Room { free, floor: 1000, first: 10_000 };
        let review =
            Review { now: Instant::from_micros(0), round_trip: core::time::Duration::ZERO, room };
        self.receiver.review(review, self.unread.iter().sum(), 0, false);
        if self.receiver.is_due() {
            self.on_the_way.push(Said::Credit(self.receiver.advertise()));
        }
        if let Some(keep) = self.receiver.reclaims() {
            self.receiver.note_reclaimed();
            self.on_the_way.push(Said::Reclaim(keep));
        }
        if let Some(total) = self.sender.forfeit_due() {
            self.sender.set_forfeit_due(false);
            self.on_the_way.push(Said::Forfeit(total));
        }
    }

    fn take(&mut self) {
        if let Some(cost) = self.unread.pop() {
            self.receiver.give_back(0, cost);
            self.sender.give_back(0, u64::MAX);
        }
    }

    fn deliver_all(&mut self, free: u64) {
        self.speak(free);
        while let Some(said) = self.on_the_way.pop() {
            self.arrive(said);
            self.speak(free);
        }
    }
}

proptest! {
    /// Whatever is lost and overtakes: a sender that gives up credit never sends more than it was told that it may, it
    /// is not told that it may send more than is promised, and in the end no more is promised than what it keeps and what waits.
    #[test]
    fn what_is_given_up_is_neither_used_nor_promised(
        steps in prop::collection::vec((0_u8..7, 64_u64..4000), 1..150),
    ) {
        let mut ends = Ends::new();
        for (step, amount) in steps {
            let at = amount as usize % ends.on_the_way.len().max(1);
            match step {
                0 | 1 => ends.begin(amount),
                2 if !ends.on_the_way.is_empty() => {
                    let said = ends.on_the_way.swap_remove(at);
                    ends.arrive(said);
                }
                3 if !ends.on_the_way.is_empty() => {
                    let said = ends.on_the_way.swap_remove(at);
                    ends.lose(said);
                }
                4 => ends.receiver.reclaim(amount),
                5 => ends.take(),
                _ => ends.speak(if amount < 2000 { 0 } else { 1 << 40 }),
            }
        }
        // What it was not told yet, it cannot give up.
        ends.receiver.repeat();
        ends.deliver_all(0);
        ends.receiver.reclaim(1500);
        ends.receiver.reclaim(1500);
        ends.deliver_all(0);
        let waits: u64 = ends.unread.iter().sum();
        prop_assert!(ends.receiver.promised() <= waits + 1500, "{:?}", ends.receiver);
        // It may send as ever, once it is told that it may.
        while !ends.unread.is_empty() {
            ends.take();
        }
        for _ in 0..40 {
            // So much fits the least window.
            ends.begin(500);
            ends.deliver_all(1 << 40);
            ends.take();
        }
        prop_assert!(ends.receiver.promised() >= 8000, "{:?}", ends.receiver);
    }
}

#[test]
fn more_than_all_credit_cannot_be_given_up() {
    let mut receiver = ReceiveCredit::new(10_000, 1000);
    receiver.charge(4000).expect("within it");
    receiver.on_forfeit(6000).expect("all that is left");
    receiver.on_forfeit(6000).expect("nothing new");
    receiver.on_forfeit(5000).expect("nothing new");
    assert_eq!(receiver.promised(), 4000, "what came and was not taken");
    assert!(receiver.on_forfeit(6001).is_err());
}

#[test]
fn who_uses_its_credit_is_not_asked_for_it() {
    let mut receiver = ReceiveCredit::new(10_000, 1000);
    receiver.charge(1000).expect("within it");
    receiver.reclaim(2000);
    assert_eq!(receiver.reclaims(), None, "it sent something");
    receiver.reclaim(2000);
    assert_eq!(receiver.reclaims(), Some(2000), "and now nothing");
    receiver.reclaim(9000);
    assert_eq!(receiver.reclaims(), None, "it has no more than it may keep");
}
