//! The way from the handles to the driver.

use std::net::SocketAddr;
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

/// What all handles share. The driver has none of it but the backlog: when the last handle is gone
/// its channels end, and so does the driver.
pub(crate) struct Link {
    pub(crate) id: PeerId,
    /// What the sockets are bound to now.
    pub(crate) addresses: watch::Receiver<Vec<(SocketId, SocketAddr)>>,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) wake: mpsc::UnboundedSender<Wake>,
    pub(crate) stopped: watch::Receiver<driver::Outcome>,
    /// What the endpoint had done when it stopped.
    pub(crate) last_stats: Arc<OnceLock<EndpointStats>>,
}

impl Link {
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

    /// Tells the driver that a peer's mailbox wants attention.
    pub(crate) fn notify(&self, peer: PeerHandle) {
        if self.wake.send(Wake::Mailbox(peer)).is_err() {
            tracing::trace!(target: "handfast::driver", ?peer, "the endpoint has stopped");
        }
    }
}
