//! Making an endpoint of one shard or of several.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use handfast_core::{
    Config, CookieSecret, DisconnectOptions, Identity, Siblings, SocketId, ValidConfig,
};
use handfast_udp::{Clock, Crossing, Listen, MAX_SHARDS, SharedPeers, entropy, host_config};
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
    let first = drivers.next().ok_or_else(|| invalid(WRONG_NUMBER))?;
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
    let config = host_config(config).validate().map_err(invalid)?;
    let configs = shares(&config, count)?;
    let backlog = Arc::new(Backlog::new(config.limits.max_peers, configs.len()));
    let all = All { identity, clock: Driver::clock(), backlog: &backlog };
    // At most one ring per peer, one per question and one for what other shards hand over is under way.
    let rings: Vec<_> = configs.iter().map(|_| mpsc::unbounded_channel()).collect();
    let crossings = crossings(&rings);
    let ports = listen.bind_shards(count)?.into_iter().zip(crossings);
    let parts = configs.into_iter().zip(ports).zip(rings);
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

/// What each shard gets of the choices.
fn shares(config: &ValidConfig, count: u16) -> io::Result<Vec<ValidConfig>> {
    if count == 1 {
        return Ok(vec![config.clone()]);
    }
    if !(1..=MAX_SHARDS).contains(&count) {
        return Err(invalid(WRONG_NUMBER));
    }
    if config.routing.announce || !config.routing.transit.is_empty() {
        return Err(invalid(ROUTES));
    }
    let mut config = config.clone().into_inner();
    let drawn = CookieSecret::new(entropy()?);
    config.cookie_secret.get_or_insert(drawn);
    let peers: Arc<dyn Siblings> = Arc::new(SharedPeers::default());
    let share = |shard| {
        let share = config.clone().for_shard(shard, count, Arc::clone(&peers));
        share.validate().map_err(invalid)
    };
    (0..=u8::MAX).take(count.into()).map(share).collect()
}

type Ring = (UnboundedSender<Wake>, UnboundedReceiver<Wake>);

/// The ways between the shards: none if there is only one.
fn crossings(rings: &[Ring]) -> Vec<Option<Crossing>> {
    if rings.len() == 1 {
        return vec![None];
    }
    let bells = rings.iter().map(|(wake, _)| -> Box<dyn Fn() + Send + Sync> {
        let wake = wake.clone();
        Box::new(move || {
            if wake.send(Wake::Datagrams).is_err() {
                tracing::trace!(target: "handfast::driver", "the other shard has stopped");
            }
        })
    });
    Crossing::among(bells.collect()).into_iter().map(Some).collect()
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
        ports: (Vec<UdpSocket>, Option<Crossing>),
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
    let first = shards.first().ok_or_else(|| invalid(WRONG_NUMBER))?;
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

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

const MAX_COMMANDS: usize = 256;
const WRONG_NUMBER: &str = "an endpoint has 1 to 256 shards";
const ROUTES: &str = "an endpoint with several shards exchanges no routes: leave out routing";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_work_yet_is_refused_by_name() {
        let identity = Identity::from_seed([1; 32]);
        let listen = Listen::from("127.0.0.1:0".parse::<SocketAddr>().expect("an address"));
        let refused = |config: Config, count| {
            let error = bind(config, &identity, &listen, count).expect_err("refused");
            (error.kind(), error.to_string())
        };
        let because = |why: &str| (io::ErrorKind::InvalidInput, why.to_owned());
        assert_eq!(refused(Config::default(), 0), because(WRONG_NUMBER));
        assert_eq!(refused(Config::default(), 257), because(WRONG_NUMBER));
        let mut routes = Config::default();
        routes.routing.announce = true;
        assert_eq!(refused(routes, 2), because(ROUTES));
    }
}
