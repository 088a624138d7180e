//! Two peers, each behind a NAT of its own, meet by way of relays and look for a direct way.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{
    Config, Delivery, DisconnectOptions, Event, ForwardingPolicy, FreshPort, Identity, Nat,
    PathReason, PeerHandle, SocketId, Target, Verdict,
};
use handfast_sim::nat::{Dependence, NatKind};
use handfast_sim::{Conditions, NatId, NodeId, NodeSetup, Probability, World};

pub(super) const MS: Duration = Duration::from_millis(1);

/// What a peer is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Public,
    FullCone,
    AddressRestricted,
    PortRestricted,
    /// The same, which takes what strangers send for its own and remembers it.
    PortAccepting,
    Symmetric,
}

const KINDS: [Kind; 6] = [
    Kind::Public,
    Kind::FullCone,
    Kind::AddressRestricted,
    Kind::PortRestricted,
    Kind::PortAccepting,
    Kind::Symmetric,
];

impl Kind {
    fn nat(self) -> Option<NatKind> {
        let cone = |filtering| Some(NatKind { filtering, ..NatKind::friendly() });
        match self {
            Self::Public => None,
            Self::FullCone => cone(Dependence::EndpointIndependent),
            Self::AddressRestricted => cone(Dependence::AddressDependent),
            Self::PortRestricted => cone(Dependence::AddressAndPortDependent),
            Self::PortAccepting => {
                let filtering = Dependence::AddressAndPortDependent;
                Some(NatKind { filtering, remembers_strangers: true, ..NatKind::friendly() })
            }
            Self::Symmetric => Some(NatKind::symmetric()),
        }
    }
}

/// Whether two can reach each other: known of NATs, not of this implementation (RFC 5128 section 3.3).
fn is_punchable(one: Kind, other: Kind) -> bool {
    let strict = |kind| !matches!(kind, Kind::Public | Kind::FullCone | Kind::AddressRestricted);
    let symmetric = one == Kind::Symmetric || other == Kind::Symmetric;
    !(symmetric && strict(one) && strict(other))
}

pub(super) fn punching() -> Config {
    let mut config = Config::default();
    config.punching.enabled = true;
    config
}

pub(super) struct Meeting {
    pub(super) world: World,
    pub(super) ends: [NodeId; 2],
    pub(super) peers: [PeerHandle; 2],
    pub(super) relays: Vec<NodeId>,
    /// The NATs of those ends that have one.
    pub(super) nats: [Option<NatId>; 2],
}

impl Meeting {
    pub(super) fn new(
        seed: u64,
        kinds: [Kind; 2],
        configs: [Config; 2],
        loss: u32,
        skew: Duration,
    ) -> Self {
        Self::with_probe_ports(seed, kinds, configs, loss, skew, [4264, 4265])
    }

    /// The same; the first relay helps with tests of NATs at these two ports beside its own.
    fn with_probe_ports(
        seed: u64,
        kinds: [Kind; 2],
        configs: [Config; 2],
        loss: u32,
        skew: Duration,
        [near, far]: [u16; 2],
    ) -> Self {
        let mut world = World::new(seed);
        let mut relay = Config::default();
        relay.forwarding.policy = ForwardingPolicy::Anyone;
        let relays: Vec<SocketAddr> =
            [1, 2].map(|n| SocketAddr::from(([203, 0, 113, n], 4263))).into();
        let mut nodes = Vec::new();
        for (n, address) in relays.iter().enumerate() {
            let setup = NodeSetup { config: relay.clone(), identity: [100 + n as u8; 32] };
            let ports: &[u16] = if n == 0 { &[4263, near, far] } else { &[4263] };
            let sockets: Vec<_> =
                ports.iter().map(|port| SocketAddr::new(address.ip(), *port)).collect();
            let node = world.add(setup, &sockets);
            world.with(node, |relay, now| {
                for (socket, address) in (0..).map(SocketId).zip(&sockets).skip(1) {
                    relay.socket_opened(now, socket, *address);
                }
                relay.set_probe_sockets((1..3).map(SocketId).take(sockets.len() - 1));
            });
            nodes.push(node);
        }
        let (mut ends, mut nats) = (Vec::new(), [None; 2]);
        for (n, (kind, config)) in kinds.into_iter().zip(configs).enumerate() {
            let (n, setup) = (n as u8 + 1, NodeSetup { config, identity: [n as u8 + 1; 32] });
            let node = match kind.nat() {
                None => world.add(setup, &[SocketAddr::from(([198, 18, 0, n], 4263))]),
                Some(nat) => {
                    let nat = world.add_nat(nat, [198, 51, 100, n].into());
                    nats[usize::from(n) - 1] = Some(nat);
                    world.add_behind(nat, setup, &[SocketAddr::from(([192, 168, n, 2], 4263))])
                }
            };
            let host = world.addresses(node).next().expect("an address");
            world.with(node, |endpoint, now| endpoint.set_host_addresses(now, [host]));
            for (n, address) in relays.iter().enumerate() {
                let id = Identity::from_seed([100 + n as u8; 32]).id();
                let target = Target::new(id, [*address]);
                world.with(node, |endpoint, now| endpoint.connect(now, target)).expect("a dial");
            }
            ends.push(node);
        }
        world.run_for(300 * MS);
        let loss = Probability::percent(loss);
        world.network().set_all(Conditions { latency: 20 * MS, loss, ..Conditions::default() });
        let ids = [1, 2].map(|n| Identity::from_seed([n; 32]).id());
        let ab = world.with(ends[0], |endpoint, now| endpoint.connect(now, Target::from(ids[1])));
        world.run_for(1500 * MS);
        let ba = world.endpoint(ends[1]).and_then(|endpoint| endpoint.peer_by_id(&ids[0]));
        let peers = [ab.expect("a dial"), ba.expect("connected")];
        let mut meeting = Self { world, ends: [ends[0], ends[1]], peers, relays: nodes, nats };
        meeting.say(0);
        meeting.world.run_for(skew);
        meeting.say(1);
        meeting
    }

    pub(super) fn say(&mut self, end: usize) {
        let (peer, node) = (self.peers[end], self.ends[end]);
        let word = Delivery::ordered(0);
        let sent = self.world.with(node, |it, now| it.send(now, peer, word, "word".into()));
        sent.expect("connected");
    }

    pub(super) fn verdict(&self, end: usize) -> Verdict {
        let endpoint = self.world.endpoint(self.ends[end]).expect("up");
        endpoint.peer(self.peers[end]).expect("connected").verdict
    }

    /// Whether both ends send directly within so many seconds.
    pub(super) fn becomes_direct(&mut self, seconds: u64) -> bool {
        (0..seconds).any(|_| {
            self.world.run_for(Duration::from_secs(1));
            self.is_direct()
        })
    }

    pub(super) fn is_direct(&self) -> bool {
        [0, 1].iter().all(|end| self.verdict(*end).path.is_some_and(|via| via.remote().is_some()))
    }
}

#[test]
fn every_pair_that_can_be_punched_becomes_direct_and_the_others_say_why() {
    let mut times = Vec::new();
    for (at, one) in KINDS.into_iter().cycle().take(2 * KINDS.len()).enumerate() {
        for other in KINDS {
            for (variant, (loss, skew)) in
                [(0, 0), (5, 0), (0, 400), (5, 400)].into_iter().enumerate()
            {
                let seed = (at * 100 + variant) as u64;
                let skew = skew * MS;
                let case =
                    format!("{one:?} x {other:?}, loss {loss} %, skew {skew:?}, seed {seed}");
                let configs = [punching(), punching()];
                let mut meeting = Meeting::new(seed, [one, other], configs, loss, skew);
                // A loss may have data take the route again for a while.
                let became = meeting.becomes_direct(60);
                let verdicts = [meeting.verdict(0), meeting.verdict(1)];
                assert_eq!(became, is_punchable(one, other), "{case}: {verdicts:?}");
                for verdict in &verdicts {
                    let (reason, text) = (verdict.reason, verdict.to_string());
                    if let PathReason::Punched { after, .. } = reason {
                        times.push(after);
                        assert!(
                            text.starts_with("direct ") && text.contains(", punched in "),
                            "{text}"
                        );
                    }
                    if !is_punchable(one, other) {
                        assert!(text.starts_with("routed via "), "{text}");
                        let both = one == other;
                        let why =
                            if both { PathReason::BothSymmetric } else { PathReason::NoAnswer };
                        assert!([why, PathReason::Trying].contains(&reason), "{case}: {verdict:?}");
                        assert!(verdict.packets <= 300, "{case}: {verdict:?}");
                    }
                }
                if one == Kind::Symmetric && !is_punchable(one, other) {
                    assert_eq!(verdicts[0].our_nat, Nat::Symmetric, "{case}");
                    assert_eq!(verdicts[1].peer_nat, Nat::Symmetric, "{case}");
                }
            }
        }
    }
    times.sort_unstable();
    assert!(times.len() >= 240 && times[times.len() / 2] < Duration::from_secs(1), "{times:?}");
}

#[test]
fn who_does_not_look_for_a_direct_way_stays_routed_and_both_say_why() {
    let cones = [Kind::FullCone; 2];
    let mut meeting = Meeting::new(1, cones, [punching(), Config::default()], 0, Duration::ZERO);
    meeting.world.run_for(Duration::from_secs(30));
    assert!(!meeting.is_direct());
    let reasons = [0, 1].map(|end| meeting.verdict(end).reason);
    assert_eq!(reasons, [PathReason::PeerDoesNotTry, PathReason::Off]);
    // Nor does anything go to who hides its addresses, and probes nobody's.
    let mut hidden = punching();
    (hidden.punching.tell_host, hidden.punching.tell_observed) = (false, false);
    let mut meeting =
        Meeting::new(2, [Kind::PortRestricted; 2], [hidden.clone(), hidden], 0, Duration::ZERO);
    meeting.world.run_for(Duration::from_secs(30));
    assert!(!meeting.is_direct());
    assert_eq!(meeting.verdict(0).reason, PathReason::NoCandidates);
    assert_eq!(meeting.verdict(0).packets, 0);
}

#[test]
fn a_pair_that_cannot_be_punched_is_tried_seven_times_and_then_left_alone() {
    let strict = [Kind::Symmetric, Kind::PortRestricted];
    let mut meeting = Meeting::new(7, strict, [punching(), punching()], 0, Duration::ZERO);
    meeting.world.run_for(Duration::from_secs(1200));
    let verdicts = [meeting.verdict(0), meeting.verdict(1)];
    for verdict in &verdicts {
        assert!((5..=7).contains(&verdict.rounds) && verdict.packets <= 300, "{verdicts:?}");
        assert_eq!(
            (verdict.next_retry, verdict.reason),
            (None, PathReason::NoAnswer),
            "{verdicts:?}"
        );
    }
    meeting.world.run_for(Duration::from_secs(1200));
    assert_eq!([meeting.verdict(0), meeting.verdict(1)], verdicts, "nothing more is sent");
    let told = meeting.world.take_events(meeting.ends[0]);
    assert!(told.iter().any(|(_, event)| matches!(event, Event::VerdictChanged { .. })));
    // Until our addresses are others.
    let node = meeting.ends[0];
    let host = SocketAddr::from(([192, 168, 1, 2], 4263));
    meeting.world.with(node, |endpoint, now| endpoint.set_host_addresses(now, [host]));
    assert_eq!(meeting.verdict(0).reason, PathReason::Trying);
}

/// Two behind NATs that remember strangers are direct; then the NAT of the second forgets its mappings, and what the first
/// goes on to send spoils the port that they had.
fn spoilt(seed: u64, configs: [Config; 2], refuses: bool) -> Meeting {
    let mut meeting = Meeting::new(seed, [Kind::PortAccepting; 2], configs, 0, Duration::ZERO);
    if refuses {
        meeting.ends.into_iter().for_each(|end| meeting.world.refuse_sockets(end));
    }
    assert!(meeting.becomes_direct(10));
    meeting.world.reboot_nat(meeting.nats[1].expect("it has one"));
    for _ in 0..40 {
        (0..2).for_each(|end| meeting.say(end));
        meeting.world.run_for(50 * MS);
    }
    meeting
}

#[test]
fn a_pair_whose_nats_are_spoilt_meets_from_fresh_ports_or_says_that_these_were_left_out() {
    let mut meeting = spoilt(3, [punching(), punching()], false);
    assert!(meeting.becomes_direct(15), "{:?}", [meeting.verdict(0), meeting.verdict(1)]);
    // It stays there, and what led to nothing is closed.
    meeting.world.run_for(Duration::from_secs(300));
    assert!(meeting.is_direct(), "{:?}", [meeting.verdict(0), meeting.verdict(1)]);
    let sockets = meeting.ends.map(|end| meeting.world.further_sockets(end));
    assert!(sockets.iter().all(|open| *open <= 1) && sockets != [0, 0], "{sockets:?}");
    assert!((0..2).any(|end| meeting.verdict(end).fresh_port == FreshPort::Tried));
    // Who parts with the peer needs none.
    let (node, peer) = (meeting.ends[0], meeting.peers[0]);
    meeting
        .world
        .with(node, |it, now| it.disconnect(now, peer, DisconnectOptions::default()))
        .expect("a peer");
    meeting.world.run_for(Duration::from_secs(120));
    assert_eq!(meeting.ends.map(|end| meeting.world.further_sockets(end)), [0, 0]);

    let mut single = punching();
    single.punching.fresh_ports = false;
    for (configs, refuses) in [([single.clone(), single], false), ([punching(), punching()], true)]
    {
        let mut meeting = spoilt(3, configs, refuses);
        meeting.world.run_for(Duration::from_secs(15));
        let verdicts = [0, 1].map(|end| meeting.verdict(end));
        let left_out = |verdict: &Verdict| verdict.fresh_port == FreshPort::LeftOut;
        assert!(verdicts.iter().any(left_out), "{verdicts:?}");
        assert!(verdicts.iter().all(|verdict| verdict.fresh_port != FreshPort::Tried));
        assert_eq!(meeting.ends.map(|end| meeting.world.further_sockets(end)), [0, 0]);
    }
}

#[test]
fn a_short_trouble_does_not_cost_a_pair_the_fresh_port_that_it_talks_by() {
    for seed in 0..4 {
        let mut meeting = spoilt(seed, [punching(), punching()], false);
        assert!(meeting.becomes_direct(15), "seed {seed}: {:?}", meeting.verdict(0));
        meeting.world.run_for(Duration::from_secs(20));
        let ways = |meeting: &Meeting| [0, 1].map(|end| meeting.verdict(end).path);
        let fresh = |meeting: &Meeting| meeting.ends.map(|end| meeting.world.further_sockets(end));
        let before = (ways(&meeting), fresh(&meeting));
        assert_ne!(before.1, [0, 0], "seed {seed}");
        let [one, other] = meeting.ends;
        meeting.world.network().partition(one, other);
        let mut left = false;
        for step in 0..40 {
            if step == 8 {
                meeting.world.network().heal();
            }
            (0..2).for_each(|end| meeting.say(end));
            meeting.world.run_for(50 * MS);
            left |= !meeting.is_direct();
        }
        assert!(left, "seed {seed}: it was no trouble");
        assert!(meeting.becomes_direct(10), "seed {seed}: {:?}", meeting.verdict(0));
        assert_eq!((ways(&meeting), fresh(&meeting)), before, "seed {seed}");
    }
}

/// The same, but only the first spoke to the other while the NAT knew nothing of the two: it took that for its own, and has
/// spoilt the port that they had. How many seconds of talk later they are direct; `None`: not within `most`.
fn seconds_to_recover(seed: u64, fresh_ports: bool, most: u64) -> Option<u64> {
    let mut config = punching();
    config.punching.fresh_ports = fresh_ports;
    let configs = [config.clone(), config];
    let mut meeting = Meeting::new(seed, [Kind::PortAccepting; 2], configs, 0, Duration::ZERO);
    assert!(meeting.becomes_direct(10));
    meeting.world.reboot_nat(meeting.nats[1].expect("it has one"));
    // Something that goes elsewhere takes the port again.
    let (second, relay) = (meeting.ends[1], Identity::from_seed([100; 32]).id());
    let relay = meeting.world.endpoint(second).and_then(|it| it.peer_by_id(&relay));
    let relay = relay.expect("a neighbour");
    let sent = meeting
        .world
        .with(second, |it, now| it.send(now, relay, Delivery::ordered(0), "word".into()));
    sent.expect("connected");
    for _ in 0..8 {
        meeting.say(0);
        meeting.world.run_for(50 * MS);
    }
    (1..=most).find(|_| {
        for _ in 0..5 {
            (0..2).for_each(|end| meeting.say(end));
            meeting.world.run_for(200 * MS);
        }
        meeting.is_direct()
    })
}

#[test]
fn a_spoilt_nat_lets_a_pair_meet_from_a_fresh_port_and_not_from_the_usual_one() {
    for seed in 0..6 {
        let with = seconds_to_recover(seed, true, 20);
        assert!(with.is_some(), "seed {seed}: not from a fresh port either");
        let without = seconds_to_recover(seed, false, 60);
        assert_eq!(without, None, "seed {seed}: it is not spoilt");
    }
}

#[test]
fn a_pair_whose_nat_forgot_a_mapping_and_was_spoilt_is_direct_again() {
    let report = handfast_sim::Meeting::from_seed(28).run();
    assert!(report.punchable && report.direct, "{report:?}");
}

/// What a neighbour says about a fresh port comes after it was asked once more.
#[test]
fn a_fresh_port_is_of_use_though_the_neighbour_is_far_away() {
    for seed in [64, 280] {
        let report = handfast_sim::Meeting::from_seed(seed).run();
        assert!(report.punchable && report.direct, "{seed}: {report:?}");
    }
}

#[test]
fn the_ports_of_a_server_that_has_others_than_usual_are_found_by_who_is_told_of_them() {
    let pair = [Kind::PortAccepting, Kind::PortRestricted];
    let others = [9000, 7000];
    let mut told = punching();
    told.punching.probe_ports = Some(others);
    let configs = [told, punching()];
    let mut meeting = Meeting::with_probe_ports(4, pair, configs, 0, Duration::ZERO, others);
    meeting.world.run_for(Duration::from_secs(20));
    let found = [0, 1].map(|end| meeting.verdict(end).order_sensitive);
    assert_eq!(found, [Some(true), None]);
}

#[test]
fn a_nat_is_tested_by_itself_and_both_ends_say_what_was_found() {
    let pair = [Kind::PortAccepting, Kind::PortRestricted];
    let mut meeting = Meeting::new(4, pair, [punching(), punching()], 0, Duration::ZERO);
    assert!(meeting.becomes_direct(10));
    let check = |meeting: &Meeting| {
        let [one, other] = [meeting.verdict(0), meeting.verdict(1)];
        assert_eq!((one.our_nat, one.order_sensitive), (Nat::Cone, Some(true)), "{one:?}");
        assert_eq!((other.our_nat, other.order_sensitive), (Nat::Cone, Some(false)), "{other:?}");
        assert_eq!((one.peer_nat, one.peer_order_sensitive), (Nat::Cone, Some(false)), "{one:?}");
        assert_eq!((other.peer_nat, other.peer_order_sensitive), (Nat::Unknown, None), "{other:?}");
    };
    check(&meeting);
    // Again once others see it elsewhere.
    meeting.world.move_nat(meeting.nats[0].expect("it has one"), [198, 51, 100, 77].into());
    meeting.world.run_for(Duration::from_secs(60));
    check(&meeting);
    for node in meeting.ends {
        let told = meeting.world.take_events(node);
        let asked = told.iter().any(|(_, event)| matches!(event, Event::NatTested { .. }));
        assert!(!asked, "nobody asked for it");
    }
    let one = Kind::Symmetric;
    let meeting = Meeting::new(4, [one, one], [punching(), punching()], 0, Duration::ZERO);
    assert_eq!([0, 1].map(|end| meeting.verdict(end).our_nat), [Nat::Symmetric; 2]);
}
