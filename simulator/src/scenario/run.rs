//! One scenario as it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{Endpoint, Farewell, Goodbye, Identity, PeerState, Target};

use super::plan::{Dial, FAULTS, Plan, Step};
use super::report::{DATAGRAMS, Report, Seen};
use super::traffic::Traffic;
use crate::link::Conditions;
use crate::network::NodeId;
use crate::rng::Rng;
use crate::world::World;

/// A world with the applications of a plan.
pub(crate) struct Run {
    seed: u64,
    plan: Plan,
    world: World,
    traffic: Traffic,
    recorded: bool,
    /// Addresses handed out, so that each is new.
    addresses: u32,
    /// Nodes that are down and will dial when they come up.
    redial: BTreeSet<u8>,
    /// Key changes of endpoints that restarted since.
    rekeys: u64,
}

impl Run {
    pub(crate) fn new(seed: u64, plan: Plan, recorded: bool) -> Self {
        // Apart from the plan's numbers, or planning differently would change everything else.
        let mut rng = Rng::from_seed(seed ^ 0x7261_6666_6963_2121);
        let mut world = World::new(rng.next_u64());
        world.record(recorded);
        world.set_batch(plan.batch);
        world.network().set_all(plan.calm);
        let mut addresses = 0;
        let mut ids = Vec::new();
        for config in &plan.configs {
            let identity = rng.bytes();
            ids.push(Identity::from_seed(identity).id());
            world.add_node(config.clone(), identity, &[fresh_address(&mut addresses)]);
        }
        let traffic = Traffic::new(seed, plan.traffic, rng.fork(), &ids);
        Self { seed, plan, world, traffic, recorded, addresses, redial: BTreeSet::new(), rekeys: 0 }
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
            self.world.run_until_with(time, &mut self.traffic);
            if !self.apply(step) && time < Duration::from_secs(FAULTS.1) {
                steps.insert((time + SECOND / 4, order), step);
            }
        }
        self.world.run_until_with(TRAFFIC, &mut self.traffic);
        while self.world.datagrams() < DATAGRAMS && self.world.now() < TRAFFIC * 2 {
            self.world.run_until_with(self.world.now() + SECOND, &mut self.traffic);
        }
        self.traffic.until = self.world.now();
    }

    /// Without faults and new messages, everything must come to its end.
    fn converge(&mut self) {
        let limit = self.world.now() + CONVERGENCE;
        while let Some(missing) = self.missing() {
            if self.world.now() >= limit {
                self.fail(&format!("{CONVERGENCE:?} after the last fault {missing}"));
            }
            self.world.run_until_with(self.world.now() + SECOND / 4, &mut self.traffic);
        }
        self.world.run_until_with(SIMULATED.max(self.world.now()), &mut self.traffic);
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
            let farewell = Farewell { goodbye: Goodbye::new(7, "done"), linger: SECOND };
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
            Step::Kill { node, redial } => self.kill(node, redial),
            Step::Start { node } => self.start(node),
            Step::JumpClock { node, by } => self.world.jump_clock(NodeId(node.into()), by),
        }
        true
    }

    /// Two nodes that move at once lose each other for good, so the others must know where the
    /// node is before it moves on, and the node where they are.
    fn rebind(&mut self, node: u8, knowing: bool) -> bool {
        if !self.found(node) {
            return false;
        }
        let address = fresh_address(&mut self.addresses);
        if knowing {
            self.world.roam(NodeId(node.into()), address);
        } else {
            self.world.rebind(NodeId(node.into()), address);
        }
        true
    }

    /// A node that will not redial waits for the others, who must know where it is.
    fn kill(&mut self, node: u8, redial: bool) {
        let id = NodeId(node.into());
        if redial || !self.found(node) {
            self.redial.insert(node);
        }
        self.rekeys += self.world.endpoint(id).map_or(0, |endpoint| endpoint.stats().rekeys);
        self.world.kill(id);
        self.traffic.restart(node);
    }

    fn start(&mut self, node: u8) {
        let id = NodeId(node.into());
        self.world.restart(id);
        self.world.set_timer(id, self.world.now(), 0);
        if self.redial.remove(&node) {
            for to in self.traffic.peers_of(node) {
                self.dial(Dial { from: node, to, knows_id: true });
            }
        }
    }

    fn dial(&mut self, dial: Dial) {
        let target = Target {
            id: dial.knows_id.then(|| self.traffic.players[usize::from(dial.to)].id),
            addresses: self.world.addresses(NodeId(dial.to.into())).collect(),
        };
        let from = NodeId(dial.from.into());
        let dialled = self.world.with_app(from, &mut self.traffic, |e, now| e.connect(now, target));
        match dialled {
            Ok(handle) if dial.knows_id => self.traffic.dialled(dial.from, dial.to, handle),
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
            && self.world.addresses(NodeId(other.into())).any(|address| remote == Some(address))
    }

    /// What keeps the world from being well.
    fn missing(&self) -> Option<String> {
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
        if !self.traffic.flushed() {
            return Some("messages still wait for room".to_owned());
        }
        let (key, lack) = self.traffic.model.outstanding()?;
        Some(format!("{key:?} lacks {lack}"))
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
        };
        Report {
            seed: self.seed,
            kinds: self.plan.faults.clone(),
            simulated: self.world.now(),
            datagrams: self.world.datagrams(),
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

fn fresh_address(handed_out: &mut u32) -> SocketAddr {
    *handed_out += 1;
    let [_, high, middle, low] = handed_out.to_be_bytes();
    SocketAddr::from(([10, high, middle, low], 4263))
}

const SECOND: Duration = Duration::from_secs(1);
/// How long traffic goes on at least.
const TRAFFIC: Duration = Duration::from_secs(50);
/// How long everything may take to be well again.
const CONVERGENCE: Duration = Duration::from_secs(30);
/// How long goodbyes may take.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long a scenario takes at least.
const SIMULATED: Duration = Duration::from_secs(60);
