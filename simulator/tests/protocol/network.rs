//! What links, queues and policers do to datagrams, without any endpoint.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::Ecn;
use handfast_sim::{
    Bursts, CoDel, Conditions, Datagram, Faults, Network, NodeId, Outcome, Policer, Probability,
};

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const C: NodeId = NodeId(2);
const MS: Duration = Duration::from_millis(1);

/// A datagram of `len` bytes that knows its number.
fn datagram(from: NodeId, to: NodeId, number: u64, len: usize, ecn: Option<Ecn>) -> Datagram {
    let address = |node: NodeId| SocketAddr::from(([10, 0, 0, node.0 as u8], 4263));
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(len, 0);
    Datagram { from, to, source: address(from), destination: address(to), ecn, bytes }
}

/// Everything that still arrives: numbers and microseconds.
fn arrivals(network: &mut Network) -> Vec<(u64, u64)> {
    let mut list = Vec::new();
    while let Some(at) = network.next_arrival() {
        if let Some(arrived) = network.receive(at) {
            let number = u64::from_le_bytes(arrived.bytes[..8].try_into().expect("eight"));
            list.push((number, at.as_micros() as u64));
        }
    }
    list
}

/// Sends `count` datagrams of 1,000 bytes, one a millisecond, by a network of this seed.
fn send(seed: u64, count: u64, conditions: &Conditions, ecn: Option<Ecn>) -> Run {
    let mut network = Network::new(seed);
    network.set_all(*conditions);
    for number in 0..count {
        network.send(MS * number as u32, datagram(A, B, number, 1_000, ecn));
    }
    let arrivals = arrivals(&mut network);
    Run { arrivals, faults: *network.faults() }
}

struct Run {
    arrivals: Vec<(u64, u64)>,
    faults: Faults,
}

impl Run {
    /// How long each took, in the order in which they arrived.
    fn delays(&self) -> impl Iterator<Item = u64> {
        self.arrivals.iter().map(|(number, at)| at - number * 1_000)
    }

    fn in_order(&self) -> bool {
        self.arrivals.is_sorted_by_key(|(number, _)| *number)
    }

    fn lost(&self, count: u64) -> Vec<u64> {
        (0..count).filter(|n| !self.arrivals.iter().any(|(number, _)| number == n)).collect()
    }
}

#[test]
fn a_perfect_link_only_delays() {
    let run = send(3, 50, &Conditions::default(), None);
    assert!(run.delays().all(|delay| delay == 10_000) && run.arrivals.len() == 50);
    assert_eq!(run.faults, Faults::default());
}

#[test]
fn one_jitter_keeps_the_order_and_the_other_does_not() {
    let jitter = Duration::from_millis(30);
    let kept = send(3, 500, &Conditions { jitter, ..Conditions::default() }, None);
    let free = send(3, 500, &Conditions { free_jitter: jitter, ..Conditions::default() }, None);
    for run in [&kept, &free] {
        assert!(run.delays().all(|delay| (10_000..=40_000).contains(&delay)));
        assert!(run.delays().max() > run.delays().min() && run.arrivals.len() == 500);
    }
    assert!(kept.in_order());
    let overtaken = free.arrivals.windows(2).filter(|pair| pair[0].0 > pair[1].0).count();
    assert!(overtaken > 150, "{overtaken} of 499");
}

#[test]
fn every_random_fault_is_as_frequent_as_configured_and_counted() {
    let conditions = Conditions {
        loss: Probability::percent(10),
        duplication: Probability::percent(10),
        corruption: Probability::percent(10),
        reordering: Probability::percent(10),
        ..Conditions::default()
    };
    let mut network = Network::new(3);
    network.set_all(conditions);
    for number in 0..10_000 {
        network.send(MS * number as u32, datagram(A, B, number, 1_000, None));
    }
    let count = arrivals(&mut network).len() as u64;
    let faults = *network.faults();
    assert!(faults.reordered > 800, "{faults:?}");
    for count in [faults.lost, faults.duplicated, faults.corrupted] {
        assert!((800..1_200).contains(&count), "{faults:?}");
    }
    assert_eq!(count, 10_000 - faults.lost + faults.duplicated);
}

#[test]
fn what_is_held_back_arrives_by_exactly_its_delay_later_and_the_others_pass() {
    let (reordering, reordering_delay) = (Probability::percent(25), MS * 5);
    let conditions = Conditions { reordering, reordering_delay, ..Conditions::default() };
    let run = send(3, 1_000, &conditions, None);
    let late = run.delays().filter(|delay| *delay == 15_000).count();
    assert!((200..300).contains(&late), "{late}");
    assert!(run.delays().all(|delay| delay == 15_000 || delay == 10_000));
    assert!(!run.in_order() && run.faults.dropped() == 0);
}

#[test]
fn bursts_by_datagram_lose_the_same_share_in_longer_runs() {
    let bursts = Bursts {
        enter: Probability::percent(1),
        leave: Probability::percent(20),
        loss: Probability::ALWAYS,
    };
    let run = send(3, 20_000, &Conditions { bursts: Some(bursts), ..Conditions::default() }, None);
    let gaps = run.arrivals.windows(2).filter(|pair| pair[1].0 - pair[0].0 > 1).count() as u64;
    let lost = run.faults.lost_in_bursts;
    assert!((600..1_400).contains(&lost), "{lost}");
    assert!(lost > 3 * gaps, "mean burst above 3: {gaps} gaps, {lost} lost");
}

#[test]
fn bursts_in_time_take_their_share_of_it_and_fall_at_the_same_times_whatever_is_sent() {
    // Which of the milliseconds lose what is sent in them, both of `copies` of it.
    let lost = |seed, conditions, copies: usize| -> Vec<u64> {
        let mut network = Network::new(seed);
        network.set_all(conditions);
        let is_lost = |number: &u64| {
            let now = MS * *number as u32;
            while network.receive(now).is_some() {}
            network.send(now, datagram(B, A, *number, copies, None));
            let sent: Vec<_> =
                (0..copies).map(|_| network.send(now, datagram(A, B, *number, 8, None))).collect();
            assert!(sent.iter().all(|outcome| *outcome == sent[0]));
            matches!(sent[0], Outcome::Dropped(_))
        };
        (0..60_000).filter(is_lost).collect()
    };
    for mean in [30, 60, 300] {
        let lasting = Bursts::lasting(MS * mean, Probability::percent(5));
        let conditions = Conditions { bursts_in_time: Some(lasting), ..Conditions::default() };
        let mean = u64::from(mean);
        let once = lost(mean, conditions, 1);
        let bursts = 1 + once.windows(2).filter(|pair| pair[1] > pair[0] + 1).count() as u64;
        let (share, length) = (once.len() as u64 / 600, once.len() as u64 / bursts);
        assert!((2..=9).contains(&share), "{mean} ms: {share} % lost");
        assert!((mean / 2..=mean * 2).contains(&length), "{length} ms instead of {mean}");
        let twice = lost(mean, Conditions { loss: Probability::NEVER, ..conditions }, 2);
        assert_eq!(once, twice, "whatever is sent");
    }
}

#[test]
fn a_rate_serialises_queues_marks_and_drops() {
    let conditions = Conditions {
        rate: Some(500_000),
        queue: 20_000,
        ce_threshold: Some(10_000),
        ..Conditions::default()
    };
    let Run { arrivals, faults } = send(3, 200, &conditions, Some(Ecn::Ect0));
    assert!(arrivals.windows(2).all(|pair| pair[1].1 - pair[0].1 >= 2_000), "half of the offer");
    assert!(faults.queue_drops > 50 && faults.ce_marked > 50, "{faults:?}");
    let slowest = arrivals.last().expect("some").1;
    assert!(slowest <= 199_000 + 40_000 + 10_000, "the queue is bounded");
    let incapable = send(3, 200, &conditions, None).faults;
    assert_eq!(incapable.ce_marked, 0, "only capable ones are marked");
}

#[test]
fn headers_count_in_the_rate_and_in_the_queue() {
    let with = |header| {
        let mut network = Network::new(1);
        let (rate, queue) = (Some(1_000_000), 10_000);
        network.set_all(Conditions { rate, queue, header, ..Conditions::default() });
        for number in 0..100 {
            network.send(Duration::ZERO, datagram(A, B, number, 100, None));
        }
        arrivals(&mut network)
    };
    let (bare, headed) = (with(0), with(28));
    assert_eq!((bare.len(), headed.len()), (100, 78), "10,000 bytes fit");
    let pause = |list: &[(u64, u64)]| list[1].1 - list[0].1;
    assert_eq!((pause(&bare), pause(&headed)), (100, 128), "microseconds each");
}

#[test]
fn what_waits_leaves_at_the_new_rate_when_it_changes() {
    for (before, after) in [(1_000_000, 100_000), (100_000, 1_000_000)] {
        let conditions = |rate| Conditions { rate: Some(rate), ..Conditions::default() };
        let mut network = Network::new(1);
        network.set_all(conditions(before));
        for number in 0..50 {
            network.send(Duration::ZERO, datagram(A, B, number, 1_000, None));
        }
        let time_of = |rate: u64| 1_000_000_000 / rate;
        // Ten leave, and the rest waits.
        let step = Duration::from_micros(time_of(before) * 10);
        network.send(step, datagram(B, A, 50, 100, None));
        network.set_all(conditions(after));
        let mut list = arrivals(&mut network);
        list.retain(|(number, _)| *number < 50);
        let pauses = list.windows(2).map(|pair| pair[1].1 - pair[0].1).collect::<Vec<_>>();
        assert_eq!(list.len(), 50);
        assert!(pauses[..9].iter().all(|pause| *pause == time_of(before)), "{pauses:?}");
        assert!(pauses[10..].iter().all(|pause| *pause == time_of(after)), "{pauses:?}");
    }
}

#[test]
fn flows_of_several_nodes_share_a_queue_and_are_counted_each() {
    let mut network = Network::new(1);
    network.set_all(Conditions { rate: Some(1_000_000), queue: 20_000, ..Conditions::default() });
    network.share(&[(A, C), (B, C)]);
    for number in 0..1_000 {
        // Together twice the rate, and A twice as much as B.
        let now = MS * number as u32;
        network.send(now, datagram(A, C, number, 1_333, None));
        network.send(now, datagram(B, C, number, 667, None));
    }
    let last = arrivals(&mut network).last().expect("some").1;
    let (a, b) = (network.traffic(A, C), network.traffic(B, C));
    assert_eq!((a.datagrams, b.bytes, a.lost), (1_000, 667_000, 0));
    assert_eq!(a.dropped + b.dropped, network.faults().queue_drops);
    assert_eq!(a.arrived + a.dropped, 1_000);
    let carried = a.arrived_bytes + b.arrived_bytes;
    assert!((950_000..=1_030_000).contains(&carried), "the rate of one line: {carried}");
    assert!((1_000_000..=1_035_000).contains(&last), "and its queue: {last}");
    assert!(a.dropped > 100 && b.dropped > 50, "{a:?} {b:?}");
}

#[test]
fn a_policer_lets_its_burst_pass_and_then_its_rate_and_nothing_waits() {
    let policer = Some(Policer { rate: 500_000, burst: 50_000 });
    let run = send(3, 1_000, &Conditions { policer, ..Conditions::default() }, None);
    assert!(run.delays().all(|delay| delay == 10_000), "nothing waits");
    let first = run.lost(1_000)[0];
    assert!((95..=105).contains(&first), "the burst lasts until {first}");
    let passed = run.arrivals.len() as u64;
    assert!((545..=555).contains(&passed), "half of the offer and the burst: {passed}");
    assert_eq!(run.faults.policed, 1_000 - passed);
}

#[test]
fn codel_leaves_short_queues_alone_and_marks_or_drops_when_all_wait_for_long() {
    let conditions = |rate| Conditions {
        rate: Some(rate),
        queue: 1_000_000,
        codel: Some(CoDel::default()),
        ..Conditions::default()
    };
    // The offer is 1 MB/s.
    let fast = send(3, 2_000, &conditions(1_100_000), Some(Ecn::Ect0));
    assert_eq!(fast.faults, Faults::default());
    let slow = |count, ecn| send(3, count, &conditions(900_000), ecn);
    let (marked, longer) = (slow(2_000, Some(Ecn::Ect0)), slow(4_000, Some(Ecn::Ect0)));
    let count = marked.faults.ce_marked;
    assert!((20..400).contains(&count) && marked.faults.dropped() == 0, "{count}");
    assert_eq!(marked.arrivals.len(), 2_000);
    assert!(longer.faults.ce_marked > 2 * count, "ever more, as nobody slows down");
    let dropped = slow(2_000, None);
    assert!(dropped.faults.codel_drops > 20 && dropped.faults.ce_marked == 0);
}

#[test]
fn a_datagram_of_the_mtu_passes_and_one_byte_more_does_not_also_when_it_drops() {
    let mut network = Network::new(1);
    for (mtu, passes) in [(1_000, true), (999, false), (1_000, true)] {
        network.set_all(Conditions { mtu, header: 28, ..Conditions::default() });
        network.send(Duration::ZERO, datagram(A, B, 0, 1_000, None));
        assert_eq!(arrivals(&mut network).len() == 1, passes);
    }
    assert_eq!(network.faults().mtu_drops, 1);
}

#[test]
fn one_seed_gives_one_run_with_every_trouble_at_once() {
    let run = |seed| {
        let conditions = Conditions {
            jitter: MS * 3,
            free_jitter: MS * 3,
            loss: Probability::percent(2),
            bursts_in_time: Some(Bursts::lasting(MS * 30, Probability::percent(5))),
            duplication: Probability::percent(5),
            rate: Some(900_000),
            codel: Some(CoDel::default()),
            policer: Some(Policer { rate: 950_000, burst: 10_000 }),
            ..Conditions::default()
        };
        let run = send(seed, 3_000, &conditions, Some(Ecn::Ect0));
        (run.arrivals, run.faults)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}
