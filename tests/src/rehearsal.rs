//! The script in the simulator.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{
    Bytes, CommandError, Delivery, DisconnectOptions, Endpoint, Event, Instant, Message, MessageId,
    PeerHandle, PingId, SendError, Target,
};
use handfast_sim::{App, Conditions, Cx, NodeId, World};

use crate::node::courier::{Core, Courier};
use crate::script::{self, Action, Record, Side, Speaker};

/// A conversation of the [`script`](crate::script) in virtual time.
pub struct Rehearsal {
    client: Actor,
    server: Actor,
}

impl Rehearsal {
    /// Holds the conversation called `script` over links with these conditions, for at most `limit`
    /// of virtual time. Returns what client and server saw.
    ///
    /// # Panics
    /// When a promise is broken or the time is up.
    #[must_use]
    pub fn play(script: u64, seed: u64, conditions: Conditions, limit: Duration) -> [Record; 2] {
        let mut world = World::new(seed);
        world.network().set_all(conditions);
        let [client, server] = [1, 2].map(|number| {
            let address = SocketAddr::from(([10, 0, 0, number], 4263));
            world.add_node(script::config(), [number; 32], &[address])
        });
        let address = world.addresses(server).next().expect("it has one");
        let mut rehearsal = Self {
            client: Actor::new(client, Speaker::new(script, Side::Client)),
            server: Actor::new(server, Speaker::new(script, Side::Server)),
        };
        world
            .with_app(client, &mut rehearsal, |endpoint, now| {
                endpoint.connect(now, Target::from(address))
            })
            .expect("a dial");
        while !(rehearsal.client.speaker.is_over() && rehearsal.server.speaker.is_over()) {
            assert!(world.step(limit, &mut rehearsal), "not through by {limit:?}");
        }
        let (client, server) = (rehearsal.client.speaker, rehearsal.server.speaker);
        [client.record(&server), server.record(&client)]
    }
}

impl App for Rehearsal {
    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) {
        let actor = if cx.node() == self.client.node { &mut self.client } else { &mut self.server };
        let now = cx.now();
        actor.on_event(Timed { endpoint: cx.endpoint(), now }, event);
    }
}

struct Actor {
    node: NodeId,
    speaker: Speaker,
    courier: Courier,
}

impl Actor {
    fn new(node: NodeId, speaker: Speaker) -> Self {
        Self { node, speaker, courier: Courier::default() }
    }

    fn on_event(&mut self, mut core: Timed<'_>, event: &Event) {
        let Some(peer) = event.peer() else { return };
        let mut actions = Vec::new();
        if matches!(event, Event::Connected { .. }) {
            actions = self.speaker.begin();
        }
        let Self { speaker, courier, .. } = self;
        courier.on_event(&mut core, event.clone(), |happening| {
            actions.extend(speaker.hear(happening.what));
        });
        for action in actions {
            match action {
                Action::Send(message) => courier.send(&mut core, peer, message),
                Action::Ping => drop(core.ping(peer).expect("a ping")),
                Action::Disconnect(farewell) => core.disconnect(peer, farewell).expect("a peer"),
            }
        }
    }
}

/// An endpoint and the time on its clock.
struct Timed<'a> {
    endpoint: &'a mut Endpoint,
    now: Instant,
}

impl Core for Timed<'_> {
    fn send(&mut self, to: PeerHandle, how: Delivery, what: Bytes) -> Result<MessageId, SendError> {
        self.endpoint.send(self.now, to, how, what)
    }

    fn receive(&mut self, peer: PeerHandle) -> Option<Message> {
        self.endpoint.receive(self.now, peer)
    }

    fn ping(&mut self, peer: PeerHandle) -> Result<PingId, CommandError> {
        self.endpoint.ping(self.now, peer)
    }

    fn disconnect(
        &mut self,
        peer: PeerHandle,
        farewell: DisconnectOptions,
    ) -> Result<(), CommandError> {
        self.endpoint.disconnect(self.now, peer, farewell)
    }
}
