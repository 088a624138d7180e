//! The world itself, driven with a toy protocol that can be told to misbehave.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use handfast_core::{Ecn, Instant, Origin, Transmit};
use handfast_sim::{App, Conditions, Cx, Machine, NodeId, Probability, Unverified, World};

/// Sends two datagrams in one batch every second, and reports what it gets.
struct Toy {
    setup: Setup,
    next: Option<Instant>,
    batches: VecDeque<usize>,
    events: VecDeque<Heard>,
    unverified: Unverified,
    ticked: bool,
}

#[derive(Clone)]
struct Setup {
    peer: SocketAddr,
    sin: Sin,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sin {
    None,
    DeadlineNotLater,
    DeadlineInThePast,
    EndlessEvents,
    SecondThoughts,
    Amplifier,
    TooLarge,
}

#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Tick(Instant),
    Datagram { from: SocketAddr, to: String, len: usize, ecn: Option<Ecn> },
    AddressesChanged,
}

impl Machine for Toy {
    type Setup = Setup;
    type Event = Heard;

    fn make(setup: &Setup, _seed: [u8; 32], now: Instant, _age: Duration) -> Self {
        Self {
            setup: setup.clone(),
            next: Some(now + SECOND),
            batches: VecDeque::new(),
            events: VecDeque::new(),
            unverified: Unverified::default(),
            ticked: false,
        }
    }

    fn handle_datagram(&mut self, now: Instant, origin: Origin, datagram: &mut [u8]) {
        let to = origin.local.map_or_else(String::new, |local| local.to_string());
        let (from, len, ecn) = (origin.remote, datagram.len(), origin.ecn);
        self.events.push_back(Heard::Datagram { from, to, len, ecn });
        self.unverified.received += len as u64;
        if self.setup.sin == Sin::DeadlineInThePast {
            self.next = Some(now.saturating_sub(SECOND));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.events.push_back(Heard::Tick(now));
        self.batches.push_back(1_500);
        self.ticked = true;
        let wait = if self.setup.sin == Sin::DeadlineNotLater { Duration::ZERO } else { SECOND };
        self.next = Some(now + wait);
        if self.setup.sin == Sin::Amplifier {
            self.unverified.sent = self.unverified.received + 1;
        }
    }

    fn poll_transmit(&mut self, _now: Instant, _buf: &mut [u8]) -> Option<Transmit> {
        let len = self.batches.pop_front()?;
        let segment = if self.setup.sin == Sin::TooLarge { 1_201 } else { 1_000 };
        let mut batch = Transmit::new(self.setup.peer, len);
        (batch.ecn, batch.segment) = (Some(Ecn::Ect0), NonZeroU16::new(segment));
        Some(batch)
    }

    fn poll_event(&mut self) -> Option<Heard> {
        if self.ticked && self.setup.sin == Sin::EndlessEvents {
            return Some(Heard::AddressesChanged);
        }
        let event = self.events.pop_front();
        if self.setup.sin == Sin::SecondThoughts && matches!(event, Some(Heard::Tick(_))) {
            self.batches.push_back(1_500);
        }
        event
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    fn addresses_changed(&mut self, _now: Instant) {
        self.events.push_back(Heard::AddressesChanged);
    }

    fn unverified_bytes(&self) -> Unverified {
        self.unverified
    }

    fn max_datagram(_setup: &Setup) -> usize {
        1_200
    }
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 4263))
}

fn pair(seed: u64, sin: Sin) -> (World<Toy>, NodeId, NodeId) {
    let mut world = World::of(seed);
    let a = world.add(Setup { peer: address(2), sin }, &[address(1)]);
    let b = world.add(Setup { peer: address(1), sin: Sin::None }, &[address(2)]);
    (world, a, b)
}

/// The lengths and senders of the datagrams that a node got.
fn datagrams(world: &mut World<Toy>, node: NodeId) -> Vec<(SocketAddr, usize)> {
    let events = world.take_events(node).into_iter();
    let pick = |(_, event)| match event {
        Heard::Datagram { from, len, .. } => Some((from, len)),
        _ => None,
    };
    events.filter_map(pick).collect()
}

#[test]
fn nodes_wake_exactly_at_their_deadlines_and_batches_are_split() {
    let (mut world, a, b) = pair(1, Sin::None);
    let began = world.clock(a);
    world.run_until(SECOND * 3 / 2);
    assert_eq!(world.now(), SECOND * 3 / 2);
    let arrived = Duration::from_millis(1_010);
    let heard = |len| {
        let (from, to) = (address(2), "10.0.0.1".to_owned());
        (arrived, Heard::Datagram { from, to, len, ecn: Some(Ecn::Ect0) })
    };
    let expected = [(SECOND, Heard::Tick(began + SECOND)), heard(1_000), heard(500)];
    assert_eq!(world.take_events(a), expected);
    assert_eq!(datagrams(&mut world, b).len(), 2);
    assert_eq!(world.datagrams(), 4);
}

#[test]
fn coarse_timers_meet_deadlines_at_their_grain_and_a_batch_leaves_at_one_instant() {
    let grain = Duration::from_millis(7);
    let (mut world, a, b) = pair(1, Sin::None);
    world.set_timer_grain(grain);
    world.run_until(SECOND * 5);
    let ticks = world.take_events(a);
    let ticks = ticks.iter().filter(|(_, event)| matches!(event, Heard::Tick(_)));
    // Each asks for a second after the last; what is set already was set before the grain.
    let times: Vec<_> = ticks.skip(1).map(|(time, _)| time.as_micros()).collect();
    assert!(times.len() >= 3 && times.iter().all(|time| time % 7_000 == 0), "{times:?}");
    let heard = world.take_events(b);
    let arrived = heard.iter().filter(|(_, event)| matches!(event, Heard::Datagram { .. }));
    let arrived: Vec<_> = arrived.map(|(time, _)| *time).collect();
    assert!(arrived.chunks(2).all(|pair| pair[0] == pair[1]), "{arrived:?}");
}

#[test]
fn a_rebound_node_is_seen_elsewhere_and_does_not_know() {
    let (mut world, a, b) = pair(1, Sin::None);
    world.rebind(a, address(9));
    world.run_until(SECOND * 3 / 2);
    assert_eq!(datagrams(&mut world, b), [(address(9), 1_000), (address(9), 500)]);
    assert_eq!(datagrams(&mut world, a), [], "sent to the old address");
    assert_eq!((world.faults().rebinds, world.faults().unroutable), (1, 2));
    world.roam(b, address(8));
    assert!(world.take_events(b).iter().any(|event| event.1 == Heard::AddressesChanged));
}

#[test]
fn what_is_under_way_to_an_address_that_moved_is_lost() {
    let (mut world, a, b) = pair(1, Sin::None);
    world.run_until(SECOND);
    world.rebind(b, address(9));
    world.run_until(SECOND * 3 / 2);
    assert_eq!(datagrams(&mut world, b), []);
    assert_eq!(datagrams(&mut world, a).len(), 2, "sent before, from the old address");
}

#[test]
fn a_killed_node_is_silent_and_a_restarted_one_begins_anew() {
    let (mut world, a, b) = pair(1, Sin::None);
    world.kill(a);
    world.run_until(SECOND * 3 / 2);
    assert_eq!(datagrams(&mut world, b), []);
    world.restart(a);
    world.run_until(SECOND * 3);
    let ticks = world.take_events(a);
    assert_eq!(ticks[0].0, SECOND * 2 + Duration::from_millis(10), "from b, which ticks at 2 s");
    assert!(
        ticks
            .iter()
            .any(|(time, event)| { *time == SECOND * 5 / 2 && matches!(event, Heard::Tick(_)) })
    );
    assert_eq!(world.faults().restarts, 1);
}

#[test]
fn a_clock_that_jumps_fires_what_became_due_at_once() {
    let (mut world, a, _) = pair(1, Sin::None);
    let clock = world.clock(a);
    world.jump_clock(a, SECOND * 10);
    world.run_until(Duration::from_millis(1));
    assert_eq!(world.take_events(a), [(Duration::ZERO, Heard::Tick(clock + SECOND * 10))]);
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_gives_another() {
    let run = |seed| {
        let (mut world, ..) = pair(seed, Sin::None);
        let loss = Probability::percent(30);
        world.network().set_all(Conditions { loss, ..Conditions::default() });
        world.record(true);
        world.run_until(SECOND * 20);
        (world.trace_hash(), world.lines().join("\n"), *world.faults())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
    assert!(run(1).1.contains("node 0 -> node 1  unknown packet, 1000 bytes  (lost)"));
}

#[test]
fn each_breach_of_the_contract_panics_with_seed_time_and_node() {
    for (sin, words) in [
        (Sin::DeadlineNotLater, "not later"),
        (Sin::DeadlineInThePast, "to the past"),
        (Sin::EndlessEvents, "draining does not end"),
        (Sin::SecondThoughts, "a second drain gave"),
        (Sin::Amplifier, "unverified"),
        (Sin::TooLarge, "larger than Config::max_datagram"),
    ] {
        let (mut world, ..) = pair(77, sin);
        let run = catch_unwind(AssertUnwindSafe(|| world.run_until(SECOND * 2)));
        let panic = run.expect_err("a breach").downcast::<String>().expect("a message");
        assert!(panic.contains(words), "{sin:?}: {panic}");
        assert!(panic.contains("seed 77, at 1") && panic.contains("node 0"), "{sin:?}: {panic}");
    }
}

#[test]
fn applications_are_told_of_events_and_of_their_timers() {
    #[derive(Default)]
    struct Counter(Vec<(NodeId, Duration, u64)>, usize);
    impl App<Toy> for Counter {
        fn on_event(&mut self, _cx: &mut Cx<'_, Toy>, _event: &Heard) {
            self.1 += 1;
        }
        fn on_timer(&mut self, cx: &mut Cx<'_, Toy>, token: u64) {
            self.0.push((cx.node(), cx.time(), token));
            cx.endpoint().batches.push_back(1_500);
            if token < 2 {
                cx.wake_after(SECOND / 4, token + 1);
            }
        }
    }
    let (mut world, a, b) = pair(1, Sin::None);
    let mut app = Counter::default();
    world.set_timer(a, SECOND / 4, 1);
    world.run_until_with(SECOND * 3 / 4, &mut app);
    assert_eq!(app.0, [(a, SECOND / 4, 1), (a, SECOND / 2, 2)]);
    assert_eq!((app.1, datagrams(&mut world, b).len()), (4, 4), "what timers sent arrived");
}

const SECOND: Duration = Duration::from_secs(1);
