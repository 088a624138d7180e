//! One scenario as it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use handfast_core::{
    ConnectError, DisconnectOptions, DisconnectReason, Endpoint, PeerState, Target,
};

use super::configs::Dial;
use super::plan::{FAULTS, Plan, Step};
use super::report::{DATAGRAMS, Report, Seen};
use super::setting::Setting;
use super::traffic::Traffic;
use crate::conditions::Conditions;
use crate::network::NodeId;
use crate::world::World;

/// A world with the applications of a plan.
pub(crate) struct Run {
    seed: u64,
    plan: Plan,
    world: World,
    setting: Setting,
    traffic: Traffic,
    recorded: bool,
    /// Nodes that are down and will dial when they come up.
    redial: BTreeSet<u8>,
    /// Key changes of endpoints that restarted since.
    rekeys: u64,
    /// How long after the last fault some pair was last seen apart.
    recovered: Duration,
}

impl Run {
    pub(crate) fn new(seed: u64, plan: Plan, recorded: bool) -> Self {
        let mut setting = Setting::new(seed);
        let (world, ids) = setting.build(&plan, recorded);
        let rng = setting.rng.fork();
        let traffic = Traffic::new(seed, plan.traffic.clone(), plan.may_expire, rng, &ids);
        let (redial, rekeys, recovered) = (BTreeSet::new(), 0, Duration::ZERO);
        Self { seed, plan, world, setting, traffic, recorded, redial, rekeys, recovered }
    }

    pub(crate) fn finish(mut self) -> (Report, Vec<String>) {
        self.play();
        self.converge();
        self.part();
        let report = self.report();
        (report, self.world.lines().to_vec())
    }

    /// Traffic and faults.
    fn play(&mut self) {
        for dial in self.plan.dials.clone() {
            self.dial(dial);
        }
        for node in 0..self.plan.configs.len() as u32 {
            self.world.set_timer(NodeId(node), Duration::from_millis(1), 0);
        }
        let planned = self.plan.steps.iter().zip(0..);
        let mut steps: BTreeMap<(Duration, usize), Step> =
            planned.map(|(&(time, step), order)| ((time, order), step)).collect();
        while let Some(((time, order), step)) = steps.pop_first() {
            self.advance(time);
            if !self.apply(step) && time < LAST_FAULT {
                steps.insert((time + SECOND / 4, order), step);
            }
        }
        self.advance(TRAFFIC);
        while self.world.datagrams() < DATAGRAMS && self.world.now() < TRAFFIC * 2 {
            self.advance(self.world.now() + SECOND);
        }
        self.traffic.until = self.world.now();
    }

    /// Lets time pass. Applications dial those that they gave up, and once there are no faults any
    /// more the pairs must find each other in time.
    fn advance(&mut self, until: Duration) {
        while self.world.now() < until {
            let next = until.min(self.world.now() + SECOND / 4);
            self.world.run_until_with(next, &mut self.traffic);
            self.redial();
            if next > LAST_FAULT && !self.traffic.closing {
                self.note_recovery(next - LAST_FAULT);
            }
        }
    }

    fn note_recovery(&mut self, after: Duration) {
        let Some(missing) = self.unconnected() else { return };
        if after > self.plan.recovery() {
            self.fail(&format!("{after:?} after the last fault {missing}"));
        }
        self.recovered = after;
    }

    /// Without faults and new messages, everything must come to its end.
    fn converge(&mut self) {
        let limit = self.world.now() + CONVERGENCE;
        while let Some(missing) = self.missing() {
            if self.world.now() >= limit {
                self.fail(&format!("{CONVERGENCE:?} after the last message {missing}"));
            }
            self.advance(self.world.now() + SECOND / 4);
        }
        self.advance(SIMULATED);
        if let Some(missing) = self.missing() {
            self.fail(&format!("after all was well {missing}"));
        }
    }

    /// Every leaf says goodbye to the hub, which must confirm.
    fn part(&mut self) {
        self.traffic.closing = true;
        let leaves = 1..self.plan.configs.len();
        let pairs = leaves.len() as u64;
        for leaf in leaves {
            let Some(handle) = self.traffic.players[leaf].links[&0].handle else { continue };
            let farewell =
                DisconnectOptions::after(SECOND).with_reason(DisconnectReason::new(7, "done"));
            let said = self.world.with_app(NodeId(leaf as u32), &mut self.traffic, |e, now| {
                e.disconnect(now, handle, farewell)
            });
            if let Err(error) = said {
                self.fail(&format!("node {leaf} could not disconnect: {error:?}"));
            }
        }
        self.world.run_until_with(self.world.now() + FAREWELL, &mut self.traffic);
        let goodbyes: u64 = self.traffic.players.iter().map(|player| player.goodbyes).sum();
        let left: usize = self.endpoints().map(|endpoint| endpoint.peers().count()).sum();
        if goodbyes != 2 * pairs || left > 0 {
            self.fail(&format!("{goodbyes} goodbyes at {pairs} partings, {left} peers left"));
        }
    }

    /// Does a step; false if it must wait.
    fn apply(&mut self, step: Step) -> bool {
        match step {
            Step::Links(conditions) => self.world.network().set_all(conditions),
            Step::Mtu(mtu) => {
                let now = self.world.network().conditions(NodeId(0), NodeId(1));
                self.world.network().set_all(Conditions { mtu, ..now });
            }
            Step::Block { from, to, both } => {
                let (from, to) = (NodeId(from.into()), NodeId(to.into()));
                self.world.network().block(from, to);
                if both {
                    self.world.network().block(to, from);
                }
            }
            Step::Heal => self.world.network().heal(),
            Step::Rebind { node, knowing } => return self.rebind(node, knowing),
            Step::NatTimeout(timeout) => {
                for nat in &self.setting.nats {
                    self.world.set_nat_timeout(*nat, timeout);
                }
            }
            Step::NatReboot => {
                for nat in &self.setting.nats {
                    self.world.reboot_nat(*nat);
                }
            }
            Step::Kill { node, redial } => self.kill(node, redial),
            Step::Start { node } => self.start(node, false),
            Step::Replace { node } => self.start(node, true),
            Step::Suspend { node, buffer, clock_stops } => {
                let node = NodeId(node.into());
                if self.world.endpoint(node).is_some() {
                    self.world.suspend(node, buffer, clock_stops);
                }
            }
            Step::Resume { node } => self.world.resume(NodeId(node.into())),
            Step::JumpClock { node, by } => self.world.jump_clock(NodeId(node.into()), by),
            Step::Attacker(acts) => {
                let attacker = acts.map(|acts| self.setting.attacker(acts));
                self.world.set_attacker(attacker);
            }
        }
        true
    }

    /// Two nodes that move at once lose each other for good, so the others must know where the
    /// node is before it moves on, and the node where they are.
    fn rebind(&mut self, node: u8, knowing: bool) -> bool {
        let id = NodeId(node.into());
        if self.world.is_suspended(id) || !self.found(node) {
            return false;
        }
        if self.setting.is_behind(node) {
            self.world.forget_mappings(id);
            if knowing {
                self.world.with_app(id, &mut self.traffic, Endpoint::addresses_changed);
            }
        } else if knowing {
            let address = self.setting.fresh_address();
            self.world.roam_with(id, address, &mut self.traffic);
        } else {
            self.world.rebind(id, self.setting.fresh_address());
        }
        true
    }

    /// A node that will not redial waits for the others, who must know where it is, and stay able to
    /// reach it.
    fn kill(&mut self, node: u8, redial: bool) {
        let id = NodeId(node.into());
        if redial || self.setting.is_behind(node) || self.plan.may_expire || !self.found(node) {
            self.redial.insert(node);
        }
        self.rekeys += self.world.endpoint(id).map_or(0, |endpoint| endpoint.stats().rekeys);
        self.world.kill(id);
        self.traffic.restart(node, self.world.now());
    }

    fn start(&mut self, node: u8, anew: bool) {
        let id = NodeId(node.into());
        if self.world.endpoint(id).is_some() {
            self.kill(node, true);
        }
        if anew {
            let (setup, identity) =
                self.setting.new_identity(&self.plan.configs[usize::from(node)]);
            self.traffic.replaced(node, identity);
            self.world.replace(id, setup);
        } else {
            self.world.restart(id);
        }
        self.world.set_timer(id, self.world.now(), 0);
        if self.redial.remove(&node) {
            let peers = self.traffic.peers_of(node);
            self.traffic.redials.extend(peers.into_iter().map(|to| (node, to)));
            self.redial();
        }
    }

    /// Dials those that applications gave up or that a restarted node misses.
    fn redial(&mut self) {
        for (from, to) in std::mem::take(&mut self.traffic.redials) {
            let id = NodeId(from.into());
            if self.world.endpoint(id).is_none() || self.world.is_suspended(id) {
                self.traffic.redials.insert((from, to));
            } else if !self.setting.is_behind(to) {
                self.dial(Dial { from, to, knows_id: true });
            }
        }
    }

    fn dial(&mut self, dial: Dial) {
        let (from, to) = (NodeId(dial.from.into()), NodeId(dial.to.into()));
        let mut target = Target::anyone(self.world.address_seen_by(to, from));
        target.id = dial.knows_id.then(|| self.traffic.players[usize::from(dial.to)].id);
        let dialled = self.world.with_app(from, &mut self.traffic, |e, now| e.connect(now, target));
        match dialled {
            Ok(handle) | Err(ConnectError::AlreadyConnected(handle)) if dial.knows_id => {
                self.traffic.dialled(dial.from, dial.to, handle)
            }
            Ok(_) => {}
            Err(error) => self.fail(&format!("node {} could not dial: {error:?}", dial.from)),
        }
    }

    /// Whether a node and all its peers know each other's present addresses.
    fn found(&self, node: u8) -> bool {
        let mut others = self.traffic.peers_of(node).into_iter();
        others.all(|other| self.knows(node, other) && self.knows(other, node))
    }

    fn knows(&self, node: u8, other: u8) -> bool {
        let handle = self.traffic.players[usize::from(node)].links[&other].handle;
        let endpoint = self.world.endpoint(NodeId(node.into()));
        let Some(peer) = handle.and_then(|handle| endpoint?.peer(handle)) else { return false };
        let remote = peer.path.and_then(|path| path.remote());
        matches!(peer.state, PeerState::Connected | PeerState::Silent)
            && remote == self.world.address_seen_by(NodeId(other.into()), NodeId(node.into()))
    }

    /// What keeps the world from being well.
    fn missing(&self) -> Option<String> {
        if let Some(unconnected) = self.unconnected() {
            return Some(unconnected);
        }
        let known: usize = self.endpoints().map(|endpoint| endpoint.peers().count()).sum();
        let expected: usize = self.traffic.players.iter().map(|player| player.links.len()).sum();
        if known != expected {
            return Some(format!("{known} peers are known where there are {expected}"));
        }
        if !self.traffic.flushed() {
            return Some("messages still wait for room".to_owned());
        }
        let (key, lack) = self.traffic.model.outstanding()?;
        Some(format!("{key:?} lacks {lack}"))
    }

    /// Which pair is not connected, if any.
    fn unconnected(&self) -> Option<String> {
        for (player, node) in self.traffic.players.iter().zip(0..) {
            for (other, link) in &player.links {
                let endpoint = self.world.endpoint(NodeId(node));
                let peer = link.handle.and_then(|handle| endpoint?.peer(handle));
                let state = peer.map(|peer| peer.state);
                if state != Some(PeerState::Connected) {
                    return Some(format!("node {node} sees node {other} as {state:?}"));
                }
            }
        }
        None
    }

    fn report(&self) -> Report {
        let faults = *self.world.faults();
        let sum = |count: fn(&Endpoint) -> u64| self.endpoints().map(count).sum::<u64>();
        let seen = Seen {
            loss: faults.dropped() > 0,
            reordering: faults.reordered > 0,
            rekey: self.rekeys + sum(|endpoint| endpoint.stats().rekeys) > 0,
            roaming: self.traffic.roamed > 0,
            fragmentation: self.traffic.large_delivered > 0,
            restart: self.traffic.noticed_restarts > 0,
            expiry: self.traffic.expired > 0,
        };
        let players = self.traffic.players.iter();
        let connected: Duration = players.map(|p| p.connected_until(self.world.now())).sum();
        Report {
            seed: self.seed,
            kinds: self.plan.faults.clone(),
            simulated: self.world.now(),
            // Each pair was counted at both ends.
            connected: connected / 2,
            recovered: self.recovered,
            datagrams: self.world.datagrams(),
            events: self.world.events(),
            seals: self.world.seals(),
            delivered: self.traffic.model.delivered,
            handshakes: sum(|endpoint| endpoint.stats().handshakes),
            faults,
            seen,
            trace_hash: self.world.trace_hash(),
        }
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        (0..self.plan.configs.len() as u32).filter_map(|node| self.world.endpoint(NodeId(node)))
    }

    fn fail(&self, what: &str) -> ! {
        panic!("scenario failed (seed {}, at {:?}): {what}", self.seed, self.world.now());
    }
}

impl Drop for Run {
    /// A failing run that was recorded shows how it came to that.
    fn drop(&mut self) {
        if self.recorded && std::thread::panicking() {
            for line in self.world.lines() {
                println!("{line}");
            }
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// When the last fault is over.
const LAST_FAULT: Duration = Duration::from_secs(FAULTS.1);
/// How long traffic goes on at least.
const TRAFFIC: Duration = Duration::from_secs(50);
/// How long after the last message everything may take to be through.
const CONVERGENCE: Duration = Duration::from_secs(30);
/// How long goodbyes may take.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long a scenario takes at least.
const SIMULATED: Duration = Duration::from_secs(60);
