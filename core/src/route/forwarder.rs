//! Which packets pass.

use alloc::collections::BTreeMap;
use core::time::Duration;

use super::police::ByteBucket;
use super::queue::{Passage, Queue};
use crate::PeerHandle;
use crate::config::Forwarding;
use crate::time::Instant;
use crate::wire::FORWARD_HEADER_LEN;

/// From whom, and to whom.
pub(crate) type Pair = (PeerHandle, PeerHandle);

/// Passes packets on, within rates.
#[derive(Debug, Default)]
pub(crate) struct Forwarder {
    total: ByteBucket,
    peers: BTreeMap<PeerHandle, ByteBucket>,
    pairs: BTreeMap<Pair, ByteBucket>,
    /// When a peer was last told that its packets for another do not pass.
    refusals: BTreeMap<(PeerHandle, [u8; 32]), Instant>,
    queue: Queue,
}

impl Forwarder {
    /// A packet goes from one peer to another, if it is within the rates. Returns how many gave way to it;
    /// `None` if it does not pass.
    pub(crate) fn pass(
        &mut self,
        now: Instant,
        rates: &Forwarding,
        pair: Pair,
        header: [u8; FORWARD_HEADER_LEN],
        packet: &[u8],
    ) -> Option<u64> {
        self.sweep(now);
        let of_peer = self.peers.entry(pair.0).or_default();
        let of_pair = self.pairs.entry(pair).or_default();
        let buckets = [
            (&mut self.total, rates.total_rate),
            (of_peer, rates.peer_rate),
            (of_pair, rates.pair_rate),
        ];
        let is_low = spend(now, buckets, packet.len())?;
        let passage = Passage::new(header, packet, now).marked(is_low);
        Some(self.queue.push(pair.1.slot, passage))
    }

    /// A packet of a peer goes to another shard, if it is within the rates: of its peer and of all here, of the pair there.
    /// `None` if it does not pass.
    pub(crate) fn leave(
        &mut self,
        now: Instant,
        rates: &Forwarding,
        from: PeerHandle,
        header: [u8; FORWARD_HEADER_LEN],
        packet: &[u8],
    ) -> Option<Passage> {
        self.sweep(now);
        let of_peer = self.peers.entry(from).or_default();
        let buckets = [(&mut self.total, rates.total_rate), (of_peer, rates.peer_rate)];
        let is_low = spend(now, buckets, packet.len())?;
        Some(Passage::new(header, packet, now).marked(is_low))
    }

    /// The same packet comes to the shard that it is for. Returns how many gave way to it; `None` if it does not pass.
    pub(crate) fn enter(
        &mut self,
        now: Instant,
        rates: &Forwarding,
        pair: Pair,
        passage: Passage,
    ) -> Option<u64> {
        self.sweep(now);
        let of_pair = self.pairs.entry(pair).or_default();
        let is_low = spend(now, [(of_pair, rates.pair_rate)], passage.packet.len())?;
        Some(self.queue.push(pair.1.slot, passage.marked(is_low)))
    }

    /// Whether a peer may be told that its packets for this destination do not pass: once a second.
    pub(crate) fn may_refuse(
        &mut self,
        now: Instant,
        peer: PeerHandle,
        destination: &[u8; 32],
    ) -> bool {
        if self.refusals.len() >= MAX_REFUSALS {
            self.refusals.retain(|_, told| now < *told + REFUSAL_INTERVAL);
        }
        let key = (peer, *destination);
        let early = self.refusals.get(&key).is_some_and(|told| now < *told + REFUSAL_INTERVAL);
        let may = !early && self.refusals.len() < MAX_REFUSALS;
        if may {
            self.refusals.insert(key, now);
        }
        may
    }

    /// Whose turn it is to be sent what is passed on.
    pub(crate) fn turn(&self) -> Option<u32> {
        self.queue.turn()
    }

    /// Takes the next packet of whose turn it is, if it is `like` what the caller wants. Returns how many
    /// waited for too long before it.
    pub(crate) fn pop(
        &mut self,
        now: Instant,
        like: impl FnOnce(&Passage) -> bool,
    ) -> (Option<Passage>, u64) {
        self.queue.pop(now, like)
    }

    /// The peer in this slot is gone.
    pub(crate) fn forget(&mut self, slot: u32) {
        self.queue.forget(slot);
    }

    /// The next turn is another's.
    pub(crate) fn rotate(&mut self) {
        self.queue.rotate();
    }

    /// Forgets full buckets once there are many: a new one is as full.
    fn sweep(&mut self, now: Instant) {
        if self.pairs.len().max(self.peers.len()) >= MAX_PAIRS {
            self.pairs.retain(|_, bucket| !bucket.is_full(now));
            self.peers.retain(|_, bucket| !bucket.is_full(now));
        }
    }
}

/// Takes so many bytes out of all these buckets, if each has them. Says whether one is low then.
fn spend<const N: usize>(
    now: Instant,
    buckets: [(&mut ByteBucket, u64); N],
    bytes: usize,
) -> Option<bool> {
    if !buckets.iter().all(|(bucket, rate)| bucket.has(now, *rate, bytes)) {
        return None;
    }
    let mut is_low = false;
    for (bucket, rate) in buckets {
        bucket.spend(now, rate, bytes);
        is_low |= bucket.is_low(now, rate);
    }
    Some(is_low)
}

/// Then full buckets are forgotten. The rates bound how many can be less than full.
const MAX_PAIRS: usize = 4096;
/// The most refusals remembered; beyond them nobody is told.
const MAX_REFUSALS: usize = 1024;
const REFUSAL_INTERVAL: Duration = Duration::from_secs(1);
