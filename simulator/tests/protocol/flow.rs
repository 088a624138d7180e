//! Backpressure: full buffers, slow readers, credit, and that neither stalls nor grows without end; and
//! what a sender learns from acknowledgements (`recovery`).

mod crowd;
mod recovery;

use crate::common::*;
use std::time::Duration;

use handfast_core::{Config, Delivery, Event, Fate, Order, SendError};
use handfast_sim::{Conditions, Probability};

fn small(max_message: u32, send_buffer: usize, receive_window: u32) -> Config {
    let mut config = Config::default();
    config.flow.max_message = max_message;
    config.flow.send_buffer = send_buffer;
    config.flow.receive_window = receive_window;
    config.flow.unreliable_buffer = max_message as usize;
    config
}

/// Sends until the buffer is full; how many were taken.
fn fill(net: &mut Net, link: Link, delivery: Delivery, size: usize) -> u64 {
    let mut count = 0;
    while net.try_send(link.a, link.ab, delivery, payload(count, size)).is_ok() {
        count += 1;
        assert!(count < 1_000_000, "never blocked");
    }
    let refused = net.try_send(link.a, link.ab, delivery, payload(count, size));
    assert_eq!(refused, Err(SendError::Blocked));
    count
}

fn writables(net: &mut Net, node: handfast_sim::NodeId) -> usize {
    net.count(node, |event| matches!(event, Event::Writable { .. }))
}

#[test]
fn a_full_buffer_blocks_and_writable_comes_once_when_a_send_would_succeed() {
    for delivery in [Delivery::ordered(0), Delivery::reliable(0)] {
        let config = small(10_000, 100_000, 1 << 20);
        let (mut net, link) = Net::pair(1, config.clone(), config);
        net.world.network().partition(link.a, link.b);
        let count = fill(&mut net, link, delivery, 5000);
        let held = count * 5000;
        assert!(held <= 100_000 + 12_000, "{held} bytes were taken");
        assert_eq!(writables(&mut net, link.a), 0);
        net.world.network().heal();
        let mut told = None;
        for _ in 0..5000 {
            net.run(1);
            if writables(&mut net, link.a) > 0 {
                told = Some(net.try_send(link.a, link.ab, delivery, payload(count, 5000)));
                break;
            }
        }
        assert!(matches!(told, Some(Ok(_))), "{delivery:?}: {told:?}");
        net.run(5000);
        assert_eq!(writables(&mut net, link.a), 1, "{delivery:?}: once");
    }
}

#[test]
fn a_sender_that_heeds_writable_moves_everything_through_a_small_buffer() {
    let config = small(10_000, 20_000, 30_000);
    let (mut net, link) = Net::pair(1, config.clone(), config);
    net.conditions(Conditions { loss: Probability::percent(5), ..Conditions::default() });
    let (mut sent, mut told, mut refusals) = (0, 0, 0);
    let mut may_send = true;
    while sent < 500 {
        while may_send && sent < 500 {
            match net.try_send(link.a, link.ab, Delivery::ordered(0), payload(sent, 3000)) {
                Ok(_) => sent += 1,
                Err(error) => {
                    assert_eq!(error, SendError::Blocked);
                    refusals += 1;
                    may_send = false;
                }
            }
        }
        net.run(5);
        let writable = writables(&mut net, link.a);
        assert!(writable - told <= 1);
        may_send |= writable > told;
        told = writable;
        assert!(net.world.now() < SECOND * 600, "stuck after {sent}");
    }
    net.run(5000);
    let numbers: Vec<_> = net.payloads(link.b).iter().map(number_of).collect();
    assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    assert!(refusals > 50 && told.abs_diff(refusals) <= 1, "{refusals} refusals, {told} told");
}

#[test]
fn a_receiver_that_never_reads_stops_its_sender_at_the_credit_and_nobody_else() {
    let config = small(5000, 1 << 20, 50_000);
    for delivery in [Delivery::ordered(0), Delivery::reliable(0)] {
        let (mut net, link) = Net::pair(1, config.clone(), config.clone());
        let Link { a, b, ab, ba } = link;
        net.be_lazy(b);
        let other = net.add(config.clone());
        let other_link = net.link(a, other);
        for n in 0..200 {
            net.send(a, ab, delivery, payload(n, 1000));
            net.send(a, other_link.ab, delivery, payload(n, 1000));
            net.send(b, ba, delivery, payload(n, 1000));
        }
        net.run(20_000);
        let info = net.endpoint(b).peer(ba).expect("alive");
        // A message costs 64 bytes beyond its own, and a channel leaves as much as it holds to others.
        assert_eq!(info.stats.messages_received, 50_000 / 2 / 1064, "all that fits, and no more");
        assert_eq!(net.payloads(other).len(), 200, "another peer is not held back");
        assert_eq!(net.payloads(a).len(), 200, "nor the other direction");
        // A stuck pair is as quiet as an idle one.
        let before = net.sent(a).len();
        net.run(600_000);
        assert!(net.sent(a).len() - before < 300, "{} packets", net.sent(a).len() - before);
        // Nothing is lost: reading sets it going.
        let mut numbers = Vec::new();
        for _ in 0..200 {
            numbers.extend(net.read(b, ba).iter().map(|got| number_of(&got.payload)));
            net.run(100);
        }
        assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    }
}

#[test]
fn unread_unreliable_messages_need_no_credit_and_reliable_ones_are_not_held_back_by_them() {
    let config = small(5000, 1 << 20, 10_000);
    let (mut net, Link { a, b, ab, ba }) = Net::pair(1, config.clone(), config);
    net.be_lazy(b);
    for n in 0..30 {
        net.send(a, ab, Delivery::ordered(0), payload(n, 1000));
    }
    net.run(3000);
    net.send(a, ab, Delivery::unreliable(0), payload(1000, 1000));
    net.run(100);
    let numbers: Vec<_> = net.read(b, ba).iter().map(|got| number_of(&got.payload)).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 1000]);
}

#[test]
fn lost_words_about_credit_are_said_again() {
    // The n-th packet of either end is lost after the sender got stuck.
    for (loser, n) in (0..16).map(|n| (n % 2, n / 2)) {
        let config = small(5000, 1 << 20, 20_000);
        let (mut net, Link { a, b, ab, ba }) = Net::pair(1, config.clone(), config);
        net.be_lazy(b);
        for n in 0..100 {
            net.send(a, ab, Delivery::ordered(0), payload(n, 1000));
        }
        if n % 2 == 1 {
            net.run(1000);
        }
        net.lose_nth([a, b][loser], n);
        let mut numbers = Vec::new();
        for _ in 0..100 {
            net.run(50);
            numbers.extend(net.read(b, ba).iter().map(|got| number_of(&got.payload)));
        }
        assert_eq!(numbers, (0..100).collect::<Vec<_>>(), "packet {n} of {loser}");
    }
}

#[test]
fn credit_given_during_a_partition_is_known_soon_after_it() {
    let config = small(5000, 1 << 20, 20_000);
    for (from, to) in [(0, 1), (1, 0)] {
        let (mut net, Link { a, b, ab, ba }) = Net::pair(1, config.clone(), config.clone());
        net.be_lazy(b);
        for n in 0..60 {
            net.send(a, ab, Delivery::ordered(0), payload(n, 1000));
        }
        net.run(2000);
        let nodes = [a, b];
        net.world.network().block(nodes[from], nodes[to]);
        let mut numbers: Vec<_> =
            net.read(b, ba).iter().map(|got| number_of(&got.payload)).collect();
        net.run(5000);
        net.world.network().heal();
        for _ in 0..100 {
            net.run(100);
            numbers.extend(net.read(b, ba).iter().map(|got| number_of(&got.payload)));
        }
        assert_eq!(numbers, (0..60).collect::<Vec<_>>());
    }
}

#[test]
fn heavy_loss_slows_flow_control_but_never_stalls_it() {
    for seed in 0..5 {
        let config = small(5000, 1 << 20, 10_000);
        let (mut net, Link { a, b, ab, .. }) = Net::pair(seed, config.clone(), config);
        net.conditions(Conditions { loss: Probability::percent(25), ..Conditions::default() });
        for n in 0..100 {
            net.send(a, ab, Delivery::ordered(0), payload(n, 2000));
        }
        net.run(300_000);
        let numbers: Vec<_> = net.payloads(b).iter().map(number_of).collect();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn unreliable_messages_that_nobody_reads_give_way_oldest_first_and_are_counted() {
    for order in [Order::Unordered, Order::Sequenced, Order::Ordered] {
        for size in [1000, 3000] {
            let config = small(10_000, 1 << 20, 1 << 20);
            let (mut net, Link { a, b, ab, ba }) = Net::pair(1, config.clone(), config);
            net.be_lazy(b);
            let delivery = Delivery::unreliable(0).with_order(order);
            for n in 0..100 {
                net.send(a, ab, delivery, payload(n, size));
                net.run(5);
            }
            net.send(a, ab, Delivery::ordered(0), payload(1000, 500));
            net.run(1000);
            let overflowed = net.endpoint(b).peer(ba).expect("alive").stats.messages_overflowed;
            let numbers: Vec<_> =
                net.read(b, ba).iter().map(|got| number_of(&got.payload)).collect();
            let kept = numbers.len() as u64 - 1;
            let expected: Vec<_> = (100 - kept..100).chain([1000]).collect();
            assert_eq!(numbers, expected, "{order:?}, {size}");
            assert_eq!(overflowed, 100 - kept, "{order:?}, {size}");
            assert_eq!(kept, 10_000 / (size as u64 + 64), "{order:?}, {size}");
        }
    }
}

#[test]
fn a_message_as_large_as_the_window_gets_its_credit_though_little_was_read() {
    for before in 1..9 {
        let config = small(10_000, 1 << 20, 10_064);
        let (mut net, Link { a, b, ab, ba }) = Net::pair(1, config.clone(), config);
        net.be_lazy(b);
        for n in 0..before {
            net.send(a, ab, Delivery::ordered(0), payload(n, 1000));
        }
        net.send(a, ab, Delivery::ordered(0), payload(before, 10_000));
        net.run(1000);
        let mut numbers = Vec::new();
        for _ in 0..before {
            let next = net.with(b, |endpoint, now| endpoint.receive(now, ba)).expect("arrived");
            numbers.push(number_of(&next.payload));
            net.run(500);
        }
        numbers.extend(net.read(b, ba).iter().map(|got| number_of(&got.payload)));
        assert_eq!(numbers, (0..=before).collect::<Vec<_>>());
    }
}

#[test]
fn readable_is_told_once_until_everything_was_read() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    net.be_lazy(b);
    let told = |net: &mut Net| net.count(b, |event| matches!(event, Event::Readable { .. }));
    for round in 1..=5 {
        for n in 0..20 {
            net.send(a, ab, Delivery::ordered(0), payload(n, 100));
            net.run(20);
        }
        net.run(100);
        assert_eq!(told(&mut net), round);
        assert_eq!(net.read(b, ba).len(), 20);
    }
}

/// The states of a game: 4,000 bytes 60 times a second, over a path that carries 100,000 a second.
fn send_too_much(delivery: Delivery) -> (Net, Link, Vec<(Duration, u64)>) {
    let (mut net, link) = Net::usual_pair(1);
    let rate = Some(100_000);
    net.conditions(Conditions { rate, queue: 16 << 10, ..Conditions::default() });
    let begin = net.world.now();
    for n in 0..1200 {
        net.run_until(begin + SECOND * n / 60);
        net.send(link.a, link.ab, delivery.with_receipt(), payload(n.into(), 4000));
    }
    net.run(5000);
    let age = |got: &Got| {
        let number = number_of(&got.message.payload);
        (got.at.saturating_sub(begin + SECOND * number as u32 / 60), number)
    };
    let ages = net.got(link.b).into_iter().map(age).collect();
    (net, link, ages)
}

#[test]
fn a_newer_sequenced_message_takes_the_place_of_one_that_was_not_begun() {
    for delivery in [Delivery::sequenced(0), Delivery::reliable(0).with_order(Order::Sequenced)] {
        let (mut net, link, ages) = send_too_much(delivery);
        let oldest = ages.iter().max().expect("some arrive");
        assert!(oldest.0 < MS * 500, "{delivery:?}: number {} after {:?}", oldest.1, oldest.0);
        assert!(ages.len() > 300, "{delivery:?}: {} arrived", ages.len());
        assert_eq!(ages.last().map(|last| last.1), Some(1199), "{delivery:?}: the newest comes");
        let fates = net.fates(link.a);
        assert_eq!(fates.len(), 1200, "{delivery:?}");
        let count = |which| fates.iter().filter(|(_, fate)| *fate == which).count();
        let stats = net.endpoint(link.a).peer(link.ab).expect("alive").stats;
        let gave_way = |fate: &Fate| matches!(fate, Fate::Superseded { .. });
        let superseded = fates.iter().filter(|(_, fate)| gave_way(fate)).count();
        assert_eq!(stats.messages_superseded, superseded as u64, "{delivery:?}");
        assert!(superseded > 600, "{delivery:?}");
        assert_eq!(count(Fate::Unknown), 0, "{delivery:?}");
    }
}

#[test]
fn unreliable_messages_that_cannot_leave_in_time_give_way_oldest_first() {
    for order in [Order::Unordered, Order::Ordered] {
        let delivery = Delivery::unreliable(0).with_order(order);
        let (mut net, link, ages) = send_too_much(delivery);
        let oldest = ages.iter().max().expect("some arrive");
        // Where order does not matter, up to eight that were begun in time go on side by side.
        let most = if order == Order::Unordered { MS * 2000 } else { MS * 1500 };
        assert!(oldest.0 < most, "{order:?}: number {} after {:?}", oldest.1, oldest.0);
        assert!(ages.len() > 300, "{order:?}: {} arrived", ages.len());
        let fates = net.fates(link.a);
        let lost = fates.iter().filter(|(_, fate)| *fate == Fate::Lost).count() as u64;
        let stats = net.endpoint(link.a).peer(link.ab).expect("alive").stats;
        assert_eq!(fates.len(), 1200, "{order:?}");
        assert!(
            (600..=lost).contains(&stats.messages_dropped),
            "{order:?}: {lost} lost, {stats:?}"
        );
    }
}

#[test]
fn unreliable_messages_never_wait_for_room() {
    for (order, reliable) in [
        (Order::Unordered, false),
        (Order::Sequenced, false),
        (Order::Ordered, false),
        (Order::Sequenced, true),
    ] {
        let mut config = small(10_000, 20_000, 1 << 20);
        config.flow.unreliable_buffer = 100_000;
        let (mut net, link) = Net::pair(1, config.clone(), config);
        let Link { a, b, ab, .. } = link;
        net.world.network().partition(a, b);
        // A channel leaves room to others; together they do not.
        for channel in 7..11 {
            fill(&mut net, link, Delivery::ordered(channel), 5000);
        }
        let delivery = Delivery::new(0, reliable, order);
        for n in 0..2000 {
            let sent = net.try_send(a, ab, delivery.with_receipt(), payload(n, 5000));
            let expected = if reliable { Err(SendError::NoRoom) } else { Ok(()) };
            assert_eq!(sent.map(drop), expected, "{order:?} {reliable}");
        }
        net.world.network().heal();
        net.run(20_000);
        let got: Vec<_> = net.got(b).into_iter().map(|got| got.message.clone()).collect();
        let of_stream = got.iter().filter(|message| message.delivery.channel == 0);
        let numbers: Vec<_> = of_stream.map(|message| number_of(&message.payload)).collect();
        if reliable {
            assert_eq!(numbers, []);
            continue;
        }
        assert_eq!(net.fates(a).len(), 2000, "{order:?}");
        let kept = if order == Order::Sequenced { 1 } else { 100_064 / 5064 };
        assert!(numbers.len() <= kept + 12, "{order:?}: {numbers:?}");
        let newest = numbers.iter().max();
        assert_eq!(newest, Some(&1999), "{order:?}: {numbers:?}");
    }
}

#[test]
fn a_channel_that_is_never_read_holds_back_no_other() {
    for large in [1000, 100_000] {
        let config = small(100_000, 16 << 20, 300_000);
        let (mut net, Link { a, b, ab, ba }) = Net::pair(1, config.clone(), config);
        net.be_lazy(b);
        for n in 0..60 {
            net.send(a, ab, Delivery::ordered(0), payload(n, 100_000));
            net.send(a, ab, Delivery::reliable(0), payload(n, 1000));
        }
        net.run(2000);
        for n in 0..100 {
            net.send(a, ab, Delivery::ordered(1), payload(n, large));
            net.send(a, ab, Delivery::unreliable(2), payload(n, 1000));
            net.run(300);
            for channel in [1, 2] {
                let numbers: Vec<_> = net.read_from(b, ba, channel);
                let numbers: Vec<_> = numbers.iter().map(|m| number_of(&m.payload)).collect();
                assert_eq!(numbers, [n], "{large}: channel {channel}");
            }
        }
        // It waits, and comes once it is read.
        let mut count = 0;
        for _ in 0..300 {
            count += net.read_from(b, ba, 0).len();
            net.run(100);
        }
        assert_eq!(count, 120, "{large}");
    }
}

/// Channel 1 is never read, and its sender refills it whenever it may. All others go on for ten minutes.
#[test]
fn a_channel_that_is_never_read_fills_no_more_than_its_share_of_the_send_buffer() {
    for (seed, stuck) in [(1, 500), (2, 20_000)] {
        let config = small(20_000, 200_000, 300_000);
        let (mut net, Link { a, b, ab, ba }) = Net::pair(seed, config.clone(), config.clone());
        net.be_lazy(b);
        net.conditions(Conditions { loss: Probability::percent(2), ..Conditions::default() });
        let mut of_stuck = 0;
        let mut refill = |net: &mut Net| {
            while net.try_send(a, ab, Delivery::ordered(1), payload(of_stuck, stuck)).is_ok() {
                of_stuck += 1;
            }
            let queued = net.endpoint(a).peer(ab).expect("connected").queued;
            assert!(queued <= 200_000, "{queued} bytes in a send buffer of 200,000");
            of_stuck
        };
        let lively = [
            (2, Delivery::ordered(2).with_receipt()),
            (3, Delivery::reliable(3).with_receipt()),
            (4, Delivery::reliable(4).with_order(Order::Sequenced).with_receipt()),
            (5, Delivery::unreliable(5)),
            (6, Delivery::sequenced(6)),
        ];
        let (mut ids, mut arrived) = (Vec::new(), [0; 7]);
        for round in 0..600 {
            refill(&mut net);
            for (channel, delivery) in lively {
                // As large as they may be, now and then.
                let len = if round % 10 == 0 { 20_000 } else { 300 };
                let sent = net.try_send(a, ab, delivery, payload(round, len));
                let id = sent.unwrap_or_else(|error| {
                    panic!("round {round}, {stuck}: channel {channel} is refused: {error:?}")
                });
                ids.extend(delivery.requires_ack.then_some(id));
                refill(&mut net);
            }
            net.run(1000);
            for (channel, delivery) in lively {
                let messages = net.read_from(b, ba, channel);
                let numbers: Vec<_> = messages.iter().map(|m| number_of(&m.payload)).collect();
                assert!(!delivery.reliable || numbers == [round], "{channel}: {numbers:?}");
                arrived[usize::from(channel)] += numbers.len();
            }
        }
        let fates = net.fates(a);
        assert!(ids.iter().all(|id| fates.contains(&(*id, Fate::Acked))));
        assert!(arrived[5] > 300 && arrived[6] > 300, "{arrived:?}");
        // It waits, and comes in order once it is read.
        let (total, mut numbers) = (refill(&mut net), Vec::new());
        for _ in 0..100 {
            numbers.extend(net.read_from(b, ba, 1).iter().map(|m| number_of(&m.payload)));
            net.run(200);
        }
        assert_eq!(numbers, (0..total).collect::<Vec<_>>());
        assert_eq!(net.endpoint(a).peer(ab).expect("connected").queued, 0);
    }
}

/// Three channels are full; the other end reads one of them.
#[test]
fn writable_names_the_channel_that_has_room_and_comes_for_no_other() {
    let config = small(10_000, 100_000, 60_000);
    let (mut net, Link { a, b, ab, ba }) = Net::pair(1, config.clone(), config);
    net.be_lazy(b);
    let fill = |net: &mut Net| {
        for channel in 0..3 {
            let delivery = Delivery::ordered(channel);
            while net.try_send(a, ab, delivery, payload(0, 3000)).is_ok() {}
        }
    };
    for _ in 0..5 {
        fill(&mut net);
        net.run(1000);
    }
    let told = |net: &mut Net| {
        let channel = |event: Event| match event {
            Event::Writable { channel, .. } => Some(channel),
            _ => None,
        };
        net.news(a).into_iter().filter_map(channel).collect::<Vec<_>>()
    };
    told(&mut net);
    for round in 0..20 {
        let count = net.read_from(b, ba, 1).len();
        net.run(500);
        // What is read raises the limit for all, of which the others have their shares.
        let news = told(&mut net);
        assert!(count > 0 && news.contains(&1), "round {round}: {count} read, {news:?}");
        let once = news.iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(once.len(), news.len(), "once for each");
        let last = Delivery::ordered(news[news.len() - 1]);
        assert!(net.try_send(a, ab, last, payload(0, 3000)).is_ok(), "round {round}: {news:?}");
        fill(&mut net);
        net.run(500);
        told(&mut net);
    }
}

/// Small messages on two channels take what becomes free, and a third wants to send a large one.
#[test]
fn a_large_message_gets_room_though_busy_channels_want_it_too() {
    let config = small(50_000, 100_000, 300_000);
    let (mut net, Link { a, b, ab, .. }) = Net::pair(1, config.clone(), config);
    net.latency(20);
    let refill = |net: &mut Net| {
        for channel in 0..2 {
            let delivery = Delivery::ordered(channel);
            while net.try_send(a, ab, delivery, payload(0, 500)).is_ok() {}
        }
    };
    let (mut tries, large) = (0, Delivery::ordered(2));
    for round in 0..50 {
        refill(&mut net);
        while net.try_send(a, ab, large, payload(round, 50_000)).is_err() {
            tries += 1;
            assert!(tries < 500 * (round + 1), "round {round}: it starves");
            refill(&mut net);
            net.run(2);
        }
        net.run(100);
    }
    assert!(tries > 0, "there was room all the time");
    let arrived = net.got(b).iter().filter(|got| got.message.delivery == large).count();
    assert_eq!(arrived, 50);
}

/// A hub with little memory, and who sends to it.
struct Hub {
    net: Net,
    hub: handfast_sim::NodeId,
    links: Vec<Link>,
}

const HUB_MEMORY: u64 = 1 << 20;
const LARGEST: u32 = 200_000;

impl Hub {
    fn new(seed: u64, clients: usize) -> Self {
        let window = [4096, 100_000, 1 << 20][seed as usize % 3];
        Self::with(seed, small(LARGEST, 4 << 20, window), clients)
    }

    fn with(seed: u64, mut config: Config, clients: usize) -> Self {
        config.limits.max_peers = 8;
        config.limits.max_memory = HUB_MEMORY;
        let mut net = Net::new(seed);
        let hub = net.add(config);
        net.be_lazy(hub);
        let client = |net: &mut Net| {
            let node = net.add(Config::default());
            net.link(node, hub)
        };
        let links = (0..clients).map(|_| client(&mut net)).collect();
        Self { net, hub, links }
    }

    fn memory(&self) -> u64 {
        self.net.endpoint(self.hub).stats().memory_used
    }

    /// What is free in any case, and a message that had its turn: one is read, one never.
    fn bound(&self) -> u64 {
        let floors = self.links.len() as u64 * 2 * (32 << 10);
        HUB_MEMORY + floors + 2 * (u64::from(LARGEST) + 64)
    }
}

/// All sizes, three channels that are read and one that is not, one to four peers.
#[test]
fn while_applications_read_every_message_arrives_and_memory_keeps_its_bound() {
    for seed in 0..30 {
        let mut hub = Hub::new(seed, 1 + seed as usize % 4);
        let mut random = seed + 1;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
            (random >> 33) % below
        };
        let links: Vec<_> = hub.links.iter().map(|link| (link.a, link.ab, link.ba)).collect();
        let mut missing: std::collections::BTreeSet<(usize, u64)> = Default::default();
        for (of, &(node, peer, _)) in links.iter().enumerate() {
            for n in 0..25 {
                let size = [100, 5000, 60_000, u64::from(LARGEST)][draw(4) as usize];
                let size = 8 + draw(size - 8) as usize;
                let order = [Order::Ordered, Order::Unordered][draw(2) as usize];
                let channel = draw(4) as u16;
                let delivery = Delivery::reliable(channel).with_order(order);
                hub.net.send(node, peer, delivery, payload(n, size));
                if channel != 3 {
                    missing.insert((of, n));
                }
            }
        }
        let begin = hub.net.world.now();
        while !missing.is_empty() {
            hub.net.run(10);
            assert!(hub.memory() <= hub.bound(), "seed {seed}: {} bytes", hub.memory());
            for (of, &(_, _, peer)) in links.iter().enumerate() {
                for channel in 0..3 {
                    for message in hub.net.read_from(hub.hub, peer, channel) {
                        let number = number_of(&message.payload);
                        assert!(missing.remove(&(of, number)), "seed {seed}: {number} twice");
                    }
                }
            }
            let waited = hub.net.world.now() - begin;
            assert!(waited < SECOND * 120, "seed {seed}: {missing:?} did not arrive");
        }
        for &(node, peer, _) in &links {
            hub.net
                .with(node, |endpoint, now| endpoint.disconnect(now, peer, Default::default()))
                .expect("connected");
        }
        // What was not read is kept for an idle timeout.
        hub.net.run(70_000);
        assert_eq!(hub.memory(), 0, "seed {seed}");
    }
}

/// All hold more than the least that they may, and the turn of each is over once its message was taken.
#[test]
fn for_a_large_message_nobody_waits_longer_than_those_before_it_take() {
    let mut hub = Hub::with(1, small(300_000, 4 << 20, 100_000), 8);
    hub.net.latency(20);
    let links: Vec<_> = hub.links.iter().map(|link| (link.a, link.ab, link.ba)).collect();
    for &(node, peer, _) in &links {
        for _ in 0..3 {
            hub.net.send(node, peer, Delivery::ordered(0), payload(0, 300_000));
        }
    }
    let begin = hub.net.world.now();
    let mut came = 0;
    while came < 3 * links.len() {
        hub.net.run(10);
        for &(_, _, peer) in &links {
            came += hub.net.read(hub.hub, peer).len();
        }
        assert!(hub.net.world.now() - begin < SECOND * 5, "{came} came");
    }
}

#[test]
fn memory_that_one_peer_gives_back_lets_another_send() {
    let mut hub = Hub::new(2, 2);
    let [(first, other), (second, another)] = [0, 1].map(|of| (hub.links[of].ba, hub.links[of].a));
    let node = hub.hub;
    for client in [other, another] {
        hub.net.world.network().partition(node, client);
    }
    let fill = |hub: &mut Hub, peer| {
        let mut count = 0;
        // Channels leave room to each other until nothing is left.
        for channel in 0..10 {
            let delivery = Delivery::ordered(channel);
            while hub.net.try_send(node, peer, delivery, payload(0, 10_000)).is_ok() {
                count += 1;
            }
        }
        count
    };
    let [many, few] = [first, second].map(|peer| fill(&mut hub, peer));
    assert!(many > 10 && (3..5).contains(&few), "{many} and {few}");
    assert!(hub.memory() <= hub.bound());
    let told = |net: &mut Net, peer| {
        let is_it = |event: &Event| matches!(event, Event::Writable { channel: 0, .. });
        net.count(node, |event| is_it(event) && event.peer() == Some(peer))
    };
    hub.net.run(500);
    assert_eq!(told(&mut hub.net, second), 0);
    hub.net
        .with(node, |endpoint, now| endpoint.disconnect(now, first, Default::default()))
        .expect("connected");
    hub.net.run(5000);
    assert_eq!(told(&mut hub.net, second), 1);
    assert!(fill(&mut hub, second) > 10);
}

/// Channel 1 is read, channels 0 and 2 are not.
#[test]
fn channels_are_read_apart_and_each_that_ran_dry_is_told_of_its_next_message() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    net.be_lazy(b);
    let told = |net: &mut Net| net.count(b, |event| matches!(event, Event::Readable { .. }));
    let numbers = |messages: Vec<handfast_core::Message>| -> Vec<_> {
        messages.iter().map(|message| number_of(&message.payload)).collect()
    };
    let mut sent = Vec::new();
    for round in 0..5 {
        for n in 0..3 {
            let deliveries = [Delivery::ordered(0), Delivery::unreliable(1), Delivery::ordered(1)];
            let number = round * 10 + n;
            net.send(a, ab, deliveries[n as usize], payload(number, 100));
            net.run(20);
            net.send(a, ab, Delivery::reliable(2), payload(number + 5, 100));
            sent.extend([number, number + 5]);
        }
        net.run(100);
        assert_eq!(told(&mut net), round as usize + 1, "once in a round");
        assert_eq!(numbers(net.read_from(b, ba, 1)), [round * 10 + 1, round * 10 + 2]);
        assert_eq!(net.read_from(b, ba, 3), []);
    }
    // Whoever reads any gets the rest, in the order of arrival.
    sent.retain(|number| !matches!(number % 10, 1 | 2));
    assert_eq!(numbers(net.read(b, ba)), sent);
}

#[test]
fn credit_is_not_lost_when_the_peer_restarts_while_messages_wait_to_be_read() {
    let config = small(5000, 1 << 20, 20_000);
    let (mut net, Link { a, b, ab, ba }) = Net::pair(1, config.clone(), config);
    net.be_lazy(b);
    for n in 0..100 {
        net.send(a, ab, Delivery::ordered(0), payload(n, 1000));
    }
    net.run(3000);
    net.world.restart(a);
    let again = net.call(a, b);
    for n in 0..100 {
        net.send(a, again, Delivery::ordered(0), payload(n, 1000));
    }
    net.run(3000);
    let info = net.endpoint(b).peer(ba).expect("the same handle");
    assert!(info.stats.messages_received <= 2 * 20_000 / 1064);
    let mut numbers = Vec::new();
    for _ in 0..200 {
        numbers.extend(net.read(b, ba).iter().map(|got| number_of(&got.payload)));
        net.run(100);
    }
    let old_life = numbers.len() - 100;
    assert_eq!(numbers[..old_life], (0..old_life as u64).collect::<Vec<_>>());
    assert_eq!(numbers[old_life..], (0..100).collect::<Vec<_>>());
}
