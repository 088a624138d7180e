//! Making an endpoint of one shard or of several.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use handfast_core::{Config, DisconnectOptions, Identity, SocketId, ValidConfig};
use handfast_udp::{Clock, Listen, ShardPorts, Shards};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;

use crate::backlog::Backlog;
use crate::command::Command;
use crate::driver::{Driver, Inputs, Outcome};
use crate::endpoint::Endpoint;
use crate::link::{DriverLink, Link};
use crate::wake::Wake;

/// Opens the sockets, makes a core for those of each shard, and spawns the tasks that drive them.
pub(crate) fn bind(
    config: Config,
    identity: &Identity,
    listen: &Listen,
    count: u16,
) -> io::Result<Endpoint> {
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    let (shards, backlog) = make(config, identity, listen, count)?;
    let addresses = addresses(&shards)?;
    let mut drivers = spawn(&runtime, shards).into_iter();
    let first = drivers.next().ok_or(io::ErrorKind::InvalidInput)?;
    let (id, others) = (identity.id(), drivers.collect());
    let dials = AtomicUsize::new(0);
    let endpoint = Endpoint::of(Link { id, addresses, backlog, first, others, dials });
    let addresses = endpoint.local_addresses();
    tracing::info!(target: "handfast::driver", %id, ?addresses, shards = count, "listening");
    Ok(endpoint)
}

/// Opens the sockets, and makes a driver for those of each shard.
fn make(
    config: Config,
    identity: &Identity,
    listen: &Listen,
    count: u16,
) -> io::Result<(Vec<Shard>, Arc<Backlog>)> {
    let plan = Shards::plan(config, count)?;
    let backlog = Arc::new(Backlog::new(plan.whole().limits.max_peers, count.into()));
    let all = All { identity, clock: Driver::clock(), backlog: &backlog };
    // At most one ring per peer, one per question and one for what other shards hand over is under way.
    let rings: Vec<Ring> = (0..count).map(|_| mpsc::unbounded_channel()).collect();
    let parts = plan.open(listen, bells(&rings))?.into_iter().zip(rings);
    let shards: io::Result<Vec<_>> =
        parts.map(|((config, ports), ring)| all.shard(config, ports, ring)).collect();
    Ok((shards?, backlog))
}

/// The drivers of all shards, of which a test takes the turns.
#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
pub(crate) fn drivers(
    config: Config,
    identity: &Identity,
    listen: &Listen,
    count: u16,
) -> io::Result<Vec<Driver>> {
    handfast_udp::faults::steer_in_kernel(false);
    let (shards, _) = make(config, identity, listen, count)?;
    Ok(shards.into_iter().map(|shard| shard.driver).collect())
}

type Ring = (UnboundedSender<Wake>, UnboundedReceiver<Wake>);

/// What other shards ring when they have something for one.
fn bells(rings: &[Ring]) -> Vec<Box<dyn Fn() + Send + Sync>> {
    let bells = rings.iter().map(|(wake, _)| -> Box<dyn Fn() + Send + Sync> {
        let wake = wake.clone();
        Box::new(move || {
            if wake.send(Wake::Datagrams).is_err() {
                tracing::trace!(target: "handfast::driver", "the other shard has stopped");
            }
        })
    });
    bells.collect()
}

/// What all shards have in common.
struct All<'a> {
    identity: &'a Identity,
    /// Cookies of one are good at another by the same time.
    clock: Clock,
    backlog: &'a Arc<Backlog>,
}

struct Shard {
    driver: Driver,
    outcome: watch::Sender<Outcome>,
    link: DriverLink,
}

impl All<'_> {
    fn shard(
        &self,
        config: ValidConfig,
        ports: ShardPorts,
        (wake, wakes): Ring,
    ) -> io::Result<Shard> {
        let (commands, from_handles) = mpsc::channel(MAX_COMMANDS);
        let last_stats = Arc::new(OnceLock::new());
        let inputs = Inputs {
            commands: from_handles,
            wakes,
            wake: wake.clone(),
            last_stats: Arc::clone(&last_stats),
        };
        let (identity, backlog) = (self.identity.for_shard(), Arc::clone(self.backlog));
        let driver = Driver::new(config, identity, self.clock, ports, inputs, backlog)?;
        let (outcome, stopped) = watch::channel(None);
        Ok(Shard { driver, outcome, link: DriverLink { commands, wake, stopped, last_stats } })
    }
}

type Addresses = watch::Receiver<Vec<(SocketId, SocketAddr)>>;

/// Those of the first: all have the same.
fn addresses(shards: &[Shard]) -> io::Result<Addresses> {
    let first = shards.first().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(first.driver.addresses())
}

/// Runs the drivers. If a socket of one fails for good, the others are closed: an endpoint stops as a whole.
fn spawn(runtime: &Handle, shards: Vec<Shard>) -> Vec<DriverLink> {
    let all: Vec<_> = shards.iter().map(|shard| shard.link.commands.downgrade()).collect();
    let run = |Shard { driver, outcome, link }| {
        let others = all.clone();
        runtime.spawn(async move {
            if driver.run(outcome).await {
                return;
            }
            for other in others.iter().filter_map(mpsc::WeakSender::upgrade) {
                let options = DisconnectOptions::now().incomplete();
                // Those that have stopped need not be told.
                other.send(Command::Close { options }).await.ok();
            }
        });
        link
    };
    shards.into_iter().map(run).collect()
}

const MAX_COMMANDS: usize = 256;
