//! The way from the handles to the driver.

use std::iter;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use handfast_core::{PeerHandle, PeerId, SocketId};
use handfast_udp::SocketStats;
use tokio::sync::{mpsc, oneshot, watch};

use crate::answer;
use crate::backlog::Backlog;
use crate::command::Command;
use crate::driver;
use crate::endpoint::EndpointStats;
use crate::error::Stopped;
use crate::wake::Wake;

/// What all handles share. The drivers, of which there is one for each shard, have none of it but the backlog: when the last
/// handle is gone their channels end, and so do they.
pub(crate) struct Link {
    pub(crate) id: PeerId,
    /// What the sockets are bound to now.
    pub(crate) addresses: watch::Receiver<Vec<(SocketId, SocketAddr)>>,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) first: DriverLink,
    /// The other shards, if there are several.
    pub(crate) others: Vec<DriverLink>,
    /// How many dials there were: shards take turns.
    pub(crate) dials: AtomicUsize,
}

impl Link {
    /// All shards.
    pub(crate) fn drivers(&self) -> impl Iterator<Item = &DriverLink> {
        iter::once(&self.first).chain(&self.others)
    }

    /// The shard with this number.
    pub(crate) fn driver(&self, shard: u8) -> &DriverLink {
        let other = usize::from(shard).checked_sub(1).and_then(|at| self.others.get(at));
        other.unwrap_or(&self.first)
    }

    /// The number of the shard that dials next.
    pub(crate) fn next_shard(&self) -> u8 {
        let count = self.dials.fetch_add(1, Ordering::Relaxed);
        u8::try_from(count % (1 + self.others.len())).unwrap_or_default()
    }

    /// Tells the driver that a peer's mailbox wants attention.
    pub(crate) fn notify(&self, peer: PeerHandle) {
        if self.driver(peer.shard()).wake.send(Wake::Mailbox(peer)).is_err() {
            tracing::trace!(target: "handfast::driver", ?peer, "the endpoint has stopped");
        }
    }
}

/// The way to one driver.
pub(crate) struct DriverLink {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) wake: mpsc::UnboundedSender<Wake>,
    pub(crate) stopped: watch::Receiver<driver::Outcome>,
    /// What the driver had done when it stopped.
    pub(crate) last_stats: Arc<OnceLock<EndpointStats>>,
}

impl DriverLink {
    /// Asks something of the driver, waiting for room.
    pub(crate) async fn command(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }

    /// Reads from the core.
    pub(crate) async fn query<R: Send + 'static>(
        &self,
        read: impl FnOnce(&handfast_core::Endpoint, SocketStats) -> R + Send + 'static,
    ) -> Result<R, Stopped> {
        let (reply, answer) = oneshot::channel();
        let query = move |core: &handfast_core::Endpoint, sockets| {
            answer::answer(reply, read(core, sockets));
        };
        self.command(Command::Query(Box::new(query))).await?;
        answer.await.map_err(|_| Stopped)
    }
}
