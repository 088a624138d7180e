//! A thread per endpoint, and threads that command them all through their remotes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use handfast_core::{Event, Fate, Identity, MessageId, PeerHandle, PeerId, Target};
use handfast_mio::{Endpoint, Remote, RemoteError, entropy};
use handfast_sim::Rng;
use handfast_tests::loopback;

use super::{Tally, check, config, delivery, farewell, payload};

/// How each endpoint is reached at the moment.
type Slots = Arc<[Mutex<Option<Listing>>]>;

#[derive(Clone)]
struct Listing {
    id: PeerId,
    address: SocketAddr,
    remote: Remote,
}

pub(crate) fn spin(seed: u64, time: Duration) -> Tally {
    let slots: Slots = (0..ENDPOINTS).map(|_| Mutex::new(None)).collect();
    let until = Instant::now() + time;
    thread::scope(|scope| {
        let loops = (0..ENDPOINTS).map(|slot| {
            let (rng, slots) = (Rng::from_seed((seed << 16) | slot as u64), Arc::clone(&slots));
            scope.spawn(move || Loop::new(rng, slots).run(slot, until))
        });
        let commanders = (0..COMMANDERS).map(|number| {
            let (rng, slots) = (Rng::from_seed((seed << 16) | (1000 + number)), Arc::clone(&slots));
            scope.spawn(move || command(rng, &slots, until))
        });
        // All start before any is waited for.
        let threads: Vec<_> = loops.chain(commanders).collect();
        let mut tally = Tally::default();
        threads.into_iter().for_each(|thread| tally.add(thread.join().expect("no panic")));
        tally
    })
}

/// Has random endpoints do random things.
fn command(mut rng: Rng, slots: &Slots, until: Instant) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < until {
        let Some(listing) = listing(&slots[rng.index(ENDPOINTS)]) else { continue };
        let (mut seeds, slots) = (Rng::from_seed(rng.next_u64()), Arc::clone(slots));
        let job = move |endpoint: &mut Endpoint| Actor::new(&mut seeds, &slots).act(endpoint);
        match listing.remote.run(job) {
            Ok(()) => tally.count("commanded"),
            // A full queue is told to those who fill it; they wait for the others.
            Err(RemoteError::Full) => thread::yield_now(),
            Err(RemoteError::Stopped) => tally.count("too late"),
            Err(error) => panic!("{error}"),
        }
        if rng.index(50) == 0 {
            thread::yield_now();
        }
    }
    tally
}

/// An endpoint's thread, which makes a new one when the old one is over.
struct Loop {
    rng: Rng,
    slots: Slots,
    tally: Tally,
}

impl Loop {
    fn new(rng: Rng, slots: Slots) -> Self {
        Self { rng, slots, tally: Tally::default() }
    }

    fn run(mut self, slot: usize, until: Instant) -> Tally {
        let mut address = loopback();
        while Instant::now() < until {
            let mut endpoint = bind(address);
            address = endpoint.local_addresses()[0];
            let (id, remote) = (endpoint.id(), endpoint.remote());
            *lock(&self.slots[slot]) = Some(Listing { id, address, remote });
            self.live(&mut endpoint, until);
            if self.rng.index(2) == 0 {
                // Without a word to anyone.
                self.tally.count("dropped");
                continue;
            }
            endpoint.close(farewell(&mut self.rng));
            while !endpoint.is_closed() {
                endpoint.turn(None).expect("no fatal error");
                while let Some(event) = endpoint.poll_event() {
                    self.on_event(&mut endpoint, &event);
                }
            }
            self.tally.count("closed");
        }
        *lock(&self.slots[slot]) = None;
        self.tally
    }

    fn live(&mut self, endpoint: &mut Endpoint, until: Instant) {
        let mut last = None;
        while Instant::now() < until && self.rng.index(2000) > 0 {
            let wait = Duration::from_millis([0, 0, 0, 1][self.rng.index(4)]);
            endpoint.turn(Some(wait)).expect("no fatal error");
            for _ in 0..self.rng.index(4) {
                let mut actor = Actor::new(&mut self.rng, &self.slots);
                actor.last = last;
                actor.act(endpoint);
                last = actor.last;
                self.tally.add(actor.tally);
            }
            // Events may wait.
            for _ in 0..self.rng.index(50) {
                let Some(event) = endpoint.poll_event() else { break };
                self.on_event(endpoint, &event);
            }
        }
    }

    fn on_event(&mut self, endpoint: &mut Endpoint, event: &Event) {
        match event {
            Event::Connected { .. } => self.tally.count("connected"),
            Event::Readable { peer } => {
                // Not all, now and then, and then there is no further event.
                let most = [10, usize::MAX][self.rng.index(2)];
                for message in std::iter::from_fn(|| endpoint.receive(*peer)).take(most) {
                    check(&message.payload);
                    self.tally.count("received");
                }
            }
            Event::Fate { fate: Fate::Acked, .. } => self.tally.count("acked"),
            Event::Pong { .. } => self.tally.count("pong"),
            Event::Ended { .. } => self.tally.count("disconnected"),
            _ => {}
        }
    }
}

/// Does one thing.
struct Actor<'a> {
    rng: &'a mut Rng,
    slots: &'a Slots,
    /// The message sent last.
    last: Option<(PeerHandle, MessageId)>,
    tally: Tally,
}

impl<'a> Actor<'a> {
    fn new(rng: &'a mut Rng, slots: &'a Slots) -> Self {
        Self { rng, slots, last: None, tally: Tally::default() }
    }

    /// All that is legal: handles of peers that are gone, dials of ourselves.
    fn act(&mut self, endpoint: &mut Endpoint) {
        let peers: Vec<_> = endpoint.peers().map(|info| info.handle).collect();
        let peer = peers.get(self.rng.index(peers.len().max(1))).copied();
        match (self.rng.index(100), peer) {
            (0..=9, _) => self.connect(endpoint),
            (10..=59, Some(peer)) => self.send(endpoint, peer),
            (60..=69, Some(peer)) => {
                while let Some(message) = endpoint.receive(peer) {
                    check(&message.payload);
                    self.tally.count("received");
                }
            }
            (70..=76, Some(peer)) => drop(endpoint.ping(peer)),
            (77..=86, _) => {
                if let Some((peer, message)) = self.last
                    && endpoint.cancel(peer, message).is_ok()
                {
                    self.tally.count("cancelled");
                }
            }
            (87, Some(peer)) => drop(endpoint.disconnect(peer, farewell(self.rng))),
            (88, _) => endpoint.addresses_changed(),
            (89..=92, Some(peer)) => {
                let info = endpoint.peer(peer).expect("it was listed");
                if let Some(address) = info.path.and_then(|path| path.remote()) {
                    // Perhaps another, who came to the same address later.
                    let there = endpoint.peer_by_addr(address);
                    assert!(there.is_none_or(|there| endpoint.peer(there).is_some()));
                }
                if let Some(id) = info.id {
                    endpoint.peer_by_id(&id).expect("it was listed");
                }
            }
            (93..=95, _) => {
                let received = endpoint.stats().datagrams_received;
                assert!(endpoint.socket_stats().datagrams_received >= received);
            }
            _ => {}
        }
    }

    fn connect(&mut self, endpoint: &mut Endpoint) {
        let Some(Listing { id, address, .. }) = listing(&self.slots[self.rng.index(ENDPOINTS)])
        else {
            return;
        };
        let target = match self.rng.index(4) {
            0 => Target::from(address),
            1 => Target::from(id),
            2 => Target::new(id, [loopback(), address]),
            _ => Target::new(id, [address]),
        };
        if let Ok(peer) = endpoint.connect(target) {
            // Before anyone answered.
            self.send(endpoint, peer);
        }
    }

    fn send(&mut self, endpoint: &mut Endpoint, peer: PeerHandle) {
        let (delivery, payload) = (delivery(self.rng), payload(self.rng));
        if let Ok(message) = endpoint.send(peer, delivery, payload) {
            self.last = Some((peer, message));
            self.tally.count("sent");
        }
    }
}

fn bind(address: SocketAddr) -> Endpoint {
    let identity = || Identity::from_seed(entropy().expect("entropy"));
    Endpoint::bind(config(), identity(), address)
        .or_else(|_| Endpoint::bind(config(), identity(), loopback()))
        .expect("bound")
}

fn listing(slot: &Mutex<Option<Listing>>) -> Option<Listing> {
    lock(slot).clone()
}

fn lock(slot: &Mutex<Option<Listing>>) -> std::sync::MutexGuard<'_, Option<Listing>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

const ENDPOINTS: usize = 3;
const COMMANDERS: u64 = 3;
