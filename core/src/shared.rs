//! What all peers of an endpoint share: choices, identity, randomness, indices, counters.

use alloc::collections::VecDeque;
use core::fmt;
use core::hash::{BuildHasherDefault, Hasher};
use core::time::Duration;

use hashbrown::HashMap;
use smallvec::SmallVec;
use zeroize::Zeroizing;

use crate::config::{BASE_DATAGRAM, Config, MAX_DATAGRAM, SHORTEST_HEARTBEAT};
use crate::crypto::cookie::CookieJar;
use crate::crypto::hash::{Secret, expand, keyed};
use crate::crypto::keycache::KeyCache;
use crate::crypto::mac::MacKey;
use crate::crypto::rng::Rng;
use crate::net::{Path, Transmit};
use crate::stats::{Drops, Stats};
use crate::time::Instant;
use crate::wire::Parameters;
use crate::{Identity, PeerId};

/// The endpoint without its peers.
pub(crate) struct Shared {
    /// The newest time the driver told.
    pub(crate) now: Instant,
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) rng: Rng,
    pub(crate) keys: KeyCache,
    pub(crate) indices: Indices,
    pub(crate) cookies: CookieJar,
    pub(crate) request_mac: MacKey,
    pub(crate) network_mac: MacKey,
    pub(crate) stats: Stats,
    pub(crate) drops: Drops,
    pub(crate) replies: Replies,
    started: Instant,
    next_key_id: u64,
    next_peer_number: u64,
    incarnations: Zeroizing<[u8; 32]>,
    /// Peers that ended.
    lives: u64,
    /// What a lying end changes in the payloads of its handshakes.
    #[cfg(feature = "testing")]
    pub(crate) distortion: [u8; 96],
}

impl Shared {
    pub(crate) fn new(
        mut config: Config,
        identity: Identity,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        let mut rng = Rng::from_seed(seed);
        config.heartbeat = config.heartbeat.max(SHORTEST_HEARTBEAT);
        config.max_datagram = config.max_datagram.clamp(BASE_DATAGRAM, MAX_DATAGRAM);
        let psk = psk(&config);
        Self {
            now,
            cookies: CookieJar::new(rng.secret()),
            request_mac: MacKey::request(&identity.id(), &config.application, &psk),
            network_mac: MacKey::network(&config.application, &psk),
            keys: KeyCache::new(u32::try_from(config.active_keys).unwrap_or(u32::MAX)),
            indices: Indices { owners: HashMap::default(), shard: config.shard },
            config,
            identity,
            stats: Stats::default(),
            drops: Drops::default(),
            replies: Replies::default(),
            incarnations: rng.secret(),
            started: now,
            next_key_id: 0,
            next_peer_number: 0,
            lives: 0,
            #[cfg(feature = "testing")]
            distortion: [0; 96],
            rng,
        }
    }

    /// Moves the clock; never back.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// The secret that only members of the network have, or zeros.
    pub(crate) fn psk(&self) -> Zeroizing<[u8; 32]> {
        psk(&self.config)
    }

    /// The key of the MAC that `peer` expects on our requests.
    pub(crate) fn request_mac_for(&self, peer: &PeerId) -> MacKey {
        MacKey::request(peer, &self.config.application, &self.psk())
    }

    /// Whole seconds on our own clock, as cookies tell them.
    pub(crate) fn cookie_time(&self) -> u32 {
        u32::try_from(self.now.as_micros() / 1_000_000).unwrap_or(u32::MAX)
    }

    /// Milliseconds since 1970, 0 without a clock.
    pub(crate) fn timestamp_ms(&self) -> u64 {
        let elapsed = self.now.saturating_since(self.started);
        let time = self.config.wall_clock.map(|start| start.saturating_add(elapsed).as_millis());
        time.map_or(0, |ms| u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// What we tell a peer about ourselves, with so many bytes of credit for it.
    pub(crate) fn parameters(&self, receive_window: u64) -> Parameters {
        let config = &self.config;
        let ms = |duration: Duration| u64::try_from(duration.as_millis());
        Parameters {
            capabilities: u32::from(config.aes_hardware).into(),
            max_datagram: config.max_datagram.into(),
            max_streams: config.max_streams.into(),
            idle_timeout_ms: clamped(ms(config.idle_timeout)).into(),
            max_ack_delay_ms: (clamped(ms(config.max_ack_delay)) as u16).into(),
            reserved: 0.into(),
            max_message: config.max_message.into(),
            receive_window: receive_window.into(),
        }
    }

    /// Falsifies the payload of a handshake before it is sealed, if a test wants that.
    #[cfg(feature = "testing")]
    pub(crate) fn distort(&self, payload: &mut [u8]) {
        for (byte, change) in payload.iter_mut().zip(&self.distortion) {
            *byte ^= change;
        }
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

    /// What names our state about a peer that we know nothing about: the same for every handshake
    /// under way with it, another once state about any peer was lost.
    pub(crate) fn incarnation(&self, id: &PeerId) -> u64 {
        let lives = self.lives.to_le_bytes();
        let bytes = keyed(&self.incarnations, &[id.as_bytes(), &lives]);
        bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// What hides which sources share a place in the tables of their budgets.
    pub(crate) fn source_secret(&self) -> Secret {
        // Under another construction than what `incarnation` makes with the same key.
        expand(&self.incarnations, [b"handfast/1 sources", &[]])
    }

    /// State about a peer is lost.
    pub(crate) fn note_end(&mut self) {
        self.lives += 1;
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

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("now", &self.now).finish_non_exhaustive()
    }
}

fn psk(config: &Config) -> Zeroizing<[u8; 32]> {
    let secret = config.network_secret.as_ref().map(crate::NetworkSecret::as_bytes);
    Zeroizing::new(secret.copied().unwrap_or_default())
}

/// A number of milliseconds that `Config::validate` keeps small.
fn clamped(ms: Result<u64, core::num::TryFromIntError>) -> u32 {
    ms.ok().and_then(|ms| u32::try_from(ms).ok()).unwrap_or(u32::MAX)
}

/// What a forgotten session leaves to be cleaned up: its index, and its expanded keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forgotten {
    pub(crate) index: u32,
    pub(crate) key_slot: u32,
    pub(crate) key_id: u64,
}

/// Sessions are forgotten one or two at a time.
pub(crate) type ForgottenList = SmallVec<[Forgotten; 2]>;

/// To whom an index that we handed out belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A half-open handshake that a peer began.
    HalfOpen(u32),
    /// A session, dial or rekey of the peer in this slot.
    Peer(u32),
}

/// The indices that peers put into packets for us.
#[derive(Debug)]
pub(crate) struct Indices {
    owners: HashMap<u32, Owner, BuildHasherDefault<IndexHasher>>,
    shard: u8,
}

impl Indices {
    /// A fresh index: the shard in its low byte, the rest random.
    pub(crate) fn allocate(&mut self, rng: &mut Rng, owner: Owner) -> u32 {
        loop {
            let index = (rng.u32() & !0xff) | u32::from(self.shard);
            if !self.owners.contains_key(&index) {
                self.owners.insert(index, owner);
                return index;
            }
        }
    }

    pub(crate) fn owner(&self, index: u32) -> Option<Owner> {
        self.owners.get(&index).copied()
    }

    /// Gives an index to another owner.
    pub(crate) fn assign(&mut self, index: u32, owner: Owner) {
        self.owners.insert(index, owner);
    }

    pub(crate) fn release(&mut self, index: u32) {
        self.owners.remove(&index);
        // What a flood made large becomes small again, at a cost that the flood has paid for.
        let (len, capacity) = (self.owners.len(), self.owners.capacity());
        if len == 0 {
            self.owners = HashMap::default();
        } else if capacity > SMALL && len < capacity / 8 {
            self.owners.shrink_to(2 * len);
        }
    }
}

/// How many indices are always worth their memory.
const SMALL: usize = 32;

/// Spreads indices, which we draw at random ourselves, so nobody can aim for collisions.
#[derive(Debug, Default)]
struct IndexHasher(u64);

impl Hasher for IndexHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        // The multiplier is 2^64 divided by the golden ratio, made odd (Knuth, volume 3, 6.4).
        self.0 = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // The low bits of the product depend on the shard alone; tables look at the low bits.
        self.0.rotate_left(32)
    }
}

/// A datagram that answers one of a stranger. It is never larger than what it answers.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) path: Path,
    bytes: SmallVec<[u8; 144]>,
}

/// Answers to strangers that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    queue: VecDeque<Reply>,
}

/// The most answers that wait. A driver that drains after each datagram never has more than one.
const MAX_REPLIES: usize = 256;

impl Replies {
    /// Queues a response; false when too many answers wait already.
    pub(crate) fn push(&mut self, path: Path, bytes: &[u8]) -> bool {
        self.push_below(MAX_REPLIES, path, bytes)
    }

    /// Queues an answer that cost next to nothing; half the queue is kept for others.
    pub(crate) fn push_cheap(&mut self, path: Path, bytes: &[u8]) -> bool {
        self.push_below(MAX_REPLIES / 2, path, bytes)
    }

    fn push_below(&mut self, most: usize, path: Path, bytes: &[u8]) -> bool {
        let room = self.queue.len() < most;
        if room {
            self.queue.push_back(Reply { path, bytes: SmallVec::from_slice(bytes) });
        }
        room
    }

    /// Copies the next answer that fits into `buf`.
    pub(crate) fn poll(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        if self.queue.front()?.bytes.len() > buf.len() {
            return None;
        }
        let reply = self.queue.pop_front()?;
        buf[..reply.bytes.len()].copy_from_slice(&reply.bytes);
        Some(reply.path.transmit(reply.bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use core::hash::BuildHasher;
    use std::collections::BTreeSet;

    use super::*;

    /// Tables look at the low bits of a hash; all indices of an endpoint share their low byte.
    #[test]
    fn indices_of_one_shard_spread_over_the_low_bits_of_their_hashes() {
        let mut rng = Rng::from_seed([7; 32]);
        let build = BuildHasherDefault::<IndexHasher>::default();
        let places = 1 << 17;
        let place = |index: u32| build.hash_one(index) & (places - 1);
        let taken: BTreeSet<u64> = (0..100_000).map(|_| place(rng.u32() & !0xff)).collect();
        // 100,000 balls thrown into 2^17 bins at random hit 69,952 of them.
        assert!(taken.len() > 65_000, "{} of {places} places for 100,000 indices", taken.len());
    }
}
