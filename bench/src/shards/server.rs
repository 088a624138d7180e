//! The server: it answers, receives and counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use handfast_tokio::{Budget, Config, Endpoint, Identity, PeerId};
use tokio::runtime::{Builder, Runtime};

/// A server in this process, with threads of its own. It ends with this.
pub(super) struct Server {
    endpoint: Endpoint,
    messages: Arc<AtomicU64>,
    // The last to go.
    _runtime: Runtime,
}

impl Server {
    pub(super) fn start(shards: u16) -> Result<Self, String> {
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let messages = Arc::new(AtomicU64::new(0));
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let endpoint = {
            let _context = runtime.enter();
            Endpoint::bind_shards(config(), identity(), loopback, shards)
        };
        let endpoint = endpoint.map_err(|error| error.to_string())?;
        runtime.spawn(receive(endpoint.clone(), Arc::clone(&messages)));
        Ok(Self { endpoint, messages, _runtime: runtime })
    }

    pub(super) fn address(&self) -> Result<SocketAddr, String> {
        self.endpoint.local_addresses().first().copied().ok_or_else(|| "it has stopped".into())
    }

    /// Messages that its application has received.
    pub(super) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }
}

/// Each peer has a task, as applications on tokio do it.
async fn receive(endpoint: Endpoint, messages: Arc<AtomicU64>) {
    while let Some(peer) = endpoint.accept().await {
        let messages = Arc::clone(&messages);
        tokio::spawn(async move {
            while peer.recv().await.is_some() {
                messages.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

/// The defaults, but as many handshakes as come.
fn config() -> Config {
    let mut config = Config::default();
    let many = Budget::new(100_000, 1_000_000);
    config.budgets.unvalidated = many;
    config.budgets.unvalidated_per_source = many;
    config.limits.max_half_open = 1 << 20;
    config.limits.max_half_open_per_source = 1 << 20;
    config
}

/// The same each time, so that requests are good for every server.
fn identity() -> Identity {
    Identity::from_seed([77; 32])
}

pub(super) fn id() -> PeerId {
    identity().id()
}
