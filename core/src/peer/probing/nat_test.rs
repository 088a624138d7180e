//! The NAT test: what to ask a server and its further ports, and what follows from the answers. It sends nothing
//! itself.

use core::net::SocketAddr;
use core::time::Duration;

use smallvec::SmallVec;

use crate::nat::{NatEvidence, NatFiltering, NatMapping};
use crate::pack::pack_never;
use crate::time::Instant;

/// A question of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// As whom this port of the server sees us.
    Seen { port: u16, token: [u8; 8] },
    /// That the further port of this index sends to us.
    Send { index: u8, token: [u8; 8] },
}

/// A test that goes on. The server has three ports: the one that we are connected to (0), one that is asked as
/// well (1), and one that sends to us before we send to it (2).
#[derive(Clone, Debug)]
pub(super) struct NatTest {
    ports: [u16; 3],
    /// What names the answers of the ports, and at last what port 2 sends by itself.
    tokens: [[u8; 8]; 4],
    /// How long an answer may take on top of the usual.
    round_trip: Duration,
    stage: Stage,
    /// When the stage began, and how often its questions were asked.
    began: Instant,
    asked: u32,
    /// Bits: the ports whose question is due.
    due: u8,
    seen: [Option<SocketAddr>; 3],
    let_in: bool,
}

pack_never!(NatTest);

/// What is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// As whom ports 0 and 1 see us.
    Mapping,
    /// Whether what port 2 sends comes in.
    Filtering,
    /// As whom port 2 sees us, now that it has sent first.
    Order,
    Over,
}

impl NatTest {
    /// Begins; `round_trip` is that of the server as measured.
    pub(super) fn new(
        now: Instant,
        ports: [u16; 3],
        tokens: [[u8; 8]; 4],
        round_trip: Duration,
    ) -> Self {
        let (stage, seen) = (Stage::Mapping, [None; 3]);
        let mut test = Self {
            ports,
            tokens,
            round_trip,
            stage,
            began: now,
            asked: 0,
            due: 0,
            seen,
            let_in: false,
        };
        test.enter(now, stage);
        test
    }

    /// The next question that is due.
    pub(super) fn ask(&mut self) -> Option<Question> {
        let port = self.due.trailing_zeros() as usize;
        let number = *self.ports.get(port)?;
        self.due &= !(1 << port);
        if self.stage == Stage::Filtering {
            return Some(Question::Send { index: 1, token: self.tokens[3] });
        }
        Some(Question::Seen { port: number, token: self.tokens[port] })
    }

    /// A port of the server answers as whom it sees us.
    pub(super) fn on_seen(&mut self, now: Instant, token: [u8; 8], observed: SocketAddr) {
        let port = self.tokens[..3].iter().position(|one| *one == token);
        let Some(port) = port.filter(|port| self.seen[*port].is_none()) else { return };
        self.seen[port] = Some(observed);
        let [first, second, third] = self.seen;
        match self.stage {
            Stage::Mapping if first.is_some() && second.is_some() => {
                self.enter(now, Stage::Filtering)
            }
            Stage::Order if third.is_some() => self.enter(now, Stage::Over),
            _ => {}
        }
    }

    /// A challenge came from `port` of the server.
    pub(super) fn on_challenge(&mut self, now: Instant, token: [u8; 8], port: u16) {
        if self.stage == Stage::Filtering && (token, port) == (self.tokens[3], self.ports[2]) {
            self.let_in = true;
            self.enter(now, Stage::Over);
        }
    }

    /// When to call [`Self::on_timeout`] next; `None` when the test is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (pause, patience) = self.timing()?;
        let next = if self.asked < TIMES { pause * self.asked } else { patience };
        Some(self.began + next)
    }

    /// Time went by.
    pub(super) fn on_timeout(&mut self, now: Instant) {
        if self.deadline().is_none_or(|at| now < at) {
            return;
        }
        if self.asked < TIMES {
            return self.ask_again();
        }
        match self.stage {
            Stage::Mapping if self.seen[0].is_some() => self.enter(now, Stage::Filtering),
            Stage::Filtering => self.enter(now, Stage::Order),
            Stage::Mapping | Stage::Order | Stage::Over => self.enter(now, Stage::Over),
        }
    }

    /// What was found out, once it is over.
    pub(super) fn evidence(&self) -> Option<NatEvidence> {
        if self.stage != Stage::Over {
            return None;
        }
        let [first, second, third] = self.seen;
        let same = |one: Option<SocketAddr>, other: Option<SocketAddr>| Some(one? == other?);
        // Port 2 is only asked after it sent: what it sees may have been spoilt.
        let mapping = match same(first, second) {
            Some(true) => Some(NatMapping::Same),
            Some(false) => Some(NatMapping::Differs),
            None => (same(first, third) == Some(true)).then_some(NatMapping::Same),
        };
        let filtering = if self.let_in {
            Some(NatFiltering::OtherPorts)
        } else {
            third.map(|_| NatFiltering::SamePort)
        };
        let order_sensitive = match (self.let_in, mapping) {
            (true, _) => Some(false),
            (false, Some(NatMapping::Same)) => same(first, third).map(|same| !same),
            (false, _) => None,
        };
        let ports = self.ports.iter().zip(self.seen);
        let silent = ports.filter(|(_, seen)| seen.is_none()).map(|(port, _)| *port);
        let spoke = |port: &u16| self.let_in && *port == self.ports[2];
        let silent_ports: SmallVec<_> = silent.filter(|port| !spoke(port)).collect();
        Some(NatEvidence { observed: first, mapping, filtering, order_sensitive, silent_ports })
    }

    fn enter(&mut self, now: Instant, stage: Stage) {
        (self.stage, self.began, self.asked, self.due) = (stage, now, 0, 0);
        self.ask_again();
    }

    fn ask_again(&mut self) {
        self.asked += 1;
        let open = |port: usize| u8::from(self.seen[port].is_none()) << port;
        self.due = match self.stage {
            Stage::Mapping => open(0) | open(1),
            Stage::Filtering => 1 << 2,
            Stage::Order => open(2),
            Stage::Over => 0,
        };
    }

    /// The time from question to question, and after which the stage is over.
    fn timing(&self) -> Option<(Duration, Duration)> {
        match self.stage {
            Stage::Mapping | Stage::Order => Some((AGAIN, AGAIN * TIMES + self.round_trip)),
            Stage::Filtering => Some((SEND_AGAIN, SETTLED + self.round_trip)),
            Stage::Over => None,
        }
    }
}

/// How often a question is asked.
const TIMES: u32 = 3;
/// From question to question.
const AGAIN: Duration = Duration::from_millis(250);
/// The same where an answer that does not come is the rule.
const SEND_AGAIN: Duration = Duration::from_millis(100);
/// What has not come in by then, does not.
const SETTLED: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const PORTS: [u16; 3] = [4263, 4264, 4265];
    const TOKENS: [[u8; 8]; 4] = [[0; 8], [1; 8], [2; 8], [3; 8]];

    /// A server with some ports open, behind a NAT of ours.
    struct Scene {
        open: [bool; 3],
        /// As whom its ports see us, the last one after it sent.
        seen: [u16; 3],
        lets_in: bool,
        /// So many datagrams are lost before one gets through.
        lost: u32,
    }

    const CONE: Scene = Scene { open: [true; 3], seen: [9; 3], lets_in: false, lost: 0 };

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 7], port))
    }

    /// Plays a whole test; also how many questions it took.
    fn play(scene: &Scene) -> (NatEvidence, u32) {
        let mut now = Instant::from_micros(1_000_000);
        let mut test = NatTest::new(now, PORTS, TOKENS, Duration::from_millis(20));
        let (mut questions, mut lost) = (0, [0; 3]);
        loop {
            let asked: Vec<_> = core::iter::from_fn(|| test.ask()).collect();
            for question in asked {
                questions += 1;
                let (port, by_itself) = match question {
                    Question::Seen { token, .. } => (usize::from(token[0]), false),
                    Question::Send { .. } => (2, true),
                };
                lost[port] += 1;
                if !scene.open[port] || lost[port] <= scene.lost {
                    continue;
                }
                if !by_itself {
                    test.on_seen(now, TOKENS[port], address(scene.seen[port]));
                } else if scene.lets_in {
                    test.on_challenge(now, TOKENS[3], PORTS[2]);
                }
            }
            if let Some(evidence) = test.evidence() {
                assert_eq!((test.deadline(), test.ask()), (None, None));
                return (evidence, questions);
            }
            if let Some(deadline) = test.deadline().filter(|_| test.due == 0) {
                now = deadline;
                test.on_timeout(now);
            }
        }
    }

    #[test]
    fn each_kind_of_nat_is_told_from_the_others() {
        let found = |scene: &Scene| {
            let evidence = play(scene).0;
            assert_eq!(evidence.observed, Some(address(9)));
            assert!(evidence.silent_ports.is_empty(), "{evidence}");
            (evidence.mapping, evidence.filtering, evidence.order_sensitive)
        };
        let (same, differs) = (Some(NatMapping::Same), Some(NatMapping::Differs));
        let (other, only) = (Some(NatFiltering::OtherPorts), Some(NatFiltering::SamePort));
        assert_eq!(found(&CONE), (same, only, Some(false)));
        assert_eq!(found(&Scene { lets_in: true, ..CONE }), (same, other, Some(false)));
        assert_eq!(found(&Scene { seen: [9, 9, 10], ..CONE }), (same, only, Some(true)));
        assert_eq!(found(&Scene { seen: [9, 10, 11], ..CONE }), (differs, only, None));
    }

    #[test]
    fn a_silent_port_is_named_and_what_it_would_have_told_is_unknown() {
        let without = |open| play(&Scene { open, ..CONE }).0;
        let evidence = without([true, false, true]);
        assert_eq!(evidence.silent_ports[..], [PORTS[1]]);
        assert_eq!(evidence.mapping, Some(NatMapping::Same), "two ports still agree");
        let evidence = without([true, true, false]);
        assert_eq!(evidence.silent_ports[..], [PORTS[2]]);
        assert_eq!((evidence.filtering, evidence.order_sensitive), (None, None));
        assert_eq!(evidence.mapping, Some(NatMapping::Same));
        let evidence = without([true, false, false]);
        assert_eq!((evidence.mapping, evidence.filtering), (None, None));
        let evidence = without([false; 3]);
        assert_eq!((evidence.observed, evidence.silent_ports.len()), (None, 3));
    }

    #[test]
    fn lost_datagrams_change_nothing_and_questions_are_few() {
        for lets_in in [false, true] {
            let clear = play(&Scene { lets_in, ..CONE }).0;
            let (evidence, questions) = play(&Scene { lets_in, lost: 2, ..CONE });
            assert_eq!(evidence, clear);
            assert!(questions <= 4 * TIMES, "{questions}");
        }
    }

    #[test]
    fn what_nobody_asked_for_tells_nothing() {
        let now = Instant::from_micros(1_000_000);
        let mut test = NatTest::new(now, PORTS, TOKENS, Duration::ZERO);
        test.on_challenge(now, TOKENS[3], PORTS[2]);
        test.on_seen(now, [7; 8], address(9));
        assert_eq!((test.stage, test.seen), (Stage::Mapping, [None; 3]));
        test.on_seen(now, TOKENS[0], address(9));
        test.on_seen(now, TOKENS[1], address(9));
        test.on_challenge(now, TOKENS[3], PORTS[1]);
        assert_eq!((test.stage, test.let_in), (Stage::Filtering, false));
    }
}
