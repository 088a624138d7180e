//! What the operator chose: command line over file over defaults.

mod file;
mod kinds;
mod layer;
#[cfg(test)]
mod tests;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use handfast_core::{
    Budget, Budgets, Config, Discovery, Flow, Forwarding, ForwardingPolicy, KeyUpdates, Limits,
};
use handfast_program::values::{ListenOn, MapPort};
use handfast_program::{Error, places};
use handfast_udp::{Listen, MAX_SHARDS, TargetName};

pub(crate) use file::log_format;
pub use file::read_file;
pub use kinds::{LogFormat, RuntimeKind};
pub use layer::Layer;
#[cfg(test)]
pub(crate) use layer::keys;
pub use values::{BitRate, Rate, Size, Span};

use crate::KEY;
use crate::access::Access;
use crate::refusal::refusal;

/// What the server does, every choice made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What drives the sockets.
    pub runtime: RuntimeKind,
    /// Where to listen.
    pub listen: Listen,
    /// How many tasks or threads share the work.
    pub shards: u16,
    /// Servers to stay connected to.
    pub servers: Vec<TargetName>,
    /// The file with the secret key.
    pub identity: PathBuf,
    /// The file with the network secret.
    pub network_secret_file: Option<PathBuf>,
    /// The file with those who may come in.
    pub allow: Option<PathBuf>,
    /// Where the status socket is, if that was chosen; `none` for none.
    pub status_socket: Option<PathBuf>,
    /// Send messages back.
    pub echo: bool,
    /// When a silent peer is given up.
    pub idle_timeout: Duration,
    /// When a silent peer is pinged.
    pub heartbeat: Duration,
    /// For how long sockets are asked again and again before they are waited for.
    pub busy_poll: Duration,
    /// How often statistics are logged; `None` for only at the end.
    pub stats_interval: Option<Duration>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// How many peers and handshakes are kept.
    pub limits: Limits,
    /// How large messages may be, and what is buffered.
    pub flow: Flow,
    /// How much is spent on strangers.
    pub budgets: Budgets,
    /// How many keys are kept ready.
    pub keys: KeyUpdates,
    /// Whether packets are passed on between peers.
    pub forwarding: Forwarding,
    /// The file with the servers that routes are exchanged with.
    pub transit: Option<PathBuf>,
    /// The ports that peers test their NAT with; `None`: the two after the first that is listened on, if that was
    /// chosen.
    pub probe_ports: Option<Vec<u16>>,
    /// Answer STUN requests.
    pub stun: bool,
    /// Whether to be found in the local network.
    pub discovery: Discovery,
    /// Whether the router is asked for a port.
    pub map_port: MapPort,
    /// Addresses of ports that a router forwards anyway.
    pub advertise: Vec<SocketAddr>,
}

impl Settings {
    /// Fills in the defaults.
    ///
    /// # Errors
    /// When there is no place for the key (neither chosen, nor a home directory), when the chosen
    /// runtime is not built in, or a size or a time is beyond what may be chosen.
    pub fn resolve(layer: Layer) -> Result<Self, Error> {
        let runtime = layer.runtime.unwrap_or_default();
        if !runtime.is_built_in() {
            return Err(runtime.not_built_in());
        }
        let shards = shards(&layer)?;
        let defaults = Config::default();
        let idle_timeout = layer.idle_timeout.map_or(defaults.timers.idle_timeout, |span| span.0);
        let usual_heartbeat = defaults.timers.heartbeat.min(idle_timeout / 3);
        let heartbeat = layer.heartbeat.map_or(usual_heartbeat, |span| span.0);
        let stats_interval = layer.stats_interval.map_or(STATS_INTERVAL, |span| span.0);
        let busy_poll = layer.busy_poll.map_or(Duration::ZERO, |span| span.0);
        if busy_poll > LONGEST_BUSY_POLL {
            return Err(Error::Usage("--busy-poll must be at most 1s".to_owned()));
        }
        Ok(Self {
            runtime,
            shards,
            listen: layer.listen.as_deref().map_or_else(Listen::default, ListenOn::merge),
            servers: layer.server.clone().unwrap_or_default(),
            limits: limits(&layer),
            flow: flow(&layer)?,
            budgets: budgets(&layer),
            keys: key_updates(&layer),
            forwarding: forwarding(&layer),
            discovery: discovery(&layer),
            map_port: layer.map_port.unwrap_or_default(),
            advertise: layer.advertise.clone().unwrap_or_default(),
            identity: layer.identity.map_or_else(|| places::key(KEY), Ok)?,
            probe_ports: layer.probe_ports.clone(),
            stun: layer.stun.unwrap_or_else(|| layer.network_secret_file.is_none()),
            network_secret_file: layer.network_secret_file,
            allow: layer.allow,
            transit: layer.transit,
            status_socket: layer.status_socket,
            echo: layer.echo.unwrap_or_default(),
            idle_timeout,
            heartbeat,
            busy_poll,
            stats_interval: (!stats_interval.is_zero()).then_some(stats_interval),
            log_format: layer.log_format.unwrap_or_default(),
        })
    }

    /// The protocol's configuration.
    ///
    /// # Errors
    /// When choices do not fit together.
    pub fn endpoint_config(&self, access: &Access) -> Result<Config, Error> {
        let valid = self.chosen(access).validate();
        valid
            .map(handfast_core::ValidConfig::into_inner)
            .map_err(|error| Error::Usage(refusal(error)))
    }

    /// The choices with what the files say. Each field that is set here has its flag in `refusal`.
    pub(crate) fn chosen(&self, access: &Access) -> Config {
        let mut config = Config::default();
        config.timers.idle_timeout = self.idle_timeout;
        config.timers.heartbeat = self.heartbeat;
        config.limits = self.limits;
        config.flow = self.flow;
        config.budgets = self.budgets.clone();
        config.keys = self.keys;
        config.forwarding = self.forwarding.clone();
        config.answer_stun = self.stun;
        config.discovery = self.discovery;
        // Only a peer that looks for direct ways is told of the port.
        config.punching.enabled = self.map_port != MapPort::No || !self.advertise.is_empty();
        config.punching.advertise.clone_from(&self.advertise);
        (config.network_secret, config.previous_network_secret) = access.secrets();
        config.admission = access.admission();
        config.routing.transit = access.transit().clone();
        config.routing.announce = !config.routing.transit.is_empty();
        config
    }

    /// Where peers can test their NAT, of a server that listens at `addresses`. Nowhere, unless ports were chosen, if
    /// the system chose the server's own: nobody could know them, and its neighbours belong to others.
    pub(crate) fn probe_addresses(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let Some(first) = addresses.first() else { return Vec::new() };
        let chosen = self.listen.addresses().first().is_some_and(|listen| listen.port() != 0);
        // Shards keep the sockets that they begin with.
        let further = if chosen && self.shards == 1 { 2 } else { 0 };
        let next = || (1..=further).filter_map(|n| first.port().checked_add(n)).collect();
        let ports = self.probe_ports.clone().unwrap_or_else(next);
        ports.into_iter().map(|port| SocketAddr::new(first.ip(), port)).collect()
    }

    /// How often what repeats itself is summed up in the log.
    pub(crate) fn summary_interval(&self) -> Duration {
        self.stats_interval.map_or(SUMMARY_INTERVAL, |every| every.min(SUMMARY_INTERVAL))
    }
}

/// How many shards there are, if what else was chosen works with several.
fn shards(layer: &Layer) -> Result<u16, Error> {
    let shards = layer.shards.unwrap_or(1);
    let refused = |why: &str| Err(Error::Usage(why.to_owned()));
    if !(1..=MAX_SHARDS).contains(&shards) {
        return refused("--shards must be 1 to 256");
    }
    if shards == 1 {
        return Ok(shards);
    }
    if layer.transit.is_some() {
        return refused(
            "--shards above 1 exchanges no routes: leave out --transit, or use one shard",
        );
    }
    if layer.probe_ports.is_some() {
        return refused("--shards above 1 opens no further ports: leave out --probe-ports");
    }
    Ok(shards)
}

fn limits(layer: &Layer) -> Limits {
    let mut limits = Limits::default();
    let set = |field: &mut usize, choice: Option<usize>| *field = choice.unwrap_or(*field);
    set(&mut limits.max_peers, layer.max_peers);
    set(&mut limits.max_peers_per_source, layer.max_peers_per_source);
    set(&mut limits.max_half_open, layer.max_half_open);
    set(&mut limits.max_half_open_per_source, layer.max_half_open_per_source);
    limits.max_memory = layer.max_memory.map_or(limits.max_memory, |Size(bytes)| bytes);
    limits
}

fn flow(layer: &Layer) -> Result<Flow, Error> {
    let mut flow = Flow::default();
    let window = |field: &mut u32, choice: Option<Size>, flag| {
        let Some(Size(bytes)) = choice else { return Ok(()) };
        *field = u32::try_from(bytes)
            .map_err(|_| Error::Usage(format!("--{flag} must be less than 4 GiB")))?;
        Ok(())
    };
    let buffer = |field: &mut usize, choice: Option<Size>| {
        let bytes = choice.map(|Size(bytes)| usize::try_from(bytes).unwrap_or(usize::MAX));
        *field = bytes.unwrap_or(*field);
    };
    window(&mut flow.max_message, layer.max_message, "max-message")?;
    window(&mut flow.receive_window, layer.receive_window, "receive-window")?;
    buffer(&mut flow.send_buffer, layer.send_buffer);
    buffer(&mut flow.unreliable_buffer, layer.unreliable_buffer);
    flow.max_streams = layer.max_streams.unwrap_or(flow.max_streams);
    Ok(flow)
}

fn budgets(layer: &Layer) -> Budgets {
    let mut budgets = Budgets::default();
    let set = |field: &mut Budget, choice: Option<Rate>| {
        *field = choice.map_or(*field, |Rate(budget)| budget);
    };
    set(&mut budgets.unvalidated, layer.budget_unvalidated);
    set(&mut budgets.unvalidated_per_source, layer.budget_unvalidated_per_source);
    set(&mut budgets.validated, layer.budget_validated);
    set(&mut budgets.validated_per_source, layer.budget_validated_per_source);
    set(&mut budgets.at_peers, layer.budget_at_peers);
    set(&mut budgets.retries, layer.budget_retries);
    set(&mut budgets.retries_per_share, layer.budget_retries_per_share);
    set(&mut budgets.unknown_session, layer.budget_unknown_session);
    budgets.sources = layer.budget_sources.unwrap_or(budgets.sources);
    budgets
}

fn key_updates(layer: &Layer) -> KeyUpdates {
    let mut keys = KeyUpdates::default();
    keys.active_keys = layer.active_keys.unwrap_or(keys.active_keys);
    keys
}

/// Whoever may come in is passed on, unless that is everybody.
fn forwarding(layer: &Layer) -> Forwarding {
    let mut forwarding = Forwarding::default();
    let is_private = layer.allow.is_some() || layer.network_secret_file.is_some();
    let is_asked_for = is_private || layer.transit.is_some();
    if layer.relay.unwrap_or(is_asked_for) {
        forwarding.policy = ForwardingPolicy::Anyone;
    }
    // What is not chosen does not hold back what is.
    let mut least = 0;
    for (field, choice) in [
        (&mut forwarding.pair_rate, layer.relay_rate),
        (&mut forwarding.peer_rate, layer.relay_peer_rate),
        (&mut forwarding.total_rate, layer.relay_total),
    ] {
        *field = choice.map_or_else(|| least.max(*field), |rate| rate.bytes);
        least = *field;
    }
    forwarding
}

fn discovery(layer: &Layer) -> Discovery {
    let mut discovery = Discovery::default();
    discovery.announce = layer.discover.unwrap_or_default();
    discovery.listen = discovery.announce;
    discovery.disclose = layer.disclose.unwrap_or_default();
    discovery
}

const STATS_INTERVAL: Duration = Duration::from_secs(60);
const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);
/// More would keep a processor busy for nothing.
const LONGEST_BUSY_POLL: Duration = Duration::from_secs(1);
