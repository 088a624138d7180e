//! A server dies in the middle of traffic and comes back with its key and nothing else: its clients
//! are back by themselves within a second of their first packet, and a reliable message arrives if
//! nothing of it was sent, and is `Unknown` otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::common::*;
use handfast_core::{Config, Delivery, Event, Fate, MessageId, PeerHandle};
use handfast_sim::{Conditions, Instances, InstancesReport, NodeId};

/// A server and its clients, which all shook hands.
struct Town {
    net: Net,
    server: NodeId,
    clients: Vec<(NodeId, PeerHandle)>,
}

impl Town {
    fn new(clients: usize, config: &Config) -> Self {
        let mut net = Net::new(1);
        let server = net.add(config.clone());
        let clients: Vec<_> = (0..clients).map(|_| net.add(config.clone())).collect();
        let clients = clients.into_iter().map(|client| (client, net.call(client, server)));
        let clients = clients.collect();
        net.run(2000);
        let mut town = Self { net, server, clients };
        assert_eq!(town.net.connections(town.server), town.clients.len());
        town
    }

    /// Lets every client say something each 100 ms.
    fn talk(&mut self, ms: u64) {
        for at in 0..ms / 100 {
            for (client, server) in self.clients.clone() {
                self.net.send(client, server, Delivery::ordered(0), payload(at, 100));
            }
            self.net.run(100);
        }
    }

    /// How long after `born` each client's first packet was, and how long after that it was back.
    fn returns(&mut self, born: Duration) -> Vec<(Duration, Duration)> {
        let clients = self.clients.clone();
        clients.iter().map(|(client, _)| self.return_of(*client, born)).collect()
    }

    fn return_of(&mut self, client: NodeId, born: Duration) -> (Duration, Duration) {
        let (now, clock) = (self.net.world.now(), self.net.world.clock(client));
        let times = self.net.sent(client).into_iter();
        let mut times = times.map(|sent| now - clock.saturating_since(sent.at));
        let first = times.find(|at| *at >= born).expect("a packet");
        let restarts = self.net.timed_events(client).iter();
        let mut restarts = restarts.filter(|(_, event)| matches!(event, Event::Restarted { .. }));
        let (back, _) = restarts.next().expect("back");
        assert!(restarts.next().is_none(), "one restart is told once");
        (first - born, *back - first)
    }
}

#[test]
fn a_hundred_clients_are_back_within_a_second_of_their_first_packet() {
    for down in [0, 300, 1500, 5000, 20_000] {
        let mut town = Town::new(100, &Config::default());
        town.talk(500);
        town.net.world.kill(town.server);
        town.talk(down);
        town.net.world.restart(town.server);
        let born = town.net.world.now();
        town.talk(5000);
        for (waited, took) in town.returns(born) {
            // A full window sends nothing but requests, with pauses of up to a second and a half.
            let in_time = waited <= MS * 1500 && took <= SECOND;
            assert!(in_time, "down {down} ms: {waited:?}, {took:?}");
        }
        assert_eq!(town.net.ends(town.clients[0].0), []);
    }
}

/// A hint is believed only now and then, but one that was true does not count.
#[test]
fn a_server_that_dies_again_and_again_is_met_as_quickly_each_time() {
    let mut town = Town::new(20, &Config::default());
    for _ in 0..5 {
        town.net.world.restart(town.server);
        let born = town.net.world.now();
        town.talk(1500);
        for (client, _) in town.clients.clone() {
            let back =
                town.net.timed_events(client).iter().rev().find_map(|(at, event)| {
                    matches!(event, Event::Restarted { .. }).then_some(*at)
                });
            assert!(back.is_some_and(|at| at >= born && at - born <= MS * 1100), "{back:?}");
        }
    }
}

#[test]
fn idle_clients_are_back_one_heartbeat_later() {
    let mut config = Config::default();
    config.timers.heartbeat = SECOND * 4;
    for down in [0, 300, 3000, 20_000] {
        let mut town = Town::new(100, &config);
        town.net.world.kill(town.server);
        town.net.run(down);
        town.net.world.restart(town.server);
        let born = town.net.world.now();
        town.net.run(10_000);
        for (waited, took) in town.returns(born) {
            // Heartbeats are jittered by an eighth.
            let in_time = waited <= config.timers.heartbeat * 9 / 8 && took <= SECOND;
            assert!(in_time, "down {down} ms: {waited:?}, {took:?}");
        }
    }
}

/// One run: what was sent before the server died, while it was down, and what came of it.
struct Story {
    net: Net,
    link: Link,
    messages: Vec<MessageId>,
}

impl Story {
    fn begin(case: Case) -> Self {
        let (net, link) = Net::usual_pair(case.seed);
        let mut story = Self { net, link, messages: Vec::new() };
        // Slow, so that there is something under way and something not sent when the server dies.
        let slow = Conditions { rate: Some(500_000), ..Conditions::default() };
        story.net.conditions(slow);
        story.send(BEFORE);
        story.net.run(case.lived);
        story.net.world.kill(link.b);
        story.send(WHILE_DOWN);
        story.net.run(case.down);
        story.net.world.restart(link.b);
        story
    }

    /// Small messages and messages of several packets, with an order and without.
    fn send(&mut self, count: u64) {
        let Link { a, ab, .. } = self.link;
        for _ in 0..count {
            let number = self.messages.len() as u64;
            let how = [Delivery::ordered(0), Delivery::reliable(1)][(number % 2) as usize];
            let len = [100, 5000, 1000][(number % 3) as usize];
            let sent = self.net.send(a, ab, how.with_receipt(), payload(number, len));
            self.messages.push(sent);
        }
    }

    /// The messages of which nothing is sent: when they are withdrawn, their fate is known at once.
    fn unsent(mut self, at: Duration) -> BTreeSet<MessageId> {
        self.net.run_until(at);
        let Link { a, ab, .. } = self.link;
        self.net.with(a, |endpoint, now| {
            for message in &self.messages {
                _ = endpoint.cancel(now, ab, *message);
            }
        });
        let fates = self.net.fates(a).into_iter();
        fates.filter(|(_, fate)| matches!(fate, Fate::Cancelled { .. })).map(|(id, _)| id).collect()
    }

    fn heard_by_server(&self) -> Vec<u64> {
        self.net.payloads(self.link.b).iter().map(number_of).collect()
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    seed: u64,
    lived: u64,
    down: u64,
}

/// Returns how many were unknown, and how many were unsent.
fn play(case: Case) -> (usize, usize) {
    let mut story = Story::begin(case);
    let Link { a, b, .. } = story.link;
    let first_life = story.heard_by_server().len();
    story.net.run(60_000);
    assert_eq!((story.net.connections(b), story.net.ends(a)), (2, vec![]), "{case:?}");
    let noticed = story.net.timed_events(a).iter().find_map(|(at, event)| match event {
        Event::Restarted { .. } => Some(*at),
        _ => None,
    });
    let noticed = noticed.expect("noticed");
    // The same run again, up to the moment before: what was not sent then was never sent.
    let unsent = Story::begin(case).unsent(noticed - Duration::from_micros(1));

    let heard = story.heard_by_server();
    let second_life: Vec<_> = heard[first_life..].to_vec();
    let once: BTreeSet<_> = heard.iter().copied().collect();
    assert_eq!(once.len(), heard.len(), "{case:?}: something came twice");
    let fates = fates(&mut story);
    let before = fates.iter().filter(|(_, (at, _))| *at < noticed);
    let acked_before: BTreeSet<_> = before.map(|(message, _)| *message).collect();
    for (message, (_, fate)) in fates {
        let is_kept = unsent.contains(&message) || acked_before.contains(&message);
        let expected = if is_kept { Fate::Acked } else { Fate::Unknown };
        assert_eq!(fate, expected, "{case:?}: {message:?}");
    }
    let mut arrived = second_life.clone();
    arrived.sort_unstable();
    assert!(unsent.iter().map(|message| message.as_u64()).eq(arrived), "{case:?}");
    let ordered: Vec<_> = second_life.iter().filter(|number| *number % 2 == 0).collect();
    assert!(ordered.is_sorted(), "{case:?}");
    (story.messages.len() - unsent.len() - acked_before.len(), unsent.len())
}

/// Every message's fate and when it was told: exactly one each.
fn fates(story: &mut Story) -> BTreeMap<MessageId, (Duration, Fate)> {
    let mut fates = BTreeMap::new();
    for (at, event) in story.net.timed_events(story.link.a) {
        if let Event::Fate { message, fate, .. } = event {
            assert!(fates.insert(*message, (*at, *fate)).is_none(), "{message:?} ended twice");
        }
    }
    assert_eq!(fates.len(), story.messages.len(), "a fate was never told");
    fates
}

#[test]
fn what_was_not_sent_arrives_once_and_what_was_sent_in_part_is_unknown() {
    let (mut unknown, mut unsent) = (0, 0);
    for (seed, lived) in (0..8).zip([0, 5, 15, 30, 60, 120, 250, 400]) {
        for down in [0, 200, 2000, 8000] {
            let (given_up, kept) = play(Case { seed, lived, down });
            unknown += given_up;
            unsent += kept;
        }
    }
    assert!(unknown > 300 && unsent > 300, "{unknown} unknown, {unsent} unsent prove little");
}

const BEFORE: u64 = 120;
const WHILE_DOWN: u64 = 30;

/// A copied disk, a program started twice: whatever becomes of the instances, nothing that was acknowledged
/// vanishes, and the one that is left is served.
#[test]
fn instances_of_one_key_that_come_and_go_lose_nothing_that_was_acknowledged() {
    // Something waits behind a gap when an instance comes in about one run of eighty: in three of these.
    let reports: Vec<_> = (100..200).map(|seed| Instances::from_seed(seed).run()).collect();
    let sum = |of: fn(&InstancesReport) -> u64| reports.iter().map(of).sum::<u64>();
    let told = [sum(|one| one.told_server), sum(|one| one.told_instances)];
    let (restarts, undeliverable) = (sum(|one| one.restarts), sum(|one| one.undeliverable));
    assert!(restarts > 300 && undeliverable > 0, "{restarts} restarts, {undeliverable} told");
    assert!(told.iter().all(|told| *told > 20), "{told:?}");
}

/// Messages that came whole behind one that did not come.
#[test]
fn what_waits_behind_a_gap_is_counted_when_its_sender_restarts_or_ends() {
    for restarts in [true, false] {
        let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
        // The first packet is lost, three more arrive, and nothing after them.
        let mut sealed = 0;
        net.filter(a, move |sent| {
            sealed += u32::from(sent.kind() == SEALED);
            (2..=4).contains(&sealed)
        });
        for number in 0..4 {
            net.send(a, ab, Delivery::ordered(0), payload(number, 1000));
        }
        net.run(100);
        net.unmute(a);
        let told = if restarts {
            net.world.restart(a);
            net.call(a, b);
            net.run(1000);
            net.timed_events(b).iter().find_map(|(_, event)| match event {
                Event::Restarted { undeliverable, .. } => Some(*undeliverable),
                _ => None,
            })
        } else {
            net.world.kill(a);
            net.run(70_000);
            net.timed_events(b).iter().find_map(|(_, event)| match event {
                Event::Ended { undeliverable, .. } => Some(*undeliverable),
                _ => None,
            })
        };
        assert_eq!((told, net.payloads(b).len()), (Some(3), 0), "restarts: {restarts}");
    }
}

/// A second instance connects and is killed soon after, while the first goes on.
#[test]
fn a_short_visit_of_another_instance_is_over_a_heartbeat_later() {
    for (seed, stay) in (0..).zip([500, 1000, 2000, 3000, 5000, 8000].map(Duration::from_millis)) {
        let report = Instances::a_short_visit(seed, stay).run();
        assert_eq!((report.told_server, report.told_instances), (1, 1), "{stay:?}: {report:?}");
        assert!(report.recovered <= Config::default().timers.heartbeat, "{stay:?}: {report:?}");
        // One place was taken, and taken back.
        assert_eq!(report.restarts, 2, "{stay:?}: {report:?}");
    }
}

#[test]
fn two_instances_side_by_side_take_turns_no_faster_than_heartbeats() {
    let report = Instances::side_by_side(1).run();
    // 60 s, 17.5 s each at least, and the first when both start.
    assert!((2..=6).contains(&report.restarts), "{report:?}");
    assert_eq!((report.told_server, report.told_instances), (1, 2), "{report:?}");
    // Whoever has the place is served: of each second message one arrives.
    assert!(report.arrived * 10 > report.acked * 9, "{report:?}");
}
