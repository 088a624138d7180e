//! Two endpoints with fixed seeds and a wire between them on which every datagram can be read.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::crypto::rng::Rng;
use crate::tests::pair::{Datagram, Node};
use crate::{Config, Endpoint, Identity, Instant, KeyUpdates, NetworkSecret};

/// The seeds of the two identities and of the two endpoints' randomness.
pub(super) const IDENTITY_A: [u8; 32] = [0xa1; 32];
pub(super) const IDENTITY_B: [u8; 32] = [0xb1; 32];
pub(super) const RANDOM_A: [u8; 32] = [0xa2; 32];
pub(super) const RANDOM_B: [u8; 32] = [0xb2; 32];
pub(super) const NETWORK_SECRET: [u8; 32] = [0x5e; 32];
pub(super) const APPLICATION: [u8; 16] = *b"handfast vectors";

/// Two nodes between which datagrams are carried by hand, 1,000 seconds after the epoch of their
/// clock.
pub(super) struct Script {
    pub(super) a: Node,
    pub(super) b: Node,
    pub(super) now: Instant,
}

impl Script {
    /// `adjust` makes the choices that differ from those all scripts share.
    pub(super) fn new(adjust: impl Fn(&mut Config)) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        let node = |identity, random, address| {
            let mut config = Config {
                application: APPLICATION,
                network_secret: Some(NetworkSecret::new(NETWORK_SECRET)),
                wall_clock: Some(Duration::from_secs(1_700_000_000)),
                keys: KeyUpdates { rekey_after: Duration::from_secs(1), ..KeyUpdates::default() },
                max_datagram: 1200,
                ..Config::default()
            };
            adjust(&mut config);
            let identity = Identity::from_seed(identity);
            Node::with(
                Endpoint::new(config.validate().expect("valid"), identity, random, now),
                address,
            )
        };
        let a = node(IDENTITY_A, RANDOM_A, address_a());
        Self { a, b: node(IDENTITY_B, RANDOM_B, address_b()), now }
    }

    /// What A sends now.
    pub(super) fn leaves_a(&mut self) -> Vec<Vec<u8>> {
        bytes(self.a.sent(self.now))
    }

    /// What B sends now.
    pub(super) fn leaves_b(&mut self) -> Vec<Vec<u8>> {
        bytes(self.b.sent(self.now))
    }

    pub(super) fn reach_a(&mut self, datagrams: &[Vec<u8>]) {
        datagrams.iter().for_each(|bytes| self.a.take(self.now, address_b(), bytes));
    }

    pub(super) fn reach_b(&mut self, datagrams: &[Vec<u8>]) {
        datagrams.iter().for_each(|bytes| self.b.take(self.now, address_a(), bytes));
    }

    /// Lets time pass at both ends.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.a.wake(self.now);
        self.b.wake(self.now);
    }

    /// Carries datagrams until both ends are silent, over the next 100 ms.
    pub(super) fn settle(&mut self) {
        for _ in 0..10 {
            let datagrams = self.leaves_a();
            self.reach_b(&datagrams);
            let datagrams = self.leaves_b();
            self.reach_a(&datagrams);
            self.pass(Duration::from_millis(10));
        }
    }
}

pub(super) fn address_a() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4101))
}

pub(super) fn address_b() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 2], 4102))
}

/// The 32 bytes among those that a generator seeded with `seed` gives first for which `fits`:
/// finds a secret whose public side was seen, in whatever order an endpoint draws.
pub(super) fn drawn(seed: [u8; 32], fits: impl Fn(&[u8; 32]) -> bool) -> [u8; 32] {
    let stream = Rng::from_seed(seed).bytes::<2048>();
    let mut places = stream.windows(32).step_by(4).filter_map(|bytes| bytes.first_chunk());
    *places.find(|bytes| fits(bytes)).expect("it was drawn from there")
}

fn bytes(datagrams: Vec<Datagram>) -> Vec<Vec<u8>> {
    datagrams.into_iter().map(|(_, bytes)| bytes).collect()
}
