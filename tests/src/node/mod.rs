//! An endpoint of either runtime, behind one blocking interface.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use handfast_core::{
    Bytes, CommandError, Config, Delivery, DisconnectOptions, Discovered, Drops, EndReason, Fate,
    Message, PeerHandle, PeerId, PeerInfo, Stats, Target,
};
use handfast_udp::SocketStats;

pub(crate) mod courier;
mod on_mio;
mod on_tokio;

/// What drives an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Runtime {
    /// `handfast_mio`, on a thread of its own.
    Mio,
    /// `handfast_tokio`, in a runtime of its own with two workers.
    Tokio,
}

impl Runtime {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Tokio, Self::Mio];
}

/// How to make a [`Node`].
#[derive(Clone, Debug)]
pub struct Setup {
    /// The runtime.
    pub runtime: Runtime,
    /// The endpoint's choices.
    pub config: Config,
    /// The secret of its identity.
    pub identity: [u8; 32],
    /// Where to listen.
    pub listen: SocketAddr,
    /// Take no messages, as an application does that is busy for ever.
    pub deaf: bool,
    /// For how long to ask again and again before waiting.
    pub busy_poll: Duration,
}

impl Setup {
    /// The defaults, on a free port of loopback.
    #[must_use]
    pub fn new(runtime: Runtime, identity: u8) -> Self {
        let (config, identity) = (Config::default(), [identity; 32]);
        let busy_poll = Duration::ZERO;
        Self { runtime, config, identity, listen: loopback(), deaf: false, busy_poll }
    }
}

/// Any free port of `127.0.0.1`.
#[must_use]
pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Names it in [`What::Fate`].
    pub tag: u64,
    /// How.
    pub delivery: Delivery,
    /// What.
    pub payload: Bytes,
}

/// Something that happened to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// The peer it is about.
    pub peer: PeerHandle,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A peer called us.
    Accepted,
    /// A message arrived.
    Message(Message),
    /// The fate of a message that asked for a receipt, by its tag.
    Fate(u64, Fate),
    /// A ping was answered.
    Pong,
    /// The peer restarted.
    Restarted,
    /// The peer is gone.
    Ended(EndReason),
}

/// A node's counters.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Of the protocol.
    pub stats: Stats,
    /// Datagrams dropped.
    pub drops: Drops,
    /// Of the sockets.
    pub sockets: SocketStats,
}

/// An endpoint that runs by itself. Commands do not wait, except where it says so; what happens
/// waits to be taken with [`Self::next`], without limit.
pub struct Node {
    driver: Arc<dyn Drive>,
    happenings: Receiver<Happening>,
    address: SocketAddr,
    id: PeerId,
}

impl Node {
    /// Starts a node.
    ///
    /// # Panics
    /// When it cannot be bound.
    #[must_use]
    pub fn start(setup: Setup) -> Self {
        let (happened, happenings) = channel();
        let (driver, address, id) = match setup.runtime {
            Runtime::Mio => on_mio::start(setup, happened),
            Runtime::Tokio => on_tokio::start(setup, happened),
        };
        Self { driver, happenings, address, id }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its identity.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// Dials, and waits for the outcome.
    ///
    /// # Errors
    /// Why there is no connection.
    pub fn connect(&self, target: impl Into<Target>) -> Result<PeerHandle, EndReason> {
        self.driver.connect(target.into())
    }

    /// Sends after everything sent before to the same peer.
    pub fn send(&self, peer: PeerHandle, message: Outgoing) {
        self.driver.send(peer, message);
    }

    /// Withdraws a message that was sent with a receipt, named by its tag. Waits for the answer.
    ///
    /// # Errors
    /// Why not; `TooLate` also if its fate was told.
    pub fn cancel(&self, peer: PeerHandle, tag: u64) -> Result<(), CommandError> {
        self.driver.cancel(peer, tag)
    }

    /// Pings; at most eight at a time.
    pub fn ping(&self, peer: PeerHandle) {
        self.driver.ping(peer);
    }

    /// Parts from a peer.
    pub fn disconnect(&self, peer: PeerHandle, farewell: DisconnectOptions) {
        self.driver.disconnect(peer, farewell);
    }

    /// Waits for the next thing to happen.
    ///
    /// # Panics
    /// When the node is gone, or nothing happens for so long that nothing ever will.
    #[must_use]
    pub fn next(&self) -> Happening {
        self.next_or(|| "something to happen".to_owned())
    }

    /// Waits for the next thing to happen, and can say what is waited for.
    ///
    /// # Panics
    /// When the node is gone, or nothing happens for so long that nothing ever will.
    pub fn next_or(&self, awaited: impl FnOnce() -> String) -> Happening {
        match self.happenings.recv_timeout(FOREVER) {
            Ok(happening) => happening,
            Err(RecvTimeoutError::Disconnected) => panic!("the node is gone"),
            Err(RecvTimeoutError::Timeout) => {
                let (peers, report) = (self.driver.peers(), self.report());
                panic!("hangs, waiting for {}\n{peers:#?}\n{report:#?}", awaited());
            }
        }
    }

    /// The next thing, if it happens within `wait`.
    ///
    /// # Panics
    /// When the node is gone.
    #[must_use]
    pub fn next_within(&self, wait: Duration) -> Option<Happening> {
        match self.happenings.recv_timeout(wait) {
            Ok(happening) => Some(happening),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the node is gone"),
        }
    }

    /// The next thing, if it happened already.
    #[must_use]
    pub fn try_next(&self) -> Option<Happening> {
        self.happenings.try_recv().ok()
    }

    /// Waits for the first initiator, whom it names.
    ///
    /// # Panics
    /// When something else happens.
    #[must_use]
    pub fn accept(&self) -> PeerHandle {
        let Happening { peer, what } = self.next();
        assert_eq!(what, What::Accepted);
        peer
    }

    /// Its counters as of now.
    #[must_use]
    pub fn report(&self) -> Report {
        self.driver.report()
    }

    /// A peer as of now.
    #[must_use]
    pub fn peer(&self, peer: PeerHandle) -> Option<PeerInfo> {
        self.driver.peers().into_iter().find(|info| info.handle == peer)
    }

    /// Who was heard of by beacons.
    #[must_use]
    pub fn discovered(&self) -> Vec<Discovered> {
        self.driver.discovered()
    }

    /// A way for another thread to send.
    #[must_use]
    pub fn commander(&self) -> Commander {
        Commander(Arc::clone(&self.driver))
    }

    /// Closes it and waits until that is complete.
    pub fn close(self, farewell: DisconnectOptions) {
        self.driver.close(farewell);
    }

    /// Ends it on the spot, without a word to anyone. Its port is free afterwards. Returns what
    /// had happened and was not taken, without the ends of peers that this itself may cause.
    #[must_use]
    pub fn kill(self) -> Vec<Happening> {
        let Self { driver, happenings, .. } = self;
        driver.kill();
        drop(driver);
        let ended = |happening: &Happening| matches!(happening.what, What::Ended(_));
        happenings.iter().filter(|happening| !ended(happening)).collect()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Sends from any thread. It must not outlive the [`Node`].
#[derive(Clone)]
pub struct Commander(Arc<dyn Drive>);

impl Commander {
    /// Sends after everything that this thread sent before to the same peer.
    pub fn send(&self, peer: PeerHandle, message: Outgoing) {
        self.0.send(peer, message);
    }
}

impl fmt::Debug for Commander {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Commander(..)")
    }
}

/// What a runtime has to offer.
trait Drive: Send + Sync {
    fn connect(&self, target: Target) -> Result<PeerHandle, EndReason>;
    fn send(&self, peer: PeerHandle, message: Outgoing);
    fn cancel(&self, peer: PeerHandle, tag: u64) -> Result<(), CommandError>;
    fn ping(&self, peer: PeerHandle);
    fn disconnect(&self, peer: PeerHandle, farewell: DisconnectOptions);
    fn report(&self) -> Report;
    fn peers(&self) -> Vec<PeerInfo>;
    fn discovered(&self) -> Vec<Discovered>;
    fn close(&self, farewell: DisconnectOptions);
    fn kill(&self);
}

type Started = (Arc<dyn Drive>, SocketAddr, PeerId);

/// Retransmission backs off to a few seconds at most, and nothing else takes longer.
const FOREVER: Duration = Duration::from_secs(40);
