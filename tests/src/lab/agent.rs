//! A real endpoint on a host of the lab, with a partner to talk to.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use handfast_core::{Bytes, Delivery, Identity, PeerHandle, PeerId, Target, Via};

use super::PUNCHES;
use super::network::Network;
use crate::{Happening, Node, Outgoing, Runtime, Setup, What};

/// What an agent is to do.
#[derive(Clone, Debug)]
pub(super) struct Mission {
    /// What drives its endpoint.
    pub(super) runtime: Runtime,
    /// Decides its identity.
    pub(super) seed: u8,
    /// The servers that it connects to.
    pub(super) servers: Vec<Target>,
    /// Whom it calls; otherwise it waits to be called.
    pub(super) calls: Option<PeerId>,
}

/// An endpoint that talks to its partner, on a thread of its own.
#[derive(Debug)]
pub(super) struct Agent(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    sending: bool,
    stop: bool,
    status: Status,
}

/// How an agent fares.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    /// Why it has no partner.
    pub(super) failed: Option<String>,
    /// When it had one.
    pub(super) connected: Option<Instant>,
    /// How packets go to the partner.
    pub(super) way: Option<Way>,
    /// When they first went directly.
    pub(super) direct: Option<Instant>,
    /// Messages handed over.
    pub(super) sent: u64,
    /// Messages that the partner acknowledged.
    pub(super) acknowledged: u64,
    /// Messages that came, in their order.
    pub(super) received: u64,
    /// What must not happen: messages that came twice, too early or not at all, a partner that ended.
    pub(super) faults: Vec<String>,
    /// When the last message came.
    pub(super) heard: Option<Instant>,
    /// The longest time between two messages, since it was last set.
    pub(super) silence: Duration,
}

/// How packets go to a partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To this address.
    Direct(SocketAddr),
    /// By way of a neighbour.
    Routed(String),
}

impl Agent {
    /// Starts one on a host.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn start(host: &Network, mission: Mission) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, host) = (Arc::clone(&state), host.clone());
        let run = move || {
            if let Err(error) = host.enter() {
                lock(&shared).status.failed = Some(error.to_string());
                return;
            }
            let live = Live::meet(mission, &shared);
            if let Err(why) = live.and_then(Live::run) {
                lock(&shared).status.failed = Some(why);
            }
        };
        thread::Builder::new().name("agent".to_owned()).spawn(run)?;
        Ok(Self(state))
    }

    /// How it fares.
    #[must_use]
    pub(super) fn status(&self) -> Status {
        lock(&self.0).status.clone()
    }

    /// Whether it sends from now on.
    pub(super) fn send(&self, sending: bool) {
        lock(&self.0).sending = sending;
    }

    /// Measures the longest silence from now on.
    pub(super) fn listen(&self) {
        lock(&self.0).status.silence = Duration::ZERO;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        lock(&self.0).stop = true;
    }
}

/// The identity that a seed makes.
#[must_use]
pub(super) fn id(seed: u8) -> PeerId {
    Identity::from_seed([seed; 32]).id()
}

/// An agent that has a partner.
struct Live {
    node: Node,
    partner: PeerHandle,
    state: Arc<Mutex<State>>,
    next_send: Instant,
}

impl Live {
    fn meet(mission: Mission, state: &Arc<Mutex<State>>) -> Result<Self, String> {
        let mut setup = Setup::new(mission.runtime, mission.seed);
        setup.listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        setup.config.timers.connect_timeout = DIAL;
        setup.config.punching.enabled = PUNCHES;
        let node = Node::start(setup);
        for server in mission.servers {
            node.connect(server).map_err(|reason| format!("server: {reason}"))?;
        }
        let partner = match mission.calls {
            Some(id) => {
                let target = Target::new(id, []);
                node.connect(target).map_err(|reason| format!("peer: {reason}"))?
            }
            None => Self::wait(&node, state).ok_or("nobody called")?,
        };
        lock(state).status.connected = Some(Instant::now());
        Ok(Self { node, partner, state: Arc::clone(state), next_send: Instant::now() })
    }

    /// Waits to be called, unless it is to stop.
    fn wait(node: &Node, state: &Mutex<State>) -> Option<PeerHandle> {
        while !lock(state).stop {
            if let Some(Happening { peer, what: What::Accepted }) = node.next_within(TICK) {
                return Some(peer);
            }
        }
        None
    }

    fn run(mut self) -> Result<(), String> {
        while !lock(&self.state).stop {
            if let Some(happening) = self.node.next_within(TICK) {
                self.take(happening);
            }
            self.send();
            self.look();
        }
        drop(self.node.kill());
        Ok(())
    }

    fn take(&self, Happening { peer, what }: Happening) {
        if peer != self.partner {
            return;
        }
        let status = &mut lock(&self.state).status;
        let now = Instant::now();
        match what {
            What::Message(message) => {
                let number =
                    message.payload.first_chunk().map_or(u64::MAX, |n| u64::from_be_bytes(*n));
                if number != status.received {
                    status.faults.push(format!("message {number} in place of {}", status.received));
                }
                status.received = number.saturating_add(1);
                let silence = status.heard.map_or(Duration::ZERO, |heard| now - heard);
                (status.heard, status.silence) = (Some(now), status.silence.max(silence));
            }
            What::Fate(_, handfast_core::Fate::Acked) => status.acknowledged += 1,
            What::Accepted | What::Pong => {}
            other @ (What::Fate(..) | What::Restarted | What::Ended(_)) => {
                status.faults.push(format!("{other:?}"));
            }
        }
    }

    fn send(&mut self) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if !state.sending || now < self.next_send {
            return;
        }
        self.next_send = now + PACE;
        let tag = state.status.sent;
        state.status.sent += 1;
        drop(state);
        let mut payload = vec![0; MESSAGE];
        payload[..8].copy_from_slice(&tag.to_be_bytes());
        let delivery = Delivery::ordered(0).with_receipt();
        self.node.send(self.partner, Outgoing { tag, delivery, payload: Bytes::from(payload) });
    }

    /// Notes how packets go to the partner.
    fn look(&self) {
        let way = match self.node.peer(self.partner).and_then(|info| info.path) {
            Some(Via::Direct(tuple)) => Way::Direct(tuple.remote),
            Some(routed) => Way::Routed(routed.to_string()),
            None => return,
        };
        let status = &mut lock(&self.state).status;
        if status.direct.is_none() && matches!(way, Way::Direct(_)) {
            status.direct = Some(Instant::now());
        }
        status.way = Some(way);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of a message.
pub(super) const MESSAGE: usize = 1000;
/// The time from one message to the next.
const PACE: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(10);
/// When a dial is given up.
const DIAL: Duration = Duration::from_secs(5);
