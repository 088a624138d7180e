//! Somebody on the direct way of a pair who lets through what shows that it is there, and swallows what is said.

use std::time::Duration;

use handfast_core::Delivery;
use handfast_sim::{Datagram, NodeId};

use super::SECOND;
use super::punching::{Kind, MS, Meeting, punching};

/// What the middleman lets through of what goes directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passes {
    /// Probes, challenges, and what is as short.
    Probes,
    /// Whatever is shorter than what is said: acknowledgements, too.
    Small,
    /// Everything for this long, beginning each time that something large comes after a pause of a second; then
    /// what is small.
    Turns(Duration),
    /// Nothing: the way is broken.
    Nothing,
    /// Everything.
    All,
}

/// The middleman.
struct Middle {
    ends: [NodeId; 2],
    passes: Passes,
    /// What each end sends is treated so.
    towards: [bool; 2],
    /// When the present turn began, and when something large last came.
    turn: Duration,
    large: Duration,
    swallowed: u64,
}

/// Usual is a fifth of that at most, by whatever way.
const LATE: Duration = Duration::from_millis(200);
/// The path id, in the highest byte of the packet number.
const PATH_ID: usize = 15;
const PROBE: u8 = 0xff;
/// The length of a packet that challenges a path or answers.
const CHALLENGE: usize = 41;
/// What is said is longer.
const SHORT: usize = 250;

impl Middle {
    fn new(ends: [NodeId; 2], passes: Passes, towards: [bool; 2]) -> Self {
        let (turn, large) = (Duration::ZERO, Duration::ZERO);
        Self { ends, passes, towards, turn, large, swallowed: 0 }
    }

    fn lets_through(&mut self, now: Duration, datagram: &Datagram) -> bool {
        let Some(end) = self.ends.iter().position(|end| *end == datagram.from) else { return true };
        let other = self.ends[1 - end];
        let len = datagram.bytes.len();
        if datagram.to != other || !self.towards[end] || len < 16 {
            return true;
        }
        let small = len <= SHORT || datagram.bytes[PATH_ID] == PROBE;
        let passes = match self.passes {
            Passes::All => true,
            Passes::Nothing => false,
            Passes::Probes => len <= CHALLENGE || datagram.bytes[PATH_ID] == PROBE,
            Passes::Small => small,
            Passes::Turns(span) => {
                if !small {
                    if now > self.large + SECOND {
                        self.turn = now;
                    }
                    self.large = now;
                }
                small || now < self.turn + span
            }
        };
        self.swallowed += u64::from(!passes);
        passes
    }
}

impl Meeting {
    fn run_through(&mut self, middle: &mut Middle, until: Duration) {
        loop {
            for datagram in self.world.take_held() {
                if middle.lets_through(self.world.now(), &datagram) {
                    self.world.release(datagram);
                }
            }
            if !self.world.step(until, &mut ()) {
                break;
            }
        }
        self.world.run_until(until);
    }

    /// Both say something each 50 ms for so long, and all of it comes. The latest that something came, and how often things
    /// came late.
    fn talk_through(&mut self, middle: &mut Middle, span: Duration) -> (Duration, usize) {
        let (began, mut sent_at, mut got) = (self.world.now(), Vec::new(), [0_usize; 2]);
        let (mut longest, mut silences, mut late_at) = (Duration::ZERO, 0, Duration::ZERO);
        loop {
            let now = self.world.now();
            if now < began + span {
                sent_at.push(now);
                for end in 0..2 {
                    let (node, peer) = (self.ends[end], self.peers[end]);
                    let sent = self.world.with(node, |it, now| {
                        it.send(now, peer, Delivery::ordered(1), vec![7; 300].into())
                    });
                    sent.expect("connected");
                }
            } else if got == [sent_at.len(); 2] {
                return (longest, silences);
            }
            assert!(now < began + span + 20 * SECOND, "{got:?} of {} came", sent_at.len());
            for _ in 0..10 {
                let until = self.world.now() + 5 * MS;
                self.run_through(middle, until);
                for (end, got) in got.iter_mut().enumerate() {
                    let (node, peer) = (self.ends[end], self.peers[end]);
                    while let Some(message) = self.world.with(node, |it, now| it.receive(now, peer))
                    {
                        if message.payload.len() != 300 {
                            continue;
                        }
                        let late = until - sent_at[*got];
                        longest = longest.max(late);
                        if late > LATE {
                            silences += usize::from(until > late_at + SECOND / 2);
                            late_at = until;
                        }
                        *got += 1;
                    }
                }
            }
        }
    }
}

/// What came of it.
struct Outcome {
    /// The latest that something came, and how often what was said came later than usual.
    longest: Duration,
    silences: usize,
    /// How long after the middleman had gone both sent directly again.
    back: Duration,
}

/// Two who are direct talk for `span` past a middleman, and go on when he has gone.
fn play(seed: u64, passes: Passes, towards: [bool; 2], span: Duration) -> Outcome {
    let kinds = [
        [Kind::PortRestricted; 2],
        [Kind::PortAccepting, Kind::FullCone],
        [Kind::PortAccepting; 2],
    ][seed as usize % 3];
    let loss = if is_lossy(seed) { 3 } else { 0 };
    let mut meeting = Meeting::new(seed, kinds, [punching(), punching()], loss, Duration::ZERO);
    assert!(meeting.becomes_direct(10));
    meeting.world.hold(true);
    let mut middle = Middle::new(meeting.ends, passes, towards);
    let (longest, silences) = meeting.talk_through(&mut middle, span);
    assert!(middle.swallowed > 0, "seed {seed}, {passes:?}");
    middle.passes = Passes::All;
    let left = meeting.world.now();
    while !meeting.is_direct() {
        let until = meeting.world.now() + 50 * MS;
        assert!(until < left + 300 * SECOND, "seed {seed}, {passes:?}: {:?}", meeting.verdict(0));
        meeting.run_through(&mut middle, until);
    }
    let back = meeting.world.now() - left;
    let (after, _) = meeting.talk_through(&mut middle, 2 * SECOND);
    Outcome { longest: longest.max(after), silences, back }
}

const fn is_lossy(seed: u64) -> bool {
    seed % 2 == 1
}

const BOTH_OR_ONE: [[bool; 2]; 3] = [[true, true], [true, false], [false, true]];

#[test]
fn who_lets_through_what_shows_the_way_and_swallows_what_is_said_is_believed_once() {
    for passes in [Passes::Probes, Passes::Small] {
        for (towards, seed) in BOTH_OR_ONE.into_iter().cycle().zip(0..6) {
            let found = play(seed, passes, towards, 15 * SECOND);
            let case = format!("seed {seed}, {passes:?}, {towards:?}");
            assert!(found.longest <= 1500 * MS, "{case}: {:?}", found.longest);
            // Once in each direction: it has to carry something as large before it is taken again.
            assert!(is_lossy(seed) || found.silences <= 2, "{case}: {}", found.silences);
            assert!(found.back <= 18 * SECOND, "{case}: {:?}", found.back);
        }
    }
}

#[test]
fn who_swallows_in_turns_is_believed_ever_more_rarely() {
    for (towards, seed) in BOTH_OR_ONE.into_iter().cycle().zip(0..4) {
        let found = play(seed, Passes::Turns(2 * SECOND), towards, 40 * SECOND);
        let case = format!("seed {seed}, {towards:?}");
        assert!(found.longest <= 1500 * MS, "{case}: {:?}", found.longest);
        // Away for 1, 2, 4, 8, 16 and 32 s.
        assert!(is_lossy(seed) || found.silences <= 7, "{case}: {}", found.silences);
        assert!(found.back <= 66 * SECOND, "{case}: {:?}", found.back);
    }
}

#[test]
fn after_a_short_trouble_of_the_direct_way_data_is_back_there_soon() {
    for (towards, seed) in BOTH_OR_ONE.into_iter().cycle().zip(0..12) {
        let span = [SECOND / 2, SECOND, 2 * SECOND, 4 * SECOND][seed as usize / 3];
        let found = play(seed, Passes::Nothing, towards, span);
        let case = format!("seed {seed}, {towards:?}, {span:?}");
        assert!(found.longest <= 1500 * MS, "{case}: {:?}", found.longest);
        assert!(found.back <= 10 * SECOND, "{case}: {:?}", found.back);
    }
}
