//! The server: it answers, receives and counts.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use handfast_mio::{DisconnectOptions, Event, Remote};
use handfast_tokio::{Budget, Config, Endpoint, Identity, PeerId};
use tokio::runtime::{Builder, Runtime};

/// What drives the sockets of a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Drive {
    Tokio,
    Mio,
}

/// A server in this process, with threads of its own. It ends with this.
pub(super) struct Server {
    address: SocketAddr,
    messages: Arc<AtomicU64>,
    _running: Running,
}

enum Running {
    // In this order they go.
    Tokio { _endpoint: Endpoint, _runtime: Runtime },
    Mio { _shards: Vec<Shard> },
}

/// A thread with one shard on mio. It ends with this.
struct Shard {
    remote: Remote,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Shard {
    fn drop(&mut self) {
        // What has failed has ended.
        self.remote.run(|endpoint| endpoint.close(DisconnectOptions::now())).ok();
        self.thread.take().map(JoinHandle::join);
    }
}

impl Server {
    pub(super) fn start(drive: Drive, shards: u16) -> Result<Self, String> {
        match drive {
            Drive::Tokio => Self::on_tokio(shards),
            Drive::Mio => Self::on_mio(shards),
        }
    }

    fn on_mio(shards: u16) -> Result<Self, String> {
        let messages = Arc::new(AtomicU64::new(0));
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = handfast_mio::Endpoint::bind_shards(config(), identity(), loopback, shards);
        let bound = bound.map_err(|error| error.to_string())?;
        let address = bound.iter().flat_map(handfast_mio::Endpoint::local_addresses).next();
        let start = |mut endpoint: handfast_mio::Endpoint| {
            let (remote, messages) = (endpoint.remote(), Arc::clone(&messages));
            let receive = move |endpoint: &mut handfast_mio::Endpoint, event| {
                if let Event::Readable { peer } = event {
                    while endpoint.receive(peer).is_some() {
                        messages.fetch_add(1, Ordering::Relaxed);
                    }
                }
                ControlFlow::Continue(())
            };
            let run = move || {
                if let Err(error) = endpoint.run(receive) {
                    eprintln!("a shard has failed: {error}");
                }
            };
            Shard { remote, thread: Some(thread::spawn(run)) }
        };
        let running = Running::Mio { _shards: bound.into_iter().map(start).collect() };
        let address = address.ok_or("it has no address")?;
        Ok(Self { address, messages, _running: running })
    }

    fn on_tokio(shards: u16) -> Result<Self, String> {
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
        let address = endpoint.local_addresses().first().copied().ok_or("it has no address")?;
        let running = Running::Tokio { _endpoint: endpoint, _runtime: runtime };
        Ok(Self { address, messages, _running: running })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
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
