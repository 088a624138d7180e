//! The two as they meet.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{
    Config, ForwardingPolicy, Identity, PathReason, PeerHandle, PeerState, Target, Verdict,
};

use super::Site;
use super::model::Model;
use super::plan::{LAST, Plan, RECOVERY, Trouble};
use crate::conditions::Conditions;
use crate::nat::NatId;
use crate::network::NodeId;
use crate::world::World;

/// What came of two who met, all as promised.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeetingReport {
    /// What they were behind.
    pub sites: [Site; 2],
    /// Whether a direct way carried what they said at last.
    pub direct: bool,
    /// Whether both look for a way, and their NATs let them meet.
    pub punchable: bool,
    /// Whether something befell them.
    pub troubled: bool,
    /// How long after the last trouble, or after they met, they were direct for good, looking ten times a second; `None`
    /// if they are not.
    pub recovered: Option<Duration>,
    /// The most packets that one of them sent to look for a way, since it last had one.
    pub packets: u32,
    /// The most mappings that one of the NATs made for both relays and the other one.
    pub mappings: u64,
    /// Messages that arrived.
    pub delivered: u64,
    /// Datagrams sent.
    pub datagrams: u64,
    /// The fingerprint of the run.
    pub trace_hash: u64,
}

pub(super) struct Play {
    seed: u64,
    plan: Plan,
    world: World,
    relays: Vec<NodeId>,
    nats: [Option<NatId>; 2],
    app: Model,
    /// When the troubles are over.
    calm: Duration,
}

impl Play {
    pub(super) fn new(seed: u64, plan: Plan, recorded: bool) -> Self {
        let mut world = World::new(seed);
        world.record(recorded);
        let mut config = Config::default();
        config.forwarding.policy = ForwardingPolicy::Anyone;
        let relays =
            (0..plan.relays).map(|n| world.add_node(config.clone(), [100 + n; 32], &[relay(n)]));
        let relays: Vec<_> = relays.collect();
        let mut nats = [None; 2];
        let mut place = |end: usize| {
            let n = end as u8 + 1;
            let mut config = Config::default();
            config.punching.enabled = plan.looks[end];
            config.timers.connect_timeout = MEETING;
            let identity = [n; 32];
            let node = match plan.sites[end].nat(plan.ports[end]) {
                None => world.add_node(config, identity, &[([198, 18, 0, n], 4263).into()]),
                Some(kind) => {
                    let nat = world.add_nat(kind, [198, 51, 100, n].into());
                    nats[end] = Some(nat);
                    let setup = crate::machine::NodeSetup { config, identity };
                    world.add_behind(nat, setup, &[([192, 168, n, 2], 4263).into()])
                }
            };
            let host = world.addresses(node).next().expect("an address");
            world.with(node, |endpoint, now| endpoint.set_host_addresses(now, [host]));
            node
        };
        let ends = [place(0), place(1)];
        let app = Model {
            ends,
            peers: [None; 2],
            pause: plan.pause,
            until: Duration::MAX,
            sent: [0; 2],
            acked: [0; 2],
            received: [0; 2],
            heard_at: [Duration::ZERO; 2],
            broken: None,
        };
        Self { seed, plan, world, relays, nats, app, calm: Duration::ZERO }
    }

    pub(super) fn finish(mut self) -> MeetingReport {
        self.meet();
        let met = self.world.now();
        for (at, trouble) in self.plan.troubles.clone() {
            self.run_until(met + at);
            self.befall(trouble);
            self.calm = self.world.now();
        }
        if !self.plan.troubles.is_empty() || self.plan.storm.loss != Conditions::default().loss {
            self.run_until(met + LAST);
            self.calm = self.world.now();
        }
        self.set_links(Conditions::default());
        let recovered = self.settle();
        let direct = self.is_direct();
        self.check_way(direct);
        if self.is_direct() != direct {
            self.fail("they take another way, and nothing befell them");
        }
        self.app.until = self.world.now();
        let patience = self.world.now() + CONVERGENCE;
        self.wait(patience, |play| play.app.outstanding().is_none());
        if let Some(outstanding) = self.app.outstanding() {
            self.fail(&outstanding);
        }
        self.report(direct, recovered)
    }

    /// Both reach the relays, and each other by way of one.
    fn meet(&mut self) {
        let ends = self.app.ends;
        for end in ends {
            for n in 0..self.plan.relays {
                let target = Target::new(Identity::from_seed([100 + n; 32]).id(), [relay(n)]);
                self.world.with(end, |it, now| it.connect(now, target)).expect("a dial");
            }
        }
        self.run_until(SECOND);
        self.set_links(self.plan.storm);
        let ids = [1, 2].map(|n| Identity::from_seed([n; 32]).id());
        let dialled = self.world.with(ends[0], |it, now| it.connect(now, Target::from(ids[1])));
        self.app.peers[0] = Some(dialled.expect("a dial"));
        let patience = self.world.now() + MEETING;
        self.wait(patience, |play| {
            let called = play.world.endpoint(ends[1]).and_then(|it| it.peer_by_id(&ids[0]));
            play.app.peers[1] = called.filter(|peer| play.is_connected(1, *peer));
            play.app.peers[1].is_some()
                && play.app.peers[0].is_some_and(|peer| play.is_connected(0, peer))
        });
        if self.app.peers[1].is_none() {
            self.fail("the two do not meet");
        }
        for (end, begins) in ends.into_iter().zip(self.plan.begins) {
            self.world.set_timer(end, self.world.now() + begins, 0);
        }
    }

    fn is_connected(&self, end: usize, peer: PeerHandle) -> bool {
        let info = self.world.endpoint(self.app.ends[end]).and_then(|it| it.peer(peer));
        info.is_some_and(|info| info.state == PeerState::Connected)
    }

    fn set_links(&mut self, conditions: Conditions) {
        let mut set = |one: NodeId, other: NodeId, latency| {
            let conditions = Conditions { latency, ..conditions };
            self.world.network().set_link(one, other, conditions);
            self.world.network().set_link(other, one, conditions);
        };
        let [one, other] = self.app.ends;
        set(one, other, self.plan.direct);
        for (end, latency) in self.app.ends.into_iter().zip(self.plan.to_relays) {
            self.relays.iter().for_each(|relay| set(end, *relay, latency));
        }
    }

    fn befall(&mut self, trouble: Trouble) {
        let ends = self.app.ends;
        let nat = |play: &Self, end: usize| play.nats[end].expect("there is one");
        match trouble {
            Trouble::Reboot(end) => self.world.reboot_nat(nat(self, end)),
            Trouble::Forgetful(end, timeout) => {
                self.world.set_nat_timeout(nat(self, end), timeout);
            }
            Trouble::Kill(relay) => self.world.kill(self.relays[usize::from(relay)]),
            Trouble::Start(relay) => self.world.restart(self.relays[usize::from(relay)]),
            Trouble::Cut { from, both: true } => {
                self.world.network().partition(ends[from], ends[1 - from]);
            }
            Trouble::Cut { from, both: false } => {
                self.world.network().block(ends[from], ends[1 - from]);
            }
            Trouble::Apart { end, relay } => {
                let relay = self.relays[usize::from(relay)];
                self.world.network().partition(ends[end], relay);
            }
            Trouble::Heal => self.world.network().heal(),
        }
    }

    /// Waits until the two are as they must be. How long after the troubles they were.
    fn settle(&mut self) -> Option<Duration> {
        let calm = self.calm.max(self.world.now().saturating_sub(LAST));
        if !self.plan.is_punchable() {
            self.run_until(self.world.now() + SECOND * 20);
            if self.is_direct() && !self.plan.may_be_lucky() {
                self.fail("they are direct, and cannot be");
            }
            return None;
        }
        let patience = self.world.now() + RECOVERY;
        let mut since = None;
        self.wait(patience, |play| {
            let now = play.world.now();
            let works = play.is_direct() && play.hear_each_other();
            since = works.then(|| since.unwrap_or(now));
            since.is_some_and(|since| now - since >= SECOND * 3)
        });
        match since {
            Some(since) => Some(since.saturating_sub(calm)),
            None if self.plan.is_spoilt() => None,
            None => self.fail(&format!("they are not direct: {:?}", self.verdicts())),
        }
    }

    /// Which way data takes, by the relays' own count.
    fn check_way(&mut self, direct: bool) {
        let (passed, heard) = (self.passed(), self.app.received);
        self.run_until(self.world.now() + SECOND * 20);
        let heard = self.app.received[0] + self.app.received[1] - heard[0] - heard[1];
        let passed = self.passed() - passed;
        let verdicts = self.verdicts();
        if heard < 50 {
            self.fail("they are silent");
        }
        if direct && passed > KEEPING_ROUTES {
            self.fail(&format!("direct, and {passed} bytes are passed on: {verdicts:?}"));
        }
        if !direct && passed < 100 * heard {
            self.fail(&format!("routed, and only {passed} bytes are passed on: {verdicts:?}"));
        }
        let unclear = |verdict: &Verdict| {
            matches!(verdict.reason, PathReason::Connecting | PathReason::Direct)
        };
        if !direct && verdicts.iter().any(unclear) {
            self.fail(&format!("routed, without a reason: {verdicts:?}"));
        }
    }

    fn passed(&self) -> u64 {
        let relays = self.relays.iter().filter_map(|relay| self.world.endpoint(*relay));
        relays.map(|relay| relay.stats().forward_bytes_passed).sum()
    }

    fn verdicts(&self) -> [Verdict; 2] {
        [0, 1].map(|end| {
            let endpoint = self.world.endpoint(self.app.ends[end]);
            let peer = endpoint.zip(self.app.peers[end]).and_then(|(it, peer)| it.peer(peer));
            peer.expect("a peer that was met").verdict
        })
    }

    /// Both reach each other directly: a direct path on which nobody answers does not count.
    fn is_direct(&self) -> bool {
        let direct = |verdict: &Verdict| verdict.path.is_some_and(|via| via.remote().is_some());
        let answers = |end: usize| self.app.peers[end].is_some_and(|it| self.is_connected(end, it));
        self.verdicts().iter().all(direct) && [0, 1].into_iter().all(answers)
    }

    /// What they say arrives: a path that leads nowhere by now may look as before for a while.
    fn hear_each_other(&self) -> bool {
        let now = self.world.now();
        self.app.heard_at.iter().all(|at| now - *at < self.plan.pause + SECOND)
    }

    fn report(&self, direct: bool, recovered: Option<Duration>) -> MeetingReport {
        let packets = self.verdicts().map(|verdict| verdict.packets);
        let nats = self.nats.iter().flatten();
        let mappings = nats.map(|nat| self.world.nat(*nat).counts().mapped).max();
        if packets.iter().any(|packets| *packets > MOST_PACKETS) {
            self.fail(&format!("{packets:?} packets to look for a way"));
        }
        MeetingReport {
            sites: self.plan.sites,
            direct,
            punchable: self.plan.is_punchable(),
            troubled: !self.plan.troubles.is_empty(),
            recovered,
            packets: packets[0].max(packets[1]),
            mappings: mappings.unwrap_or_default(),
            delivered: self.app.received[0] + self.app.received[1],
            datagrams: self.world.datagrams(),
            trace_hash: self.world.trace_hash(),
        }
    }

    /// Goes on until `so`, looking ten times a second.
    fn wait(&mut self, until: Duration, mut so: impl FnMut(&mut Self) -> bool) {
        while !so(self) && self.world.now() < until {
            self.run_until(self.world.now() + SECOND / 10);
        }
    }

    fn run_until(&mut self, time: Duration) {
        self.world.run_until_with(time, &mut self.app);
        if let Some(broken) = self.app.broken.take() {
            self.fail(&broken);
        }
    }

    fn fail(&self, what: &str) -> ! {
        for line in self.world.lines() {
            println!("{line}");
        }
        let Plan { sites, ports, looks, troubles, .. } = &self.plan;
        panic!(
            "the meeting failed (seed {}, at {:?}): {what}\n{sites:?}, {ports:?}, looking {looks:?}, {troubles:?}",
            self.seed,
            self.world.now()
        );
    }
}

fn relay(n: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, n + 1], 4263))
}

const SECOND: Duration = Duration::from_secs(1);
/// How long two may take to meet: one of some thousand pairs loses eight exchanges in a row, each by four links.
const MEETING: Duration = Duration::from_secs(30);
/// How long after the last message everything may take to be through.
const CONVERGENCE: Duration = Duration::from_secs(30);
/// What two ends that are direct say by way of relays in twenty seconds, to know that these ways are there.
const KEEPING_ROUTES: u64 = 2_800;
/// Two rounds of a hundred packets and five of twenty.
const MOST_PACKETS: u32 = 300;
