//! What the application of one node knows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use handfast_core::{Bytes, Delivery, MessageId, PeerHandle, PeerId};

use super::model::Broken;
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
    /// Peers that were reported as connected, and those whose end was: each is reported once.
    met: BTreeSet<PeerHandle>,
    over: BTreeSet<PeerHandle>,
    connected: Duration,
}

/// What a node knows of another.
#[derive(Default)]
pub(crate) struct LinkTo {
    pub(crate) handle: Option<PeerHandle>,
    /// Counts how often the node forgot the other.
    pub(super) life: u8,
    /// Since the node knows of the other, it was told that it is connected.
    is_met: bool,
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
            met: BTreeSet::new(),
            over: BTreeSet::new(),
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
        self.met.clear();
        self.over.clear();
        self.sent.clear();
        self.former.clear();
    }

    /// A peer is reported as connected. No acquaintance is reported twice: neither by one handle nor by
    /// another, unless the node gave the other one up.
    pub(super) fn connected(
        &mut self,
        other: u8,
        peer: PeerHandle,
        now: Duration,
    ) -> Result<(), Broken> {
        let link = self.links.entry(other).or_default();
        if std::mem::replace(&mut link.is_met, true) || !self.met.insert(peer) {
            return Err(format!("node {other} is connected twice"));
        }
        if self.over.contains(&peer) {
            return Err(format!("node {other} is connected after its end"));
        }
        self.since.insert(peer, now);
        Ok(())
    }

    /// The end of a peer is reported.
    pub(super) fn disconnected(&mut self, peer: PeerHandle, now: Duration) -> Result<(), Broken> {
        let since = self.since.remove(&peer).unwrap_or(now);
        self.connected += now - since;
        if self.over.insert(peer) { Ok(()) } else { Err(format!("{peer:?} ended twice")) }
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
