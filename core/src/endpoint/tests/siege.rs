//! A server under fire, and an honest client ten milliseconds away.

use std::collections::BTreeMap;
use std::net::IpAddr;

use zerocopy::IntoBytes;

use super::*;
use crate::crypto::backend::active::SecretKey;
use crate::crypto::noise::Initiation;
use crate::net::Arrival;
use crate::session::prologue;
use crate::wire::{Cookie, HandshakeRequest, KeyRequest, RequestPayload};

/// What the server answered to addresses that were never the client's, and what it had heard there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    pub(super) heard: usize,
    pub(super) said: usize,
}

/// The client is `a` of the pair, the server `b`.
pub(super) struct Siege {
    pair: Pair,
    pub(super) ms: u64,
    pub(super) accounts: BTreeMap<IpAddr, Account>,
    /// Where the client was.
    homes: Vec<IpAddr>,
}

impl Siege {
    pub(super) fn new(client: Config) -> Self {
        let (server, client) = (Node::new(2, Config::default()), Node::new(1, client));
        let homes = vec![client.address.ip()];
        let pair = Pair::strangers(client, server, at(0));
        Self { pair, ms: 0, accounts: BTreeMap::new(), homes }
    }

    pub(super) const fn server(&self) -> &Node {
        &self.pair.b
    }

    pub(super) const fn server_mut(&mut self) -> &mut Node {
        &mut self.pair.b
    }

    pub(super) const fn client(&self) -> &Node {
        &self.pair.a
    }

    /// The client starts anew with the same key at `address` and calls.
    pub(super) fn restart_client(&mut self, config: Config, address: SocketAddr) {
        let identity = Identity::from_seed([1; 32]);
        let endpoint = Endpoint::new(
            config.validate().expect("valid"),
            identity,
            [self.ms as u8; 32],
            at(self.ms),
        );
        self.pair.a = Node::with(endpoint, address);
        self.homes.push(address.ip());
        self.call();
    }

    /// What the server answers to a datagram now.
    pub(super) fn answers(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<Datagram> {
        let now = at(self.ms);
        self.pair.b.take(now, from, bytes);
        self.pair.b.sent(now)
    }

    /// The client calls.
    pub(super) fn call(&mut self) {
        let Pair { a, b, .. } = &mut self.pair;
        a.call(at(self.ms), b);
    }

    /// Runs under `attack`, which is asked for its packets of every millisecond, until the client is
    /// connected; how many milliseconds that took, if it happened within `limit`.
    pub(super) fn until_connected(
        &mut self,
        limit: u64,
        mut attack: impl FnMut(&mut Self) -> Vec<Datagram>,
    ) -> Option<u64> {
        for passed in 0..=limit {
            if self.client().count(|event| matches!(event, Event::Connected { .. })) > 0 {
                return Some(passed);
            }
            let packets = attack(self);
            self.step(&packets);
        }
        None
    }

    /// Runs under `attack` for so many milliseconds.
    pub(super) fn run(&mut self, ms: u64, mut attack: impl FnMut(&mut Self) -> Vec<Datagram>) {
        for _ in 0..ms {
            let packets = attack(self);
            self.step(&packets);
        }
    }

    /// One millisecond. What the attackers send arrives before what the client sent.
    fn step(&mut self, packets: &[Datagram]) {
        self.exchange();
        self.ms += 1;
        self.pair.now = at(self.ms);
        self.pair.wake_due();
        // Drivers read so many at a time.
        for batch in packets.chunks(64) {
            for (from, bytes) in batch {
                self.accounts.entry(from.ip()).or_default().heard += bytes.len();
                self.pair.b.take(self.pair.now, *from, bytes);
            }
            self.exchange();
        }
        self.pair.deliver();
        self.exchange();
    }

    fn exchange(&mut self) {
        self.pair.now = at(self.ms);
        let server = self.pair.b.address;
        let astray = self.pair.exchange(&mut |_, _, _| true).into_iter();
        for letter in astray.filter(|letter| letter.from == server) {
            self.accounts.entry(letter.to.ip()).or_default().said += letter.bytes.len();
        }
    }

    /// Whatever the test was about: nobody was sent more than came in its name, nothing became a peer
    /// that did not confirm, and no table is larger than it may be.
    pub(super) fn assert_sound(&self) {
        for (ip, Account { heard, said }) in &self.accounts {
            assert!(said <= heard || self.homes.contains(ip), "{ip}: {said} B for {heard} B");
        }
        let endpoint = &self.server().endpoint;
        assert!(endpoint.peers().count() <= 1);
        assert!(endpoint.admission.strangers() <= endpoint.config().limits.max_half_open);
        assert!(endpoint.admission.half_open() <= endpoint.admission.strangers() + 1);
    }

    /// The cookie that the server gives to an initiator.
    pub(super) fn cookie(&self, from: SocketAddr, index: u32) -> Cookie {
        let Endpoint { admission, shared, .. } = &self.server().endpoint;
        admission.cookie(shared, &Arrival::from_remote(from).via, index)
    }

    /// A request with a genuine mac and nothing else that is genuine, but perhaps the cookie.
    pub(super) fn empty_request(&self, number: u32, cookie: Cookie) -> Vec<u8> {
        let mut request = HandshakeRequest::new(number, cookie);
        request.ephemeral[..4].copy_from_slice(&number.to_le_bytes());
        request.mac = self.server().endpoint.shared.network.request_mac(request.authenticated());
        request.as_bytes().to_vec()
    }

    /// A request of a stranger with a key of its own.
    pub(super) fn strangers_request(&self, number: u32, cookie: Cookie) -> Vec<u8> {
        let mut seed = [9; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        self.genuine_request(&Identity::from_seed(seed), number, cookie, 0)
    }

    /// A request in which everything is genuine. The same inputs make the same request.
    pub(super) fn genuine_request(
        &self,
        identity: &Identity,
        number: u32,
        cookie: Cookie,
        time: u64,
    ) -> Vec<u8> {
        let shared = &self.server().endpoint.shared;
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let mut request = HandshakeRequest::new(number, cookie);
        let id = *identity.id().as_bytes();
        let payload = RequestPayload::new(id, 7, time, shared.parameters(1 << 25));
        let text = &mut request.payload_ciphertext;
        text[..size_of::<RequestPayload>()].copy_from_slice(payload.as_bytes());
        seed[4..12].copy_from_slice(&time.to_le_bytes());
        seed[12..28].copy_from_slice(&cookie.mac);
        let prologue = prologue(&shared.config.application, request.prologue());
        let (_, opening) = Initiation::new(
            identity.x25519(),
            &shared.identity.id().x25519(),
            &prologue,
            SecretKey::from_bytes(&seed),
            &mut request.payload_ciphertext,
            |remote| identity.x25519().agree(remote),
        )
        .expect("a usable key");
        request.ephemeral = opening.ephemeral;
        request.static_ciphertext = opening.static_ciphertext;
        request.mac = shared.network.request_mac(request.authenticated());
        request.as_bytes().to_vec()
    }

    /// A question for the server's identity.
    pub(super) fn question(&self, number: u32) -> Vec<u8> {
        let mut nonce = [0; 16];
        nonce[..4].copy_from_slice(&number.to_le_bytes());
        let mut request = KeyRequest::new(number, nonce);
        let network = &self.server().endpoint.shared.network;
        request.network_mac = network.key_request_mac(request.authenticated());
        request.as_bytes().to_vec()
    }
}

/// How many of `rate` per second fall into a millisecond.
pub(super) const fn due(rate: u64, ms: u64) -> u64 {
    rate * (ms + 1) / 1000 - rate * ms / 1000
}

/// The `n`-th of many addresses.
pub(super) fn source(n: u32) -> SocketAddr {
    let [a, b, c, d] = n.wrapping_mul(0x9e37_79b9).to_be_bytes();
    SocketAddr::from(([a | 0x80, b, c, d], 4263))
}
