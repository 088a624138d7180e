//! Messages of different urgency, from end to end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::common::*;
use handfast_core::{Config, Delivery, Order, Priority};
use handfast_sim::{Conditions, Probability};

const URGENT: Delivery = Delivery::ordered(1).with_priority(Priority::REAL_TIME);
const BULK: Delivery = Delivery::ordered(2).with_priority(Priority::BULK);

#[test]
fn an_urgent_message_waits_neither_for_credit_nor_for_room_that_bulk_holds() {
    for size in [900, 16 << 10, 190_000] {
        let mut config = Config::default();
        config.flow.receive_window = 300_000;
        config.flow.send_buffer = 400_000;
        config.flow.max_message = 200_000;
        let (mut net, link) = Net::pair(1, config.clone(), config);
        // What is not read holds its credit: only urgent messages are, and a little of the others.
        net.be_lazy(link.b);
        let mut number = 1 << 32;
        let (mut worst, mut bulk) = (Duration::ZERO, 0);
        for n in 0..300 {
            while net.try_send(link.a, link.ab, BULK, payload(number, size)).is_ok() {
                number += 1;
            }
            net.send(link.a, link.ab, URGENT, payload(n, 100));
            let sent = net.world.now();
            while net.read_from(link.b, link.ba, 1).is_empty() {
                net.run(1);
                assert!(net.world.now() - sent < SECOND, "{size}: message {n} waits");
            }
            // The first waits for the congestion window, which bulk had filled before.
            if n > 0 {
                worst = worst.max(net.world.now() - sent);
            }
            net.run(5);
            if n % 10 == 9 {
                bulk += net.read_from(link.b, link.ba, 2).len();
            }
        }
        assert!(worst <= MS * 20, "{size}: {worst:?}");
        assert!(bulk >= 20, "{size}: {bulk} others");
    }
}

/// How long 100-byte messages travelled that were sent every 20 ms beside four channels of large ones, sorted.
fn ages_beside_bulk(small: Delivery, large: Priority) -> Vec<Duration> {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(7);
    net.conditions(Conditions {
        latency: MS * 20,
        rate: Some(500_000),
        queue: 10_000,
        loss: Probability::percent(2),
        ..Conditions::default()
    });
    for channel in 10..14 {
        let delivery = Delivery::ordered(channel).with_priority(large);
        net.send(a, ab, delivery, payload(1 << 32, 1 << 20));
    }
    let mut sent = Vec::new();
    for n in 0..150 {
        sent.push(net.world.now());
        net.send(a, ab, small, payload(n, 100));
        net.run(20);
    }
    net.run(300);
    let got = net.got(b);
    let mut ages: Vec<_> =
        got.iter().map(|got| got.at - sent[number_of(&got.message.payload) as usize]).collect();
    assert_eq!(ages.len(), sent.len(), "the large ones are on their way");
    ages.sort_unstable();
    ages
}

#[test]
fn beside_bulk_that_is_sent_again_urgent_messages_are_faster_than_those_of_the_same_class() {
    let equal = ages_beside_bulk(Delivery::ordered(1), Priority::NORMAL);
    let urgent = ages_beside_bulk(URGENT, Priority::BULK);
    assert!(urgent[75] + MS * 5 < equal[75], "{:?}, {:?}", urgent[75], equal[75]);
}

/// Messages of any class, order, size and reliability, over a network that loses, delays and repeats.
#[test]
fn whatever_their_classes_reliable_messages_arrive_once_and_in_order() {
    for seed in 0..6 {
        let mut config = Config::default();
        (config.flow.receive_window, config.flow.stream_window) = (60_000, 64);
        config.flow.max_message = 20_000;
        let (mut net, Link { a, b, ab, .. }) = Net::pair(seed, config.clone(), config);
        net.conditions(Conditions {
            loss: Probability::percent(15),
            free_jitter: MS * 30,
            duplication: Probability::percent(5),
            rate: Some(100_000),
            ..Conditions::default()
        });
        let orders = [Order::Unordered, Order::Ordered];
        let mut sent: BTreeMap<(u16, Order), Vec<u64>> = BTreeMap::new();
        let mut random = seed * 7 + 1;
        let mut pick = |of: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % of
        };
        for n in 0..300 {
            let (channel, order) = (pick(3) as u16, orders[pick(2) as usize]);
            let priority = Priority::new(pick(8) as u8).expect("one of eight");
            let size = [8, 100, 1200, 4000, 15_000][pick(5) as usize];
            let delivery = Delivery::new(channel, true, order).with_priority(priority);
            net.send(a, ab, delivery, payload(n, size));
            sent.entry((channel, order)).or_default().push(n);
            if pick(3) == 0 {
                net.send(
                    a,
                    ab,
                    Delivery::unreliable(9).with_priority(priority),
                    payload(1 << 32, 500),
                );
            }
            net.run(pick(12));
        }
        net.run(60_000);
        for ((channel, order), numbers) in sent {
            let of = |got: &&Got| {
                (got.message.delivery.channel, got.message.delivery.order) == (channel, order)
            };
            let mut came: Vec<_> = net
                .got(b)
                .into_iter()
                .filter(of)
                .map(|got| number_of(&got.message.payload))
                .collect();
            if order == Order::Unordered {
                came.sort_unstable();
            }
            assert_eq!(came, numbers, "seed {seed}, channel {channel}, {order:?}");
        }
    }
}

/// What 300 ordered messages of 100 bytes, sent every so many ms over 50 ms with this loss, took; sorted. And parts
/// sent again, copies, and bytes on the wire, both directions and headers included.
fn ages_with_loss(
    seed: u64,
    loss: u32,
    pause: u64,
    priority: Priority,
) -> (Vec<Duration>, [u64; 3]) {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(seed);
    let conditions =
        Conditions { latency: MS * 50, loss: Probability::percent(loss), ..Conditions::default() };
    net.conditions(conditions);
    let mut sent = Vec::new();
    for n in 0..300 {
        sent.push(net.world.now());
        net.send(a, ab, Delivery::ordered(0).with_priority(priority), payload(n, 100));
        net.run(pause);
    }
    net.run(5000);
    let got = net.got(b);
    let numbers: Vec<_> = got.iter().map(|got| number_of(&got.message.payload)).collect();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>(), "each once, in order");
    let mut ages: Vec<_> = got.iter().zip(sent).map(|(got, sent)| got.at - sent).collect();
    ages.sort_unstable();
    let stats =
        [(a, ab), (b, ba)].map(|(node, peer)| net.endpoint(node).peer(peer).expect("alive").stats);
    let wire = stats.iter().map(|stats| stats.bytes_sent + 28 * stats.datagrams_sent).sum();
    (ages, [stats[0].parts_retransmitted, stats[0].parts_copied, wire])
}

#[test]
fn while_packets_are_lost_copies_spare_urgent_messages_the_wait_for_a_retransmission() {
    for (loss, pause) in [(5, 20), (5, 200), (20, 20)] {
        // What all but the slowest twentieth take.
        let mut most = [Duration::ZERO; 2];
        let (mut again, mut bytes) = ([0; 2], [0; 2]);
        for seed in 0..4 {
            let (normal, [normal_again, few, normal_bytes]) =
                ages_with_loss(seed, loss, pause, Priority::NORMAL);
            let (urgent, [urgent_again, copies, urgent_bytes]) =
                ages_with_loss(seed, loss, pause, Priority::REAL_TIME);
            assert!(few <= normal_again, "{few} copies, {normal_again} sent again");
            assert!(copies > 30, "{loss} %, {pause} ms: {copies} copies");
            most = [most[0] + normal[285], most[1] + urgent[285]];
            again = [again[0] + normal_again, again[1] + urgent_again];
            bytes = [bytes[0] + normal_bytes, bytes[1] + urgent_bytes];
        }
        assert!(most[1] < most[0], "{loss} %, {pause} ms: {most:?}");
        assert!(again[1] * 2 < again[0], "{again:?}");
        assert!(bytes[1] * 10 <= bytes[0] * 16, "{bytes:?}");
    }
    let (_, [_, copies, _]) = ages_with_loss(9, 0, 20, Priority::REAL_TIME);
    assert_eq!(copies, 0, "nothing was lost");
}
