//! What all peers of an endpoint share: choices, identity, randomness, indices, counters.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use smallvec::SmallVec;

use crate::config::{ForwardingPolicy, NetworkSecret, ValidConfig};
use crate::crypto::keycache::KeyCache;
use crate::crypto::known::KnownKeys;
use crate::crypto::mac::MacKey;
use crate::crypto::network::Network;
use crate::crypto::rng::Rng;
use crate::discovery::Beacons;
use crate::memory::Memory;
use crate::message::FIRST_WINDOW;
use crate::net::{SocketId, Via};
use crate::punch::{LocalAddresses, ProbeBudgets};
use crate::route::Relays;
use crate::router::Router;
use crate::session::{Distortion, ForgottenList, Incarnations, Indices};
use crate::stats::{DropReason, Drops, Stats};
use crate::time::{Absence, Instant};
use crate::wire::Parameters;
use crate::{Identity, PeerId};

/// The endpoint without its peers.
pub(crate) struct Context {
    /// The newest time that the driver passed in.
    pub(crate) now: Instant,
    /// When the driver was away.
    pub(crate) absence: Absence,
    pub(crate) config: ValidConfig,
    pub(crate) identity: Identity,
    pub(crate) rng: Rng,
    pub(crate) keys: KeyCache,
    /// Keys of peers that shook hands before.
    pub(crate) known: KnownKeys,
    pub(crate) indices: Indices,
    pub(crate) network: Network,
    pub(crate) stats: Stats,
    pub(crate) drops: Drops,
    /// Neighbours that pass our packets on.
    pub(crate) relays: Relays,
    /// Routes to peers that are several hops away, if they are known at all.
    pub(crate) router: Option<Box<Router>>,
    /// What is known of our own addresses.
    pub(crate) local: LocalAddresses,
    /// What went to addresses that peers named.
    pub(crate) probe_budgets: ProbeBudgets,
    /// What is said in the local network.
    pub(crate) beacons: Beacons,
    /// The sockets from which peers may ask to be challenged.
    pub(crate) probe_sockets: Vec<SocketId>,
    /// What the messages of all peers take.
    pub(crate) memory: Memory,
    started: Instant,
    next_key_id: u64,
    next_peer_number: u64,
    pub(crate) incarnations: Incarnations,
    pub(crate) distortion: Distortion,
}

impl Context {
    pub(crate) fn new(config: ValidConfig, identity: Identity, mut rng: Rng, now: Instant) -> Self {
        let mut context = Self {
            now,
            absence: Absence::default(),
            network: network(&config, &identity),
            keys: KeyCache::new(config.keys.active_keys),
            known: KnownKeys::default(),
            indices: Indices::new(config.shard),
            memory: Memory::new(&config),
            relays: Relays::default(),
            router: None,
            local: LocalAddresses::default(),
            probe_budgets: ProbeBudgets::default(),
            beacons: Beacons::default(),
            probe_sockets: Vec::new(),
            config,
            identity,
            stats: Stats::default(),
            drops: Drops::default(),
            incarnations: Incarnations::new(&mut rng),
            started: now,
            next_key_id: 0,
            next_peer_number: 0,
            distortion: Distortion::default(),
            rng,
        };
        context.router = context.table_of_routes();
        context
    }

    /// A table of routes, if one is to be kept.
    fn table_of_routes(&mut self) -> Option<Box<Router>> {
        let routing = &self.config.routing;
        // Later than in all lives before, as far as the clock is right; else others tell what they remember.
        let epoch = routing.announce.then(|| self.timestamp_ms());
        let random = routing.is_on().then(|| self.rng.u64())?;
        let id = self.identity.id();
        Some(Box::new(Router::new(self.now, id, epoch, random, &self.identity)))
    }

    /// Neighbours by way of which a peer may be reached: the one that a route leads to, or else all that forward.
    pub(crate) fn relays_toward(&self, remote: PeerId) -> SmallVec<[PeerId; 8]> {
        let known = self.router.as_ref().and_then(|router| router.way(self.now, &remote));
        let known = known.filter(|known| *known != remote && self.relays.contains(known));
        known.map_or_else(
            || self.relays.toward(remote).collect(),
            |known| SmallVec::from_slice(&[known]),
        )
    }

    /// Moves the clock; never back.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Other choices count from now on. The keys of the network are made of them anew.
    pub(crate) fn reconfigure(&mut self, config: ValidConfig) {
        self.network = network(&config, &self.identity);
        self.config = config;
    }

    /// The key of the MAC that `peer` expects on our requests.
    pub(crate) fn request_mac_for(&self, peer: &PeerId) -> MacKey {
        MacKey::request(peer, &self.config.application, self.network.psk())
    }

    /// Whole seconds on our own clock, as cookies have them.
    pub(crate) fn cookie_time(&self) -> u32 {
        u32::try_from(self.now.as_micros() / 1_000_000).unwrap_or(u32::MAX)
    }

    /// Milliseconds since 1970, 0 without a clock.
    pub(crate) fn timestamp_ms(&self) -> u64 {
        let elapsed = self.now.saturating_since(self.started);
        let time = self.config.wall_clock.map(|start| start.saturating_add(elapsed).as_millis());
        time.map_or(0, |ms| u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// Our parameters for a handshake with a peer, with so many bytes of credit for it.
    pub(crate) fn parameters(&self, receive_window: u64) -> Parameters {
        let config = &self.config;
        // `Config::validate` keeps both so short that nothing is cut off.
        let ms = |duration: Duration| duration.as_millis();
        Parameters {
            capabilities: capabilities(config).into(),
            max_datagram: config.max_datagram.into(),
            max_streams: config.flow.max_streams.into(),
            idle_timeout_ms: (ms(config.timers.idle_timeout) as u32).into(),
            max_ack_delay_ms: (ms(config.timers.max_ack_delay) as u16).into(),
            stream_window_log2: config.flow.stream_window.ilog2() as u8,
            reserved: 0,
            max_message: config.flow.max_message.into(),
            receive_window: receive_window.into(),
        }
    }

    /// The credit of a peer that nothing is known of.
    pub(crate) fn first_window(&self) -> u64 {
        let first = FIRST_WINDOW.min(self.config.flow.receive_window.into());
        self.memory.room().first_grant(first)
    }

    /// A name for new keys, never used before.
    pub(crate) fn key_id(&mut self) -> u64 {
        self.next_key_id += 1;
        self.next_key_id
    }

    /// The number of a new peer: larger than those of all before.
    pub(crate) fn peer_number(&mut self) -> u64 {
        self.next_peer_number += 1;
        self.next_peer_number
    }

    /// A datagram that arrived by `via` is dropped: counts it, and says so in the log.
    #[cold]
    pub(crate) fn drop_packet(&mut self, reason: DropReason, via: &Via) {
        self.drops.count(reason);
        let (reason, remote) = (reason.as_str(), via.remote().map(tracing::field::display));
        tracing::trace!(target: "handfast::packet", remote, reason, "dropped");
    }

    /// State about a peer is lost.
    pub(crate) fn on_peer_ended(&mut self) {
        self.incarnations.on_loss();
        self.stats.peers_ended += 1;
    }

    /// Cleans up after sessions that ended.
    pub(crate) fn release(&mut self, sessions: ForgottenList) {
        for session in sessions {
            self.indices.release(session.index);
            self.keys.remove(session.key_slot, session.key_id);
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("now", &self.now).finish_non_exhaustive()
    }
}

fn capabilities(config: &ValidConfig) -> u32 {
    let aes = if config.aes_hardware { Parameters::AES_HARDWARE } else { 0 };
    let forwards = config.forwarding.policy != ForwardingPolicy::Nobody;
    let routes = !config.routing.transit.is_empty();
    aes | if forwards { Parameters::FORWARDS } else { 0 }
        | if routes { Parameters::ROUTES } else { 0 }
}

fn network(config: &ValidConfig, identity: &Identity) -> Network {
    let [current, previous] = [&config.network_secret, &config.previous_network_secret]
        .map(|secret| secret.as_ref().map(NetworkSecret::as_bytes));
    Network::new(&identity.id(), &config.application, current, previous)
}
