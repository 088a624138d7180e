//! The controller on a line with a queue, in steps of a fifth of a millisecond.

use std::collections::VecDeque;
use std::vec::Vec;

use proptest::prelude::*;

use super::cycle::Phase;
use super::*;
use crate::config::CongestionControl;
use crate::recovery::congestion::Congestion;
use crate::recovery::pacer::{Pace, Pacer};

const MTU: u64 = 1200;
const STEP: u64 = 200;

/// A line with a queue, both ways 50 ms long. Rates in bytes per second.
#[derive(Clone, Copy, Debug)]
struct Line {
    rate: u64,
    queue: u64,
    /// Of a policer before the line, with its bucket in bytes.
    policer: Option<(u64, u64)>,
    /// Lost by chance, in 1/1000.
    loss: u64,
    /// How much longer the way takes at times, in milliseconds, in order.
    jitter: u64,
    /// The same for each packet by itself: they overtake each other.
    free_jitter: u64,
}

const LINE: Line =
    Line { rate: 1_250_000, queue: 125_000, policer: None, loss: 0, jitter: 0, free_jitter: 0 };

/// What becomes of a packet: when the sender learns it.
#[derive(Clone, Copy, Debug)]
struct Fate {
    sent_at: u64,
    known_at: u64,
    arrives: bool,
}

struct Sender {
    congestion: Congestion,
    pacer: Pacer,
    rtt: Rtt,
    under_way: VecDeque<Fate>,
    begins: u64,
    /// In microseconds, between lone packets, if there is little to send.
    pause: Option<u64>,
    sent: u64,
    dropped: u64,
    delivered: u64,
}

impl Sender {
    fn new(choice: CongestionControl, begins: u64) -> Self {
        let mut rtt = Rtt::new();
        rtt.update(Duration::from_millis(100), Duration::ZERO, Duration::ZERO);
        Self {
            congestion: Congestion::new(choice, MTU as u16),
            pacer: Pacer::new(),
            rtt,
            under_way: VecDeque::new(),
            begins,
            pause: None,
            sent: 0,
            dropped: 0,
            delivered: 0,
        }
    }

    fn in_flight(&self) -> u64 {
        self.under_way.len() as u64 * MTU
    }

    /// Learns what became of packets.
    fn learn(&mut self, micros: u64) {
        let now = at(micros);
        let mut due: Vec<Fate> = Vec::new();
        self.under_way.retain(|fate| {
            let is_due = fate.known_at <= micros;
            due.extend(is_due.then_some(*fate));
            !is_due
        });
        if due.is_empty() {
            return;
        }
        let newest = due.iter().filter(|fate| fate.arrives).map(|fate| fate.sent_at).max();
        if let Some(sent_at) = newest {
            let sample = Duration::from_micros(micros - sent_at);
            self.rtt.update(sample, Duration::ZERO, Duration::ZERO);
        }
        for fate in due.iter().filter(|fate| fate.arrives) {
            self.delivered += MTU;
            self.congestion.on_ack(now, at(fate.sent_at), MTU, &self.rtt);
        }
        let lost: Vec<_> = due.iter().filter(|fate| !fate.arrives).collect();
        if let Some(sent_at) = lost.iter().map(|fate| at(fate.sent_at)).max() {
            let bytes = lost.len() as u64 * MTU;
            let signs =
                Signs { sent_at, bytes, persistent: false, ecn: false, is_continued: false };
            self.congestion.on_congestion(now, &signs, &self.rtt);
        }
        self.congestion.after_ack(now, self.in_flight(), &self.rtt);
    }
}

fn at(micros: u64) -> Instant {
    Instant::from_micros(1_000_000 + micros)
}

/// Chance, as good as needed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// The line, and what waits in it.
struct Road {
    line: Line,
    dice: Dice,
    /// When the last packet will have left the queue, in nanoseconds.
    busy_until: u64,
    /// The same of the policer's bucket.
    policed_until: u64,
    last_arrival: u64,
}

impl Road {
    fn new(line: Line, seed: u64) -> Self {
        Self { line, dice: Dice(seed), busy_until: 0, policed_until: 0, last_arrival: 0 }
    }

    /// Whether a packet is dropped, or when its acknowledgement comes.
    fn carry(&mut self, micros: u64) -> Result<u64, ()> {
        let now = micros * 1000;
        if let Some((rate, bucket)) = self.line.policer {
            let until = self.policed_until.max(now) + MTU * 1_000_000_000 / rate;
            if until > now + bucket * 1_000_000_000 / rate {
                return Err(());
            }
            self.policed_until = until;
        }
        let takes = MTU * 1_000_000_000 / self.line.rate;
        let waits = self.busy_until.max(now) - now;
        if waits > takes * self.line.queue / MTU {
            return Err(());
        }
        self.busy_until = now + waits + takes;
        let jitter = self.dice.below(self.line.jitter * 1000 + 1);
        let arrival = self.busy_until / 1000 + 100_000 + jitter;
        self.last_arrival = self.last_arrival.max(arrival);
        let free = match self.line.free_jitter {
            0 => 0,
            most => self.dice.below(most * 1000),
        };
        Ok(self.last_arrival + free)
    }
}

type Range = core::ops::Range<u64>;

/// Lets senders share a line for so many milliseconds. `step` sees them after each millisecond.
fn share(
    senders: &mut [Sender],
    road: &mut Road,
    millis: Range,
    mut step: impl FnMut(u64, &[Sender]),
) {
    for micros in (millis.start * 1000..millis.end * 1000).step_by(STEP as usize) {
        let first = road.dice.below(senders.len() as u64) as usize;
        for sender in in_turn(senders, first, micros) {
            sender.learn(micros);
            loop {
                let pace = Pace::new(&sender.congestion, &sender.rtt, MTU as u16);
                let fits = sender.in_flight() + MTU <= sender.congestion.window();
                if sender.pause.is_some_and(|pause| !micros.is_multiple_of(pause)) {
                    sender.congestion.on_lack(sender.in_flight());
                    break;
                }
                if !fits || sender.pacer.delay(at(micros), MTU, &pace).is_some() {
                    break;
                }
                sender.pacer.on_sent(at(micros), MTU, &pace);
                sender.sent += MTU;
                let lost = road.dice.below(1000) < road.line.loss;
                let carried = road.carry(micros);
                sender.dropped += u64::from(carried.is_err()) * MTU;
                let round_trip = sender.rtt.smoothed().as_micros() as u64;
                let fate = match carried {
                    Ok(known_at) if !lost => Fate { sent_at: micros, known_at, arrives: true },
                    Ok(known_at) => Fate {
                        sent_at: micros,
                        known_at: known_at + round_trip / 8,
                        arrives: false,
                    },
                    Err(()) => Fate {
                        sent_at: micros,
                        known_at: micros + round_trip * 9 / 8,
                        arrives: false,
                    },
                };
                sender.under_way.push_back(fate);
                sender.congestion.on_sent(at(micros), MTU, sender.in_flight());
                if sender.pause.is_some() {
                    break;
                }
            }
        }
        if micros.is_multiple_of(1000) {
            step(micros / 1000, senders);
        }
    }
}

/// Those that send already, from a random one on.
fn in_turn(senders: &mut [Sender], first: usize, micros: u64) -> impl Iterator<Item = &mut Sender> {
    let (before, after) = senders.split_at_mut(first);
    let turns = after.iter_mut().chain(before);
    turns.filter(move |sender| sender.begins * 1000 <= micros)
}

/// Goodput in percent of the line's rate, and drops in 1/1000 of what was sent, over so many seconds.
fn alone(line: Line, seconds: u64) -> (u64, u64) {
    let mut senders = [Sender::new(CongestionControl::Bbr, 0)];
    share(&mut senders, &mut Road::new(line, 1), 0..seconds * 1000, |_, _| {});
    let [sender] = senders;
    (sender.delivered * 100 / (line.rate * seconds), sender.dropped * 1000 / sender.sent)
}

#[test]
fn a_line_is_used_whatever_it_loses_by_itself_and_no_queue_overflows() {
    let cases = [
        (LINE, 90, 20),
        (Line { queue: 500_000, ..LINE }, 90, 0),
        (Line { loss: 10, ..LINE }, 85, 20),
        (Line { loss: 50, ..LINE }, 80, 20),
        (Line { loss: 100, ..LINE }, 70, 20),
        (Line { loss: 200, ..LINE }, 55, 20),
        (Line { jitter: 60, ..LINE }, 70, 20),
        (Line { jitter: 60, loss: 50, ..LINE }, 40, 30),
    ];
    for (line, least, most) in cases {
        let (share, dropped) = alone(line, 10);
        assert!(share >= least && dropped <= most, "{line:?}: {share} %, {dropped} dropped");
    }
}

/// Each early acknowledgement makes one measurement too large. If the most of them counted, the queue would never end.
#[test]
fn what_jitter_does_to_measurements_does_not_fill_the_queue() {
    for free_jitter in [5, 10, 20] {
        let line = Line { rate: 4 * LINE.rate, queue: 4 * LINE.queue, free_jitter, ..LINE };
        let mut senders = [Sender::new(CongestionControl::Bbr, 0)];
        let mut road = Road::new(line, 1);
        share(&mut senders, &mut road, 0..5_000, |_, _| {});
        let (mut full, mut count) = (0, 0);
        for from in (5_000..20_000).step_by(10) {
            share(&mut senders, &mut road, from..from + 10, |_, _| {});
            let waits = (road.busy_until / 1000).saturating_sub((from + 10) * 1000);
            full += u64::from(waits > 50_000);
            count += 1;
        }
        assert!(full * 20 <= count, "{free_jitter} ms: half full at {full} of {count} times");
    }
}

#[test]
fn a_short_queue_and_a_policer_are_not_overrun() {
    let policer = Some((LINE.rate, 30_000));
    let cases =
        [(Line { queue: 12_000, ..LINE }, 70), (Line { policer, rate: 2 * LINE.rate, ..LINE }, 35)];
    for (line, least) in cases {
        let (share, dropped) = alone(line, 20);
        assert!(share >= least && dropped <= 50, "{line:?}: {share} %, {dropped} dropped");
    }
}

/// Startup doubles what is in flight. Without its first train, a round trip of too much is lost before anybody can know.
#[test]
fn a_queue_is_not_flooded_where_the_first_packets_show_what_the_path_carries() {
    let held = LINE.rate / 10;
    for queue in [12_000, 31_000, 62_000] {
        let mut senders = [Sender::new(CongestionControl::Bbr, 0)];
        let mut road = Road::new(Line { queue, ..LINE }, 1);
        share(&mut senders, &mut road, 0..2_000, |_, _| {});
        let dropped = senders[0].dropped * 100 / held;
        assert!(dropped <= 50, "{queue}: {dropped} % of what the path holds");
    }
}

/// A probe begins in a round in which nothing was left to send, and its first packets are lost.
#[test]
fn how_little_there_was_to_send_is_not_taken_for_what_the_path_bears() {
    let mut bbr = Bbr::new(MTU as u16);
    bbr.window = 1_000_000;
    bbr.carried = 500_000;
    bbr.begin_round(false);
    for _ in 0..3 {
        bbr.carried = MTU;
        bbr.begin_round(true);
    }
    let mut later = bbr.clone();
    bbr.cut(at(0), false);
    assert_eq!(bbr.model.ceiling.most(), 350_000);
    // A round in which there was enough shows that it bears less now.
    later.carried = 200_000;
    later.begin_round(false);
    later.cut(at(0), false);
    assert_eq!(later.model.ceiling.most(), 140_000);
}

#[test]
fn marks_of_a_queue_that_is_left_already_leave_what_the_path_holds() {
    let mut senders = [Sender::new(CongestionControl::Bbr, 0)];
    share(&mut senders, &mut Road::new(LINE, 1), 0..3_000, |_, _| {});
    let Congestion::Bbr(bbr) = &mut senders[0].congestion else { unreachable!("it was chosen") };
    let (now, held) = (at(3_000_000), bbr.held());
    assert!(held > 100_000);
    bbr.cycle.enter(Phase::Down, now);
    (0..5).for_each(|_| bbr.cut(now, true));
    assert!(bbr.model.ceiling.most() >= held / 100 * 99, "{} of {held}", bbr.model.ceiling.most());
    // Those in steady sending are somebody else's queue as well.
    bbr.cycle.enter(Phase::Cruise, now);
    (bbr.borne, bbr.carried) = (held, held);
    bbr.cut(now, true);
    assert!(bbr.model.ceiling.most() < held / 100 * 90);
}

/// What waits in the buffer of a socket is in flight, and that holds no more than so much.
#[test]
fn a_path_as_short_as_a_host_is_not_given_more_than_a_socket_holds_at_first() {
    let mut bbr = Bbr::new(MTU as u16);
    let mut rtt = Rtt::new();
    let trip = Duration::from_micros(200);
    rtt.update(trip, Duration::ZERO, Duration::ZERO);
    let (mut micros, mut most) = (0, 0);
    while bbr.cycle.phase() == Phase::Startup && micros < 100_000 {
        most = most.max(bbr.window());
        let (sent_at, packets) = (at(micros), bbr.window() / MTU);
        (1..=packets).for_each(|n| bbr.on_sent(sent_at, MTU, n * MTU));
        micros += 200;
        (0..packets).for_each(|_| bbr.on_ack(at(micros), sent_at, MTU, &rtt));
        bbr.after_ack(at(micros), 0, &rtt);
    }
    assert!((128 * 1024..=256 * 1024).contains(&most), "{most}");
}

#[test]
fn a_queue_stays_short_once_the_rate_is_known() {
    let mut senders = [Sender::new(CongestionControl::Bbr, 0)];
    let (mut waits, mut count) = (0, 0);
    share(&mut senders, &mut Road::new(LINE, 1), 0..15_000, |now, senders| {
        if now >= 2_000 {
            waits += senders[0].rtt.latest().as_millis() as u64 - 100;
            count += 1;
        }
    });
    assert!(waits / count <= 12, "{} ms of queue", waits / count);
}

#[test]
fn two_flows_share_a_queue_and_cubic_gets_its_part() {
    use CongestionControl::{Bbr, Cubic};
    for queue in [12_000, 125_000, 500_000] {
        for kinds in [[Bbr, Bbr], [Cubic, Bbr], [Bbr, Cubic]] {
            let mut senders = [Sender::new(kinds[0], 0), Sender::new(kinds[1], 3_000)];
            let mut road = Road::new(Line { queue, ..LINE }, 1);
            share(&mut senders, &mut road, 0..25_000, |_, _| {});
            let before = [0, 1].map(|at: usize| senders[at].delivered);
            share(&mut senders, &mut road, 25_000..45_000, |_, _| {});
            let [first, second] = [0, 1].map(|at: usize| senders[at].delivered - before[at]);
            let part = second * 100 / (first + second);
            assert!(
                (20..=80).contains(&part),
                "{kinds:?} in {queue} bytes: {part} % for the second"
            );
        }
    }
}

#[test]
fn a_line_that_becomes_faster_or_slower_is_used_as_it_is() {
    let mut senders = [Sender::new(CongestionControl::Bbr, 0)];
    let mut road = Road::new(Line { rate: LINE.rate / 10, queue: 12_500, ..LINE }, 1);
    share(&mut senders, &mut road, 0..6_000, |_, _| {});
    road.line = LINE;
    share(&mut senders, &mut road, 6_000..20_000, |_, _| {});
    let before = senders[0].delivered;
    share(&mut senders, &mut road, 20_000..24_000, |_, _| {});
    let used = (senders[0].delivered - before) * 25 / LINE.rate;
    assert!(used >= 80, "{used} % after 14 s of ten times the rate");
    road.line = Line { rate: LINE.rate / 10, queue: 12_500, ..LINE };
    share(&mut senders, &mut road, 24_000..28_000, |_, _| {});
    let (before, dropped) = (senders[0].delivered, senders[0].dropped);
    share(&mut senders, &mut road, 28_000..34_000, |_, _| {});
    let used = (senders[0].delivered - before) * 100 / (LINE.rate / 10 * 6);
    let dropped = (senders[0].dropped - dropped) * 100 / (LINE.rate / 10 * 6);
    assert!(used >= 70 && dropped <= 10, "{used} %, {dropped} % dropped after 4 s of a tenth");
}

#[test]
fn a_sender_with_little_to_send_keeps_what_it_knows() {
    let mut senders = [Sender::new(CongestionControl::Bbr, 0)];
    let mut road = Road::new(LINE, 1);
    share(&mut senders, &mut road, 0..4_000, |_, _| {});
    let knows = |sender: &Sender| sender.congestion.pacing_rate(&sender.rtt).unwrap_or(0);
    assert!(knows(&senders[0]) > LINE.rate / 2);
    senders[0].pause = Some(20_000);
    share(&mut senders, &mut road, 4_000..30_000, |_, _| {});
    assert!(knows(&senders[0]) > LINE.rate / 2, "{}", knows(&senders[0]));
}

proptest! {
    /// Whatever happens, the window holds four packets, and grows by no more than what arrived.
    #[test]
    fn the_window_grows_by_what_arrives_and_never_below_four_packets(
        events in prop::collection::vec((0u8..10, 0u64..200, any::<u64>()), 1..300),
    ) {
        let mut bbr = Bbr::new(1200);
        let mut rtt = Rtt::new();
        let (mut micros, mut sent, mut in_flight) = (0, VecDeque::new(), 0u64);
        for (kind, pause, chance) in events {
            micros += pause * 1000;
            let (now, before, mut arrived) = (at(micros), bbr.window(), 0);
            match kind {
                0..=3 => {
                    for _ in 0..=chance % 40 {
                        in_flight += MTU;
                        sent.push_back(now);
                        bbr.on_sent(now, MTU, in_flight);
                    }
                }
                4..=6 => {
                    for sent_at in sent.drain(..sent.len().min(chance as usize % 50)) {
                        rtt.update(now.saturating_since(sent_at), Duration::ZERO, Duration::ZERO);
                        in_flight -= MTU;
                        arrived += MTU;
                        bbr.on_ack(now, sent_at, MTU, &rtt);
                    }
                    bbr.after_ack(now, in_flight, &rtt);
                }
                7 => {
                    let Some(sent_at) = sent.pop_front() else { continue };
                    in_flight -= MTU;
                    let (persistent, ecn) = (chance.is_multiple_of(16), chance.is_multiple_of(5));
                    let signs = Signs { sent_at, bytes: MTU, persistent, ecn, is_continued: false };
                    bbr.on_congestion(now, &signs, &rtt);
                }
                8 => bbr.on_spurious(now),
                _ => match chance % 3 {
                    0 => bbr.on_absence(Duration::from_millis(pause)),
                    1 => bbr.on_idle(),
                    _ => bbr.on_lack(in_flight),
                },
            }
            prop_assert!(bbr.window() >= 4 * MTU);
            prop_assert!(bbr.window() <= before.max(4 * MTU) + arrived);
            prop_assert!(bbr.pacing_rate(&rtt).is_some_and(|rate| rate > 0) || micros > 100_000_000);
        }
    }
}
