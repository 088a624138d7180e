//! Two peers, each behind a NAT of its own, meet by way of relays and look for a direct way.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{
    Config, Delivery, Event, ForwardingPolicy, Identity, Nat, PathReason, PeerHandle, Target,
    Verdict,
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
        let mut world = World::new(seed);
        let mut relay = Config::default();
        relay.forwarding.policy = ForwardingPolicy::Anyone;
        let relays: Vec<SocketAddr> =
            [1, 2].map(|n| SocketAddr::from(([203, 0, 113, n], 4263))).into();
        let mut nodes = Vec::new();
        for (n, address) in relays.iter().enumerate() {
            let setup = NodeSetup { config: relay.clone(), identity: [100 + n as u8; 32] };
            nodes.push(world.add(setup, &[*address]));
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
