//! The server and the instances as they run.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{EndReason, Event, Identity, Target};

use super::model::{Model, SERVER};
use super::plan::{Act, Plan};
use crate::app::{App, Cx};
use crate::conditions::Conditions;
use crate::network::NodeId;
use crate::world::World;

/// What happened in a run in which everything went as promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstancesReport {
    /// Messages handed over.
    pub arrived: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Messages acknowledged to instances that the server could not hand over, as it was told.
    pub undeliverable: u64,
    /// How often the server was told that the peer restarted.
    pub restarts: u64,
    /// How often the server was told that two endpoints use its peer's identity.
    pub told_server: u64,
    /// How often an instance was told that another endpoint uses its identity.
    pub told_instances: u64,
    /// How long after the last change the one that was left was connected again.
    pub recovered: Duration,
}

/// The applications.
struct Apps {
    model: Model,
    server: Target,
    pause: Duration,
    until: Duration,
    restarts: u64,
    told: [u64; 2],
    /// When somebody was last told of a new pair of incarnations.
    met: Duration,
}

pub(super) struct Play {
    seed: u64,
    plan: Plan,
    world: World,
    apps: Apps,
}

impl Play {
    pub(super) fn new(seed: u64, plan: Plan) -> Self {
        let mut world = World::new(seed);
        world.network().set_all(plan.links);
        for node in 0..=plan.instances {
            let identity = if node == SERVER { [9; 32] } else { [1; 32] };
            world.add_node(plan.config.clone(), identity, &[address(node)]);
        }
        let apps = Apps {
            model: Model::new(plan.instances + 1),
            server: Target::new(Identity::from_seed([9; 32]).id(), [address(SERVER)]),
            pause: plan.pause,
            until: Duration::MAX,
            restarts: 0,
            told: [0; 2],
            met: Duration::ZERO,
        };
        Self { seed, plan, world, apps }
    }

    pub(super) fn finish(mut self) -> InstancesReport {
        for instance in 1..=self.plan.instances {
            self.world.kill(NodeId(instance));
        }
        self.world.set_timer(NodeId(SERVER), self.plan.pause, 0);
        self.act(Act::Start(self.plan.survivor));
        let mut last = Duration::ZERO;
        for (at, act) in self.plan.acts.clone() {
            self.world.run_until_with(at, &mut self.apps);
            self.act(act);
            last = at;
        }
        // The weather clears up with the last change.
        let calm = Conditions { latency: self.plan.links.latency, ..Conditions::default() };
        self.world.network().set_all(calm);
        let recovered = self.converge(last);
        let (lost, undeliverable) = self.apps.model.unaccounted();
        let seed = self.seed;
        assert!(lost <= undeliverable, "seed {seed}: {lost} vanished, {undeliverable} were told");
        InstancesReport {
            arrived: self.apps.model.arrived,
            acked: self.apps.model.acked,
            undeliverable,
            restarts: self.apps.restarts,
            told_server: self.apps.told[0],
            told_instances: self.apps.told[1],
            recovered,
        }
    }

    /// Waits until the one that is left and the server should have met; from then on everything arrives.
    /// Returns how long they took.
    fn converge(&mut self, last: Duration) -> Duration {
        self.world.run_until_with(last + self.plan.recovery(), &mut self.apps);
        let first = self.apps.model.count();
        self.apps.until = self.world.now() + self.plan.pause * 40;
        let end = self.apps.until + Duration::from_secs(5);
        self.world.run_until_with(end, &mut self.apps);
        let seed = self.seed;
        assert!(self.apps.model.count() > first + 40, "seed {seed}: nobody speaks");
        if let Some(missing) = self.apps.model.missing(first) {
            panic!("seed {seed}: {missing} did not arrive though a single instance is left");
        }
        self.apps.met.saturating_sub(last)
    }

    fn act(&mut self, act: Act) {
        let up = |play: &Self, node| play.world.endpoint(node).is_some();
        match act {
            Act::Start(which) => {
                let node = NodeId(which);
                if up(self, node) {
                    return;
                }
                self.world.restart(node);
                let server = self.apps.server.clone();
                let dial = self.world.with_app(node, &mut self.apps, |endpoint, now| {
                    endpoint.connect(now, server).expect("a dial")
                });
                self.apps.model.ears[which as usize].peer = Some(dial);
                self.world.set_timer(node, self.world.now() + self.plan.pause, 0);
            }
            Act::Kill(which) => {
                if up(self, NodeId(which)) {
                    self.world.kill(NodeId(which));
                    self.apps.model.killed(which);
                }
            }
            Act::Pause(which) => {
                if up(self, NodeId(which)) {
                    self.world.suspend(NodeId(which), 100_000, false);
                }
            }
            Act::Resume(which) => self.world.resume(NodeId(which)),
        }
    }
}

impl App for Apps {
    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) {
        let (node, now) = (cx.node().0, cx.now());
        if matches!(event, Event::Connected { .. } | Event::Restarted { .. }) {
            self.met = cx.time();
        }
        match event {
            Event::Connected { peer, .. } => {
                self.model.ears[node as usize].peer = Some(*peer);
                self.model.pair(node, 0);
            }
            Event::Restarted { undeliverable, .. } => {
                self.restarts += u64::from(node == SERVER);
                self.model.pair(node, *undeliverable);
            }
            Event::DuplicateIdentity { ours, path, other, .. } => {
                assert_eq!(*ours, node != SERVER, "whose identity it is");
                assert_eq!(other.is_none(), *ours, "the server knows where both are");
                assert!(path.is_some() && path != other, "two are at two addresses");
                self.told[usize::from(*ours)] += 1;
            }
            Event::Ended { reason, undeliverable, peer, .. } => {
                let fair = [EndReason::IdleTimeout, EndReason::DialTimeout];
                assert!(fair.contains(reason), "node {node}, {:?}: {reason}", cx.time());
                self.model.pair(node, *undeliverable);
                let ear = &mut self.model.ears[node as usize];
                if ear.peer == Some(*peer) {
                    ear.peer = None;
                }
                if node != SERVER {
                    let dial = cx.endpoint().connect(now, self.server.clone());
                    self.model.ears[node as usize].peer = dial.ok();
                }
            }
            Event::Fate { peer, message, fate } => self.model.fate(node, *peer, *message, *fate),
            Event::Readable { peer } => {
                while let Some(message) = cx.endpoint().receive(now, *peer) {
                    self.model.arrived(node, &message);
                }
            }
            _ => {}
        }
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, _: u64) {
        if cx.time() > self.until {
            return;
        }
        cx.wake_after(self.pause, 0);
        let (node, now) = (cx.node().0, cx.now());
        let Some(peer) = self.model.ears[node as usize].peer else { return };
        let (delivery, payload) = self.model.next();
        if let Ok(id) = cx.endpoint().send(now, peer, delivery, payload) {
            self.model.accepted(node, peer, id);
        }
    }
}

fn address(node: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, node as u8 + 1], 4263))
}
