//! Two endpoints with fixed seeds and a wire between them on which every datagram can be read.

use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::crypto::rng::Rng;
use crate::endpoint::Endpoint;
use crate::{Config, Identity, Instant, KeyUpdates, NetworkSecret, Origin};

/// The seeds of the two identities and of the two endpoints' randomness.
pub(super) const IDENTITY_A: [u8; 32] = [0xa1; 32];
pub(super) const IDENTITY_B: [u8; 32] = [0xb1; 32];
pub(super) const RANDOM_A: [u8; 32] = [0xa2; 32];
pub(super) const RANDOM_B: [u8; 32] = [0xb2; 32];
pub(super) const NETWORK_SECRET: [u8; 32] = [0x5e; 32];
pub(super) const APPLICATION: [u8; 16] = *b"handfast vectors";

/// Two endpoints, 1,000 seconds after the epoch of their clock.
pub(super) struct Script {
    pub(super) a: Endpoint,
    pub(super) b: Endpoint,
    pub(super) now: Instant,
}

impl Script {
    /// `adjust` makes the choices that differ from those all scripts share.
    pub(super) fn new(adjust: impl Fn(&mut Config)) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        let endpoint = |identity, random| {
            let mut config = Config {
                application: APPLICATION,
                network_secret: Some(NetworkSecret::new(NETWORK_SECRET)),
                wall_clock: Some(Duration::from_secs(1_700_000_000)),
                keys: KeyUpdates { rekey_after: Duration::from_secs(1), ..KeyUpdates::default() },
                ..Config::default()
            };
            adjust(&mut config);
            let config = config.validate().expect("valid");
            Endpoint::new(config, Identity::from_seed(identity), random, now)
        };
        Self { a: endpoint(IDENTITY_A, RANDOM_A), b: endpoint(IDENTITY_B, RANDOM_B), now }
    }

    /// What A sends now.
    pub(super) fn leaves_a(&mut self) -> Vec<Vec<u8>> {
        drain(&mut self.a, self.now)
    }

    /// What B sends now.
    pub(super) fn leaves_b(&mut self) -> Vec<Vec<u8>> {
        drain(&mut self.b, self.now)
    }

    pub(super) fn reach_a(&mut self, datagrams: &[Vec<u8>]) {
        give(&mut self.a, self.now, address_b(), datagrams);
    }

    pub(super) fn reach_b(&mut self, datagrams: &[Vec<u8>]) {
        give(&mut self.b, self.now, address_a(), datagrams);
    }

    /// Lets time pass at both ends.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.a.handle_timeout(self.now);
        self.b.handle_timeout(self.now);
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

fn drain(endpoint: &mut Endpoint, now: Instant) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; 65_536];
    let mut datagrams = Vec::new();
    while let Some(transmit) = endpoint.poll_transmit(now, &mut buffer) {
        let size = transmit.segment.map_or(transmit.len, |size| size.get().into());
        datagrams.extend(buffer[..transmit.len].chunks(size).map(Vec::from));
    }
    datagrams
}

fn give(endpoint: &mut Endpoint, now: Instant, from: SocketAddr, datagrams: &[Vec<u8>]) {
    for datagram in datagrams {
        endpoint.handle_datagram(now, Origin::from_remote(from), &mut datagram.clone());
    }
    while endpoint.poll_event().is_some() {}
}
