//! The applications of a scenario: they send as planned and hold the endpoints to their promises.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use handfast_core::{
    Bytes, Delivery, EndReason, Endpoint, Event, MessageId, Order, PeerHandle, PeerId, SendError,
};

use super::model::{Broken, Model};
use super::payload::{self, Flow, Key};
use super::plan::TrafficPlan;
use crate::app::{App, Cx};
use crate::rng::{Probability, Rng};

/// All applications and what they know of each other.
pub(crate) struct Traffic {
    seed: u64,
    plan: TrafficPlan,
    rng: Rng,
    pub(crate) model: Model,
    pub(crate) players: Vec<Player>,
    /// No new messages from then on.
    pub(crate) until: Duration,
    /// Some node restarted: that others notice is then no fault.
    restarts: bool,
    /// Goodbyes are expected.
    pub(crate) closing: bool,
    pub(crate) roamed: u64,
    pub(crate) noticed_restarts: u64,
    pub(crate) large_delivered: u64,
}

/// The application of one node.
pub(crate) struct Player {
    pub(crate) id: PeerId,
    pub(crate) life: u8,
    pub(crate) links: BTreeMap<u8, LinkTo>,
    sent: BTreeMap<(PeerHandle, MessageId), Key>,
    pub(crate) goodbyes: u64,
}

/// What a node knows of another.
#[derive(Default)]
pub(crate) struct LinkTo {
    pub(crate) handle: Option<PeerHandle>,
    next: u32,
    waiting: VecDeque<(Key, Delivery, Bytes)>,
}

impl Traffic {
    pub(crate) fn new(seed: u64, plan: TrafficPlan, rng: Rng, ids: &[PeerId]) -> Self {
        let players = ids.iter().map(|&id| Player {
            id,
            life: 0,
            links: BTreeMap::new(),
            sent: BTreeMap::new(),
            goodbyes: 0,
        });
        let mut players: Vec<_> = players.collect();
        for leaf in 1..players.len() {
            players[0].links.insert(leaf as u8, LinkTo::default());
            players[leaf].links.insert(0, LinkTo::default());
        }
        Self {
            seed,
            plan,
            rng,
            model: Model::default(),
            players,
            until: Duration::MAX,
            restarts: false,
            closing: false,
            roamed: 0,
            noticed_restarts: 0,
            large_delivered: 0,
        }
    }

    /// A node loses its state.
    pub(crate) fn restart(&mut self, node: u8) {
        self.model.restarted(node);
        self.restarts = true;
        let player = &mut self.players[usize::from(node)];
        player.life += 1;
        player.sent.clear();
        for link in player.links.values_mut() {
            *link = LinkTo::default();
        }
    }

    /// A dial with a known identity may be sent to at once.
    pub(crate) fn dialled(&mut self, from: u8, to: u8, handle: PeerHandle) {
        self.link(from, to).handle = Some(handle);
    }

    /// Nothing waits for room in an endpoint.
    pub(crate) fn flushed(&self) -> bool {
        self.players.iter().all(|p| p.links.values().all(|link| link.waiting.is_empty()))
    }

    /// The nodes that a node exchanges messages with.
    pub(crate) fn peers_of(&self, node: u8) -> Vec<u8> {
        self.players[usize::from(node)].links.keys().copied().collect()
    }

    fn link(&mut self, from: u8, to: u8) -> &mut LinkTo {
        self.players[usize::from(from)].links.entry(to).or_default()
    }

    /// Queues one to three messages to one of the node's peers.
    fn produce(&mut self, node: u8) -> u8 {
        let to = self.rng.pick(&self.peers_of(node));
        for _ in 0..self.rng.range(1..=3) {
            let delivery = self.delivery();
            let large = self.rng.chance(self.plan.large.1);
            let most = if large { self.plan.large.0 } else { self.plan.small };
            let len = self.rng.range(most / 8..=most) as usize;
            let life = self.players[usize::from(node)].life;
            let link = self.link(node, to);
            let key = Key { flow: Flow { from: node, life, to }, number: link.next };
            link.next += 1;
            link.waiting.push_back((key, delivery, payload::make(key, len)));
        }
        to
    }

    fn delivery(&mut self) -> Delivery {
        let rng = &mut self.rng;
        Delivery {
            channel: rng.range(0..=2) as u16,
            reliable: rng.chance(Probability::percent(60)),
            order: rng.pick(&[Order::Unordered, Order::Sequenced, Order::Ordered]),
            requires_ack: rng.chance(Probability::percent(40)),
        }
    }

    /// Hands waiting messages to the endpoint until it has no more room.
    fn flush(&mut self, cx: &mut Cx<'_>, to: u8) {
        let node = cx.node.0 as u8;
        let (now, player) = (cx.now(), &mut self.players[usize::from(node)]);
        let link = player.links.entry(to).or_default();
        let Some(handle) = link.handle else { return };
        while let Some((key, delivery, payload)) = link.waiting.front() {
            match cx.endpoint().send(now, handle, *delivery, payload.clone()) {
                Ok(message) => {
                    self.model.accepted(key.flow, *delivery);
                    player.sent.insert((handle, message), *key);
                    link.waiting.pop_front();
                }
                Err(SendError::Blocked) => return,
                Err(error) => panic!("node {node} could not send to node {to}: {error:?}"),
            }
        }
    }

    fn receive(&mut self, cx: &mut Cx<'_>, peer: PeerHandle) -> Result<(), Broken> {
        let (node, now) = (cx.node.0 as u8, cx.now());
        while let Some(message) = cx.endpoint().receive(now, peer) {
            let key = payload::check(&message.payload)
                .ok_or_else(|| format!("a broken payload of {} bytes", message.payload.len()))?;
            self.model.delivered(node, key, message.delivery)?;
            self.large_delivered += u64::from(message.payload.len() > 2_048);
        }
        Ok(())
    }

    fn fate_of(&mut self, node: u8, event: &Event) -> Result<(), Broken> {
        let Event::Fate { peer, message, fate, .. } = event else { return Ok(()) };
        let sent = &self.players[usize::from(node)].sent;
        let key = sent.get(&(*peer, *message)).ok_or("the fate of a message never sent")?;
        self.model.fate(*key, *fate)
    }

    fn ended(&mut self, node: u8, peer: PeerHandle, reason: &EndReason) -> Result<(), Broken> {
        let player = &mut self.players[usize::from(node)];
        match reason {
            EndReason::Merged { into } => {
                player.adopt(peer, *into);
                Ok(())
            }
            EndReason::Disconnected { acknowledged: true } | EndReason::PeerDisconnected(_)
                if self.closing =>
            {
                player.goodbyes += 1;
                Ok(())
            }
            _ => Err(format!("a peer ended: {reason}")),
        }
    }

    fn react(&mut self, cx: &mut Cx<'_>, event: &Event) -> Result<(), Broken> {
        let node = cx.node.0 as u8;
        match event {
            Event::Connected { peer, id, .. } => {
                let other = self.players.iter().position(|player| player.id == *id);
                let other = other.ok_or_else(|| format!("a stranger: {id:?}"))? as u8;
                self.link(node, other).handle = Some(*peer);
                self.flush(cx, other);
            }
            Event::Writable { peer } => {
                if let Some(other) = self.players[usize::from(node)].who(*peer) {
                    self.flush(cx, other);
                }
            }
            Event::Readable { peer } => self.receive(cx, *peer)?,
            Event::Fate { .. } => self.fate_of(node, event)?,
            Event::Ended { peer, reason, .. } => self.ended(node, *peer, reason)?,
            Event::PathChanged { .. } => self.roamed += 1,
            Event::Restarted { .. } if self.restarts => self.noticed_restarts += 1,
            Event::Restarted { .. } => return Err("a restart that nobody made".into()),
            _ => {}
        }
        Ok(())
    }
}

impl Player {
    fn who(&self, peer: PeerHandle) -> Option<u8> {
        self.links.iter().find(|(_, link)| link.handle == Some(peer)).map(|(&other, _)| other)
    }

    /// Two handles turned out to name one peer.
    fn adopt(&mut self, gone: PeerHandle, into: PeerHandle) {
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

impl App<Endpoint> for Traffic {
    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) {
        if let Err(broken) = self.react(cx, event) {
            let (seed, time, node) = (self.seed, cx.time, cx.node.0);
            panic!("promise broken (seed {seed}, at {time:?}, node {node}): {broken}");
        }
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, token: u64) {
        if cx.time >= self.until {
            return;
        }
        let to = self.produce(cx.node.0 as u8);
        self.flush(cx, to);
        let pause = self.rng.range(self.plan.pause / 4..=self.plan.pause);
        cx.wake_after(Duration::from_micros(pause), token);
    }
}
