//! What a sender learns from acknowledgements: which packets arrived, however late, how large a window its
//! path bears, and how soon it hears of a message for which it wants a receipt.

mod congestion;
mod load;
mod marks;
mod sizes;

use std::time::Duration;

use handfast_core::{Config, Delivery, Event, MessageId};
use handfast_sim::{Conditions, Probability};
use load::{Load, Plan, fixed};

use crate::common::*;

/// There is always more to send, for so long.
fn bulk(span: Duration) -> Plan {
    Plan { bulk: Duration::ZERO..span, bulk_messages: u64::MAX, ..Plan::default() }
}

/// A message of so many bytes each so often, for so long.
fn paced(pause: Duration, len: usize, span: Duration) -> Plan {
    Plan { paced: Some((pause, len)), paced_until: span, ..Plan::default() }
}

/// Links that take 50 ms and lose nothing.
fn long() -> Conditions {
    Conditions { latency: MS * 50, ..Conditions::default() }
}

/// Runs a bulk transfer of a fixed rate over links that lose nothing; how many packets the sender
/// declared lost. Each of them was acknowledged in the end.
fn declared_lost(seed: u64, rate: u32, span: Duration, conditions: Conditions) -> u64 {
    let mut load = Load::new(seed, bulk(span), &fixed(rate), conditions);
    load.run_until(span + SECOND * 5);
    load.expect_all();
    let stats = load.sender();
    assert!(stats.datagrams_sent > 200 && load.world.faults().dropped() == 0);
    let (lost, late) = (stats.packets_lost, stats.packets_spuriously_lost);
    assert_eq!(lost, late, "seed {seed}, {conditions:?}: declared lost, and seen to arrive late");
    lost
}

#[test]
fn whatever_overtakes_whatever_each_packet_that_arrives_is_acknowledged() {
    for (seed, jitter) in [5, 20, 60, 100].into_iter().enumerate() {
        let conditions = Conditions { free_jitter: MS * jitter, ..long() };
        for rate in [150_000, 4_000_000] {
            declared_lost(seed as u64, rate, SECOND * 3 / 2, conditions);
        }
    }
}

#[test]
fn late_packets_are_recognised_however_many_are_under_way() {
    let conditions =
        Conditions { reordering: Probability::percent(25), reordering_delay: MS * 5, ..long() };
    let lost = declared_lost(1, 20_000_000, SECOND / 2, conditions);
    assert!(lost < 500, "{lost} declared lost before the path was known to reorder");
}

#[test]
fn acknowledgements_of_one_way_traffic_stay_small() {
    for percent in [0, 1] {
        let (pause, span) = (MS * 20, SECOND * 200);
        let conditions = Conditions { loss: Probability::percent(percent), ..long() };
        let mut load = Load::new(1, paced(pause, 100, span), &Config::default(), conditions);
        load.run_until(span + SECOND * 5);
        load.expect_all();
        let (there, back) = (load.sender(), load.receiver());
        let mean = back.bytes_sent / back.datagrams_sent;
        assert!(mean <= 50, "{percent} % loss: acknowledgements of {mean} bytes");
        let datagrams = there.datagrams_sent + back.datagrams_sent;
        let wire = there.bytes_sent + back.bytes_sent + 28 * datagrams;
        let times = wire as f64 / load.payload() as f64;
        assert!(times <= 2.1, "{percent} % loss: {times} bytes on the wire for each of a message");
    }
}

#[test]
fn a_window_that_is_not_used_does_not_grow() {
    let (latency, rate, queue) = (MS * 50, Some(625_000), 62_500);
    let conditions = Conditions { latency, rate, queue, ..Conditions::default() };
    let mut plan = paced(MS * 100, 8_000, SECOND * 150);
    plan.bulk = SECOND * 120..SECOND * 150;
    plan.bulk_messages = 500;
    let mut load = Load::new(1, plan, &Config::default(), conditions);
    load.run_until(SECOND * 120);
    // 17 kB are in flight at most, twice that may be.
    assert!(load.window() <= 45_000, "a window of {} bytes", load.window());
    load.run_until(SECOND * 240);
    load.expect_all();
    let drops = load.world.faults().queue_drops;
    assert!(drops < 200, "{drops} packets dropped by the queue");
    assert!(load.p99() < MS * 200, "messages were {:?} old", load.p99());
    assert!(load.payload() > 15_000_000, "{} bytes arrived", load.payload());
}

#[test]
fn a_window_that_is_used_grows_as_fast_as_ever() {
    let (latency, rate, queue) = (MS * 50, Some(6_250_000), 625_000);
    let conditions = Conditions { latency, rate, queue, ..Conditions::default() };
    let mut load = Load::new(1, bulk(SECOND * 4), &Config::default(), conditions);
    load.run_until(SECOND * 12);
    load.expect_all();
    let drops = load.world.faults().queue_drops;
    assert!(drops < 700, "{drops} packets dropped when slow start ended");
    assert!(load.payload() > 20_000_000, "{} bytes arrived", load.payload());
}

/// Sends a message and runs until its fate is told; how long that took.
fn receipt(net: &mut Net, link: Link, delivery: Delivery, size: usize) -> Duration {
    let start = net.world.now();
    let message = net.send(link.a, link.ab, delivery.with_receipt(), payload(7, size));
    net.run(500);
    told_at(net, link, message) - start
}

fn told_at(net: &mut Net, link: Link, sought: MessageId) -> Duration {
    let is_it = |event: &Event| matches!(event, Event::Fate { message, .. } if *message == sought);
    let mut events = net.timed_events(link.a).iter();
    events.find(|(_, event)| is_it(event)).expect("its fate is told").0
}

#[test]
fn a_receipt_costs_one_round_trip_and_at_most_a_millisecond() {
    for size in [0, 500, 3000] {
        let (mut net, link) = Net::usual_pair(1);
        for delivery in [
            Delivery::ordered(0),
            Delivery::reliable(0),
            Delivery::sequenced(0),
            Delivery::unreliable(0),
        ] {
            for turn in 0..10 {
                let took = receipt(&mut net, link, delivery, size);
                let most = MS * 21;
                assert!(took <= most, "message {turn} of {size} bytes, {delivery:?}: {took:?}");
            }
        }
        // What nobody waits for asks for an acknowledgement at once if it comes alone; what follows soon
        // after is acknowledged in its time.
        let before = net.sent(link.b).len();
        net.send(link.a, link.ab, Delivery::ordered(0), payload(7, size.min(500)));
        net.run(5);
        net.send(link.a, link.ab, Delivery::ordered(0), payload(7, size.min(500)));
        net.run(29);
        assert_eq!(net.sent(link.b).len(), before + 1, "{size}");
        net.run(10);
        assert_eq!(net.sent(link.b).len(), before + 2, "{size}");
    }
}

#[test]
fn a_message_whose_beginning_comes_last_is_acknowledged_when_it_is_whole() {
    let (mut net, link) = Net::usual_pair(1);
    receipt(&mut net, link, Delivery::ordered(0), 500);
    net.lose_nth(link.a, 0);
    let took = receipt(&mut net, link, Delivery::ordered(0), 2000);
    // Its end tells of the loss of its beginning after 9/8 of a round trip.
    assert!(took <= MS * 45, "{took:?}");
}

#[test]
fn a_receipt_that_does_not_come_is_missed_without_the_delay_of_others() {
    let (mut net, link) = Net::usual_pair(1);
    (0..20).for_each(|_| _ = receipt(&mut net, link, Delivery::ordered(0), 500));
    net.lose_nth(link.a, 0);
    let took = receipt(&mut net, link, Delivery::ordered(0), 500);
    // A probe after a round trip, what it varies by, and a millisecond; then the round trip of the probe.
    assert!((MS * 40..MS * 46).contains(&took), "{took:?}");
}

#[test]
fn many_receipts_do_not_cost_an_acknowledgement_each() {
    let (mut net, link) = Net::usual_pair(1);
    let before = net.sent(link.b).len();
    for n in 0..600 {
        net.send(link.a, link.ab, Delivery::ordered(0).with_receipt(), payload(n, 50));
        let soon = net.world.now() + Duration::from_micros(100);
        net.run_until(soon);
    }
    net.run(100);
    let acks = net.sent(link.b).len() - before;
    assert!((60..=330).contains(&acks), "{acks} for 600 messages in 60 ms");
    assert_eq!(net.fates(link.a).len(), 600);
}
