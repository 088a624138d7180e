//! Who parted stays parted, whatever is lost.

use std::time::Duration;

use handfast_core::{
    Admission, Config, Delivery, DisconnectOptions, DisconnectReason, EndReason, Endpoint, Event,
    Fate, Refusal, Target,
};
use handfast_sim::{App, Conditions, Cx, NodeId, Probability, World};

use crate::common::{Link, MS, Net, RESPONSE, SECOND, number_of, payload};

/// How often each node was told that somebody is connected, and why its peers ended.
#[derive(Default)]
struct Story {
    connected: [u32; 2],
    ended: [Vec<EndReason>; 2],
    /// Parts from whoever connects, at once.
    kicker: Option<NodeId>,
}

impl App<Endpoint> for Story {
    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) {
        let (node, now) = (cx.node(), cx.now());
        match event {
            Event::Connected { peer, .. } => {
                self.connected[node.0 as usize] += 1;
                if self.kicker == Some(node) {
                    cx.endpoint().disconnect(now, *peer, at_once(42)).expect("connected");
                }
            }
            Event::Ended { reason, .. } => self.ended[node.0 as usize].push(reason.clone()),
            Event::Readable { peer } => while cx.endpoint().receive(now, *peer).is_some() {},
            _ => {}
        }
    }
}

fn at_once(code: u16) -> DisconnectOptions {
    DisconnectOptions::now().with_reason(DisconnectReason::new(code, "no more"))
}

/// The code with which the other end parted, if that is why the peer ended.
fn code(reason: &EndReason) -> Option<u16> {
    match reason {
        EndReason::PeerDisconnected { reason, .. } => Some(reason.code),
        _ => None,
    }
}

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);

fn pair(seed: u64, configs: [Config; 2], conditions: Conditions) -> World {
    let mut world = World::new(seed);
    for (config, number) in configs.into_iter().zip(1..) {
        let address = ([10, 0, 0, number], 4263).into();
        world.add_node(config, [number; 32], &[address]);
    }
    world.network().set_all(conditions);
    world
}

fn dial(world: &mut World, story: &mut Story, from: NodeId, to: NodeId) {
    let target = Target::from(world.addresses(to).next().expect("an address"));
    world.with_app(from, story, |endpoint, now| endpoint.connect(now, target)).expect("a dial");
}

#[test]
fn who_is_sent_away_when_connected_is_connected_once_and_ends_once() {
    for (loss, seed) in
        [2, 5, 10, 20, 40].into_iter().flat_map(|loss| (0..60).map(move |n| (loss, n)))
    {
        let conditions = Conditions {
            latency: MS * 30,
            jitter: MS * 20,
            loss: Probability::percent(loss),
            ..Conditions::default()
        };
        let mut world = pair(seed, [Config::default(), Config::default()], conditions);
        let mut story = Story { kicker: Some(B), ..Story::default() };
        dial(&mut world, &mut story, A, B);
        world.run_until_with(SECOND * 150, &mut story);
        let Story { connected, ended, .. } = story;
        let what = format!("{loss} % loss, seed {seed}: {connected:?} {ended:?}");
        assert!(connected[0] <= 1 && ended[0].len() == 1, "{what}");
        assert!(connected[1] <= connected[0], "{what}");
        assert_eq!(ended[1].len(), connected[1] as usize, "{what}");
        for reason in &ended[1] {
            assert!(matches!(reason, EndReason::Disconnected { .. }), "{what}");
        }
        let silence = matches!(ended[0][0], EndReason::IdleTimeout | EndReason::DialTimeout);
        assert!(silence || code(&ended[0][0]) == Some(42), "{what}");
        // Silence is for those who were never heard again.
        assert!(!silence || loss >= 20 || connected[1] == 0, "{what}");
    }
}

#[test]
fn who_parts_while_the_way_is_cut_stays_parted_when_it_opens_again() {
    let mut nobody = Config::default();
    nobody.admission = Admission::Nobody;
    for (n, outage) in [0, 500, 1000, 2000, 10_000, 30_000].into_iter().enumerate() {
        for (leaver, other, dialler_admits) in
            [(A, B, true), (B, A, true), (A, B, false), (B, A, false)]
        {
            let config = if dialler_admits { Config::default() } else { nobody.clone() };
            let conditions = Conditions { latency: MS * 25, ..Conditions::default() };
            let mut world = pair(n as u64, [config, Config::default()], conditions);
            let mut story = Story::default();
            dial(&mut world, &mut story, A, B);
            world.run_until_with(SECOND * 3, &mut story);
            let handles = [A, B].map(|node| {
                let peers = world.endpoint(node).expect("up").peers().next();
                peers.expect("connected").handle
            });
            let handle = |node: NodeId| handles[node.0 as usize];
            world.network().partition(A, B);
            world
                .with_app(leaver, &mut story, |e, now| {
                    e.disconnect(now, handle(leaver), at_once(7))
                })
                .expect("connected");
            world.run_until_with(SECOND * 3 + MS * outage, &mut story);
            world.network().heal();
            world.run_until_with(SECOND * 5 + MS * outage, &mut story);
            // The one that was not told goes on talking.
            world
                .with_app(other, &mut story, |e, now| {
                    e.send(now, handle(other), Delivery::ordered(0), "hello?".into())
                })
                .ok();
            world.run_until_with(SECOND * 200, &mut story);
            let Story { connected, ended, .. } = &story;
            let what =
                format!("{outage} ms, {leaver:?}, {dialler_admits}: {connected:?} {ended:?}");
            assert_eq!(*connected, [1, 1], "{what}");
            let (left, told) = (&ended[leaver.0 as usize], &ended[other.0 as usize]);
            assert!(matches!(left[..], [EndReason::Disconnected { .. }]), "{what}");
            assert_eq!(told.iter().map(code).collect::<Vec<_>>(), [Some(7)], "{what}");
            // Whoever wants to may meet again.
            dial(&mut world, &mut story, A, B);
            world.run_until_with(SECOND * 202, &mut story);
            assert_eq!(story.connected, [2, 2], "{what}");
        }
    }
}

/// Whatever is lost, and however little time there is: if the end says that all arrived, all did, and if the
/// sender was told that all arrived, the end says so unless it was never heard.
#[test]
fn a_goodbye_says_that_all_arrived_if_and_only_if_it_did() {
    let mut told = [0; 2];
    for seed in 0..150 {
        let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(seed);
        let loss = Probability::percent(seed as u32 % 4 * 8);
        net.conditions(Conditions { loss, latency: MS * 5, ..Conditions::default() });
        let messages = 1 + seed % 60;
        for n in 0..messages {
            let delivery =
                if n.is_multiple_of(3) { Delivery::unreliable(1) } else { Delivery::ordered(0) };
            net.send(a, ab, delivery.with_receipt(), payload(n, 3000));
        }
        net.run(seed % 7 * 10);
        let linger = [Duration::ZERO, MS * 20, MS * 100, SECOND * 5][seed as usize / 7 % 4];
        let goodbye = DisconnectOptions::after(linger);
        net.with(a, |endpoint, now| endpoint.disconnect(now, ab, goodbye)).expect("connected");
        net.run(90_000);
        let ordered = |n: &u64| !n.is_multiple_of(3);
        let got: Vec<_> = net.payloads(b).iter().map(number_of).filter(ordered).collect();
        let sent: Vec<_> = (0..messages).filter(ordered).collect();
        let fates = net.fates(a);
        assert_eq!(fates.len() as u64, messages, "seed {seed}: each has its fate");
        let acked =
            |n: &&u64| fates.iter().any(|(id, fate)| id.as_u64() == **n && *fate == Fate::Acked);
        let all_acked = sent.iter().filter(acked).count() == sent.len();
        let reason = net.ends(b).pop().expect("it ended").2;
        let what = format!("seed {seed}: {reason}, {} of {}", got.len(), sent.len());
        if let EndReason::PeerDisconnected { complete, .. } = reason {
            told[usize::from(complete)] += 1;
            assert_eq!(complete, all_acked, "{what}");
            assert!(!complete || got == sent, "{what}");
        }
        assert_eq!(reason.is_complete(), reason.is_complete() && all_acked, "{what}");
    }
    assert!(told[0] > 20 && told[1] > 20, "{told:?}");
}

#[test]
fn only_a_goodbye_in_order_says_that_all_arrived() {
    // The other endpoint is dropped.
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    net.send(a, ab, Delivery::ordered(0), "all there is");
    net.run(1000);
    net.world.kill(a);
    net.run(100_000);
    assert_eq!(net.payloads(b), ["all there is"]);
    let end = net.ends(b).pop().expect("ended").2;
    assert_eq!((end.is_complete(), end), (false, EndReason::IdleTimeout));
    // A driver knows of a message that did not come so far.
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(2);
    let goodbye = DisconnectOptions::default().incomplete();
    net.with(a, |endpoint, now| endpoint.disconnect(now, ab, goodbye)).expect("connected");
    net.run(1000);
    let reason = DisconnectReason::default();
    let cut = EndReason::PeerDisconnected { reason, complete: false };
    assert_eq!(net.ends(b).pop().expect("ended").2, cut);
    // What the application took back was not to arrive.
    let mut net = Net::new(3);
    let (a, b) = (net.add(Config::default()), net.add(Config::default()));
    let ab = net.call(a, b);
    let message = net.send(a, ab, Delivery::ordered(0), "on second thoughts");
    net.with(a, |endpoint, now| endpoint.cancel(now, ab, message)).expect("unsent");
    net.run(300);
    net.with(a, |endpoint, now| endpoint.disconnect(now, ab, DisconnectOptions::now()))
        .expect("connected");
    net.run(1000);
    assert!(net.ends(b).pop().expect("ended").2.is_complete());
}

/// Who restarted and calls again, while we still repeat our goodbye to who it was, is a newcomer.
#[test]
fn who_calls_anew_is_not_sent_away_with_who_it_was() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    net.latency(100);
    net.run(3000);
    net.with(a, |endpoint, now| endpoint.disconnect(now, ab, at_once(7))).expect("connected");
    net.world.kill(b);
    net.world.restart(b);
    net.call(b, a);
    net.run(500);
    assert!(matches!(net.ends(a)[..], [(_, _, EndReason::Disconnected { heard: false })]));
    net.run(20_000);
    assert_eq!((net.connections(a), net.ends(a).len(), net.ends(b).len()), (2, 1, 0));
    let again = net.handle(b, a);
    net.send(b, again, Delivery::ordered(0), "hello again");
    net.run(1000);
    assert_eq!(net.payloads(a), ["hello again"]);
}

#[test]
fn who_is_not_let_in_hears_so_at_once() {
    let mut config = Config::default();
    config.admission = Admission::Nobody;
    let mut net = Net::new(1);
    let (a, b) = (net.add(Config::default()), net.add(config));
    let dial = net.dial(a, b);
    net.run(100);
    let refused = EndReason::Refused(Refusal::NotAdmitted);
    assert_eq!(
        net.ends(a).into_iter().map(|end| (end.1, end.2)).collect::<Vec<_>>(),
        [(dial, refused)]
    );
    let told = net.events(b);
    assert!(matches!(told[..], [Event::Refused { reason: Refusal::NotAdmitted, .. }]), "{told:?}");
    assert_eq!(net.endpoint(b).peers().count(), 0);
    assert_eq!(net.endpoint(b).drops().admission, 1);
}

/// Newcomers wait for a place as long as their dials last, and peers that are there are not disturbed.
#[test]
fn who_finds_no_place_goes_on_until_one_is_free_or_its_time_is_over() {
    let mut config = Config::default();
    config.limits.max_peers = 2;
    for free in [false, true] {
        let mut net = Net::new(1);
        let hub = net.add(config.clone());
        let [first, second, late] = [(); 3].map(|()| net.add(Config::default()));
        let link = net.link(first, hub);
        net.link(second, hub);
        let dial = net.dial(late, hub);
        net.run(3000);
        assert_eq!((net.connections(late), net.ends(late).len()), (0, 0));
        if free {
            net.with(first, |endpoint, now| endpoint.disconnect(now, link.ab, at_once(1)))
                .expect("connected");
        }
        net.run(8000);
        let end = net.ends(late).pop().map(|end| (end.1, end.2));
        if free {
            assert_eq!((net.connections(late), end), (1, None));
        } else {
            assert_eq!(end, Some((dial, EndReason::Refused(Refusal::Full))));
        }
        assert_eq!(net.connections(hub), 2 + usize::from(free));
        // A few rounds: it is not asked more often than a silent one.
        assert!(net.sent_of(late, crate::common::REQUEST).len() < 12);
        assert_eq!(net.ends(second), []);
    }
}

/// The ordinary way: a client talks for a while and leaves, in order or at once.
#[test]
fn who_talked_and_left_is_heard_of_once() {
    for seed in 0..200 {
        let conditions = Conditions {
            latency: MS * 30,
            jitter: MS * 20,
            loss: Probability::percent([0, 5, 10, 20, 40][seed as usize % 5]),
            ..Conditions::default()
        };
        let mut world = pair(seed, [Config::default(), Config::default()], conditions);
        let mut story = Story::default();
        let target = Target::from(world.addresses(B).next().expect("an address"));
        let dialled = world.with_app(A, &mut story, |endpoint, now| endpoint.connect(now, target));
        let peer = dialled.expect("a dial");
        for n in 1..=10 {
            world.run_until_with(MS * 500 * n, &mut story);
            world
                .with_app(A, &mut story, |endpoint, now| {
                    endpoint.send(now, peer, Delivery::ordered(0), "x".into())
                })
                .ok();
        }
        let way = [at_once(7), DisconnectOptions::default()][seed as usize / 5 % 2].clone();
        world.with_app(A, &mut story, |endpoint, now| endpoint.disconnect(now, peer, way)).ok();
        world.run_until_with(SECOND * 150, &mut story);
        let Story { connected, ended, .. } = &story;
        let what = format!("seed {seed}: {connected:?} {ended:?}");
        assert!(connected[0] <= 1 && connected[1] <= connected[0], "{what}");
        assert_eq!([ended[0].len(), ended[1].len()], [1, connected[1] as usize], "{what}");
    }
}

#[test]
fn who_is_not_let_in_any_more_after_a_restart_hears_so_though_its_request_names_a_new_state() {
    let (mut net, Link { a, b, ab, .. }) = Net::usual_pair(1);
    net.world.restart(b);
    net.send(a, ab, Delivery::ordered(0), "are you there?");
    let answers = net.sent_of(b, RESPONSE).len();
    while net.sent_of(b, RESPONSE).len() == answers {
        net.run(1);
    }
    // The response is on its way. What comes next is the request that begins anew.
    net.with(b, |endpoint, _| endpoint.set_admission(Admission::Nobody));
    net.run(1000);
    let reasons: Vec<_> = net.ends(a).into_iter().map(|end| end.2).collect();
    assert_eq!(reasons, [EndReason::Refused(Refusal::NotAdmitted)]);
    assert_eq!(net.connections(a), 1);
}
