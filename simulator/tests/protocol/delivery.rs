//! Messages: whole, once, in the order that was asked for, and each with its fate.

mod priorities;
mod superseded;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::common::*;
use handfast_core::{
    CommandError, Config, Delivery, DisconnectOptions, Event, Fate, Message, Order, PeerHandle,
    SendError,
};
use handfast_sim::{Conditions, Probability};

/// Every delivery there is, each on a channel of its own.
fn every_delivery() -> Vec<Delivery> {
    let mut all = Vec::new();
    for order in [Order::Unordered, Order::Sequenced, Order::Ordered] {
        for (reliable, requires_ack) in [(false, false), (false, true), (true, false), (true, true)]
        {
            let channel = all.len() as u16 * 5_000;
            let mut delivery = Delivery::new(channel, reliable, order);
            delivery.requires_ack = requires_ack;
            all.push(delivery);
        }
    }
    all
}

const SIZES: [usize; 9] = [0, 1, 1100, 1150, 1166, 1167, 1200, 4000, 64 << 10];

#[test]
fn every_delivery_carries_every_size_over_a_good_path() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    for delivery in every_delivery() {
        let mut sent = Vec::new();
        for (n, size) in SIZES.into_iter().enumerate() {
            let message = net.send(a, ab, delivery, payload(n as u64, size));
            sent.push((message, Message::new(delivery, n as u64, payload(n as u64, size))));
            net.run(300);
        }
        net.run(2000);
        let known = net.got(b).len() - sent.len();
        let got: Vec<_> = net.got(b)[known..].iter().map(|got| got.message.clone()).collect();
        let expected: Vec<_> = sent.iter().map(|(_, message)| message.clone()).collect();
        assert_eq!(got, expected, "{delivery:?}");
        assert!(net.got(b)[known..].iter().all(|got| got.peer == ba));
        let fates: Vec<_> = net.fates(a).into_iter().filter(|(id, _)| *id >= sent[0].0).collect();
        let receipts: Vec<_> = sent.iter().map(|(id, _)| (*id, Fate::Acked)).collect();
        assert_eq!(fates, if delivery.requires_ack { receipts } else { vec![] }, "{delivery:?}");
    }
}

#[test]
fn the_largest_message_arrives_by_every_delivery() {
    let mut config = Config::default();
    config.flow.max_message = 256 << 10;
    config.flow.unreliable_buffer = 256 << 10;
    config.flow.receive_window = (256 << 10) + 64;
    config.flow.send_buffer = 256 << 10;
    for delivery in every_delivery() {
        let (mut net, Link { a, b, ab, .. }) = Net::pair(1, config.clone(), config.clone());
        for n in 0..3 {
            net.send(a, ab, delivery, payload(n, 256 << 10));
            net.run(3000);
            let got: Vec<_> = net.payloads(b).iter().map(number_of).collect();
            assert_eq!(got, (0..=n).collect::<Vec<_>>(), "{delivery:?}");
        }
    }
}

#[test]
fn a_message_of_the_default_limit_of_16_mib_arrives() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    let largest = net.endpoint(a).config().flow.max_message;
    net.send(a, ab, Delivery::ordered(0).with_receipt(), payload(7, largest as usize));
    net.run(20_000);
    assert_eq!(net.payloads(b).iter().map(number_of).collect::<Vec<_>>(), [7]);
    assert_eq!(net.fates(a).len(), 1);
}

#[test]
fn under_loss_and_reordering_every_delivery_keeps_its_own_promise() {
    const COUNT: u64 = 150;
    let mut config = Config::default();
    // The path is slow: what waits is to be sent all the same.
    config.flow.unreliable_age = SECOND * 60;
    for seed in 0..6 {
        let (mut net, Link { a, b, ab, .. }) = Net::pair(seed, config.clone(), config.clone());
        net.conditions(Conditions {
            loss: Probability::percent(8),
            reordering: Probability::percent(15),
            reordering_delay: MS * 35,
            duplication: Probability::percent(5),
            jitter: MS * 8,
            ..Conditions::default()
        });
        let mut sent = BTreeMap::new();
        for n in 0..COUNT {
            for delivery in every_delivery() {
                let size = [8, 60, 700, 1300, 5000][(n % 5) as usize];
                let message = net.send(a, ab, delivery, payload(n, size));
                sent.insert(message, (delivery, n));
            }
            net.run(20);
        }
        net.run(30_000);
        let mut fates = BTreeMap::new();
        for (message, fate) in net.fates(a) {
            assert_eq!(fates.insert(message, fate), None, "one fate each");
        }
        let mut lost = 0;
        for delivery in every_delivery() {
            let what = format!("seed {seed}, {delivery:?}");
            let of = |message: &Message| message.delivery == delivery;
            let got = net.got(b).into_iter().map(|got| &got.message).filter(|m| of(m));
            let numbers: Vec<_> = got.clone().map(|m| number_of(&m.payload)).collect();
            // What gave way before it was begun has no number in its stream.
            let gives_way = !delivery.reliable || delivery.order == Order::Sequenced;
            let is_numbered = |m: &Message| match number_of(&m.payload) {
                // Short ones pass long ones, and are numbered as they leave.
                _ if delivery.order == Order::Unordered => m.sequence_number < COUNT,
                number if gives_way => m.sequence_number <= number,
                number => m.sequence_number == number,
            };
            assert!(got.into_iter().all(is_numbered), "{what}");
            let once: BTreeSet<_> = numbers.iter().copied().collect();
            assert_eq!(once.len(), numbers.len(), "{what}: twice");
            if delivery.order != Order::Unordered {
                assert!(numbers.is_sorted(), "{what}: out of order");
            }
            if delivery.reliable && delivery.order != Order::Sequenced {
                assert_eq!(once.len() as u64, COUNT, "{what}: incomplete");
            } else if delivery.reliable {
                assert!(once.contains(&(COUNT - 1)), "{what}: the newest must come");
            } else {
                let least = if delivery.order == Order::Sequenced { COUNT / 20 } else { COUNT / 2 };
                assert!(once.len() as u64 > least, "{what}: only {}", once.len());
            }
            for (message, (_, n)) in sent.iter().filter(|(_, (of, _))| *of == delivery) {
                let fate = fates.get(message).copied();
                match (delivery.requires_ack, fate) {
                    (true, Some(Fate::Acked)) => {
                        let superseded = delivery.order == Order::Sequenced;
                        assert!(superseded || once.contains(n), "{what}: {n} is not there");
                    }
                    (true, Some(Fate::Lost)) => {
                        assert!(!delivery.reliable, "{what}");
                        lost += 1;
                    }
                    (true, Some(Fate::Superseded { may_have_arrived })) => {
                        assert!(delivery.order == Order::Sequenced, "{what}");
                        assert!(may_have_arrived || !once.contains(n), "{what}");
                    }
                    // That a reliable one gave way is told without a receipt, too.
                    (false, Some(Fate::Superseded { may_have_arrived })) => {
                        let reliable_sequenced =
                            delivery.reliable && delivery.order == Order::Sequenced;
                        assert!(reliable_sequenced, "{what}");
                        assert!(may_have_arrived || !once.contains(n), "{what}");
                    }
                    (false, None) => {}
                    other => panic!("{what}: {n} has {other:?}"),
                }
            }
        }
        assert!(lost > 0, "or this proves little");
    }
}

/// Sends `count` small messages, a packet each, of which the `n`-th is lost; the numbers that came.
fn with_one_lost(delivery: Delivery, count: u64, n: u64, ms: u64) -> (Net, Vec<u64>) {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    net.run(3000);
    for number in 0..count {
        if number == n {
            net.mute(a);
        }
        net.send(a, ab, delivery, payload(number, 200));
        net.unmute(a);
        net.run(2);
    }
    net.run(ms);
    let numbers = net.payloads(b).iter().map(number_of).collect();
    (net, numbers)
}

#[test]
fn a_lost_unreliable_message_holds_back_those_behind_it_only_until_the_loss_is_told() {
    let delivery = Delivery::unreliable(0).with_order(Order::Ordered);
    for receipt in [false, true] {
        let mut delivery = delivery;
        delivery.requires_ack = receipt;
        for n in [0, 3, 18, 19] {
            let (_, numbers) = with_one_lost(delivery, 20, n, 150);
            let expected: Vec<_> = (0..20).filter(|number| *number != n).collect();
            assert_eq!(numbers, expected, "{n} was lost");
        }
    }
}

#[test]
fn a_lost_message_of_another_stream_holds_back_nothing() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    net.run(1000);
    net.mute(a);
    net.send(a, ab, Delivery::ordered(1), payload(100, 200));
    net.unmute(a);
    net.send(a, ab, Delivery::ordered(2), payload(2, 200));
    net.send(a, ab, Delivery::reliable(1), payload(3, 200));
    net.send(a, ab, Delivery::unreliable(1), payload(4, 200));
    net.run(11);
    let numbers: Vec<_> = net.payloads(b).iter().map(number_of).collect();
    assert_eq!(numbers, [2, 3, 4]);
    net.run(500);
    assert_eq!(number_of(&net.payloads(b)[3]), 100);
}

#[test]
fn a_lost_reliable_message_holds_back_exactly_what_its_order_asks_for() {
    for (order, early) in [(Order::Ordered, 3), (Order::Unordered, 9), (Order::Sequenced, 9)] {
        let delivery = Delivery::reliable(0).with_order(order);
        let (mut net, numbers) = with_one_lost(delivery, 10, 3, 10);
        assert_eq!(numbers.len(), early, "{order:?}: {numbers:?}");
        net.run(1000);
        let all: Vec<_> = net.payloads(handfast_sim::NodeId(1)).iter().map(number_of).collect();
        let expected = match order {
            Order::Ordered => (0..10).collect::<Vec<_>>(),
            Order::Unordered => vec![0, 1, 2, 4, 5, 6, 7, 8, 9, 3],
            _ => vec![0, 1, 2, 4, 5, 6, 7, 8, 9],
        };
        assert_eq!(all, expected, "{order:?}");
    }
}

#[test]
fn an_unreliable_message_that_lost_one_of_its_parts_is_lost_as_a_whole() {
    for order in [Order::Unordered, Order::Sequenced, Order::Ordered] {
        let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
        net.run(1000);
        let delivery = Delivery::unreliable(0).with_order(order).with_receipt();
        // The one before only shows what the path carries.
        net.lose_nth(a, 2);
        let lost = net.send(a, ab, delivery, payload(1, 5000));
        net.run(1000);
        net.unmute(a);
        let fine = net.send(a, ab, delivery, payload(2, 5000));
        net.run(1000);
        assert_eq!(net.fates(a), [(lost, Fate::Lost), (fine, Fate::Acked)], "{order:?}");
        assert_eq!(net.payloads(b).iter().map(number_of).collect::<Vec<_>>(), [2], "{order:?}");
    }
}

#[test]
fn a_message_can_be_withdrawn_until_some_of_it_was_sent() {
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    let peer = net.call(a, b);
    let messages: Vec<_> =
        (0..10).map(|n| net.send(a, peer, every_delivery()[n as usize], payload(n, 100))).collect();
    let withdrawn = [messages[1], messages[3], messages[8], messages[9]];
    for message in withdrawn {
        let done = net.with(a, |endpoint, now| endpoint.cancel(now, peer, message));
        assert_eq!(done, Ok(()));
        let again = net.with(a, |endpoint, now| endpoint.cancel(now, peer, message));
        assert_eq!(again, Err(CommandError::TooLate));
    }
    net.run(1000);
    let numbers: BTreeSet<_> = net.payloads(b).iter().map(number_of).collect();
    assert_eq!(numbers, BTreeSet::from([0, 2, 4, 5, 6, 7]));
    let cancelled: Vec<_> =
        net.fates(a).into_iter().filter(|(_, f)| matches!(f, Fate::Cancelled { .. })).collect();
    let with_fate: BTreeSet<_> = cancelled.into_iter().map(|(message, _)| message).collect();
    // Reported for every message with a receipt and for every reliable one.
    assert_eq!(with_fate, BTreeSet::from([messages[1], messages[3], messages[9]]));
    let sent = net.send(a, peer, Delivery::unreliable(0), "on its way");
    for late in [sent, messages[0]] {
        let refused = net.with(a, |endpoint, now| endpoint.cancel(now, peer, late));
        assert_eq!(refused, Err(CommandError::TooLate));
    }
    net.run(100);
    assert_eq!(net.payloads(b).len(), 7);
}

#[test]
fn a_withdrawn_message_leaves_no_gap_in_its_stream() {
    for order in [Order::Ordered, Order::Unordered] {
        for reliable in [false, true] {
            let mut net = Net::new(1);
            let (a, b) = (net.add(Config::default()), net.add(Config::default()));
            let peer = net.call(a, b);
            let delivery = Delivery::new(3, reliable, order);
            let messages: Vec<_> =
                (0..6).map(|n| net.send(a, peer, delivery, payload(n, 2000))).collect();
            for n in [0, 2, 5] {
                net.with(a, |endpoint, now| endpoint.cancel(now, peer, messages[n]))
                    .expect("unsent");
            }
            net.run(500);
            let mut numbers: Vec<_> = net.payloads(b).iter().map(number_of).collect();
            if order == Order::Unordered {
                numbers.sort_unstable(); // Long ones advance side by side.
            }
            assert_eq!(numbers, [1, 3, 4]);
            let mut places: Vec<_> =
                net.got(b).iter().map(|got| got.message.sequence_number).collect();
            if order == Order::Unordered {
                places.sort_unstable();
            }
            assert_eq!(places, [0, 1, 2]);
        }
    }
}

#[test]
fn what_cannot_be_sent_is_refused_by_name() {
    let mut narrow = Config::default();
    narrow.flow.max_message = 1000;
    narrow.flow.max_streams = 3;
    let (mut net, Link { a, b, ab, ba }) = Net::pair(1, Config::default(), narrow);
    // The smaller limit of both ends counts, in both directions.
    for (node, peer) in [(a, ab), (b, ba)] {
        let refused = net.try_send(node, peer, Delivery::ordered(0), payload(0, 1001));
        assert_eq!(refused, Err(SendError::TooLarge(1000)));
        net.send(node, peer, Delivery::ordered(0), payload(0, 1000));
    }
    net.send(a, ab, Delivery::reliable(0), "");
    net.send(a, ab, Delivery::ordered(1), "");
    net.send(a, ab, Delivery::ordered(1).with_receipt(), "the same stream");
    let refused = net.try_send(a, ab, Delivery::unreliable(1), "");
    assert_eq!(refused, Err(SendError::TooManyStreams));
    for channel in 0..100 {
        net.send(b, ba, Delivery::ordered(channel), "many towards A");
    }
    net.run(1000);
    assert_eq!((net.payloads(b).len(), net.payloads(a).len()), (4, 101));
    net.with(a, |endpoint, now| endpoint.disconnect(now, ab, DisconnectOptions::default()))
        .expect("alive");
    assert_eq!(net.try_send(a, ab, Delivery::ordered(0), ""), Err(SendError::Closing));
    net.run(5000);
    for (node, peer) in [(a, ab), (b, ba)] {
        assert_eq!(net.try_send(node, peer, Delivery::ordered(0), ""), Err(SendError::UnknownPeer));
        assert_eq!(net.read(node, peer), []);
    }
}

#[test]
fn messages_accepted_before_the_peers_limits_are_known_do_not_break_the_session() {
    let mut narrow = Config::default();
    narrow.flow.max_message = 1000;
    narrow.flow.max_streams = 2;
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(narrow));
    let peer: PeerHandle = net.call(a, b);
    let delivery = Delivery::ordered(0).with_receipt();
    let large = net.send(a, peer, delivery, payload(0, 50_000));
    let fine: Vec<_> = (0..4)
        .map(|channel| {
            let delivery = Delivery::ordered(channel).with_receipt();
            net.send(a, peer, delivery, payload(1, 100))
        })
        .collect();
    net.run(5000);
    assert_eq!((net.ends(a), net.ends(b)), (vec![], vec![]));
    let fates: BTreeMap<_, _> = net.fates(a).into_iter().collect();
    let (acked, refused) = (Fate::Acked, Fate::Refused);
    let expected = [large, fine[0], fine[1], fine[2], fine[3]].into_iter();
    assert_eq!(fates, expected.zip([refused, acked, acked, refused, refused]).collect());
    assert_eq!(net.payloads(b), [payload(1, 100), payload(1, 100)]);
    let refused = net.try_send(a, peer, Delivery::ordered(3), "");
    assert_eq!(refused, Err(SendError::TooManyStreams), "though it was opened once");
}

#[test]
fn handles_of_one_life_mean_nothing_in_the_next() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    let message = net.send(a, ab, Delivery::ordered(0), "once");
    net.run(500);
    net.with(a, |endpoint, now| endpoint.disconnect(now, ab, DisconnectOptions::default()))
        .expect("alive");
    net.run(5000);
    let again = net.link(a, b);
    assert!(again.ab != ab && again.ba != ba);
    assert_eq!(net.try_send(a, ab, Delivery::ordered(0), ""), Err(SendError::UnknownPeer));
    let refused = net.with(a, |endpoint, now| endpoint.cancel(now, ab, message));
    assert_eq!(refused, Err(CommandError::UnknownPeer));
    assert!(net.endpoint(a).peer(ab).is_none() && net.endpoint(b).peer(ba).is_none());
    assert_eq!(net.count(a, |event| matches!(event, Event::Ended { .. })), 1);
}

/// How long 100-byte messages travel that are sent every 20 ms behind one of 2 MiB, and when that arrives; over
/// 50 Mbit/s and 50 ms.
fn ages_beside_a_large_one(large: Delivery, small: Delivery) -> (Vec<Duration>, Duration) {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    net.conditions(Conditions {
        latency: Duration::from_millis(50),
        rate: Some(50_000_000 / 8),
        queue: 625_000,
        ..Conditions::default()
    });
    let begin = net.world.now();
    net.send(a, ab, large, payload(1 << 32, 2 << 20));
    let mut sent = Vec::new();
    for n in 0..40 {
        net.run(20);
        sent.push(net.world.now());
        net.send(a, ab, small, payload(n, 100));
    }
    net.run(3000);
    let arrivals: BTreeMap<_, _> =
        net.got(b).iter().map(|got| (number_of(&got.message.payload), got.at)).collect();
    let mut ages: Vec<_> = (0..).zip(sent).map(|(n, at)| arrivals[&n] - at).collect();
    ages.sort_unstable();
    (ages, arrivals[&(1 << 32)] - begin)
}

#[test]
fn small_messages_pass_a_large_one_on_their_own_unordered_channel() {
    let reliable = |channel| Delivery::reliable(channel).with_receipt();
    let (apart, large_apart) = ages_beside_a_large_one(reliable(1), reliable(2));
    for delivery in [reliable(1), Delivery::unreliable(1)] {
        let (ages, large) = ages_beside_a_large_one(delivery, delivery);
        let (p50, p99) = (ages[20], ages[38]);
        assert!(p50 <= apart[20] * 3 / 2, "{p50:?}, apart {:?}", apart[20]);
        assert!(p99 <= MS * 200, "{p99:?}");
        assert!(large <= large_apart + Duration::from_millis(200), "{large:?}, {large_apart:?}");
    }
}

/// Every third message is withdrawn at some time, every other third has a deadline that many miss.
#[test]
fn messages_given_up_cost_no_credit_and_every_other_arrives_once() {
    const COUNT: u64 = 240;
    let mut gave_up = 0;
    for seed in 0..4 {
        let mut config = Config::default();
        (config.flow.receive_window, config.flow.stream_window) = (40_000, 64);
        config.flow.max_message = 20_000;
        let (mut net, Link { a, b, ab, .. }) = Net::pair(seed, config.clone(), config);
        let lossy = Conditions {
            loss: Probability::percent(25),
            free_jitter: MS * 30,
            rate: Some(60_000),
            ..Conditions::default()
        };
        net.conditions(lossy);
        let orders = [Order::Unordered, Order::Ordered, Order::Sequenced];
        let mut sent = BTreeMap::new();
        let mut ids = Vec::new();
        for n in 0..COUNT {
            let mut delivery = Delivery::new((n % 2) as u16, true, orders[(n % 5 % 3) as usize]);
            if n % 3 == 1 {
                delivery = delivery.with_deadline(MS * (n as u32 % 7 * 60));
            }
            let size = [8, 100, 1200, 4000, 9000][(n % 5) as usize];
            let id = net.send(a, ab, delivery.with_receipt(), payload(n, size));
            sent.insert(id, (n, delivery));
            ids.push(id);
            net.run(10);
            let at = ids.len().saturating_sub(1 + (n as usize * 7 % 30));
            if at % 3 == 2 {
                let id = ids[at];
                _ = net.with(a, |endpoint, now| endpoint.cancel(now, ab, id));
            }
        }
        net.conditions(Conditions::default());
        net.run(20_000);
        let mut times: BTreeMap<u64, u32> = BTreeMap::new();
        for got in net.got(b) {
            *times.entry(number_of(&got.message.payload)).or_default() += 1;
        }
        let fates: BTreeMap<_, _> = net.fates(a).into_iter().collect();
        for (id, (n, delivery)) in &sent {
            let times = times.get(n).copied().unwrap_or(0);
            let what = format!("seed {seed}: {n} {delivery:?} came {times} times: {:?}", fates[id]);
            match fates[id] {
                Fate::Acked if delivery.order == Order::Sequenced => assert!(times <= 1, "{what}"),
                Fate::Acked => assert_eq!(times, 1, "{what}"),
                Fate::Cancelled { may_have_arrived } | Fate::Expired { may_have_arrived } => {
                    gave_up += 1;
                    assert!(times <= u32::from(may_have_arrived), "{what}");
                }
                Fate::Superseded { may_have_arrived } => {
                    assert!(times <= u32::from(may_have_arrived), "{what}");
                }
                _ => panic!("{what}"),
            }
        }
        for (order, channel) in orders.into_iter().flat_map(|o| [(o, 0), (o, 1)]) {
            let of = |m: &Message| (m.delivery.order, m.delivery.channel) == (order, channel);
            let numbers = net.got(b).into_iter().filter(|got| of(&got.message));
            let numbers: Vec<_> = numbers.map(|got| number_of(&got.message.payload)).collect();
            assert!(order == Order::Unordered || numbers.is_sorted(), "{order:?}: {numbers:?}");
        }
        // Nothing of the windows leaked: ten times as much as they hold goes through at once.
        let more: Vec<_> = (0..40)
            .map(|n| net.send(a, ab, Delivery::ordered(0), payload(1000 + n, 9000)))
            .collect();
        net.run(20_000);
        let came = net.payloads(b).iter().filter(|payload| number_of(payload) >= 1000).count();
        assert_eq!(came, more.len(), "seed {seed}");
    }
    assert!(gave_up > 50, "{gave_up} given up");
}

#[test]
fn a_message_can_be_withdrawn_after_its_first_byte_and_those_behind_it_go_on() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    net.conditions(Conditions { rate: Some(100_000), ..Conditions::default() });
    let large = net.send(a, ab, Delivery::ordered(0), payload(0, 200_000));
    let late = Delivery::ordered(0).with_deadline(MS * 300);
    let expires = net.send(a, ab, late, payload(1, 200_000));
    let behind = net.send(a, ab, Delivery::ordered(0).with_receipt(), payload(2, 100));
    net.run(500);
    assert_eq!(net.fates(a), [(expires, Fate::Expired { may_have_arrived: false })]);
    net.with(a, |endpoint, now| endpoint.cancel(now, ab, large)).expect("not all of it was sent");
    let again = net.with(a, |endpoint, now| endpoint.cancel(now, ab, large));
    assert_eq!(again, Err(CommandError::TooLate));
    net.run(1000);
    let cancelled = (large, Fate::Cancelled { may_have_arrived: false });
    assert_eq!(net.fates(a)[1..], [cancelled, (behind, Fate::Acked)]);
    assert_eq!(net.payloads(b).iter().map(number_of).collect::<Vec<_>>(), [2]);
    let missing = |event: &Event| matches!(event, Event::Missing { count: 1, .. });
    assert_eq!(net.count(b, missing), 1, "the receiver is told that one is missing");
}
