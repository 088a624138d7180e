//! The world: nodes on a network in virtual time, and the faults that befall them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{Config, Endpoint, Instant, canonical};

use crate::app::App;
use crate::attacker::Attacker;
use crate::audit::Audit;
use crate::faults::Faults;
use crate::link::micros;
use crate::machine::{Machine, NodeSetup};
use crate::nat::{Gateways, NatId};
use crate::network::{Datagram, Network, NodeId};
use crate::node::{Address, Node};
use crate::rng::Rng;
use crate::trace::Trace;

/// Any number of nodes on a seeded [`Network`], in virtual time.
///
/// Time starts at zero and jumps from one thing that happens (a datagram arrives, a deadline or
/// timer is due) to the next: nothing ticks. After every input a node is drained and the contract
/// of the core is checked; a breach panics with the seed, the time and the node.
pub struct World<M: Machine = Endpoint> {
    pub(crate) seed: u64,
    pub(crate) time: Duration,
    pub(crate) nodes: Vec<Node<M>>,
    pub(crate) owners: BTreeMap<SocketAddr, NodeId>,
    /// When nodes are due, in microseconds.
    pub(crate) due: BTreeSet<(u64, NodeId)>,
    /// Timers of applications: time, order of asking, node, token.
    pub(crate) timers: BTreeSet<(Duration, u64, NodeId, u64)>,
    pub(crate) timers_set: u64,
    /// Deadlines are met at multiples of so many microseconds.
    pub(crate) timer_grain: u64,
    pub(crate) network: Network,
    pub(crate) gateways: Gateways,
    /// Datagrams that waited for a suspended node and arrive now.
    pub(crate) waiting: VecDeque<Datagram>,
    /// What nodes send waits in `held`.
    pub(crate) holds: bool,
    pub(crate) held: Vec<Datagram>,
    pub(crate) attacker: Option<Attacker>,
    pub(crate) audit: Audit,
    pub(crate) trace: Trace,
    pub(crate) rng: Rng,
    pub(crate) buffer: Vec<u8>,
    pub(crate) datagrams: u64,
    pub(crate) events: u64,
}

impl World {
    /// An empty world of endpoints. Everything that is random in it comes from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of(seed)
    }

    /// Adds an endpoint that is known by the given addresses: at most one per address family is
    /// used to send.
    ///
    /// # Panics
    /// When an address is taken or the configuration is not valid.
    pub fn add_node(
        &mut self,
        config: Config,
        identity: [u8; 32],
        addresses: &[SocketAddr],
    ) -> NodeId {
        if let Err(error) = config.clone().validate() {
            panic!("{error}");
        }
        self.add(NodeSetup { config, identity }, addresses)
    }
}

impl<M: Machine> World<M> {
    /// An empty world of machines of any kind.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        Self {
            seed,
            time: Duration::ZERO,
            nodes: Vec::new(),
            owners: BTreeMap::new(),
            due: BTreeSet::new(),
            timers: BTreeSet::new(),
            timers_set: 0,
            timer_grain: 1,
            network: Network::new(rng.next_u64()),
            gateways: Gateways::default(),
            waiting: VecDeque::new(),
            holds: false,
            held: Vec::new(),
            attacker: None,
            audit: Audit::default(),
            trace: Trace::default(),
            rng,
            buffer: vec![0; DEFAULT_BATCH],
            datagrams: 0,
            events: 0,
        }
    }

    /// Adds a machine that is known by the given addresses. Its clock differs from the others'.
    ///
    /// # Panics
    /// When an address is taken.
    pub fn add(&mut self, setup: M::Setup, addresses: &[SocketAddr]) -> NodeId {
        self.place(setup, addresses, None)
    }

    pub(crate) fn place(
        &mut self,
        setup: M::Setup,
        addresses: &[SocketAddr],
        nat: Option<NatId>,
    ) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes"));
        let mut node = Node {
            name: format!("node {}", id.0),
            setup,
            machine: None,
            addresses: Vec::new(),
            clock_offset: self.rng.range(1_000_000..=1_000_000_000) as i64,
            nat,
            suspended: None,
            refuses_sockets: false,
            due: None,
            log: Vec::new(),
        };
        for &address in addresses {
            let public = canonical(address);
            let taken = self.owners.insert(public, id).is_some();
            assert!(!taken, "the address {public} is taken");
            node.addresses.push(Address { public, local: public.ip(), further: None });
        }
        self.nodes.push(node);
        self.boot(id);
        id
    }

    /// Names a node in the recorded lines.
    pub fn set_name(&mut self, node: NodeId, name: &str) {
        name.clone_into(&mut self.node_mut(node).name);
    }

    /// Deadlines are met only at whole multiples of `grain`, as by a driver whose system has coarse
    /// timers. Datagrams that arrive are handed over at once all the same. A microsecond by default.
    ///
    /// # Panics
    /// When it is less than a microsecond.
    pub fn set_timer_grain(&mut self, grain: Duration) {
        self.timer_grain = micros(grain);
        assert!(self.timer_grain > 0, "time passes");
    }

    /// Bytes that one transmit may fill: at least one datagram; more lets endpoints batch. All of a
    /// batch is sent at one instant.
    pub fn set_batch(&mut self, bytes: usize) {
        self.buffer.resize(bytes, 0);
    }

    /// The time since the world began.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.time
    }

    /// The network, to change its conditions.
    pub const fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// The endpoint of a node, unless it is down.
    #[must_use]
    pub fn endpoint(&self, node: NodeId) -> Option<&M> {
        self.node(node).machine.as_deref()
    }

    /// The addresses of a node: where the others see it, unless it is behind a NAT
    /// ([`Self::address_seen_by`]).
    pub fn addresses(&self, node: NodeId) -> impl Iterator<Item = SocketAddr> {
        self.node(node).addresses.iter().map(|address| address.public)
    }

    /// What the node's clock says now.
    #[must_use]
    pub fn clock(&self, node: NodeId) -> Instant {
        self.node(node).clock(self.time)
    }

    /// Takes the events of a node since the last call, with their times.
    pub fn take_events(&mut self, node: NodeId) -> Vec<(Duration, M::Event)> {
        std::mem::take(&mut self.node_mut(node).log)
    }

    /// Commands a node's endpoint by its own clock, then sends what it has to send.
    ///
    /// # Panics
    /// When the node is down or suspended.
    pub fn with<R>(&mut self, node: NodeId, command: impl FnOnce(&mut M, Instant) -> R) -> R {
        self.with_app(node, &mut (), command)
    }

    /// Like [`Self::with`], with an application that hears what comes of it.
    ///
    /// # Panics
    /// When the node is down or suspended.
    pub fn with_app<R>(
        &mut self,
        node: NodeId,
        app: &mut impl App<M>,
        command: impl FnOnce(&mut M, Instant) -> R,
    ) -> R {
        assert!(!self.is_suspended(node), "the node is not suspended");
        let now = self.clock(node);
        let machine = self.node_mut(node).machine.as_mut().expect("the node is up");
        Audit::begin();
        let before = machine.poll_timeout();
        let result = command(machine, now);
        self.settle(node, app, Some(before));
        result
    }

    /// Gives a node another address of the same family, as when a NAT forgets a mapping: the node
    /// does not know, and what is sent to the old address is lost. For a node behind a NAT there is
    /// [`Self::forget_mappings`].
    ///
    /// # Panics
    /// When the address is taken, the node has none of this family or is behind a NAT.
    pub fn rebind(&mut self, node: NodeId, address: SocketAddr) {
        let public = canonical(address);
        assert!(!self.owners.contains_key(&public), "the address {public} is taken");
        assert!(self.node(node).nat.is_none(), "its NAT decides where others see it");
        let addresses = &mut self.nodes[node.0 as usize].addresses;
        let slot = addresses.iter_mut().find(|a| a.public.is_ipv4() == public.is_ipv4());
        let old = std::mem::replace(&mut slot.expect("an address of this family").public, public);
        self.owners.remove(&old);
        self.owners.insert(public, node);
        self.network.faults_mut().rebinds += 1;
        self.tell(node, || format!("now at {public}, was at {old}"));
    }

    /// Moves a node to another address of the same family, and lets it know.
    ///
    /// # Panics
    /// When the address is taken, the node has none of this family or is behind a NAT.
    pub fn roam(&mut self, node: NodeId, address: SocketAddr) {
        self.roam_with(node, address, &mut ());
    }

    /// Like [`Self::roam`], with an application that hears what comes of it.
    ///
    /// # Panics
    /// As [`Self::roam`].
    pub fn roam_with(&mut self, node: NodeId, address: SocketAddr, app: &mut impl App<M>) {
        self.rebind(node, address);
        let public = canonical(address);
        for known in &mut self.node_mut(node).addresses {
            if known.public == public {
                known.local = public.ip();
            }
        }
        if self.endpoint(node).is_some() {
            self.with_app(node, app, M::addresses_changed);
        }
    }

    /// Stops a node without a goodbye. Its state is lost.
    pub fn kill(&mut self, node: NodeId) {
        self.reschedule(node, None);
        self.timers.retain(|&(_, _, owner, _)| owner != node);
        self.node_mut(node).machine = None;
        self.node_mut(node).suspended = None;
        self.close_sockets(node, |_| true);
        self.tell(node, || "killed".to_owned());
    }

    /// Starts a node anew: same identity, configuration, addresses and clock, no state.
    pub fn restart(&mut self, node: NodeId) {
        self.kill(node);
        self.network.faults_mut().restarts += 1;
        self.boot(node);
    }

    /// Starts a node anew as someone else: another setup, so perhaps another identity, at the same
    /// addresses.
    pub fn replace(&mut self, node: NodeId, setup: M::Setup) {
        self.node_mut(node).setup = setup;
        self.network.faults_mut().replacements += 1;
        self.restart(node);
    }

    /// Lets a node's clock jump ahead, as after a suspension that the process did not notice.
    pub fn jump_clock(&mut self, node: NodeId, by: Duration) {
        let owner = self.node_mut(node);
        let by_micros = i64::try_from(micros(by)).unwrap_or(i64::MAX);
        owner.clock_offset = owner.clock_offset.saturating_add(by_micros);
        self.network.faults_mut().clock_jumps += 1;
        let deadline = self.endpoint(node).and_then(M::poll_timeout);
        self.reschedule(node, deadline);
        self.tell(node, || format!("its clock jumps {by:?} ahead"));
    }

    /// What happened so far.
    #[must_use]
    pub const fn faults(&self) -> &Faults {
        self.network.faults()
    }

    /// Events that machines reported.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Datagrams that the nodes sent, lost ones included.
    #[must_use]
    pub const fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// How often a machine sealed something; each time under another nonce of its key, or the world
    /// would have panicked. Zero without the feature `audit`.
    #[must_use]
    pub const fn seals(&self) -> u64 {
        self.audit.seals()
    }

    /// Lets an attacker at the network from now on, or takes it away. What it has under way still
    /// arrives.
    pub fn set_attacker(&mut self, attacker: Option<Attacker>) {
        self.attacker = attacker;
    }

    /// A fingerprint of every datagram and event so far, with their times.
    #[must_use]
    pub const fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// Starts or stops recording for [`Self::lines`]. Starting forgets earlier lines.
    pub fn record(&mut self, on: bool) {
        self.trace.record(on);
    }

    /// What happened while recording, a time-stamped line each.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        self.trace.lines()
    }

    pub(crate) fn node(&self, node: NodeId) -> &Node<M> {
        &self.nodes[node.0 as usize]
    }

    pub(crate) fn node_mut(&mut self, node: NodeId) -> &mut Node<M> {
        &mut self.nodes[node.0 as usize]
    }

    /// Adds a line about a node.
    pub(crate) fn tell(&mut self, node: NodeId, text: impl FnOnce() -> String) {
        let name = &self.nodes[node.0 as usize].name;
        self.trace.line(self.time, || format!("{name}  {}", text()));
    }

    fn boot(&mut self, id: NodeId) {
        let (seed, now, age) = (self.rng.bytes(), self.clock(id), self.time);
        Audit::begin();
        let node = self.node_mut(id);
        node.machine = Some(Box::new(M::make(&node.setup, seed, now, age)));
        self.tell(id, || "started".to_owned());
        self.settle(id, &mut (), Some(None));
    }
}

/// Room for seven large datagrams.
const DEFAULT_BATCH: usize = 16 << 10;
