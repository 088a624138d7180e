//! An endpoint that stays connected to servers.

use std::io::Error as IoError;
use std::net::SocketAddr;
use std::time::Duration;

use handfast_program::values::ListenOn;
use handfast_program::{Error, keys};
use handfast_tokio::{
    Config, ConnectError, DisconnectOptions, Endpoint, Identity, KeyFile, Listen, PortMapping,
    Reconnect, Target, TargetName, explain, generate_identity, resolve,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::cli::{self, Common};
use crate::say;

/// An endpoint, and the servers by way of which it reaches peers.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) endpoint: Endpoint,
    /// A port of the router, if one was asked for.
    mapping: Option<PortMapping>,
}

impl Node {
    /// Opens the endpoint, and connects to the servers: to one of them at least, if any are named, within
    /// `patience`. All of them are dialled again whenever they are lost.
    pub(crate) async fn open(
        common: &Common,
        mut config: Config,
        patience: Duration,
    ) -> Result<Self, Error> {
        // Peers that servers lead to are looked for directly.
        config.punching.enabled = true;
        config.punching.advertise.clone_from(&common.advertise);
        config.punching.probe_ports = common.probe_ports;
        let listen =
            if common.listen.is_empty() { Listen::all(0) } else { ListenOn::merge(&common.listen) };
        let endpoint = bind(config, identity(&common.identity)?, listen)?;
        let map = |router| map_port(&endpoint, router);
        let mapping = common.map_port.router().and_then(map);
        let node = Self { endpoint, mapping };
        node.join(&common.server, patience).await?;
        Ok(node)
    }

    async fn join(&self, servers: &[TargetName], patience: Duration) -> Result<(), Error> {
        let (news, mut heard) = mpsc::channel(servers.len().max(1));
        for server in servers {
            let target = resolve(server).await;
            let target = target
                .map_err(|error| Error::Usage(format!("--server {server}: {}", explain(&error))))?;
            tokio::spawn(stay(self.endpoint.clone(), server.clone(), target, news.clone()));
        }
        drop(news);
        let (mut failures, mut connected) = (Vec::new(), 0);
        while connected + failures.len() < servers.len() {
            // The others have a moment more once there is one.
            let wait = if connected == 0 { patience } else { GRACE };
            match timeout(wait, heard.recv()).await {
                Ok(Some(Ok(()))) => connected += 1,
                Ok(Some(Err(failure))) => failures.push(failure),
                Ok(None) => break,
                Err(_) if connected > 0 => break,
                Err(_) => {
                    failures.push(format!(
                        "no server answered within {patience:?}: is it running, are the address, the \
                         PeerId and the network secret right, is there a firewall?"
                    ));
                    break;
                }
            }
        }
        if connected == 0 && !servers.is_empty() {
            return Err(Error::Run(failures.join("; ")));
        }
        Ok(())
    }

    /// Says goodbye to everybody.
    pub(crate) async fn close(self) {
        // It ends in any case; what was to be said is said.
        timeout(GOODBYE, self.endpoint.close(DisconnectOptions::default())).await.ok();
        if let Some(mapping) = self.mapping {
            // It ends within a few seconds, whatever the router does; a panic has said so.
            tokio::task::spawn_blocking(|| mapping.release()).await.ok();
        }
    }
}

/// Asks the router for a port, and says what becomes of it. Without one all else goes on.
fn map_port(endpoint: &Endpoint, router: Option<SocketAddr>) -> Option<PortMapping> {
    let mapping = endpoint.map_port(router, |news| say(format_args!("port       {news}")));
    let failed =
        |error: &IoError| say(format_args!("port       no router is asked: {}", explain(error)));
    mapping.inspect_err(failed).ok()
}

/// Stays connected to a server, and tells what came of it first.
async fn stay(
    endpoint: Endpoint,
    name: TargetName,
    target: Target,
    news: mpsc::Sender<Result<(), String>>,
) {
    let mut reconnect = Reconnect::default();
    // One that is stopped is perhaps started again.
    (reconnect.after_disconnect, reconnect.longest) = (true, LONGEST_WAIT);
    let mut connections = endpoint.keep_connected(target, reconnect);
    let mut before = 0_u64;
    loop {
        match connections.next().await {
            Ok(server) => {
                if before == 0 {
                    // It is of interest to the first alone.
                    news.try_send(Ok(())).ok();
                    say(format_args!("server     {}", server.id()));
                } else {
                    say(format_args!("server     {} again", server.id()));
                }
                before += 1;
            }
            Err(ConnectError::Stopped) => return,
            Err(error) => {
                let failure = format!("--server {name}: {error}");
                if before > 0 || news.try_send(Err(failure.clone())).is_err() {
                    say(format_args!("{failure}"));
                }
                return;
            }
        }
    }
}

/// The configuration with what the command line says about the network.
pub(crate) fn config(network_secret_file: Option<&std::path::Path>) -> Result<Config, Error> {
    let mut config = Config::default();
    let secrets = network_secret_file.map(keys::network_secrets).transpose()?;
    (config.network_secret, config.previous_network_secret) = secrets.unwrap_or_default();
    // Somebody waits, and what is lost is looked for again.
    (config.timers.idle_timeout, config.timers.heartbeat) = (IDLE_TIMEOUT, HEARTBEAT);
    Ok(config)
}

/// The key that is named, or the usual one if it is there, or a new one.
pub(crate) fn identity(choice: &cli::Identity) -> Result<Identity, Error> {
    let fresh = || {
        generate_identity()
            .map_err(|error| Error::Run(format!("cannot make a key: {}", explain(&error))))
    };
    let Ok(file) = choice.file() else { return fresh() };
    if choice.identity.is_none() && !file.exists() {
        return fresh();
    }
    KeyFile::new(file).load().map_err(|error| Error::Usage(error.to_string()))
}

pub(crate) fn bind(config: Config, identity: Identity, listen: Listen) -> Result<Endpoint, Error> {
    Endpoint::bind(config, identity, listen).map_err(|error: IoError| Error::bind(&error))
}

/// How long the other servers have, once one is connected.
const GRACE: Duration = Duration::from_millis(500);
/// When a silent peer is given up, and when it is pinged.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const HEARTBEAT: Duration = Duration::from_secs(4);
/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(3);
/// The longest wait before a server is dialled again.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
