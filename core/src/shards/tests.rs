//! Several shards behind one address, and clients that come, go, roam, restart and are dialled.

mod forwarding;
mod map;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Mutex;

use proptest::prelude::*;

use super::{PeerMap, Redirect, Siblings, Steering, steer};
use crate::config::{Config, CookieSecret, ForwardingPolicy};
use crate::wire::{VERSION, kind};
use crate::{
    Bytes, ConnectError, Delivery, DisconnectOptions, EndReason, Endpoint, Event, Handover,
    Identity, Instant, Origin, PeerHandle, PeerId, Target,
};

/// The map of a test.
#[derive(Debug, Default)]
pub(crate) struct Map(Mutex<PeerMap>);

impl Siblings for Map {
    fn with(&self, act: &mut dyn FnMut(&mut PeerMap)) {
        act(&mut self.0.lock().expect("not poisoned"));
    }
}

const SERVER: &str = "192.0.2.1:4263";

struct Client {
    address: SocketAddr,
    endpoint: Endpoint,
}

/// Datagrams take a millisecond and none is lost.
struct Net {
    now: Instant,
    map: Arc<Map>,
    shards: Vec<Endpoint>,
    clients: Vec<Client>,
    /// Where datagrams are on their way from, where to, and since when.
    flying: VecDeque<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
    /// What the application was told, in that order, of each peer: connected, or not.
    told: BTreeMap<PeerId, Vec<bool>>,
    names: BTreeMap<PeerHandle, PeerId>,
    received: BTreeMap<PeerId, Vec<Bytes>>,
    /// What clients received.
    heard: Vec<Bytes>,
    redirected: usize,
    /// What shards have for each other.
    crossing: VecDeque<Handover>,
    handed_over: usize,
    lost: usize,
    next_port: u16,
    salt: u64,
}

fn identity(client: usize) -> Identity {
    Identity::from_seed([client as u8 + 10; 32])
}

impl Net {
    fn new(shards: u8, clients: usize, salt: u64) -> Self {
        let (map, now) = (Arc::new(Map::default()), Instant::from_micros(1_000_000));
        let shard = |number: u8| {
            let mut config = Config {
                cookie_secret: Some(CookieSecret::new([9; 32])),
                wall_clock: Some(Duration::from_secs(1_000_000)),
                ..Config::default()
            };
            config.forwarding.policy = ForwardingPolicy::Anyone;
            let siblings: Arc<dyn Siblings> = Arc::clone(&map) as _;
            let config = config.for_shard(number, shards.into(), siblings);
            let config = config.validate().expect("sound");
            Endpoint::new(config, Identity::from_seed([1; 32]), [100 + number; 32], now)
        };
        let shards = (0..shards).map(shard).collect();
        let mut net = Self {
            now,
            shards,
            map,
            clients: Vec::new(),
            flying: VecDeque::new(),
            told: BTreeMap::new(),
            names: BTreeMap::new(),
            received: BTreeMap::new(),
            heard: Vec::new(),
            redirected: 0,
            crossing: VecDeque::new(),
            handed_over: 0,
            lost: 0,
            next_port: 1000,
            salt,
        };
        for client in 0..clients {
            let made = net.make(client);
            net.clients.push(made);
        }
        net
    }

    fn make(&mut self, client: usize) -> Client {
        let mut seed = [client as u8; 32];
        seed[8..10].copy_from_slice(&self.next_port.to_be_bytes());
        let wall_clock = Some(Duration::from_secs(1_000_000) + self.age());
        let config = Config { wall_clock, ..Config::default() };
        let config = config.validate().expect("sound");
        let endpoint = Endpoint::new(config, identity(client), seed, self.now);
        Client { address: self.fresh_address(), endpoint }
    }

    fn age(&self) -> Duration {
        self.now.saturating_since(Instant::from_micros(1_000_000))
    }

    fn fresh_address(&mut self) -> SocketAddr {
        self.next_port += 1;
        SocketAddr::from(([198, 51, 100, 7], self.next_port))
    }

    fn dial(&mut self, client: usize) {
        let (now, to) = (self.now, SERVER.parse::<SocketAddr>().expect("an address"));
        self.clients[client].endpoint.connect(now, to.into()).expect("dialled");
    }

    /// A shard dials whoever is at the client's address.
    fn dial_back(&mut self, shard: usize, client: usize) {
        let address = self.clients[client].address;
        let shard = shard % self.shards.len();
        self.shards[shard].connect(self.now, Target::anyone([address])).expect("dialled");
    }

    fn say(&mut self, client: usize, text: &'static str) {
        self.say_to(client, Identity::from_seed([1; 32]).id(), text.into());
    }

    fn say_to(&mut self, client: usize, to: PeerId, text: Bytes) {
        let Client { endpoint, .. } = &mut self.clients[client];
        if let Some(peer) = endpoint.peer_by_id(&to) {
            endpoint.send(self.now, peer, Delivery::ordered(0), text).ok();
        }
    }

    /// Has clients dial each other, who can meet nowhere but at the server.
    fn introduce(&mut self, one: usize, other: usize) {
        let to = Target::from(identity(other).id());
        self.clients[one].endpoint.connect(self.now, to).expect("dialled");
    }

    /// The shards that have a client among their peers.
    fn hosts(&self, client: usize) -> Vec<usize> {
        let id = identity(client).id();
        let has = |shard: &Endpoint| shard.peer_by_id(&id).is_some();
        (0..self.shards.len()).filter(|at| has(&self.shards[*at])).collect()
    }

    /// The socket at which the kernel delivers, which knows addresses and nothing else.
    fn landing(&self, from: SocketAddr) -> usize {
        let mixed = (u64::from(from.port()) ^ self.salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 33) as usize % self.shards.len()
    }

    /// What a driver does with a datagram.
    fn deliver(&mut self, from: SocketAddr, datagram: &mut [u8]) {
        let of = self.shards.len() as u16;
        let at = match steer(datagram, of) {
            Steering::Shard(shard) => usize::from(shard),
            Steering::Any => self.landing(from),
        };
        let (now, origin) = (self.now, Origin::from_remote(from));
        let before = datagram.to_vec();
        self.shards[at].handle_datagram(now, origin, datagram);
        self.crossing.extend(self.shards[at].take_handover());
        let redirect = self.shards[at].take_redirect();
        let to: Vec<usize> = match redirect {
            None => return,
            Some(Redirect::Shard(shard)) => [shard.into()].into(),
            Some(Redirect::Others) => (0..usize::from(of)).filter(|other| *other != at).collect(),
        };
        assert_eq!(before, datagram, "it goes on unchanged");
        self.redirected += 1;
        for shard in to {
            self.shards[shard].handle_datagram(now, origin, datagram);
            self.crossing.extend(self.shards[shard].take_handover());
            self.lost += usize::from(self.shards[shard].take_redirect().is_some());
        }
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        let (now, server) = (self.now, SERVER.parse::<SocketAddr>().expect("an address"));
        while self.flying.front().is_some_and(|(since, ..)| *since < now) {
            let Some((_, from, to, mut datagram)) = self.flying.pop_front() else { return };
            if to == server {
                self.deliver(from, &mut datagram);
                for client in 0..self.clients.len() {
                    assert!(self.hosts(client).len() <= 1, "one peer in two shards");
                }
            } else if let Some(client) = self.clients.iter_mut().find(|it| it.address == to)
                && from == server
            {
                // Clients cannot reach each other.
                let origin = Origin::from_remote(server);
                client.endpoint.handle_datagram(now, origin, &mut datagram);
            }
        }
        while let Some(handover) = self.crossing.pop_front() {
            self.handed_over += 1;
            let shard = usize::from(handover.shard());
            self.shards[shard].handle_handover(now, handover);
            self.crossing.extend(self.shards[shard].take_handover());
        }
        for shard in 0..self.shards.len() {
            self.run_shard(shard);
        }
        for Client { endpoint, address } in &mut self.clients {
            turn(endpoint, now, *address, &mut self.flying);
            while let Some(event) = endpoint.poll_event() {
                if let Event::Readable { peer } = event {
                    while let Some(message) = endpoint.receive(now, peer) {
                        self.heard.push(message.payload);
                    }
                }
            }
        }
    }

    fn run_shard(&mut self, shard: usize) {
        let server = SERVER.parse::<SocketAddr>().expect("an address");
        let endpoint = &mut self.shards[shard];
        turn(endpoint, self.now, server, &mut self.flying);
        // An application is told when it has time, of some sooner than of others.
        let millis = self.now.as_micros() / 1000;
        if !(millis + self.salt + shard as u64).is_multiple_of(1 + 3 * shard as u64) {
            return;
        }
        while let Some(event) = self.shards[shard].poll_event() {
            self.on_event(shard, &event);
        }
    }

    fn on_event(&mut self, shard: usize, event: &Event) {
        match event {
            Event::Connected { peer, id, .. } => {
                assert_eq!(usize::from(peer.shard()), shard);
                assert!(self.names.insert(*peer, *id).is_none(), "a handle is of one peer");
                self.told.entry(*id).or_default().push(true);
            }
            Event::Ended { peer, reason, .. } => {
                if let Some(id) = self.names.get(peer) {
                    self.told.entry(*id).or_default().push(false);
                }
                while self.shards[shard].receive(self.now, *peer).is_some() {}
                // What a driver does for those who wait for the dial.
                if let EndReason::OtherShard { id, shard } = reason {
                    let host = &mut self.shards[usize::from(*shard)];
                    let again = host.connect(self.now, (*id).into());
                    assert!(!matches!(again, Err(ConnectError::OtherShard(_))), "{again:?}");
                }
            }
            Event::Readable { peer } => {
                let Some(id) = self.names.get(peer) else { return };
                while let Some(message) = self.shards[shard].receive(self.now, *peer) {
                    self.received.entry(*id).or_default().push(message.payload);
                }
            }
            _ => {}
        }
    }

    fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.step();
        }
    }
}

fn turn(
    endpoint: &mut Endpoint,
    now: Instant,
    from: SocketAddr,
    flying: &mut VecDeque<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
) {
    if endpoint.poll_timeout().is_some_and(|due| due <= now) {
        endpoint.handle_timeout(now);
    }
    let mut buffer = [0; 2048];
    while let Some(transmit) = endpoint.poll_transmit(now, &mut buffer) {
        let size = transmit.segment.map_or(transmit.len, |size| size.get().into());
        for datagram in buffer[..transmit.len].chunks(size) {
            flying.push_back((now, from, transmit.destination, datagram.to_vec()));
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Dial(usize),
    DialBack(usize, usize),
    /// The client is gone without a word, and is there again with nothing but its identity, elsewhere.
    Restart(usize),
    Roam(usize),
    Leave(usize),
    /// Whoever has it leaves it; the client hears of it or not.
    PutOut(usize, bool),
    Say(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let client = 0..3_usize;
    prop_oneof![
        4 => client.clone().prop_map(Deed::Dial),
        2 => (0..4_usize, client.clone()).prop_map(|(shard, client)| Deed::DialBack(shard, client)),
        3 => client.clone().prop_map(Deed::Restart),
        2 => client.clone().prop_map(Deed::Roam),
        1 => client.clone().prop_map(Deed::Leave),
        2 => (client.clone(), any::<bool>()).prop_map(|(client, hears)| Deed::PutOut(client, hears)),
        2 => client.prop_map(Deed::Say),
    ]
}

impl Net {
    fn perform(&mut self, deed: Deed) {
        let now = self.now;
        match deed {
            Deed::Dial(client) => self.dial(client),
            Deed::DialBack(shard, client) => self.dial_back(shard, client),
            Deed::Restart(client) => {
                self.clients[client] = self.make(client);
                self.dial(client);
            }
            Deed::Roam(client) => {
                self.clients[client].address = self.fresh_address();
                self.clients[client].endpoint.addresses_changed(now);
            }
            Deed::Leave(client) => {
                let Client { endpoint, .. } = &mut self.clients[client];
                let peers: Vec<_> = endpoint.peers().map(|peer| peer.handle).collect();
                for peer in peers {
                    endpoint.disconnect(now, peer, DisconnectOptions::now()).ok();
                }
            }
            Deed::PutOut(client, hears) => {
                let id = identity(client).id();
                for shard in &mut self.shards {
                    if let Some(peer) = shard.peer_by_id(&id) {
                        shard.disconnect(now, peer, DisconnectOptions::now()).ok();
                    }
                }
                if !hears {
                    self.clients[client].address = self.fresh_address();
                }
            }
            Deed::Say(client) => self.say(client, "meanwhile"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens, and wherever the kernel delivers: no peer is in two shards, the application is told of its comings
    /// and goings in turn, and in the end all are connected and heard.
    #[test]
    fn shards_have_each_peer_once_and_tell_of_it_in_order(
        shards in 2..=4_u8,
        salt in 0..1_000_000_u64,
        deeds in prop::collection::vec((deed(), 0..400_u64), 1..14),
    ) {
        let mut net = Net::new(shards, 3, salt);
        for (deed, pause) in deeds {
            net.perform(deed);
            net.run(pause);
        }
        for client in 0..3 {
            net.perform(Deed::Restart(client));
        }
        net.run(12_000);
        for client in 0..3 {
            prop_assert_eq!(net.hosts(client).len(), 1, "client {} is a peer", client);
            net.say(client, "at last");
        }
        net.run(500);
        for client in 0..3 {
            let id = identity(client).id();
            let told = &net.told[&id];
            let in_turn = told.iter().enumerate().all(|(at, came)| *came == at.is_multiple_of(2));
            prop_assert!(in_turn && told.len() % 2 == 1, "{:?}", told);
            let heard = net.received.get(&id).and_then(|all| all.last());
            prop_assert_eq!(heard.map(|last| &last[..]), Some(&b"at last"[..]));
        }
    }

    #[test]
    fn garbage_is_steered_somewhere(bytes in prop::collection::vec(any::<u8>(), 0..40), of in 1..=256_u16) {
        if let Steering::Shard(shard) = steer(&bytes, of) {
            prop_assert!(u16::from(shard) < of);
        }
    }
}

#[test]
fn one_packet_of_each_type_is_steered_by_the_index_of_its_receiver_or_not_at_all() {
    for kind in 0..=u8::MAX {
        let packet = [kind, VERSION, 0, 0, 3, 0xaa, 0xbb, 0xcc, 0];
        let named = [
            kind::SEALED,
            kind::HANDSHAKE_RESPONSE,
            kind::HANDSHAKE_RETRY,
            kind::UNSUPPORTED_VERSION,
        ];
        let expected = if named.contains(&kind) { Steering::Shard(3) } else { Steering::Any };
        assert_eq!(steer(&packet, 4), expected, "{kind:#x}");
        assert_eq!(steer(&packet, 3), Steering::Any, "there is no shard 3");
        assert_eq!(steer(&packet[..4], 4), Steering::Any, "cut short");
    }
}

#[test]
fn who_restarts_elsewhere_comes_to_the_shard_that_has_it() {
    let mut net = Net::new(2, 1, 0);
    net.dial(0);
    net.run(100);
    let host = net.hosts(0);
    // Each second address is one that the kernel leads to the other shard.
    for _ in 0..8 {
        net.perform(Deed::Restart(0));
        net.run(200);
        assert_eq!(net.hosts(0), host);
    }
    assert!(net.redirected > 0);
    assert_eq!(net.lost, 0);
    let opened: u64 = net.shards.iter().map(|shard| shard.stats().datagrams_received).sum();
    assert!(opened > 0);
}

#[test]
fn what_a_shard_left_is_told_so_by_it_and_by_no_other() {
    let mut net = Net::new(4, 1, 5);
    net.dial(0);
    net.run(100);
    let id = identity(0).id();
    let shard_of = |net: &Net| net.map.0.lock().expect("not poisoned").shard_of(net.now, &id);
    let host = shard_of(&net).expect("a shard has it");
    // The goodbye is lost, for the client is elsewhere by then.
    net.perform(Deed::PutOut(0, false));
    net.run(10_000);
    assert!(net.hosts(0).is_empty());
    assert_eq!(shard_of(&net), Some(host), "it remembers");
    // From wherever it asks, as the one it was: it is told that it was put out.
    net.clients[0].endpoint.addresses_changed(net.now);
    net.run(3000);
    assert!(net.hosts(0).is_empty());
    let server = Identity::from_seed([1; 32]).id();
    assert_eq!(net.clients[0].endpoint.peer_by_id(&server), None, "it heard");
    // Who comes with nothing is a newcomer, as ever.
    net.perform(Deed::Restart(0));
    net.run(3000);
    assert_eq!(net.hosts(0), [usize::from(host)]);
}

#[test]
fn a_hint_reaches_the_shard_that_has_a_peer_where_it_came_from() {
    let mut net = Net::new(2, 1, 0);
    net.dial(0);
    net.run(100);
    let host = net.hosts(0);
    while net.landing(net.clients[0].address) == host[0] {
        net.perform(Deed::Roam(0));
        net.run(300);
    }
    assert_eq!(net.hosts(0), host, "who moved stays");
    // It forgets all, where it is, and says nothing by itself.
    let address = net.clients[0].address;
    let forgetful = net.make(0);
    net.clients[0] = Client { address, ..forgetful };
    let (now, id) = (net.now, identity(0).id());
    let shard = &mut net.shards[host[0]];
    let peer = shard.peer_by_id(&id).expect("a peer");
    shard.send(now, peer, Delivery::ordered(0), "are you there?".into()).expect("sent");
    net.run(1000);
    let server = Identity::from_seed([1; 32]).id();
    assert!(net.clients[0].endpoint.peer_by_id(&server).is_some(), "they met again at once");
    assert_eq!((net.hosts(0), net.lost), (host, 0));
}
