//! Peers at rest: one that was packed does and tells exactly what it would have without. So does one to which is seen only
//! when it must be.

use std::format;

use proptest::prelude::*;

use super::*;
use crate::tests::pair::address;
use crate::{MessageId, Order};

/// What happens next, and what follows it: a silence of so many milliseconds.
type Step = (Act, u64);

#[derive(Clone, Debug)]
enum Act {
    Nothing,
    /// A message, of the first end or the other.
    Send(bool, Delivery, usize),
    Cancel(bool),
    Ping(bool),
    EndStream(bool, Delivery),
    /// The first end is elsewhere.
    Move,
    /// The applications do not read until this happens again.
    Doze,
    /// The host of both sleeps for so many milliseconds.
    Sleep(u64),
    Disconnect(bool),
}

impl Act {
    /// Whether the first end does it.
    const fn is_of_first(&self) -> bool {
        match self {
            Self::Send(is_first, ..)
            | Self::Cancel(is_first)
            | Self::Ping(is_first)
            | Self::EndStream(is_first, _)
            | Self::Disconnect(is_first) => *is_first,
            Self::Nothing | Self::Move | Self::Doze | Self::Sleep(_) => true,
        }
    }
}

fn deliveries() -> impl Strategy<Value = Delivery> {
    let orders = prop::sample::select(vec![Order::Unordered, Order::Sequenced, Order::Ordered]);
    let deadline = prop::option::weighted(0.2, 1_u64..5000);
    (0_u16..3, any::<bool>(), orders, any::<bool>(), deadline).prop_map(
        |(channel, reliable, order, requires_ack, deadline)| {
            let mut delivery = Delivery::new(channel, reliable, order);
            delivery.requires_ack = requires_ack;
            delivery.deadline = deadline.map(Duration::from_millis);
            delivery
        },
    )
}

fn acts() -> impl Strategy<Value = Act> {
    let lens = prop_oneof![4 => 0_usize..100, 1 => 0_usize..30_000];
    prop_oneof![
        2 => Just(Act::Nothing),
        12 => (any::<bool>(), deliveries(), lens).prop_map(|(a, how, len)| Act::Send(a, how, len)),
        1 => any::<bool>().prop_map(Act::Cancel),
        2 => any::<bool>().prop_map(Act::Ping),
        2 => (any::<bool>(), deliveries()).prop_map(|(a, how)| Act::EndStream(a, how)),
        1 => Just(Act::Move),
        1 => Just(Act::Doze),
        2 => (20_u64..400).prop_map(Act::Sleep),
        1 => (400_u64..40_000).prop_map(Act::Sleep),
        1 => any::<bool>().prop_map(Act::Disconnect),
    ]
}

fn schedules() -> impl Strategy<Value = Vec<Step>> {
    let pauses = prop_oneof![3 => 0_u64..300, 2 => 1000_u64..30_000, 3 => 60_000_u64..200_000];
    prop::collection::vec((acts(), pauses), 1..16)
}

/// What was sent, and what the applications saw.
#[derive(Debug, Default, PartialEq)]
struct Story {
    datagrams: Vec<(u64, bool, Vec<u8>)>,
    told: Vec<String>,
}

/// What both ends do otherwise than usual.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    Usual,
    /// No peer is packed.
    Sleepless,
    /// Whatever a packet or a message leads to is seen to at once.
    Eager,
    /// Packed as one of many, with itself as the model.
    Crowded,
    /// Packed as one of many that are otherwise than it.
    Strange,
}

/// Plays a schedule; `lost` says which of 64 datagrams that follow each other are lost. Returns its story, and how often
/// a peer was asleep after a step.
fn play(steps: &[Step], lost: u64, habit: Habit) -> (Story, usize) {
    let mut pair = Pair::connected(&Config::default());
    for node in [&mut pair.a, &mut pair.b] {
        node.endpoint.peers.is_sleepless = habit == Habit::Sleepless;
        node.endpoint.peers.is_crowded = habit == Habit::Crowded;
        node.endpoint.is_eager = habit == Habit::Eager;
        if habit == Habit::Strange {
            node.endpoint.peers.learn_from(&resting().b.endpoint.peers);
        }
    }
    let (mut story, mut slept, mut dozes) = (Story::default(), 0, false);
    let handles = [pair.peer(), pair.initiator()];
    let mut last: [Option<MessageId>; 2] = [None; 2];
    let (mut number, mut until) = (0_u64, 1000);
    for (act, pause) in steps {
        let now = pair.now;
        let is_first = act.is_of_first();
        let which = usize::from(!is_first);
        let endpoint = if is_first { &mut pair.a.endpoint } else { &mut pair.b.endpoint };
        let peer = handles[which];
        let told = match act.clone() {
            Act::Nothing => String::new(),
            Act::Send(_, delivery, len) => {
                let sent = endpoint.send(now, peer, delivery, message(len));
                last[which] = sent.as_ref().ok().copied().or(last[which]);
                format!("{sent:?}")
            }
            Act::Cancel(_) => {
                format!("{:?}", last[which].map(|id| endpoint.cancel(now, peer, id)))
            }
            Act::Ping(_) => format!("{:?}", endpoint.ping(now, peer)),
            Act::EndStream(_, delivery) => {
                format!("{:?}", endpoint.end_stream(now, peer, delivery))
            }
            Act::Move => {
                pair.a.address.set_port(pair.a.address.port() + 1);
                String::new()
            }
            Act::Doze => {
                dozes = !dozes;
                String::new()
            }
            Act::Sleep(ms) => {
                pair.now += Duration::from_millis(ms);
                until += ms;
                String::new()
            }
            Act::Disconnect(_) => {
                format!("{:?}", endpoint.disconnect(now, peer, DisconnectOptions::default()))
            }
        };
        story.told.push(told);
        until += pause;
        pair.run_with(until, |ms, from_a, datagram| {
            number += 1;
            story.datagrams.push((ms, from_a, datagram.to_vec()));
            lost >> (number % 64) & 1 == 0
        });
        for (node, peer) in [&mut pair.a, &mut pair.b].into_iter().zip(handles) {
            slept += node.endpoint.peers.asleep();
            story.told.push(format!("{:?}", node.endpoint.peer(peer)));
            story.told.push(format!("{:?}", node.endpoint.stats()));
            let grace = node.endpoint.grace_until;
            story.told.push(format!("{:?} {grace:?}", node.endpoint.shared.absence));
            if !dozes {
                let next = || node.endpoint.receive(pair.now, peer);
                story.told.extend(std::iter::from_fn(next).map(|message| format!("{message:?}")));
            }
            story.told.extend(node.events.drain(..).map(|event| format!("{event:?}")));
        }
    }
    (story, slept)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// The same bytes at the same times, events, messages, fates and counters.
    #[test]
    fn nobody_can_tell_whether_a_peer_was_packed_or_seen_to_at_once(
        steps in schedules(),
        lost in prop_oneof![3 => Just(0), 2 => any::<(u64, u64)>().prop_map(|(a, b)| a & b)],
    ) {
        let (usual, _) = play(&steps, lost, Habit::Usual);
        let (unpacked, slept) = play(&steps, lost, Habit::Sleepless);
        prop_assert_eq!(slept, 0);
        let habits = [Habit::Eager, Habit::Crowded, Habit::Strange];
        let [eager, crowded, strange] = habits.map(|habit| play(&steps, lost, habit).0);
        let all = [("eager", eager), ("unpacked", unpacked), ("crowded", crowded), ("strange", strange)];
        for (name, other) in all {
            for (number, pair) in usual.datagrams.iter().zip(&other.datagrams).enumerate() {
                prop_assert_eq!(pair.0, pair.1, "{}, datagram {}", name, number);
            }
            prop_assert_eq!(usual.datagrams.len(), other.datagrams.len(), "{}", name);
            for (usual, other) in usual.told.iter().zip(&other.told) {
                prop_assert_eq!(usual, other, "{}", name);
            }
        }
    }
}

/// A pair that talked, both ways and on several channels, and has been silent since.
fn resting() -> Pair {
    let mut pair = Pair::connected(&Config::default());
    let (peer, initiator) = (pair.peer(), pair.initiator());
    for n in 0..20 {
        let now = pair.now;
        pair.a.send(now, peer, Delivery::ordered(n % 3), 2000);
        pair.b.send(now, initiator, Delivery::unreliable(n % 2), 100);
        pair.run(1050 + u64::from(n) * 50);
        pair.received_by_b();
        pair.a.received(pair.now, peer);
    }
    pair.run(100_000);
    assert_eq!([&pair.a, &pair.b].map(|node| node.endpoint.peers.asleep()), [1, 1]);
    pair
}

/// Whatever was lost, late or fast: nothing of it is work for ever.
#[test]
fn a_peer_that_lost_much_and_sent_fast_sleeps_as_well() {
    for every in [3, 5, 9] {
        let mut pair = Pair::connected(&Config::default());
        let (peer, initiator) = (pair.peer(), pair.initiator());
        let mut number = 0;
        for n in 0..12 {
            let now = pair.now;
            for channel in 0..3 {
                pair.a.send(now, peer, Delivery::reliable(channel), 30_000);
                pair.b.send(now, initiator, Delivery::ordered(channel), 40);
                pair.b.send(now, initiator, Delivery::unreliable(channel), 40);
            }
            pair.run_with(1000 + n * 20, |_, _, _| {
                number += 1;
                number % every > 0
            });
            pair.received_by_b();
            pair.a.received(pair.now, peer);
        }
        // What was lost is sent again, as what is read leaves room for it.
        for second in 2..60 {
            pair.run(second * 1000);
            pair.received_by_b();
            pair.a.received(pair.now, peer);
        }
        assert!(!pair.a.has_ended() && !pair.b.has_ended(), "{every}");
        // Keys change meanwhile.
        pair.run(200_000);
        let asleep = [&pair.a, &pair.b].map(|node| node.endpoint.peers.asleep());
        assert_eq!(asleep, [1, 1], "{every}");
    }
}

#[test]
fn heartbeats_let_a_peer_sleep() {
    let mut pair = resting();
    let mut awake = 0;
    for n in 1..=300 {
        // Not in step with heartbeats.
        pair.run(100_000 + n * 1700);
        awake += 2 - pair.a.endpoint.peers.asleep() - pair.b.endpoint.peers.asleep();
    }
    // A change of keys is among that.
    assert!(awake <= 12, "awake {awake} times of 600");
    let stats = pair.a.endpoint.stats();
    assert_eq!((stats.handshakes, stats.peers_ended), (1, 0));
    assert!(!pair.a.has_ended() && !pair.b.has_ended());
}

#[test]
fn a_message_wakes_both_ends_and_arrives() {
    let mut pair = resting();
    let (peer, initiator, now) = (pair.peer(), pair.initiator(), pair.now);
    pair.a.send(now, peer, Delivery::ordered(1), 5000);
    assert_eq!(pair.a.endpoint.peers.asleep(), 0);
    pair.run(100_100);
    assert_eq!(pair.b.endpoint.peers.asleep(), 0, "it is not read");
    let info = pair.b.endpoint.peer(initiator).expect("connected");
    assert_eq!(pair.received_by_b().iter().map(Bytes::len).collect::<Vec<_>>(), [5000]);
    assert!(info.path_stats.least_rtt.is_some_and(|rtt| rtt.as_millis() as u64 >= LATENCY * 2));
}

/// A message that nobody reads, one that is not acknowledged, one in pieces.
#[test]
fn work_keeps_a_peer_awake() {
    let mut pair = resting();
    let (peer, initiator, now) = (pair.peer(), pair.initiator(), pair.now);
    pair.a.send(now, peer, Delivery::ordered(1), 10);
    pair.run(400_000);
    assert_eq!(pair.b.endpoint.peers.asleep(), 0, "it is not read");
    assert_eq!(pair.a.endpoint.peers.asleep(), 1);
    assert_eq!(pair.b.received(pair.now, initiator).len(), 1);
    pair.run(600_000);
    assert_eq!(pair.b.endpoint.peers.asleep(), 1);
    // Of what the first end says, only the first packet arrives; it hears all that the other says.
    let now = pair.now;
    pair.a.send(now, peer, Delivery::ordered(1), 3000);
    let mut came = 0;
    pair.run_with(645_000, |_, from_a, _| {
        came += u64::from(from_a);
        !from_a || came == 1
    });
    assert_eq!([&pair.a, &pair.b].map(|node| node.endpoint.peers.asleep()), [0, 0]);
}

/// What was received before it slept counts as received for ever.
#[test]
fn a_packet_of_before_the_sleep_is_refused_after_it() {
    let mut pair = Pair::connected(&Config::default());
    let (peer, initiator) = (pair.peer(), pair.initiator());
    let mut copies = vec![];
    for n in 1..=100 {
        let now = pair.now;
        pair.a.send(now, peer, Delivery::unreliable(0), 100);
        pair.run_with(1000 + n * 20, |_, from_a, datagram| {
            if from_a {
                copies.push(datagram.to_vec());
            }
            true
        });
    }
    assert_eq!(pair.received_by_b().len(), 100);
    // Not so long that keys change.
    pair.run(75_000);
    assert_eq!(pair.b.endpoint.peers.asleep(), 1);
    assert!(copies.len() >= 100 && copies.iter().all(|copy| copy[0] == SEALED));
    let from = pair.a.address;
    for copy in &copies {
        let before = pair.b.endpoint.drops().duplicate;
        pair.b.take(pair.now, from, copy);
        assert_eq!(pair.b.endpoint.drops().duplicate, before + 1);
        assert!(pair.b.received(pair.now, initiator).is_empty());
        pair.b.sent(pair.now);
    }
    // It goes on as if nothing had happened.
    let now = pair.now;
    pair.a.send(now, peer, Delivery::ordered(0), 100);
    pair.run(75_100);
    assert_eq!(pair.received_by_b().len(), 1);
}

/// Whoever repeats a packet of before, or makes one up, wakes its peer before anything is known of him.
#[test]
fn packets_that_nobody_authenticated_have_a_peer_packed_a_few_times_only() {
    let mut pair = resting();
    let (peer, now) = (pair.peer(), pair.now);
    pair.a.endpoint.ping(now, peer).expect("connected");
    let mut forged = pair.a.sent_one(now);
    *forged.last_mut().expect("not empty") ^= 1;
    let (from, mut packed) = (pair.a.address, 0);
    let before = pair.b.endpoint.drops().authentication;
    for _ in 0..1000 {
        pair.b.take(now, from, &forged);
        pair.b.sent(now);
        packed += pair.b.endpoint.peers.asleep();
    }
    assert!((1..=20).contains(&packed), "{packed} times");
    assert_eq!(pair.b.endpoint.drops().authentication, before + 1000);
    pair.run(200_000);
    assert_eq!(pair.b.endpoint.peers.asleep(), 1);
}

/// Whoever has many peers asks which there are, a few at a time, and unpacks none.
#[test]
fn handles_are_those_of_all_that_did_not_end_and_wake_nobody() {
    let mut pair = resting();
    let first = pair.initiator();
    let b = &mut pair.b.endpoint;
    let mut dial = |n| b.connect(pair.now, Target::from(address(n))).expect("room");
    let mut expected: Vec<_> = [first].into_iter().chain((10..15).map(&mut dial)).collect();
    let listed = |b: &Endpoint| {
        let (mut all, mut after) = (vec![], None);
        loop {
            let some: Vec<_> = b.peer_handles(after).take(2).collect();
            let Some(last) = some.last() else { return all };
            after = Some(*last);
            all.extend(some);
        }
    };
    assert_eq!(listed(b), expected);
    assert_eq!(b.peers().map(|peer| peer.handle).collect::<Vec<_>>(), expected);
    assert_eq!(b.peers.asleep(), 1, "it was looked at");
    // One that parts is over, and there until that is through.
    let gone = expected.remove(3);
    b.disconnect(pair.now, gone, DisconnectOptions::now()).expect("connected");
    while b.poll_transmit(pair.now, &mut [0; 2048]).is_some() {}
    assert_eq!(listed(b), b.peers().map(|peer| peer.handle).collect::<Vec<_>>());
    b.handle_timeout(pair.now + Duration::from_secs(100));
    while b.poll_event().is_some() {}
    assert!(!b.has_peer(gone) && b.has_peer(first));
    assert!(!listed(b).contains(&gone) && listed(b).contains(&first));
}

/// Who may have to give way is decided without waking anybody.
#[test]
fn what_is_known_of_a_peer_that_sleeps_is_what_was_known_of_it_awake() {
    let mut pair = resting();
    let endpoint = &mut pair.b.endpoint;
    let known = |endpoint: &Endpoint| {
        let gists = endpoint.peers.some_from(0, 10);
        let known = gists.map(|gist| {
            let idleness = gist.idleness(&endpoint.shared);
            format!("{:?}", (gist.slot(), gist.number(), gist.id(), gist.listed_at(), idleness))
        });
        known.collect::<Vec<_>>()
    };
    let asleep = known(endpoint);
    assert!(asleep.len() == 1 && asleep[0].contains("Some(Lately)"), "{asleep:?}");
    assert_eq!(endpoint.peers.asleep(), 1);
    endpoint.peers.at_mut(0).expect("a peer");
    assert_eq!((endpoint.peers.asleep(), known(endpoint)), (0, asleep));
}

/// A peer whose packets are passed on is no burden on the processor for being silent itself.
#[test]
fn many_packets_without_messages_keep_a_peer_awake() {
    let mut pair = resting();
    let peer = pair.peer();
    for n in 0..200 {
        let now = pair.now;
        pair.a.endpoint.ping(now, peer).expect("connected");
        pair.run(100_000 + n * 200);
    }
    assert_eq!([&pair.a, &pair.b].map(|node| node.endpoint.peers.asleep()), [0, 0]);
    pair.run(200_000);
    assert_eq!([&pair.a, &pair.b].map(|node| node.endpoint.peers.asleep()), [1, 1]);
}
