//! Sequenced messages of which some was sent, and newer ones that make them useless.

use handfast_core::{Delivery, Fate, Order};
use handfast_sim::{Conditions, Probability};

use crate::common::*;

fn reliable() -> Delivery {
    Delivery::reliable(0).with_order(Order::Sequenced).with_receipt()
}

/// 100 KB a second, 20 ms each way.
fn slow(queue: usize) -> Conditions {
    let (latency, rate) = (MS * 20, Some(100_000));
    Conditions { latency, rate, queue, ..Conditions::default() }
}

#[test]
fn what_is_begun_gives_way_to_what_is_sooner_there() {
    for delivery in [reliable(), Delivery::sequenced(0).with_receipt()] {
        let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
        net.conditions(slow(60_000));
        let first = net.send(a, ab, delivery, payload(1, 150_000));
        net.run(200);
        let second = net.send(a, ab, delivery, payload(2, 20_000));
        net.run(800);
        let numbers: Vec<_> = net.payloads(b).iter().map(number_of).collect();
        assert_eq!(numbers, [2], "{delivery:?}: 20 KB of 100 KB a second");
        let superseded = Fate::Superseded { may_have_arrived: false };
        let mut fates = net.fates(a);
        fates.sort_unstable_by_key(|(id, _)| *id != first);
        assert_eq!(fates, [(first, superseded), (second, Fate::Acked)], "{delivery:?}");
        let stats = net.endpoint(a).peer(ab).expect("connected").stats;
        assert_eq!(stats.messages_superseded, 1);
        // Neither end is left with less room than before.
        for n in 3..40 {
            net.send(a, ab, Delivery::ordered(0), payload(n, 50_000));
        }
        net.run(30_000);
        assert_eq!(net.payloads(b).len(), 38, "{delivery:?}");
    }
}

#[test]
fn however_fast_newer_ones_come_something_arrives_as_often_as_the_longest_takes() {
    for (seed, delivery) in [(1, reliable()), (2, Delivery::sequenced(0)), (3, reliable())] {
        let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(seed);
        let loss = if seed == 3 { Probability::percent(2) } else { Probability::NEVER };
        net.conditions(Conditions { loss, ..slow(20_000) });
        let begin = net.world.now();
        for n in 0..2_000_u64 {
            // 2 to 30 KB: none of them leaves before the next comes.
            net.send(a, ab, delivery, payload(n, 2_000 + (n * 7_919 % 28_000) as usize));
            net.run(7);
        }
        net.run(3_000);
        let got = net.got(b);
        let numbers: Vec<_> = got.iter().map(|got| number_of(&got.message.payload)).collect();
        assert!(numbers.is_sorted() && numbers.last() == Some(&1_999), "{delivery:?}");
        let times = got.iter().map(|got| got.at - begin);
        let pauses = times.clone().zip(times.skip(1)).map(|(one, next)| next - one);
        let longest = pauses.max().expect("several");
        // 30 KB take 300 ms, and wait for 200 in the queue.
        let most = if seed == 3 { MS * 2_500 } else { SECOND };
        assert!(longest <= most, "seed {seed}, {delivery:?}: nothing for {longest:?}");
    }
}

#[test]
fn what_was_lost_is_not_sent_again_when_a_newer_one_arrived() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    net.run(1_000);
    net.mute(a);
    let lost = net.send(a, ab, reliable(), payload(1, 200));
    net.unmute(a);
    let newer = net.send(a, ab, reliable(), payload(2, 200));
    net.run(2_000);
    let numbers: Vec<_> = net.payloads(b).iter().map(number_of).collect();
    assert_eq!(numbers, [2]);
    let superseded = Fate::Superseded { may_have_arrived: true };
    assert_eq!(net.fates(a), [(newer, Fate::Acked), (lost, superseded)]);
    let stats = net.endpoint(a).peer(ab).expect("connected").stats;
    assert_eq!((stats.packets_lost, stats.parts_retransmitted), (1, 0), "{stats:?}");
}
