//! Pairs behind NATs that talk directly, with a way by a relay beside: what befalls the NATs, the relays and the way
//! between costs them less than a second.

use std::time::Duration;

use handfast_core::{Delivery, Event};

use super::SECOND;
use super::punching::{Kind, MS, Meeting, punching};

/// What befalls a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The NAT of the second end gets another address.
    Moves,
    /// It forgets its mappings.
    Forgets,
    /// The relay that carries something, or would, is killed.
    RelayKilled,
    /// What the first end sends directly does not arrive any more.
    OneWay,
}

const TROUBLES: [Trouble; 4] =
    [Trouble::Moves, Trouble::Forgets, Trouble::RelayKilled, Trouble::OneWay];

/// So many messages were said before.
const BEFORE: u64 = 40;

/// How long messages were under way, towards each end.
#[derive(Clone, Copy, Debug, Default)]
struct Talk {
    longest: [Duration; 2],
}

impl Meeting {
    /// They are direct, and have a way by a relay beside that.
    fn with_standby(seed: u64, kinds: [Kind; 2]) -> Self {
        let mut meeting = Self::new(seed, kinds, [punching(), punching()], 0, Duration::ZERO);
        assert!(meeting.becomes_direct(10), "seed {seed}, {kinds:?}");
        for end in 0..2 {
            let info = meeting.world.endpoint(meeting.ends[end]).expect("up");
            let info = info.peer(meeting.peers[end]).expect("connected");
            assert!(info.standby.as_ref().is_some_and(|standby| standby.is_answering), "{info:?}");
        }
        meeting.take([0; 2]);
        meeting
    }

    fn befall(&mut self, trouble: Trouble) {
        let nat = self.nats[1].expect("it has one");
        match trouble {
            Trouble::Moves => self.world.move_nat(nat, [198, 51, 100, 77].into()),
            Trouble::Forgets => self.world.reboot_nat(nat),
            Trouble::RelayKilled => {
                let standby = self.world.endpoint(self.ends[0]).and_then(|it| {
                    it.peer(self.peers[0])?.standby?.path.route().map(|route| route.neighbour)
                });
                let is = |relay: &&_| self.world.endpoint(**relay).map(|it| it.id()) == standby;
                let relay = *self.relays.iter().find(is).expect("a relay");
                self.world.kill(relay);
            }
            Trouble::OneWay => self.world.network().block(self.ends[0], self.ends[1]),
        }
    }

    /// Takes what came; checks that all came in order. How many there were, towards each end.
    fn take(&mut self, before: [u64; 2]) -> [u64; 2] {
        let mut next = before;
        for (end, next) in next.iter_mut().enumerate() {
            let (node, peer) = (self.ends[end], self.peers[end]);
            while let Some(message) = self.world.with(node, |it, now| it.receive(now, peer)) {
                // Others are words that were said before.
                if let Ok(number) = message.payload[..].try_into() {
                    assert_eq!(u64::from_be_bytes(number), *next, "in order, once");
                    *next += 1;
                }
            }
        }
        next
    }

    /// Those that speak send a message each 20 ms, `count` of them; all arrive.
    fn talk(&mut self, count: u64, who: [bool; 2], trouble: Option<Trouble>) -> Talk {
        let (mut sent_at, mut talk, mut got) = (Vec::new(), Talk::default(), [0; 2]);
        for step in 0..count + 3000 {
            if step < count {
                sent_at.push(self.world.now());
                for end in (0..2).filter(|end| who[*end]) {
                    let (node, peer) = (self.ends[end], self.peers[end]);
                    let payload = Vec::from(step.to_be_bytes());
                    let word = Delivery::ordered(1);
                    let sent =
                        self.world.with(node, |it, now| it.send(now, peer, word, payload.into()));
                    sent.expect("connected");
                }
            } else if (0..2).all(|end| got[end] == if who[1 - end] { count } else { 0 }) {
                return talk;
            }
            for part in 0..4 {
                self.world.run_for(5 * MS);
                if let Some(trouble) = trouble.filter(|_| (step, part) == (BEFORE, 1)) {
                    self.befall(trouble);
                }
                let before = got;
                got = self.take(before);
                for end in 0..2 {
                    for number in before[end]..got[end] {
                        let late = self.world.now() - sent_at[number as usize];
                        talk.longest[end] = talk.longest[end].max(late);
                    }
                }
            }
        }
        panic!("{got:?} of {count} arrived, {talk:?}, {:?}", [self.verdict(0), self.verdict(1)]);
    }
}

#[test]
fn no_trouble_costs_a_pair_that_talks_more_than_a_second_of_silence() {
    let kinds = [Kind::PortRestricted, Kind::PortAccepting, Kind::Symmetric, Kind::FullCone];
    for trouble in TROUBLES {
        for (seed, kind) in (1..).zip(kinds) {
            for other in [Kind::FullCone, Kind::PortRestricted, Kind::PortAccepting] {
                for who in [[true, true], [false, true], [true, false]] {
                    if kind == Kind::Symmetric && other != Kind::FullCone {
                        continue;
                    }
                    let case = format!("{trouble:?}, {other:?} x {kind:?}, speaking {who:?}");
                    let mut meeting = Meeting::with_standby(seed, [other, kind]);
                    let talk = meeting.talk(BEFORE + 200, who, Some(trouble));
                    let longest = talk.longest.into_iter().max();
                    assert!(longest <= Some(SECOND), "{case}: {:?}", talk.longest);
                    // Our new address is told, and the NATs opened anew: for another port, where one is spoilt.
                    let back = trouble != Trouble::OneWay;
                    assert!(
                        !back || meeting.becomes_direct(60),
                        "{case}: {:?}",
                        meeting.verdict(0)
                    );
                    let ended = |(_, event): &_| matches!(event, Event::Ended { .. });
                    for (end, node) in meeting.ends.into_iter().enumerate() {
                        let events = meeting.world.take_events(node);
                        let ended = events.iter().any(ended);
                        assert!(
                            !ended || trouble == Trouble::RelayKilled,
                            "{case}, {end}: {events:?}"
                        );
                    }
                }
            }
        }
    }
}
