//! The mesh as it runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{
    Config, EndReason, Event, ForwardingPolicy, Identity, PeerHandle, PeerId, PeerState, Target,
};

use super::model::Talk;
use super::plan::{LAST, Plan, Trouble};
use super::watch::{Pass, Watch};
use crate::network::NodeId;
use crate::world::World;

/// What came of a mesh, all as promised.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeshReport {
    /// Nodes that exchange routes, and leaves.
    pub nodes: [usize; 2],
    /// Whether something befell them.
    pub troubled: bool,
    /// How long after the last trouble all who talk were connected.
    pub recovered: Duration,
    /// Messages that arrived.
    pub delivered: u64,
    /// The most nodes that passed one packet on.
    pub hops: usize,
    /// Packets that came to a node again, as routes changed while they were under way.
    pub returned: u64,
    /// Datagrams sent.
    pub datagrams: u64,
    /// The fingerprint of the run.
    pub trace_hash: u64,
}

pub(super) struct Play {
    seed: u64,
    plan: Plan,
    world: World,
    nodes: Vec<NodeId>,
    ids: Vec<PeerId>,
    up: Vec<bool>,
    /// When each of them began its life.
    began: Vec<Duration>,
    /// What each leaf says to another, by their numbers.
    talks: BTreeMap<(usize, usize), Talk>,
    /// The dial of a leaf to an id that nobody has.
    vain: Option<PeerHandle>,
    watch: Watch,
    pause: Duration,
    next_word: Duration,
}

impl Play {
    pub(super) fn new(seed: u64, plan: Plan, recorded: bool) -> Self {
        let mut world = World::new(seed);
        world.record(recorded);
        let count = plan.routers + plan.leaves;
        let nodes: Vec<_> = (0..count)
            .map(|n| world.add_node(config(&plan, n), seed_of(n), &[address(n)]))
            .collect();
        for ((a, b), conditions) in plan.links.iter().zip(&plan.conditions) {
            world.network().set_link(nodes[*a], nodes[*b], *conditions);
            world.network().set_link(nodes[*b], nodes[*a], *conditions);
        }
        let leaves = plan.routers..count;
        let pairs = leaves.clone().flat_map(|a| leaves.clone().map(move |b| (a, b)));
        let talks = pairs.filter(|(a, b)| a != b).map(|pair| (pair, Talk::default())).collect();
        let (up, began) = (vec![true; count], vec![Duration::ZERO; count]);
        let ids = (0..count).map(id).collect();
        let (watch, pause, next_word) = (Watch::default(), plan.pause, Duration::ZERO);
        Self {
            seed,
            plan,
            world,
            nodes,
            ids,
            up,
            began,
            talks,
            vain: None,
            watch,
            pause,
            next_word,
        }
    }

    pub(super) fn finish(mut self) -> MeshReport {
        self.run_until(SECOND * 3, false);
        let leaf = self.nodes[self.plan.routers];
        let nobody = Target::from(Identity::from_seed([250; 32]).id());
        self.vain = self.world.with(leaf, |it, now| it.connect(now, nobody)).ok();
        let met = self.world.now();
        let mut calm = met;
        for (at, trouble) in self.plan.troubles.clone() {
            self.run_until(met + at, true);
            self.befall(trouble);
            calm = self.world.now();
        }
        self.run_until(met + LAST, true);
        let recovered = self.settle(calm);
        self.look_for_detours();
        self.run_until(self.world.now() + SECOND * 5, true);
        let patience = self.world.now() + CONVERGENCE;
        let outstanding = |play: &Self| {
            play.talks.iter().find_map(|(pair, it)| it.outstanding().map(|what| (*pair, what)))
        };
        while let Some((pair, what)) = outstanding(&self) {
            if self.world.now() > patience {
                self.fail(&format!("{pair:?}: {what}"));
            }
            self.run_until(self.world.now() + SECOND, false);
        }
        if self.vain.is_some() {
            self.fail("the dial to an id that nobody has does not end");
        }
        self.report(recovered)
    }

    fn befall(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Cut(link) => {
                let (a, b) = self.plan.links[link];
                self.world.network().partition(self.nodes[a], self.nodes[b]);
            }
            Trouble::Heal => self.world.network().heal(),
            Trouble::Kill(node) => {
                self.world.kill(self.nodes[node]);
                self.up[node] = false;
            }
            Trouble::Start(node) => {
                self.world.restart(self.nodes[node]);
                (self.up[node], self.began[node]) = (true, self.world.now());
            }
        }
    }

    /// Waits until all leaves are connected, and stay so. How long after the troubles that is.
    fn settle(&mut self, calm: Duration) -> Duration {
        let patience = self.world.now() + RECOVERY;
        let mut since = None;
        while since.is_none_or(|since| self.world.now() < since + SECOND * 3) {
            let apart = self.talks.keys().find(|(a, b)| !self.is_connected(*a, *b)).copied();
            since = apart.is_none().then(|| since.unwrap_or_else(|| self.world.now()));
            if let Some(pair) = apart.filter(|_| self.world.now() > patience) {
                self.fail(&format!("{pair:?} are not connected again"));
            }
            self.run_until(self.world.now() + SECOND / 10, true);
        }
        since.unwrap_or_default().saturating_sub(calm.max(self.world.now().saturating_sub(LAST)))
    }

    /// Some time after the last trouble packets take the best ways there are, or nearly so.
    fn look_for_detours(&mut self) {
        self.pause = SECOND;
        self.run_until(self.world.now() + SETTLING, true);
        self.watch.count_ways();
        self.run_until(self.world.now() + SECOND * 10, true);
        if let Some(detour) = self.watch.detour(&self.plan) {
            self.fail(&format!("a detour {detour}"));
        }
    }

    fn is_connected(&self, from: usize, to: usize) -> bool {
        self.state(from, to).is_some_and(|(_, state)| state == PeerState::Connected)
    }

    fn state(&self, from: usize, to: usize) -> Option<(PeerHandle, PeerState)> {
        let endpoint = self.world.endpoint(self.nodes[from])?;
        let handle = endpoint.peer_by_id(&self.ids[to])?;
        Some((handle, endpoint.peer(handle)?.state))
    }

    fn run_until(&mut self, time: Duration, talking: bool) {
        while self.world.now() < time {
            follow();
            self.world.run_until((self.world.now() + SECOND / 10).min(time));
            self.check_passed();
            self.check_tables();
            for node in (0..self.nodes.len()).filter(|node| self.up[*node]).collect::<Vec<_>>() {
                self.attend(node);
            }
            let now = self.world.now();
            if talking && now >= self.next_word {
                self.next_word = now + self.pause;
                for pair in self.talks.keys().copied().collect::<Vec<_>>() {
                    self.say(pair);
                }
            }
        }
    }

    /// Keeps the connections of a node, and hears what its application is told.
    fn attend(&mut self, node: usize) {
        let linked = self.plan.links.iter().filter(|(a, b)| *a == node || *b == node);
        let others: Vec<_> = linked.map(|(a, b)| if *a == node { *b } else { *a }).collect();
        for other in others {
            if self.up[other] && self.state(node, other).is_none() {
                let target = Target::new(self.ids[other], [address(other)]);
                // It may be there, and parting.
                self.world.with(self.nodes[node], |it, now| it.connect(now, target)).ok();
            }
        }
        for (_, event) in self.world.take_events(self.nodes[node]) {
            self.on_event(node, &event);
        }
        if node >= self.plan.routers {
            self.hear(node);
        }
    }

    fn on_event(&mut self, node: usize, event: &Event) {
        let of = |play: &Self, id: Option<PeerId>| play.ids.iter().position(|it| id == Some(*it));
        match event {
            Event::Fate { peer, message, fate } => {
                let mine = self.talks.iter_mut().filter(|((from, _), _)| *from == node);
                mine.for_each(|(_, talk)| talk.on_fate(*peer, *message, *fate));
            }
            Event::Ended { peer, reason, .. } if self.vain == Some(*peer) => {
                let is_told = matches!(reason, EndReason::NotForwarded(_) | EndReason::DialTimeout);
                if !is_told {
                    self.fail(&format!("a dial in vain ends with {reason:?}"));
                }
                self.vain = None;
            }
            Event::Ended { id, undeliverable, unread, .. } => {
                if let Some(talk) = of(self, *id).and_then(|from| self.talks.get_mut(&(from, node)))
                {
                    talk.undeliverable += undeliverable + *unread as u64;
                }
            }
            Event::Restarted { peer, undeliverable } => {
                let endpoint = self.world.endpoint(self.nodes[node]);
                let id = endpoint.and_then(|it| it.peer(*peer)).and_then(|peer| peer.id);
                if let Some(talk) = of(self, id).and_then(|from| self.talks.get_mut(&(from, node)))
                {
                    talk.undeliverable += undeliverable;
                }
            }
            _ => {}
        }
    }

    /// A leaf takes what arrived.
    fn hear(&mut self, leaf: usize) {
        for from in self.plan.routers..self.nodes.len() {
            let Some((peer, _)) = self.state(leaf, from) else { continue };
            loop {
                let node = self.nodes[leaf];
                let Some(message) = self.world.with(node, |it, now| it.receive(now, peer)) else {
                    break;
                };
                let talk = self.talks.get_mut(&(from, leaf)).expect("two leaves");
                if let Err(what) = talk.on_message(&message.payload) {
                    self.fail(&format!("from {from} to {leaf}: {what}"));
                }
            }
        }
    }

    /// One leaf says something to another, or dials it.
    fn say(&mut self, (from, to): (usize, usize)) {
        let node = self.nodes[from];
        let Some((peer, _)) = self.state(from, to) else {
            if from < to {
                let target = Target::from(self.ids[to]);
                self.world.with(node, |it, now| it.connect(now, target)).ok();
            }
            return;
        };
        let talk = self.talks.get_mut(&(from, to)).expect("two leaves");
        let (delivery, payload) = talk.say();
        // Too much may wait already, or it is parting.
        let sent = self.world.with(node, |it, now| it.send(now, peer, delivery, payload));
        if let Ok(message) = sent {
            talk.on_sent(peer, message);
        }
    }

    /// Follows the packets that were passed on of late.
    fn check_passed(&mut self) {
        let passed = passed(|id| self.ids.iter().position(|it| it == id).unwrap_or(usize::MAX));
        if let Err(what) = self.watch.on_passed(&passed) {
            self.fail(&what);
        }
    }

    /// Whether a node heard from another since that one began its life: if not, nothing it sends there is understood.
    /// What was under way from an earlier life does not count.
    fn knows_life_of(&self, node: usize, other: &PeerId) -> bool {
        let Some(at) = self.ids.iter().position(|id| id == other) else { return false };
        let Some(endpoint) = self.world.endpoint(self.nodes[node]) else { return false };
        let peer = endpoint.peer_by_id(other).and_then(|peer| endpoint.peer(peer));
        let heard = peer.and_then(|peer| peer.last_received);
        let ago = heard.map(|heard| self.world.clock(self.nodes[node]).saturating_since(heard));
        ago.is_some_and(|ago| ago + UNDER_WAY <= self.world.now() - self.began[at])
    }

    /// At no time tables lead in a circle.
    fn check_tables(&self) {
        let mut hops: BTreeMap<(PeerId, PeerId), PeerId> = BTreeMap::new();
        for node in 0..self.plan.routers {
            let endpoint = self.world.endpoint(self.nodes[node]).filter(|_| self.up[node]);
            let routes = endpoint.into_iter().flat_map(|endpoint| endpoint.routes());
            let routes = routes.filter(|it| self.knows_life_of(node, &it.next_hop));
            hops.extend(routes.map(|it| ((self.ids[node], it.destination), it.next_hop)));
        }
        for (begin, destination) in hops.keys() {
            let mut at = *begin;
            for _ in 0..self.plan.routers {
                let Some(next) = hops.get(&(at, *destination)) else { break };
                at = *next;
                if at == *begin {
                    self.fail(&format!("routes to {destination} lead in a circle by {begin}"));
                }
            }
        }
    }

    /// Who is connected to whom, by what, and which routes are used: for who looks into a failure.
    fn print_tables(&self) {
        let number = |id: &PeerId| self.ids.iter().position(|it| it == id);
        for (node, id) in self.nodes.iter().enumerate() {
            let Some(endpoint) = self.world.endpoint(*id) else { continue };
            for peer in endpoint.peers() {
                let to = peer.id.as_ref().and_then(number);
                let way = peer.path.and_then(|path| path.route());
                let by = way.map(|route| number(&route.neighbour));
                let standby = peer.standby.map(|it| (it.path.route().is_none(), it.is_answering));
                let (rtt, stats) = (peer.path_stats.rtt, peer.stats);
                let lost = stats.packets_lost - stats.packets_spuriously_lost;
                println!(
                    "{node} to {to:?}: {:?} by {by:?}, beside {standby:?}, {rtt:?}, {lost} of {} lost",
                    peer.state, stats.datagrams_sent
                );
            }
            for route in endpoint.routes() {
                let (to, by) = (number(&route.destination), number(&route.next_hop));
                println!("{node}: route to {to:?} by {by:?}, {}", route.metric);
            }
        }
    }

    fn report(&self, recovered: Duration) -> MeshReport {
        MeshReport {
            nodes: [self.plan.routers, self.plan.leaves],
            troubled: !self.plan.troubles.is_empty(),
            recovered,
            delivered: self.talks.values().map(|talk| talk.arrived.len() as u64).sum(),
            hops: self.watch.hops,
            returned: self.watch.returned,
            datagrams: self.world.datagrams(),
            trace_hash: self.world.trace_hash(),
        }
    }

    fn fail(&self, what: &str) -> ! {
        for line in self.world.lines() {
            println!("{line}");
        }
        self.print_tables();
        let Plan { routers, leaves, links, troubles, .. } = &self.plan;
        panic!(
            "the mesh failed (seed {}, at {:?}): {what}\n{routers} nodes, {leaves} leaves, {links:?}, {troubles:?}",
            self.seed,
            self.world.now()
        );
    }
}

/// The configuration of a node: those that route name each other if they are linked.
fn config(plan: &Plan, n: usize) -> Config {
    let mut config = Config::default();
    config.routing.announce = true;
    if n < plan.routers {
        config.forwarding.policy = ForwardingPolicy::Anyone;
        let linked = plan.links.iter().filter(|(a, b)| (*a == n || *b == n) && *b < plan.routers);
        config.routing.transit = linked.map(|(a, b)| id(if *a == n { *b } else { *a })).collect();
    }
    config
}

const fn seed_of(n: usize) -> [u8; 32] {
    [n as u8 + 1; 32]
}

fn id(n: usize) -> PeerId {
    Identity::from_seed(seed_of(n)).id()
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, n as u8 + 1], 4263))
}

/// Packets that are passed on from now on are noted.
fn follow() {
    #[cfg(feature = "audit")]
    handfast_core::audit::follow();
}

/// What was passed on since [`follow`], and by whom; nobody knows without the feature `audit`.
fn passed(number: impl Fn(&PeerId) -> usize) -> Vec<Pass> {
    #[cfg(feature = "audit")]
    let passed = handfast_core::audit::take_passed();
    #[cfg(feature = "audit")]
    return passed
        .into_iter()
        .map(|it| Pass {
            by: number(&it.by),
            from: number(&it.from),
            to: number(&it.to),
            ends: (number(&it.ends[0]), number(&it.ends[1])),
            hops: it.hops,
            packet: it.packet,
        })
        .collect();
    #[cfg(not(feature = "audit"))]
    {
        let _ = number;
        Vec::new()
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// The longest that a packet is under way on a link.
const UNDER_WAY: Duration = Duration::from_millis(100);
/// From the last trouble until all leaves that talk are connected, at most: a dial, and one more.
const RECOVERY: Duration = Duration::from_secs(60);
/// How long after the last message everything may take to be through.
const CONVERGENCE: Duration = Duration::from_secs(90);
/// How long after the last trouble packets may take detours: a leaf asks every 35 s for something nearer.
const SETTLING: Duration = Duration::from_secs(70);
