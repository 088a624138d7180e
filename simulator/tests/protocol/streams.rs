//! Streams that end give their places back, and go on where they ended if they are used again.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::*;
use handfast_core::{CommandError, Config, Delivery, Event, Order, PeerHandle, SendError};
use handfast_sim::{Conditions, NodeId, Probability};

/// Two ends, each with places for so many streams towards it.
fn pair(seed: u64, max_streams: u16) -> (Net, Link) {
    let mut config = Config::default();
    config.flow.max_streams = max_streams;
    Net::pair(seed, config.clone(), config)
}

fn lossy() -> Conditions {
    Conditions {
        loss: Probability::percent(25),
        free_jitter: MS * 30,
        duplication: Probability::percent(10),
        ..Conditions::default()
    }
}

fn end(net: &mut Net, node: NodeId, peer: PeerHandle, delivery: Delivery) {
    net.with(node, |endpoint, now| endpoint.end_stream(now, peer, delivery)).expect("alive");
}

/// How often `node` was told that a stream ended.
fn ended(net: &mut Net, node: NodeId) -> usize {
    net.count(node, |event| matches!(event, Event::StreamEnded { .. }))
}

#[test]
fn many_streams_take_turns_at_few_places_and_no_message_is_lost_mixed_or_doubled() {
    const COUNT: u64 = 600;
    for seed in 0..4 {
        let (mut net, Link { a, b, ab, .. }) = pair(seed, 4);
        net.conditions(lossy());
        let orders = [Order::Unordered, Order::Ordered, Order::Sequenced];
        let (mut asked, mut refused) = (0, 0);
        for n in 0..COUNT {
            let which = payload(n * 31 + seed, 8)[0] ^ (n * 7) as u8;
            let order = orders[usize::from(which) % 3];
            let delivery = Delivery::new(u16::from(which / 3 % 4), !which.is_multiple_of(5), order);
            let message = payload(n, [8, 100, 3000][n as usize % 3]);
            while net.try_send(a, ab, delivery, message.clone()) == Err(SendError::TooManyStreams) {
                // All others end: those with messages under way a little later.
                refused += 1;
                for channel in 0..4 {
                    for (order, reliable) in
                        orders.into_iter().flat_map(|o| [(o, true), (o, false)])
                    {
                        end(&mut net, a, ab, Delivery::new(channel, reliable, order));
                        asked += 1;
                    }
                }
                net.run(50);
            }
            if n % 4 == 0 {
                net.run(3);
            }
        }
        net.conditions(Conditions::default());
        net.run(20_000);
        assert_eq!((net.ends(a), net.ends(b)), (vec![], vec![]), "seed {seed}");
        assert!(refused > 20, "seed {seed}: {refused}");
        let told = ended(&mut net, a);
        assert!((50..=asked).contains(&told), "seed {seed}: {told} of {asked}");

        let mut numbers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut came = BTreeSet::new();
        for got in net.got(b) {
            let message = &got.message;
            let Delivery { channel, reliable, order, .. } = message.delivery;
            numbers.entry((channel, reliable, order)).or_default().push(message.sequence_number);
            assert!(came.insert(number_of(&message.payload)), "seed {seed}: twice");
        }
        for ((_, reliable, order), mut numbers) in numbers {
            if order == Order::Unordered {
                numbers.sort_unstable();
            }
            assert!(numbers.is_sorted_by(|a, b| a < b), "seed {seed}: {numbers:?}");
            let is_whole = numbers.iter().copied().eq(0..numbers.len() as u64);
            let may_lack = !reliable || order == Order::Sequenced;
            assert!(may_lack || is_whole, "seed {seed}, {order:?}: {numbers:?}");
        }
    }
}

#[test]
fn a_place_is_free_when_the_peer_knows_of_the_end() {
    let (mut net, Link { a, b, ab, .. }) = pair(1, 2);
    net.send(a, ab, Delivery::ordered(0), "first");
    net.send(a, ab, Delivery::ordered(1), "second");
    let third = |net: &mut Net| net.try_send(a, ab, Delivery::ordered(2), "third");
    assert_eq!(third(&mut net), Err(SendError::TooManyStreams));
    end(&mut net, a, ab, Delivery::ordered(0).with_receipt());
    assert_eq!(third(&mut net), Err(SendError::TooManyStreams), "it is under way still");
    net.run(1000);
    let told = |event: &Event| match event {
        Event::StreamEnded { delivery, .. } => *delivery == Delivery::ordered(0),
        _ => false,
    };
    assert_eq!(net.count(a, told), 1);
    third(&mut net).expect("there is a place");
    // One that was never used ends at once.
    end(&mut net, a, ab, Delivery::unreliable(7));
    net.run(0);
    assert_eq!(ended(&mut net, a), 2);
    net.run(1000);
    assert_eq!(net.payloads(b), ["first", "second", "third"]);
}

#[test]
fn what_is_sent_while_the_peer_learns_of_the_end_waits_and_goes_on_with_the_next_number() {
    let (mut net, Link { a, b, ab, .. }) = pair(1, 2);
    let delivery = Delivery::ordered(0);
    for text in ["first", "second"] {
        net.send(a, ab, delivery, text);
    }
    net.run(1000);
    net.mute(b);
    end(&mut net, a, ab, delivery);
    net.run(1000);
    net.send(a, ab, delivery, "third");
    net.run(1000);
    assert_eq!((net.payloads(b).len(), ended(&mut net, a)), (2, 0), "the end is not acknowledged");
    net.unmute(b);
    net.run(2000);
    let numbers: Vec<_> = net.got(b).iter().map(|got| got.message.sequence_number).collect();
    assert_eq!((numbers, ended(&mut net, a)), (vec![0, 1, 2], 1));
}

#[test]
fn no_more_streams_end_than_both_ends_remember() {
    let (mut net, Link { a, b, ab, .. }) = pair(1, 2);
    for channel in 0..1024 {
        net.send(a, ab, Delivery::ordered(channel), "short");
        end(&mut net, a, ab, Delivery::ordered(channel));
        net.run(40);
    }
    net.run(1000);
    assert_eq!((ended(&mut net, a), net.payloads(b).len()), (1024, 1024));
    net.send(a, ab, Delivery::ordered(2000), "one more");
    let one_more = Delivery::ordered(2000);
    let refused = net.with(a, |endpoint, now| endpoint.end_stream(now, ab, one_more));
    assert_eq!(refused, Err(CommandError::TooMany));
    // Those that ended before can be used, and end, again.
    net.send(a, ab, Delivery::ordered(3), "again");
    end(&mut net, a, ab, Delivery::ordered(3));
    net.run(1000);
    assert_eq!((ended(&mut net, a), net.payloads(b).len()), (1025, 1026));
    assert_eq!((net.ends(a), net.ends(b)), (vec![], vec![]));
}

#[test]
fn a_peer_that_restarts_ends_what_was_to_end() {
    let config = Config::default();
    let mut net = Net::new(1);
    let (a, b) = (net.add(config.clone()), net.add_seeded(config, Some([9; 32])));
    let Link { ab, .. } = net.link(a, b);
    net.send(a, ab, Delivery::ordered(0), "before");
    net.run(1000);
    net.mute(b);
    end(&mut net, a, ab, Delivery::ordered(0));
    net.run(100);
    net.unmute(b);
    net.world.restart(b);
    net.send(a, ab, Delivery::ordered(1), "a packet for which it shakes hands");
    net.run(5000);
    assert_eq!(net.count(a, |event| matches!(event, Event::Restarted { .. })), 1);
    assert_eq!(ended(&mut net, a), 1);
    net.send(a, ab, Delivery::ordered(0), "after");
    net.run(1000);
    let after = net.got(b).into_iter().find(|got| got.message.payload == "after").expect("arrives");
    assert_eq!(after.message.sequence_number, 0, "it knows nothing of what was before");
}
