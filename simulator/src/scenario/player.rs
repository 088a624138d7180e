//! What the application of one node knows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use handfast_core::{Bytes, Delivery, MessageId, PeerHandle, PeerId};

use super::payload::{Flow, Key};

/// The application of one node.
pub(crate) struct Player {
    pub(crate) id: PeerId,
    pub(crate) links: BTreeMap<u8, LinkTo>,
    pub(super) sent: BTreeMap<(PeerHandle, MessageId), Key>,
    /// Peers that came back as someone else, and will be given up.
    pub(super) former: BTreeSet<PeerHandle>,
    pub(crate) goodbyes: u64,
    /// Who is connected, since when.
    since: BTreeMap<PeerHandle, Duration>,
    connected: Duration,
}

/// What a node knows of another.
#[derive(Default)]
pub(crate) struct LinkTo {
    pub(crate) handle: Option<PeerHandle>,
    /// Counts how often the node forgot the other.
    pub(super) life: u8,
    pub(super) next: u32,
    pub(super) waiting: VecDeque<(Key, Delivery, Bytes)>,
}

impl LinkTo {
    /// The node knows nothing of the other any more.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { life: self.life.wrapping_add(1), ..Self::default() };
    }
}

impl Player {
    pub(super) const fn new(id: PeerId) -> Self {
        Self {
            id,
            links: BTreeMap::new(),
            sent: BTreeMap::new(),
            former: BTreeSet::new(),
            goodbyes: 0,
            since: BTreeMap::new(),
            connected: Duration::ZERO,
        }
    }

    /// What the node, which is number `from`, sends to another now.
    pub(super) fn flow(&self, from: u8, to: u8) -> Flow {
        let life = self.links.get(&to).map_or(0, |link| link.life);
        Flow { from, life, to }
    }

    /// The node loses its state.
    pub(super) fn restart(&mut self, now: Duration) {
        self.connected = self.connected_until(now);
        self.since.clear();
        self.sent.clear();
        self.former.clear();
    }

    pub(super) fn connected(&mut self, peer: PeerHandle, now: Duration) {
        self.since.entry(peer).or_insert(now);
    }

    pub(super) fn disconnected(&mut self, peer: PeerHandle, now: Duration) {
        let since = self.since.remove(&peer).unwrap_or(now);
        self.connected += now - since;
    }

    /// The time that peers of this node were connected, each counted by itself.
    pub(crate) fn connected_until(&self, now: Duration) -> Duration {
        self.connected + self.since.values().map(|since| now - *since).sum::<Duration>()
    }

    pub(super) fn who(&self, peer: PeerHandle) -> Option<u8> {
        self.links.iter().find(|(_, link)| link.handle == Some(peer)).map(|(&other, _)| other)
    }

    /// Two handles turned out to name one peer.
    pub(super) fn adopt(&mut self, gone: PeerHandle, into: PeerHandle) {
        for link in self.links.values_mut().filter(|link| link.handle == Some(gone)) {
            link.handle = Some(into);
        }
        let moved: Vec<_> = self.sent.keys().filter(|key| key.0 == gone).copied().collect();
        for old in moved {
            if let Some(key) = self.sent.remove(&old) {
                self.sent.entry((into, old.1)).or_insert(key);
            }
        }
    }
}
