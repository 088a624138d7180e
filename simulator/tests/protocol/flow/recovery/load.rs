//! A world with one sender and one receiver, and traffic at a pace.

use std::ops::Range;
use std::time::Duration;

use handfast_core::{
    Config, CongestionControl, Delivery, Event, PathStats, PeerHandle, PeerStats, Target,
};
use handfast_sim::{App, Conditions, Cx, NodeId, World};

/// What the sender's application does, from its first connection on. Times are those of the world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// A message of so many bytes each so often.
    pub(crate) paced: Option<(Duration, usize)>,
    /// No paced message is sent after this.
    pub(crate) paced_until: Duration,
    /// When there is always more to send, in messages of 16 KiB or of so many bytes, and how many of them at most.
    pub(crate) bulk: Range<Duration>,
    pub(crate) bulk_len: Option<usize>,
    pub(crate) bulk_messages: u64,
}

/// A run of a plan.
pub(crate) struct Load {
    pub(crate) world: World,
    apps: Apps,
    pub(crate) a: NodeId,
    pub(crate) b: NodeId,
}

/// The two applications.
struct Apps {
    plan: Plan,
    sender: NodeId,
    peer: Option<PeerHandle>,
    back: Option<PeerHandle>,
    /// How old the paced messages were when they arrived.
    ages: Vec<Duration>,
    sent: u64,
    received: u64,
    payload: u64,
}

impl Load {
    /// Two nodes that connect over links of these conditions both ways.
    pub(crate) fn new(seed: u64, plan: Plan, config: &Config, conditions: Conditions) -> Self {
        let mut world = World::new(seed);
        let address = |host| [([10, 0, 0, host], 4263).into()];
        let a = world.add_node(config.clone(), [1; 32], &address(1));
        let b = world.add_node(config.clone(), [2; 32], &address(2));
        world.network().set_all(conditions);
        let target = Target::from(address(2)[0]);
        world.with(a, |endpoint, now| endpoint.connect(now, target)).expect("a dial");
        let apps = Apps {
            plan,
            sender: a,
            peer: None,
            back: None,
            ages: Vec::new(),
            sent: 0,
            received: 0,
            payload: 0,
        };
        Self { world, apps, a, b }
    }

    /// Runs until this time of the world.
    pub(crate) fn run_until(&mut self, time: Duration) {
        self.world.run_until_with(time, &mut self.apps);
    }

    /// What happened at the sender.
    pub(crate) fn sender(&self) -> PeerStats {
        self.info(self.a, self.apps.peer).0
    }

    /// What happened at the receiver.
    pub(crate) fn receiver(&self) -> PeerStats {
        self.info(self.b, self.apps.back).0
    }

    /// The sender's congestion window.
    pub(crate) fn window(&self) -> u64 {
        self.info(self.a, self.apps.peer).1.congestion_window
    }

    /// The size of the sender's datagrams.
    pub(crate) fn size(&self) -> u16 {
        self.info(self.a, self.apps.peer).1.max_datagram
    }

    /// Whether the sender's packets may be marked.
    pub(crate) fn is_ecn_capable(&self) -> bool {
        self.info(self.a, self.apps.peer).1.is_ecn_capable
    }

    fn info(&self, node: NodeId, peer: Option<PeerHandle>) -> (PeerStats, PathStats) {
        let endpoint = self.world.endpoint(node).expect("the node is up");
        let info = endpoint.peer(peer.expect("connected")).expect("alive");
        (info.stats, info.path_stats)
    }

    /// Asserts that every message sent has arrived.
    pub(crate) fn expect_all(&self) {
        assert_eq!(self.apps.received, self.apps.sent);
    }

    /// Bytes of messages that arrived.
    pub(crate) fn payload(&self) -> u64 {
        self.apps.payload
    }

    /// The age on arrival that 99 of 100 paced messages do not exceed.
    pub(crate) fn p99(&self) -> Duration {
        let mut ages = self.apps.ages.clone();
        ages.sort_unstable();
        ages[ages.len() * 99 / 100]
    }
}

impl Apps {
    fn send(&mut self, cx: &mut Cx<'_>, channel: u16, payload: Vec<u8>) -> bool {
        let (now, peer) = (cx.now(), self.peer.expect("connected"));
        let sent = cx.endpoint().send(now, peer, Delivery::ordered(channel), payload.into());
        self.sent += u64::from(sent.is_ok());
        sent.is_ok()
    }

    fn send_paced(&mut self, cx: &mut Cx<'_>) {
        let Some((pause, len)) = self.plan.paced.filter(|_| cx.time() < self.plan.paced_until)
        else {
            return;
        };
        let mut payload = vec![0; len];
        payload[..8].copy_from_slice(&(cx.time().as_micros() as u64).to_le_bytes());
        assert!(self.send(cx, PACED, payload), "there is room for paced messages");
        cx.wake_after(pause, PACED.into());
    }

    fn send_bulk(&mut self, cx: &mut Cx<'_>) {
        let len = self.plan.bulk_len.unwrap_or(16 << 10);
        while self.plan.bulk.contains(&cx.time())
            && self.plan.bulk_messages > 0
            && self.send(cx, BULK, vec![0; len])
        {
            self.plan.bulk_messages -= 1;
        }
    }
}

impl App for Apps {
    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) {
        match *event {
            Event::Connected { peer, .. } if cx.node() == self.sender => {
                self.peer = Some(peer);
                cx.wake_after(Duration::ZERO, PACED.into());
                cx.wake_after(self.plan.bulk.start.saturating_sub(cx.time()), BULK.into());
            }
            Event::Connected { peer, .. } => self.back = Some(peer),
            Event::Writable { .. } => self.send_bulk(cx),
            Event::Readable { peer } => {
                let now = cx.now();
                while let Some(message) = cx.endpoint().receive(now, peer) {
                    self.received += 1;
                    self.payload += message.payload.len() as u64;
                    if message.delivery.channel == PACED {
                        let sent = message.payload[..8].try_into().expect("eight bytes");
                        let sent = Duration::from_micros(u64::from_le_bytes(sent));
                        self.ages.push(cx.time() - sent);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, token: u64) {
        if token == u64::from(PACED) {
            self.send_paced(cx);
        } else {
            self.send_bulk(cx);
        }
    }
}

/// Sends `rate` bytes per second whatever happens, and takes no more of a channel from the application
/// than leaves within a second.
pub(crate) fn fixed(rate: u32) -> Config {
    let mut config = Config::default();
    config.congestion = CongestionControl::Fixed(rate.into());
    config.flow.max_message = 16 << 10;
    config.flow.send_buffer = 2 * rate as usize;
    config
}

const PACED: u16 = 0;
const BULK: u16 = 1;
