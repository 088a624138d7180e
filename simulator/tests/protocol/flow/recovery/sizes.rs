//! How large datagrams are: as large as the path carries, found without harm, and left when that changes.

use handfast_core::{
    Config, CongestionControl, Delivery, Event, ForwardingPolicy, PeerState, Target,
};
use handfast_sim::{Conditions, Probability};

use super::load::{Load, Plan};
use super::{bulk, paced};
use crate::common::*;

/// 2 Mbit/s, 20 ms each way, datagrams of so many bytes.
fn road(mtu: usize) -> Conditions {
    let (latency, rate, queue) = (MS * 20, Some(RATE), 20_000);
    Conditions { latency, rate, queue, mtu, ..Conditions::default() }
}

fn narrow(load: &mut Load, mtu: usize) {
    let now = load.world.network().conditions(load.a, load.b);
    load.world.network().set_all(Conditions { mtu, ..now });
}

/// Datagrams of up to so many bytes, if both ends and the path take them.
fn up_to(max_datagram: u16) -> Config {
    let mut config = Config::default();
    config.max_datagram = max_datagram;
    config
}

/// Whether the sender ever thought that the receiver is gone, or lost it.
fn was_in_doubt(load: &mut Load) -> bool {
    let doubt = |event: &Event| {
        let silent =
            matches!(event, Event::StateChanged { state, .. } if *state != PeerState::Connected);
        silent || matches!(event, Event::Ended { .. } | Event::PathTooNarrow { .. })
    };
    load.world.take_events(load.a).iter().any(|(_, event)| doubt(event))
}

#[test]
fn whatever_a_path_carries_is_found_to_within_8_bytes() {
    for mtu in [1200, 1252, 1300, 1372, 1400, 1451, 1452, 1500] {
        let mut load = Load::new(1, bulk(SECOND * 6), &Config::default(), road(mtu));
        load.run_until(SECOND * 6);
        let (size, most) = (usize::from(load.size()), mtu.min(1_452));
        assert!(size <= most && most - size < 8, "{size} bytes where {mtu} pass");
        assert!(!was_in_doubt(&mut load));
    }
}

#[test]
fn the_most_that_both_ends_take_is_used_and_no_more() {
    for (config, size) in [(up_to(2_048), 2_048), (up_to(1_300), 1_300), (up_to(1_200), 1_200)] {
        let mut load = Load::new(1, bulk(SECOND), &config, road(usize::MAX));
        load.run_until(SECOND);
        assert_eq!(load.size(), size);
    }
    let (mut net, link) = Net::pair(1, up_to(2_048), up_to(1_350));
    net.send(link.a, link.ab, Delivery::ordered(0), payload(1, 60_000));
    net.send(link.b, link.ba, Delivery::ordered(0), payload(1, 60_000));
    net.run(1_000);
    for (node, peer) in [(link.a, link.ab), (link.b, link.ba)] {
        let info = net.endpoint(node).peer(peer).expect("connected");
        assert_eq!(info.path_stats.max_datagram, 1_350, "what the smaller of both takes");
        assert!(net.sent(node).iter().all(|sent| sent.bytes.len() <= 1_350));
    }
}

#[test]
fn a_size_that_stops_passing_is_left_within_two_seconds_and_comes_back() {
    for (seed, paced) in [(1, None), (2, Some((MS * 20, 100))), (3, Some((MS * 100, 1_400)))] {
        // As much as is sent in 65 seconds.
        let plan =
            Plan { paced, paced_until: SECOND * 60, bulk_messages: 950, ..bulk(SECOND * 70) };
        let mut load = Load::new(seed, plan, &Config::default(), road(1_452));
        load.run_until(SECOND * 10);
        assert_eq!(load.size(), 1_452);
        narrow(&mut load, 1_252);
        load.run_until(SECOND * 12);
        assert!(load.size() <= 1_252, "{paced:?}: {} bytes", load.size());
        let before = load.payload();
        load.run_until(SECOND * 15);
        let share = (load.payload() - before) * 100 / (RATE * 3);
        assert!(share >= 60, "{paced:?}: {share} % of the rate");
        load.run_until(SECOND * 30);
        assert!((1_245..=1_252).contains(&load.size()), "{paced:?}: {} bytes", load.size());
        narrow(&mut load, 1_452);
        load.run_until(SECOND * 58);
        assert_eq!(load.size(), 1_452, "{paced:?}");
        load.run_until(SECOND * 90);
        load.expect_all();
        assert!(!was_in_doubt(&mut load), "{paced:?}");
    }
}

#[test]
fn packets_lost_or_late_by_chance_leave_the_size_as_it_is() {
    let long = Conditions { latency: MS * 30, ..Conditions::default() };
    let (loss, jitter) = (Probability::percent(5), MS * 60);
    let cases = [
        (Conditions { loss, ..long }, 600),
        (Conditions { free_jitter: jitter, ..long }, 100),
        (Conditions { loss, free_jitter: jitter, ..long }, 100),
    ];
    for (seed, (conditions, seconds)) in cases.into_iter().enumerate() {
        // Each message needs two large packets and a small one.
        let plan = paced(MS * 120, 3_000, SECOND * seconds);
        let mut load = Load::new(seed as u64, plan, &Config::default(), conditions);
        for second in 5..seconds {
            load.run_until(SECOND * second);
            assert_eq!(load.size(), 1_452, "after {second} s of {conditions:?}");
        }
        load.run_until(SECOND * (seconds + 10));
        load.expect_all();
    }
}

#[test]
fn after_an_outage_the_size_is_what_it_was_within_a_second() {
    let mut load = Load::new(1, bulk(SECOND * 60), &Config::default(), road(1_452));
    load.run_until(SECOND * 2);
    for (n, ms) in [50, 300, 1_000, 2_000, 300, 300, 300].into_iter().enumerate() {
        let (a, b) = (load.a, load.b);
        load.world.network().partition(a, b);
        let now = load.world.now();
        load.run_until(now + MS * ms);
        load.world.network().heal();
        // The first packets that arrive are small.
        let healed = load.world.now();
        load.run_until(healed + SECOND);
        while load.world.now() < healed + SECOND * 3 {
            assert_eq!(load.size(), 1_452, "after outage {n}");
            let now = load.world.now();
            load.run_until(now + MS * 100);
        }
    }
}

#[test]
fn a_probe_that_is_lost_is_neither_a_loss_nor_waited_for() {
    let choices =
        [CongestionControl::Tolerant, CongestionControl::Cubic, CongestionControl::Fixed(RATE)];
    for congestion in choices {
        // Nothing is lost but probes.
        let run = |max_datagram| {
            let mut config = up_to(max_datagram);
            config.congestion = congestion;
            let conditions = Conditions { latency: MS * 20, mtu: 1_200, ..Conditions::default() };
            let mut load = Load::new(1, paced(MS * 100, 6_000, SECOND * 20), &config, conditions);
            let mut windows = Vec::new();
            for second in 1..25 {
                load.run_until(SECOND * second);
                windows.push(load.window());
            }
            load.expect_all();
            let stats = load.sender();
            assert_eq!(
                (stats.packets_lost, stats.congestion_events, stats.probe_timeouts),
                (0, 0, 0)
            );
            (windows, load.world.faults().mtu_drops)
        };
        let (with, without) = (run(1_452), run(1_200));
        assert!(with.1 >= 3 && without.1 == 0, "{} probes were lost", with.1);
        assert_eq!(with.0, without.0, "{congestion:?}: the windows");
    }
}

#[test]
fn nothing_is_probed_while_all_fits_and_nothing_follows_a_lone_probe() {
    let (mut net, Link { a, b, ab, ba }) = Net::usual_pair(1);
    for n in 0..20 {
        net.send(a, ab, Delivery::ordered(0), payload(n, 1_000));
        net.run(100);
    }
    assert!(net.sent(a).iter().all(|sent| sent.bytes.len() < 1_200));
    let stats = |net: &Net| net.endpoint(a).peer(ab).expect("connected").path_stats;
    assert_eq!(stats(&net).max_datagram, 1_200);
    // The probe is lost, and so is nothing else.
    net.filter(a, |sent| sent.bytes.len() <= 1_200);
    net.send(a, ab, Delivery::ordered(0), payload(20, 2_000));
    net.run(1_000);
    let probes = net.sent(a).iter().filter(|sent| sent.bytes.len() == 1_452).count();
    assert_eq!((probes, stats(&net).bytes_in_flight), (1, 0));
    let before = net.sent(a).len();
    net.run(3_000);
    assert_eq!(net.sent(a).len() - before, 0, "nothing is missed");
    assert!(net.endpoint(b).peer(ba).is_some() && net.payloads(b).len() == 21);
}

#[test]
fn a_peer_elsewhere_is_sent_what_is_safe_and_the_search_begins_anew() {
    let mut load = Load::new(1, bulk(SECOND * 20), &Config::default(), road(1_452));
    load.run_until(SECOND * 5);
    assert_eq!(load.size(), 1_452);
    // The first is the port alone, as when a NAT forgets.
    for (address, mtu) in [(([10, 0, 0, 1], 999), 1_252), (([10, 0, 9, 1], 4_263), 1_300)] {
        let (before, a) = (load.payload(), load.a);
        narrow(&mut load, mtu);
        load.world.roam(a, address.into());
        let now = load.world.now();
        load.run_until(now + SECOND * 5);
        let share = (load.payload() - before) * 100 / (RATE * 5);
        assert!(share >= 50, "{share} % of the rate");
        assert!(mtu - usize::from(load.size()) < 8, "{} of {mtu}", load.size());
    }
    assert_eq!(load.sender().probe_timeouts, 0, "no time was lost");
}

#[test]
fn a_path_too_narrow_for_the_least_size_is_told_once_and_short_messages_arrive() {
    let events = |load: &mut Load| {
        let told = load.world.take_events(load.a).into_iter().map(|(_, event)| event);
        let ended = |event: &Event| matches!(event, Event::Ended { .. });
        let told: Vec<_> = told.inspect(|event| assert!(!ended(event), "{event:?}")).collect();
        let narrow = |event: &&Event| matches!(event, Event::PathTooNarrow { .. });
        told.iter().filter(narrow).count()
    };
    let mut load = Load::new(1, bulk(SECOND * 30), &Config::default(), road(1_000));
    load.run_until(SECOND * 10);
    assert_eq!(events(&mut load), 1);
    load.run_until(SECOND * 30);
    assert_eq!((events(&mut load), load.size()), (0, 1_200));
    assert!(load.payload() > 0, "something gets through");

    let plan = paced(MS * 20, 100, SECOND * 30);
    let mut load = Load::new(1, plan, &Config::default(), road(1_000));
    load.run_until(SECOND * 31);
    load.expect_all();
    assert!(events(&mut load) == 0 && load.p99() < MS * 25, "{:?}", load.p99());
}

/// Messages that fit one large packet and not one of the least size are sent whole, in pieces when a probe timeout
/// repeats them, and overtaken by their pieces.
#[test]
fn pieces_may_overtake_the_whole_message() {
    let mut config = Config::default();
    config.congestion = CongestionControl::Fixed(1 << 20);
    for seed in 0..5 {
        let (mut net, Link { a, b, ab, ba }) = Net::pair(seed, config.clone(), config.clone());
        net.send(a, ab, Delivery::ordered(0), payload(0, 20_000));
        net.run(1_000);
        let info = net.endpoint(a).peer(ab).expect("connected");
        assert_eq!(info.path_stats.max_datagram, 1_452);
        net.conditions(Conditions {
            free_jitter: MS * 900,
            loss: Probability::percent(20),
            ..Conditions::default()
        });
        for n in 1..60 {
            net.send(a, ab, Delivery::reliable(0), payload(n, 1_300));
            net.send(a, ab, Delivery::unreliable(1).with_receipt(), payload(n, 1_350));
            net.run(200);
        }
        net.conditions(Conditions::default());
        net.run(10_000);
        assert!(net.ends(a).is_empty() && net.ends(b).is_empty(), "seed {seed}: {:?}", net.ends(b));
        let reliable: Vec<_> =
            net.payloads(b).into_iter().filter(|got| got.len() == 1_300).collect();
        assert_eq!(reliable.len(), 59, "seed {seed}");
        reliable.iter().for_each(|got| assert!(number_of(got) > 0));
        assert!(net.endpoint(b).peer(ba).is_some());
    }
}

#[test]
fn by_way_of_a_neighbour_packets_are_as_large_as_the_hops_carry_and_follow_the_first_down() {
    let mut config = Config::default();
    config.forwarding.policy = ForwardingPolicy::Anyone;
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    let relay = net.add(config);
    let to_relay = net.link(a, relay).ab;
    net.link(b, relay);
    let target = Target::from(net.id(b));
    let ab = net.connect(a, target);
    net.run(300);
    let size =
        |net: &Net, peer| net.endpoint(a).peer(peer).expect("connected").path_stats.max_datagram;
    assert_eq!(size(&net, ab), 1_100);
    let mut count = 0;
    let mut talk = |net: &mut Net, ms: u64| {
        for _ in 0..ms / 50 {
            net.send(a, ab, Delivery::ordered(0), payload(count, 6_000));
            net.send(a, to_relay, Delivery::ordered(0), payload(count, 3_000));
            count += 1;
            net.run(50);
            net.send(a, ab, Delivery::unreliable(1), "what is sent has the size of now");
            let (routed, hop) = (size(net, ab), size(net, to_relay));
            assert!(routed <= 1_100.max(hop - 98), "{routed} inside of {hop}");
        }
        (size(net, to_relay), size(net, ab))
    };
    assert_eq!(talk(&mut net, 5_000), (1_452, 1_354));
    let narrow = Conditions { mtu: 1_300, ..Conditions::default() };
    net.world.network().set_link(a, relay, narrow);
    talk(&mut net, 5_000);
    assert!(size(&net, ab) <= 1_202, "{} bytes", size(&net, ab));
    let (hop, routed) = talk(&mut net, 40_000);
    assert!((1_293..=1_300).contains(&hop), "{hop} bytes on the first hop");
    assert!((hop - 98 - 7..=hop - 98).contains(&routed), "{routed} bytes inside of {hop}");
    // The hop behind the relay carries less than the first.
    net.world.network().set_link(a, relay, Conditions::default());
    net.world.network().set_link(relay, b, Conditions { mtu: 1_250, ..Conditions::default() });
    let (hop, routed) = talk(&mut net, 120_000);
    assert!(hop == 1_452 && (1_145..=1_152).contains(&routed), "{routed} bytes inside of {hop}");
    net.run(5_000);
    let arrived = net.payloads(b).iter().filter(|got| got.len() == 6_000).map(number_of).count();
    assert!(arrived > 3_000 && net.ends(a).is_empty(), "{arrived} messages");
}

const RATE: u64 = 250_000;
