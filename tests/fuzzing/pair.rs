//! Two endpoints in a simulated world, and the datagrams between them.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use handfast_core::{Config, Endpoint, Event, Identity, Instant, PeerHandle, PeerId, Target};
use handfast_sim::{NodeId, World};

use super::end::{Datagram, FUEL};

/// Two endpoints in a world that does nothing by itself: what they send waits, and time passes by
/// jumps, with everything that became due meanwhile late.
pub(super) struct Pair {
    world: World,
    /// The time of both.
    pub(super) now: Instant,
    /// Where they are.
    pub(super) addresses: [SocketAddr; 2],
    /// What each told since someone looked.
    pub(super) events: [Vec<Event>; 2],
    /// Datagrams under way, oldest first.
    pub(super) flight: VecDeque<Datagram>,
    lives: u8,
}

impl Pair {
    /// Two endpoints with the same choices that do not know each other.
    pub(super) fn new(config: &Config) -> Self {
        let mut world = World::new(1);
        world.set_batch(4 * 1200);
        world.hold(true);
        let now = Instant::from_micros(1_000_000_000);
        let addresses = [0, 1].map(|side| SocketAddr::from(([10, 0, 0, side], 4000)));
        for (side, address) in addresses.into_iter().enumerate() {
            let node = world.add_node(config.clone(), identity_seed(side), &[address]);
            // Each clock of a world says something else. Here both say the same.
            world.jump_clock(node, now.saturating_since(world.clock(node)));
            world.with(node, |end, now| *end = born(config, side, [0x50 + side as u8; 32], now));
        }
        let (events, flight) = Default::default();
        Self { world, now, addresses, events, flight, lives: 0 }
    }

    /// The same after the first called the second.
    ///
    /// # Panics
    /// They did not connect.
    pub(super) fn connected(config: &Config) -> Self {
        let mut pair = Self::new(config);
        let target = Target::new(pair.id(1), [pair.addresses[1]]);
        let called = pair.with(0, |end, now| end.connect(now, target));
        called.expect("nothing speaks against it");
        pair.step(Duration::from_millis(100));
        assert!(pair.peer(0).is_some() && pair.peer(1).is_some(), "connected");
        pair
    }

    pub(super) fn endpoint(&self, side: usize) -> &Endpoint {
        self.world.endpoint(node(side)).expect("nobody is down")
    }

    /// The identity of an end.
    pub(super) fn id(&self, side: usize) -> PeerId {
        self.endpoint(side).id()
    }

    /// How an end calls the other.
    pub(super) fn peer(&self, side: usize) -> Option<PeerHandle> {
        self.endpoint(side).peer_by_id(&self.id(1 - side))
    }

    /// Commands an end, and collects what it then has to send and to tell.
    ///
    /// # Panics
    /// It does not come to an end, or something does not hold that always must.
    pub(super) fn with<R>(
        &mut self,
        side: usize,
        command: impl FnOnce(&mut Endpoint, Instant) -> R,
    ) -> R {
        let result = self.world.with(node(side), command);
        self.gather();
        result
    }

    /// Seals bytes with the live keys of one end for the other.
    pub(super) fn lie(&mut self, liar: usize, path: u8, plaintext: &[u8]) -> Option<Datagram> {
        let peer = self.peer(liar)?;
        let seal = |end: &mut Endpoint, now| end.seal_for_test(now, peer, path, plaintext);
        let (transmit, bytes) = self.with(liar, seal)?;
        Some(Datagram { from: self.addresses[liar], to: transmit.destination, bytes })
    }

    /// Hands a datagram to whoever is at its destination. True if someone is.
    pub(super) fn deliver(&mut self, datagram: Datagram) -> bool {
        let Datagram { from, to, bytes } = datagram;
        let reached = self.world.deliver(handfast_sim::Datagram::forged(from, to, bytes));
        self.gather();
        reached
    }

    /// Moves the time and lets both ends act on it.
    ///
    /// # Panics
    /// An end has something left to do at a time that it was told.
    pub(super) fn advance(&mut self, to: Instant) {
        let by = to.saturating_since(self.now);
        self.now = self.now.max(to);
        (0..2).for_each(|side| self.world.jump_clock(node(side), by));
        for side in 0..2 {
            self.with(side, Endpoint::handle_timeout);
            let (next, now) = (self.endpoint(side).poll_timeout(), self.now);
            assert!(next.is_none_or(|at| at > now), "{next:?} is over at {now:?}");
        }
    }

    /// When the next end wants to be woken.
    pub(super) fn due(&self) -> Option<Instant> {
        (0..2).filter_map(|side| self.endpoint(side).poll_timeout()).min()
    }

    /// Delivers all that is under way and all that follows from it, for a while.
    pub(super) fn step(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            for _ in 0..FUEL {
                let Some(datagram) = self.flight.pop_front() else { break };
                self.deliver(datagram);
            }
            let next = self.due().map_or(end, |at| at.max(self.now)).min(end);
            let done = next == end;
            self.advance(next);
            if done && self.flight.is_empty() {
                return;
            }
        }
    }

    /// The end loses all it knows, but its identity and its choices.
    pub(super) fn restart(&mut self, side: usize) {
        self.lives = self.lives.wrapping_add(1);
        let mut seed = [0x60 + side as u8; 32];
        seed[0] = self.lives;
        let config = self.endpoint(side).config().clone();
        self.with(side, |end, now| *end = born(&config, side, seed, now));
        self.events[side].clear();
    }

    fn gather(&mut self) {
        let held = self.world.take_held();
        assert!(held.len() < FUEL, "transmits without end");
        for sent in held {
            let (from, to, bytes) = (sent.source, sent.destination, sent.bytes);
            self.flight.push_back(Datagram { from, to, bytes });
        }
        for side in 0..2 {
            let told = self.world.take_events(node(side));
            assert!(told.len() < FUEL, "events without end");
            self.events[side].extend(told.into_iter().map(|(_, event)| event));
            let peers = self.endpoint(side).peers().count();
            assert!(peers <= self.endpoint(side).config().limits.max_peers, "{peers} peers");
        }
    }
}

const fn node(side: usize) -> NodeId {
    NodeId(side as u32)
}

const fn identity_seed(side: usize) -> [u8; 32] {
    [side as u8 + 1; 32]
}

fn born(config: &Config, side: usize, seed: [u8; 32], now: Instant) -> Endpoint {
    Endpoint::new(
        config.clone().validate().expect("valid"),
        Identity::from_seed(identity_seed(side)),
        seed,
        now,
    )
}
