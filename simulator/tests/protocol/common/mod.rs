//! A world whose wires can be tapped: every datagram is recorded, and may be withheld.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use handfast_core::{
    Config, ConnectError, Delivery, EndReason, Endpoint, Event, Fate, Identity, Instant, Message,
    MessageId, PeerHandle, PeerId, PeerState, SendError, Target,
};
use handfast_sim::{App, Conditions, Cx, Datagram, NodeId, World};

/// The first byte of each kind of packet.
pub(crate) const KEY_REQUEST: u8 = 0xc0;
pub(crate) const REQUEST: u8 = 0xc1;
pub(crate) const RESPONSE: u8 = 0xc2;
pub(crate) const RETRY: u8 = 0xc3;
pub(crate) const SEALED: u8 = 0xc4;
pub(crate) const UNKNOWN_SESSION: u8 = 0xc6;
pub(crate) const UNSUPPORTED_VERSION: u8 = 0xc7;
pub(crate) const VERSION: u8 = 6;

/// A datagram that a node sent, by the node's own clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
    pub(crate) passed: bool,
}

impl Sent {
    pub(crate) fn kind(&self) -> u8 {
        self.bytes[0]
    }

    /// The index at offset 4: whose it is depends on the kind.
    pub(crate) fn index(&self) -> u32 {
        u32::from_le_bytes(self.bytes[4..8].try_into().expect("four bytes"))
    }
}

/// Decides whether a datagram may pass.
type Filter = Box<dyn FnMut(&Sent) -> bool>;

/// A message that an application got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) node: NodeId,
    pub(crate) peer: PeerHandle,
    pub(crate) at: Duration,
    pub(crate) message: Message,
}

/// Applications that read at once, unless told to be lazy.
#[derive(Default)]
struct Readers {
    lazy: BTreeSet<NodeId>,
    got: Vec<Got>,
}

impl App for Readers {
    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) {
        let (node, at, now) = (cx.node(), cx.time(), cx.now());
        let Event::Readable { peer } = *event else { return };
        if self.lazy.contains(&node) {
            return;
        }
        while let Some(message) = cx.endpoint().receive(now, peer) {
            self.got.push(Got { node, peer, at, message });
        }
    }
}

/// A world with everything that its nodes sent and its applications saw.
pub(crate) struct Net {
    pub(crate) world: World,
    readers: Readers,
    nodes: Vec<Tapped>,
    events: BTreeMap<NodeId, Vec<(Duration, Event)>>,
}

/// A node whose wire is tapped.
struct Tapped {
    id: PeerId,
    address: SocketAddr,
    sent: Vec<Sent>,
    filter: Option<Filter>,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        world.set_batch(2048);
        world.hold(true);
        let (readers, nodes, events) = (Readers::default(), Vec::new(), BTreeMap::new());
        Self { world, readers, nodes, events }
    }

    /// Adds a node; the n-th is 10.0.0.n, and known by the n-th identity.
    pub(crate) fn add(&mut self, config: Config) -> NodeId {
        self.add_seeded(config, None)
    }

    /// Adds a node whose endpoint gets this seed instead of one of its own.
    pub(crate) fn add_seeded(&mut self, config: Config, seed: Option<[u8; 32]>) -> NodeId {
        let number = u8::try_from(self.nodes.len() + 1).expect("a small world");
        let (address, identity) = (SocketAddr::from(([10, 0, 0, number], 4263)), [number; 32]);
        let id = Identity::from_seed(identity).id();
        self.nodes.push(Tapped { id, address, sent: Vec::new(), filter: None });
        let node = self.world.add_node(config.clone(), identity, &[address]);
        if let Some(seed) = seed {
            self.with(node, |endpoint, now| {
                *endpoint = Endpoint::new(
                    config.validate().expect("valid"),
                    Identity::from_seed(identity),
                    seed,
                    now,
                );
            });
        }
        node
    }

    /// Two nodes that shook hands, and their handles of each other.
    pub(crate) fn pair(seed: u64, a: Config, b: Config) -> (Self, Link) {
        let mut net = Self::new(seed);
        let (a, b) = (net.add(a), net.add(b));
        let link = net.link(a, b);
        (net, link)
    }

    /// Two nodes of the usual kind that shook hands.
    pub(crate) fn usual_pair(seed: u64) -> (Self, Link) {
        Self::pair(seed, Config::default(), Config::default())
    }

    /// Lets `a` dial `b`.
    pub(crate) fn link(&mut self, a: NodeId, b: NodeId) -> Link {
        let ab = self.call(a, b);
        self.run(300);
        let ba = self.handle(b, a);
        Link { a, b, ab, ba }
    }

    pub(crate) fn address(&self, node: NodeId) -> SocketAddr {
        self.nodes[node.0 as usize].address
    }

    pub(crate) fn id(&self, node: NodeId) -> PeerId {
        self.nodes[node.0 as usize].id
    }

    /// One way takes so many milliseconds everywhere.
    pub(crate) fn latency(&mut self, ms: u64) {
        let latency = Duration::from_millis(ms);
        self.conditions(Conditions { latency, ..Conditions::default() });
    }

    pub(crate) fn conditions(&mut self, conditions: Conditions) {
        self.world.network().set_all(conditions);
    }

    /// Commands an endpoint.
    pub(crate) fn with<R>(
        &mut self,
        node: NodeId,
        command: impl FnOnce(&mut Endpoint, Instant) -> R,
    ) -> R {
        let result = self.world.with_app(node, &mut self.readers, command);
        self.sort();
        result
    }

    pub(crate) fn connect(&mut self, node: NodeId, target: Target) -> PeerHandle {
        match self.with(node, |endpoint, now| endpoint.connect(now, target)) {
            Ok(peer) | Err(ConnectError::AlreadyConnected(peer)) => peer,
            Err(error) => panic!("{error}"),
        }
    }

    /// Dials by identity and address.
    pub(crate) fn call(&mut self, from: NodeId, to: NodeId) -> PeerHandle {
        let target = Target::new(self.id(to), [self.address(to)]);
        self.connect(from, target)
    }

    /// Dials by address alone.
    pub(crate) fn dial(&mut self, from: NodeId, to: NodeId) -> PeerHandle {
        let target = Target::from(self.address(to));
        self.connect(from, target)
    }

    pub(crate) fn run(&mut self, ms: u64) {
        let until = self.world.now() + Duration::from_millis(ms);
        self.run_until(until);
    }

    pub(crate) fn run_until(&mut self, until: Duration) {
        while self.step(until) {}
        self.world.run_until(until);
    }

    fn step(&mut self, until: Duration) -> bool {
        // What left when the world was told something without us.
        self.sort();
        let happened = self.world.step(until, &mut self.readers);
        self.sort();
        happened
    }

    /// Writes down what was sent, and lets go on what may.
    fn sort(&mut self) {
        for datagram in self.world.take_held() {
            let at = self.world.clock(datagram.from);
            let (to, bytes) = (datagram.destination, datagram.bytes.clone());
            let mut sent = Sent { at, to, bytes, passed: true };
            let tapped = &mut self.nodes[datagram.from.0 as usize];
            sent.passed = tapped.filter.as_mut().is_none_or(|filter| filter(&sent));
            if sent.passed {
                self.world.release(datagram);
            }
            tapped.sent.push(sent);
        }
    }

    /// Runs step by step, at most `ms`, looking after each.
    pub(crate) fn watch(&mut self, ms: u64, mut look: impl FnMut(&Self)) {
        let until = self.world.now() + Duration::from_millis(ms);
        while self.step(until) {
            look(self);
        }
        self.run_until(until);
    }

    pub(crate) fn endpoint(&self, node: NodeId) -> &Endpoint {
        self.world.endpoint(node).expect("the node is up")
    }

    /// The handle by which `node` knows `other`.
    pub(crate) fn handle(&self, node: NodeId, other: NodeId) -> PeerHandle {
        self.endpoint(node).peer_by_id(&self.id(other)).expect("they know each other")
    }

    pub(crate) fn send(
        &mut self,
        node: NodeId,
        peer: PeerHandle,
        delivery: Delivery,
        payload: impl Into<Bytes>,
    ) -> MessageId {
        self.try_send(node, peer, delivery, payload).expect("accepted")
    }

    pub(crate) fn try_send(
        &mut self,
        node: NodeId,
        peer: PeerHandle,
        delivery: Delivery,
        payload: impl Into<Bytes>,
    ) -> Result<MessageId, SendError> {
        let payload = payload.into();
        self.with(node, |endpoint, now| endpoint.send(now, peer, delivery, payload))
    }

    /// Reads everything that waits.
    pub(crate) fn read(&mut self, node: NodeId, peer: PeerHandle) -> Vec<Message> {
        self.with(node, |endpoint, now| {
            std::iter::from_fn(|| endpoint.receive(now, peer)).collect()
        })
    }

    /// Reads everything that waits on one channel.
    pub(crate) fn read_from(
        &mut self,
        node: NodeId,
        peer: PeerHandle,
        channel: u16,
    ) -> Vec<Message> {
        self.with(node, |endpoint, now| {
            std::iter::from_fn(|| endpoint.receive_from(now, peer, channel)).collect()
        })
    }

    /// The application of this node does not read by itself.
    pub(crate) fn be_lazy(&mut self, node: NodeId) {
        self.readers.lazy.insert(node);
    }

    /// What the application of a node got so far.
    pub(crate) fn got(&self, node: NodeId) -> Vec<&Got> {
        self.readers.got.iter().filter(|got| got.node == node).collect()
    }

    /// The payloads that a node got so far.
    pub(crate) fn payloads(&self, node: NodeId) -> Vec<Bytes> {
        self.got(node).iter().map(|got| got.message.payload.clone()).collect()
    }

    /// All events of a node so far, with their times.
    pub(crate) fn timed_events(&mut self, node: NodeId) -> &[(Duration, Event)] {
        let events = self.events.entry(node).or_default();
        events.extend(self.world.take_events(node));
        events
    }

    /// All events of a node so far.
    pub(crate) fn events(&mut self, node: NodeId) -> Vec<Event> {
        self.timed_events(node).iter().map(|(_, event)| event.clone()).collect()
    }

    /// The events of a node that have happened since the last call of this or of `events`.
    pub(crate) fn news(&mut self, node: NodeId) -> Vec<Event> {
        let known = self.events.entry(node).or_default().len();
        self.events(node).split_off(known)
    }

    pub(crate) fn connected_at(&mut self, node: NodeId) -> Option<Duration> {
        let connected = |event: &Event| matches!(event, Event::Connected { .. });
        self.timed_events(node).iter().find(|(_, event)| connected(event)).map(|(at, _)| *at)
    }

    pub(crate) fn count(&mut self, node: NodeId, is: impl Fn(&Event) -> bool) -> usize {
        self.events(node).iter().filter(|event| is(event)).count()
    }

    /// How often a node was told that someone is connected.
    pub(crate) fn connections(&mut self, node: NodeId) -> usize {
        self.count(node, |event| matches!(event, Event::Connected { .. }))
    }

    /// The fates told so far, in their order.
    pub(crate) fn fates(&mut self, node: NodeId) -> Vec<(MessageId, Fate)> {
        let fate = |event: Event| match event {
            Event::Fate { message, fate, .. } => Some((message, fate)),
            _ => None,
        };
        self.events(node).into_iter().filter_map(fate).collect()
    }

    /// How the peers of a node ended, and when.
    pub(crate) fn ends(&mut self, node: NodeId) -> Vec<(Duration, PeerHandle, EndReason)> {
        let end = |(at, event): &(Duration, Event)| match event {
            Event::Ended { peer, reason, .. } => Some((*at, *peer, reason.clone())),
            _ => None,
        };
        self.timed_events(node).iter().filter_map(end).collect()
    }

    /// The changes of state told so far.
    pub(crate) fn states(&mut self, node: NodeId) -> Vec<PeerState> {
        let state = |event: Event| match event {
            Event::StateChanged { state, .. } => Some(state),
            _ => None,
        };
        self.events(node).into_iter().filter_map(state).collect()
    }

    /// Everything a node sent so far, withheld datagrams included.
    pub(crate) fn sent(&self, node: NodeId) -> Vec<Sent> {
        self.nodes[node.0 as usize].sent.clone()
    }

    /// What a node sent so far of a kind.
    pub(crate) fn sent_of(&self, node: NodeId, kind: u8) -> Vec<Sent> {
        let mut sent = self.sent(node);
        sent.retain(|sent| sent.kind() == kind);
        sent
    }

    /// Only what `filter` accepts leaves the node from now on.
    pub(crate) fn filter(&mut self, node: NodeId, filter: impl FnMut(&Sent) -> bool + 'static) {
        self.nodes[node.0 as usize].filter = Some(Box::new(filter));
    }

    /// Withholds the `n`-th datagram, counted from zero and from now.
    pub(crate) fn lose_nth(&mut self, node: NodeId, n: usize) {
        let mut count = 0;
        self.filter(node, move |_| {
            count += 1;
            count != n + 1
        });
    }

    /// Withholds whatever this node sends.
    pub(crate) fn mute(&mut self, node: NodeId) {
        self.filter(node, |_| false);
    }

    /// Everything leaves the node again.
    pub(crate) fn unmute(&mut self, node: NodeId) {
        self.nodes[node.0 as usize].filter = None;
    }

    /// Hands a node a datagram as if it came from `from`.
    pub(crate) fn inject(&mut self, to: NodeId, from: SocketAddr, bytes: &[u8]) {
        let to = self.world.addresses(to).next().expect("an address");
        let forged = Datagram::forged(from, to, bytes.to_vec());
        assert!(self.world.deliver_with(forged, &mut self.readers), "the node is up");
        self.sort();
    }
}

/// Two nodes and the handles by which they know each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) a: NodeId,
    pub(crate) b: NodeId,
    pub(crate) ab: PeerHandle,
    pub(crate) ba: PeerHandle,
}

/// A payload of `len` bytes that only `number` has; from 8 bytes on it tells its number.
pub(crate) fn payload(number: u64, len: usize) -> Bytes {
    let mut bytes: Vec<u8> = (0..len).map(|at| (at as u64 * 31 + number * 7) as u8).collect();
    let head = number.to_le_bytes();
    let told = len.min(8);
    bytes[..told].copy_from_slice(&head[..told]);
    bytes.into()
}

/// The number of a payload of 8 bytes or more; checks the rest of it.
pub(crate) fn number_of(bytes: &Bytes) -> u64 {
    let number = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
    assert_eq!(*bytes, payload(number, bytes.len()), "message {number} is not what was sent");
    number
}

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
