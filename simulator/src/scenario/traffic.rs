//! The applications of a scenario: they send as planned and hold the endpoints to their promises.

use std::collections::BTreeSet;
use std::time::Duration;

use handfast_core::{
    CommandError, Delivery, EndReason, Endpoint, Event, Fate, Order, PeerHandle, PeerId, Priority,
    SendError,
};

use super::model::{Broken, Model};
use super::payload::{self, Key};
use super::plan::TrafficPlan;
use super::player::{LinkTo, Player};
use crate::app::{App, Cx};
use crate::rng::{Probability, Rng};

/// All applications and what they know of each other.
pub(crate) struct Traffic {
    seed: u64,
    plan: TrafficPlan,
    rng: Rng,
    /// Which streams end, apart: messages are the same with and without.
    ends: Rng,
    pub(crate) model: Model,
    pub(crate) players: Vec<Player>,
    /// No new messages from then on.
    pub(crate) until: Duration,
    /// Peers may be given up: silence may last as long as the idle timeout.
    may_expire: bool,
    /// Some node forgot another: that others notice is then no fault.
    forgot: bool,
    /// Who has to dial whom anew.
    pub(crate) redials: BTreeSet<(u8, u8)>,
    /// Goodbyes are expected.
    pub(crate) closing: bool,
    pub(crate) roamed: u64,
    pub(crate) expired: u64,
    pub(crate) noticed_restarts: u64,
    pub(crate) large_delivered: u64,
}

impl Traffic {
    pub(crate) fn new(
        seed: u64,
        plan: TrafficPlan,
        may_expire: bool,
        rng: Rng,
        ids: &[PeerId],
    ) -> Self {
        let mut players: Vec<_> = ids.iter().map(|&id| Player::new(id)).collect();
        for leaf in 1..players.len() {
            players[0].links.insert(leaf as u8, LinkTo::default());
            players[leaf].links.insert(0, LinkTo::default());
        }
        let mut model = Model::default();
        for leaf in 1..players.len() as u8 {
            model.open(players[0].flow(0, leaf));
            model.open(players[usize::from(leaf)].flow(leaf, 0));
        }
        Self {
            seed,
            plan,
            rng,
            ends: Rng::from_seed(seed),
            model,
            players,
            until: Duration::MAX,
            may_expire,
            forgot: false,
            redials: BTreeSet::new(),
            closing: false,
            roamed: 0,
            expired: 0,
            noticed_restarts: 0,
            large_delivered: 0,
        }
    }

    /// A node loses its state.
    pub(crate) fn restart(&mut self, node: u8, now: Duration) {
        self.model.restarted(node);
        self.forgot = true;
        self.redials.retain(|(from, _)| *from != node);
        self.player(node).restart(now);
        for other in self.peers_of(node) {
            self.begin_anew(node, other);
        }
    }

    /// A node knows nothing of another any more.
    fn begin_anew(&mut self, node: u8, other: u8) {
        self.link(node, other).begin_anew();
        let flow = self.players[usize::from(node)].flow(node, other);
        self.model.open(flow);
    }

    /// A node comes back as someone else: to the others it is another node.
    pub(crate) fn replaced(&mut self, node: u8, id: PeerId) {
        self.player(node).id = id;
        for other in self.peers_of(node) {
            self.model.forgot(other, node);
            let player = self.player(other);
            if let Some(link) = player.links.get(&node) {
                player.former.extend(link.handle);
            }
            self.begin_anew(other, node);
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

    fn player(&mut self, node: u8) -> &mut Player {
        &mut self.players[usize::from(node)]
    }

    fn link(&mut self, from: u8, to: u8) -> &mut LinkTo {
        self.player(from).links.entry(to).or_default()
    }

    /// Queues one to three messages to one of the node's peers.
    fn produce(&mut self, node: u8) -> u8 {
        let to = self.rng.pick(&self.peers_of(node));
        for _ in 0..self.rng.range(1..=3) {
            let delivery = delivery(&mut self.rng);
            let large = self.rng.chance(self.plan.large.1);
            let most = if large { self.plan.large.0 } else { self.plan.small };
            let len = self.rng.range(most / 8..=most) as usize;
            let flow = self.players[usize::from(node)].flow(node, to);
            let link = self.link(node, to);
            let key = Key { flow, number: link.next };
            link.next += 1;
            let delivery = delivery.with_priority(priority(key));
            link.waiting.push_back((key, delivery, payload::make(key, len)));
        }
        to
    }

    /// A stream gives its place back, whatever is on its way. It is used again, sooner or later.
    fn end_a_stream(&mut self, cx: &mut Cx<'_>, to: u8) {
        let (node, now) = (cx.node.0 as u8, cx.now());
        let delivery = delivery(&mut self.ends);
        let Some(handle) = self.link(node, to).handle else { return };
        match cx.endpoint().end_stream(now, handle, delivery) {
            Ok(()) => {}
            // It ended, and the event that says so is on its way.
            Err(CommandError::UnknownPeer) if self.may_expire => {}
            Err(error) => panic!("node {node} could not end a stream to node {to}: {error:?}"),
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
                    // Only the sender knows how urgent it is.
                    let told = delivery.with_priority(Priority::NORMAL);
                    self.model.accepted(key.flow, told);
                    player.sent.insert((handle, message), *key);
                    link.waiting.pop_front();
                }
                Err(SendError::Blocked | SendError::NoRoom) => return,
                // It ended, and the event that says so is on its way.
                Err(SendError::UnknownPeer) if self.may_expire => return,
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

    fn fate_of(
        &mut self,
        cx: &mut Cx<'_>,
        peer: PeerHandle,
        message: handfast_core::MessageId,
        fate: Fate,
    ) -> Result<(), Broken> {
        let node = cx.node.0 as u8;
        let sent = &self.players[usize::from(node)].sent;
        let key = *sent.get(&(peer, message)).ok_or("the fate of a message never sent")?;
        // Fates come before the event that tells the end.
        let ended = self.may_expire && fate != Fate::Acked && cx.endpoint().peer(peer).is_none();
        self.model.fate(key, fate, ended)
    }

    fn ended(
        &mut self,
        node: u8,
        peer: PeerHandle,
        reason: &EndReason,
        now: Duration,
    ) -> Result<(), Broken> {
        self.player(node).disconnected(peer, now)?;
        match reason {
            EndReason::Merged { into } => self.player(node).adopt(peer, *into),
            EndReason::PeerDisconnected { complete: false, .. } if self.closing && !self.forgot => {
                return Err("all messages arrived, and the goodbye does not say so".into());
            }
            EndReason::Disconnected { heard: true } | EndReason::PeerDisconnected { .. }
                if self.closing =>
            {
                self.player(node).goodbyes += 1;
            }
            EndReason::IdleTimeout | EndReason::DialTimeout
                if self.player(node).former.remove(&peer) => {}
            EndReason::IdleTimeout | EndReason::DialTimeout if self.may_expire => {
                self.expired(node, peer);
            }
            _ => return Err(format!("a peer ended: {reason}")),
        }
        Ok(())
    }

    /// A node gave another one up. It dials again.
    fn expired(&mut self, node: u8, peer: PeerHandle) {
        self.expired += 1;
        self.forgot = true;
        let Some(other) = self.player(node).who(peer) else { return };
        self.model.forgot(node, other);
        self.begin_anew(node, other);
        self.redials.insert((node, other));
    }

    fn react(&mut self, cx: &mut Cx<'_>, event: &Event) -> Result<(), Broken> {
        let node = cx.node.0 as u8;
        match event {
            Event::Connected { peer, id, .. } => {
                let other = self.players.iter().position(|player| player.id == *id);
                let Some(other) = other else {
                    // A node that is no more may have been calling when it went.
                    return if self.player(node).former.is_empty() {
                        Err(format!("a stranger: {id:?}"))
                    } else {
                        self.player(node).former.insert(*peer);
                        Ok(())
                    };
                };
                if self.closing {
                    return Err("somebody is back after the goodbye".into());
                }
                self.player(node).connected(other as u8, *peer, cx.time)?;
                self.link(node, other as u8).handle = Some(*peer);
                self.flush(cx, other as u8);
            }
            Event::Writable { peer, .. } => {
                if let Some(other) = self.player(node).who(*peer) {
                    self.flush(cx, other);
                }
            }
            Event::Readable { peer } => self.receive(cx, *peer)?,
            Event::Fate { peer, message, fate } => self.fate_of(cx, *peer, *message, *fate)?,
            Event::Ended { peer, reason, .. } => self.ended(node, *peer, reason, cx.time)?,
            Event::PathChanged { .. } => self.roamed += 1,
            Event::Restarted { .. } if self.forgot => self.noticed_restarts += 1,
            Event::Restarted { .. } => return Err("a restart that nobody made".into()),
            _ => {}
        }
        Ok(())
    }
}

/// Any delivery.
fn delivery(rng: &mut Rng) -> Delivery {
    let mut delivery = Delivery::new(
        rng.range(0..=2) as u16,
        rng.chance(Probability::percent(60)),
        rng.pick(&[Order::Unordered, Order::Sequenced, Order::Ordered]),
    );
    delivery.requires_ack = rng.chance(Probability::percent(40));
    delivery
}

/// Any of the eight, without a choice that would change all others of the seed.
fn priority(key: Key) -> Priority {
    let level = key.number.wrapping_mul(0x9e37_79b1) >> 29;
    Priority::new(level as u8).expect("three bits")
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
        let quiet = self.plan.quiet.iter().find(|(from, until)| (*from..*until).contains(&cx.time));
        if let Some((_, until)) = quiet {
            cx.wake_after(*until - cx.time, token);
            return;
        }
        let to = self.produce(cx.node.0 as u8);
        self.flush(cx, to);
        if self.ends.chance(Probability::percent(20)) {
            self.end_a_stream(cx, to);
        }
        let pause = self.rng.range(self.plan.pause / 4..=self.plan.pause);
        cx.wake_after(Duration::from_micros(pause), token);
    }
}
