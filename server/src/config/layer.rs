//! Choices as they stand on the command line or in the file.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Arg, Args, Command};
use serde::{Deserialize, Deserializer};

use handfast_program::values::{ListenOn, MapPort};
use handfast_udp::TargetName;

use super::values::{BitRate, Rate, Size, Span};
use super::{LogFormat, RuntimeKind};

/// Choices as they stand on the command line or in the file: each may be missing.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Layer {
    /// What drives the sockets [default: tokio, or mio where tokio is not built in]
    #[arg(long, value_enum)]
    pub runtime: Option<RuntimeKind>,
    /// Where to listen: IP:PORT, HOST:PORT, or :PORT for every address; may be repeated [default:
    /// :4263]
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "listed")]
    pub listen: Option<Vec<ListenOn>>,
    /// How many tasks (threads with --runtime mio), each with a socket of its own per address, share the work, 1 to 256:
    /// about as many as there are processor cores. Only on Linux, and without --transit and --probe-ports; budgets and limits
    /// are divided among them [default: 1]
    #[arg(long, value_name = "NUMBER")]
    pub shards: Option<u16>,
    /// The file with the server's secret key, made if missing [default: server.key in
    /// $CREDENTIALS_DIRECTORY if it is there, in $STATE_DIRECTORY, or in the directory handfast where
    /// this system keeps configurations, see below]
    #[arg(long, value_name = "FILE", global = true)]
    #[serde(deserialize_with = "path")]
    pub identity: Option<PathBuf>,
    /// Stay connected to this server, PEERID@HOST:PORT or HOST:PORT; may be repeated
    #[arg(long, value_name = "SERVER")]
    #[serde(deserialize_with = "listed")]
    pub server: Option<Vec<TargetName>>,
    /// A file with the secret of a private network, on one line of base32: peers without it cannot
    /// shake hands. On a second line, another one that is accepted too. SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "path")]
    pub network_secret_file: Option<PathBuf>,
    /// A file with the peers that may come in, one PeerId a line (what follows an @ is ignored), # for
    /// comments. SIGHUP reads it again [default: everyone]
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "path")]
    pub allow: Option<PathBuf>,
    /// The socket for `p2p_server status` and `kick`, in a directory that only its owner may enter, or none
    /// [default: p2p_server/status.sock in $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR, $STATE_DIRECTORY or where
    /// the configuration is; none on Windows]
    #[arg(long, value_name = "FILE", global = true)]
    #[serde(deserialize_with = "path")]
    pub status_socket: Option<PathBuf>,
    /// Send every message back the way it came
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub echo: Option<bool>,
    /// Pass packets on between peers that are connected to this server, sealed from one to the other
    /// [default: with --allow or --network-secret-file]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub relay: Option<bool>,
    /// How much passes from one peer to another at most, in a second [default: 20Mbit]
    #[arg(long, value_name = "RATE")]
    pub relay_rate: Option<BitRate>,
    /// How much passes from one peer to all others at most, in a second [default: 40Mbit, or
    /// --relay-rate if that is more]
    #[arg(long, value_name = "RATE")]
    pub relay_peer_rate: Option<BitRate>,
    /// How much passes in all, in a second [default: 100Mbit, or --relay-peer-rate if that is more]
    #[arg(long, value_name = "RATE")]
    pub relay_total: Option<BitRate>,
    /// A file with the servers that routes are exchanged with, one PeerId a line, # for comments: they name this one in
    /// the same way. Packets then pass over several of them, and this server tells them who is connected to it and
    /// wants to be found. Turns --relay on
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "path")]
    pub transit: Option<PathBuf>,
    /// The two further ports by which peers can test their NAT, as 4264,4265 [default: the two after the first of
    /// --listen, none if that is :0; if one is in use it is left out, and the peers' tools say so]
    #[arg(long, value_name = "PORTS", num_args = 1, value_delimiter = ',')]
    pub probe_ports: Option<Vec<u16>>,
    /// Answer STUN Binding requests: tell whoever asks at which address it is seen [default: unless there is a
    /// --network-secret-file: strangers to a private network are answered nothing]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub stun: Option<bool>,
    /// Say in the local network every 5 s that this server is there, and hear who else says so. What is said is
    /// sealed with the network secret: without one, add --disclose
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub discover: Option<bool>,
    /// With --discover and without a network secret: let everyone in the local network read the PeerId
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub disclose: Option<bool>,
    /// Have the router forward the first port of --listen to this server (PCP, NAT-PMP or UPnP), log the address at which
    /// it is reached then, and look for direct ways with peers that other servers lead here. Write --map-port=IP
    /// where the system does not tell which router it uses
    #[arg(long, value_name = "ROUTER", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(deserialize_with = "flag_or_text")]
    pub map_port: Option<MapPort>,
    /// An address at which peers reach this server, IP:PORT, of a port that a router forwards because somebody set it up
    /// so; may be repeated, and four count. Looks for direct ways with peers that other servers lead here, as with
    /// --map-port, and tells them of it
    #[arg(long, value_name = "ADDR")]
    #[serde(deserialize_with = "listed")]
    pub advertise: Option<Vec<SocketAddr>>,
    /// A peer that was silent for this long is given up; the smaller of both ends' holds
    /// [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub idle_timeout: Option<Span>,
    /// A peer that said nothing for this long is pinged [default: 20s, or a third of
    /// --idle-timeout if that is less]
    #[arg(long, value_name = "TIME")]
    pub heartbeat: Option<Span>,
    /// Ask the sockets again and again for so long before waiting for them, 1s at most: keeps a processor busy, and
    /// saves what it takes to wake one that sleeps [default: 0s]
    #[arg(long, value_name = "TIME")]
    pub busy_poll: Option<Span>,
    /// How often statistics are logged, 0s for only at the end [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub stats_interval: Option<Span>,
    /// How log lines are written [default: text]
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// The most peers at the same time [default: 65536]
    #[arg(long, value_name = "NUMBER")]
    pub max_peers: Option<usize>,
    /// The most peers from one address (IPv4, or 64 bits of IPv6) once half of all places
    /// are taken [default: 256]
    #[arg(long, value_name = "NUMBER")]
    pub max_peers_per_source: Option<usize>,
    /// The most handshakes of strangers that wait for their confirmation [default: 1024]
    #[arg(long, value_name = "NUMBER")]
    pub max_half_open: Option<usize>,
    /// The same from one address once a quarter of all is taken [default: 16]
    #[arg(long, value_name = "NUMBER")]
    pub max_half_open_per_source: Option<usize>,
    /// What is kept of the messages of all peers together at most [default: 1GiB]
    #[arg(long, value_name = "BYTES")]
    pub max_memory: Option<Size>,
    /// The largest message in either direction [default: 16MiB]
    #[arg(long, value_name = "BYTES")]
    pub max_message: Option<Size>,
    /// What waits to be sent to a peer at most [default: 64MiB]
    #[arg(long, value_name = "BYTES")]
    pub send_buffer: Option<Size>,
    /// What a peer may have under way to us of reliable messages [default: 32MiB]
    #[arg(long, value_name = "BYTES")]
    pub receive_window: Option<Size>,
    /// What waits of unreliable messages at most, from a peer and as much to it [default: 16MiB]
    #[arg(long, value_name = "BYTES")]
    pub unreliable_buffer: Option<Size>,
    /// The most streams (channel, reliability and order) that a peer may use towards us [default: 256]
    #[arg(long, value_name = "NUMBER")]
    pub max_streams: Option<u16>,
    /// How many sessions keep their keys ready in memory; the others expand theirs when they are used
    /// [default: 1024]
    #[arg(long, value_name = "NUMBER")]
    pub active_keys: Option<u32>,
    /// Handshakes with strangers that have not shown that they are at their address [default: 200/400]
    #[arg(long, value_name = "PER_SECOND/AT_ONCE")]
    pub budget_unvalidated: Option<Rate>,
    /// The same per address [default: 10/20]
    #[arg(long, value_name = "PER_SECOND/AT_ONCE")]
    pub budget_unvalidated_per_source: Option<Rate>,
    /// Handshakes with strangers that have shown that they are at their address [default: 2000/500]
    #[arg(long, value_name = "PER_SECOND/AT_ONCE")]
    pub budget_validated: Option<Rate>,
    /// What each of these addresses gets in any case [default: 10/20]
    #[arg(long, value_name = "PER_SECOND/AT_ONCE")]
    pub budget_validated_per_source: Option<Rate>,
    /// Handshakes from the addresses of peers, on top [default: 1000/500]
    #[arg(long, value_name = "PER_SECOND/AT_ONCE")]
    pub budget_at_peers: Option<Rate>,
    /// Cheap answers to strangers [default: 20000/1000]
    #[arg(long, value_name = "PER_SECOND/AT_ONCE")]
    pub budget_retries: Option<Rate>,
    /// What a share of all addresses gets of these in any case; there are as many shares as
    /// --budget-sources [default: 8/8]
    #[arg(long, value_name = "PER_SECOND/AT_ONCE")]
    pub budget_retries_per_share: Option<Rate>,
    /// Answers to packets of sessions that are not known here [default: 1000/1000]
    #[arg(long, value_name = "PER_SECOND/AT_ONCE")]
    pub budget_unknown_session: Option<Rate>,
    /// How many addresses of strangers are remembered, each in 40 bytes [default: 4096]
    #[arg(long, value_name = "NUMBER")]
    pub budget_sources: Option<usize>,
}

/// This layer where it says something, the one below elsewhere.
macro_rules! or {
    ($upper:ident, $lower:ident: $($field:ident)*) => {
        Layer { $($field: $upper.$field.or($lower.$field),)* }
    };
}

impl Layer {
    /// This layer where it says something, `below` elsewhere.
    #[must_use]
    pub fn or(self, below: Self) -> Self {
        or!(self, below:
            runtime listen shards server identity network_secret_file allow status_socket echo relay relay_rate relay_peer_rate
            relay_total transit probe_ports stun discover disclose map_port advertise idle_timeout heartbeat busy_poll stats_interval
            log_format max_peers max_peers_per_source max_half_open
            max_half_open_per_source max_memory max_message send_buffer receive_window unreliable_buffer
            max_streams active_keys budget_unvalidated budget_unvalidated_per_source budget_validated
            budget_validated_per_source budget_at_peers budget_retries budget_retries_per_share
            budget_unknown_session budget_sources)
    }
}

/// A list of values as they are written on the command line.
fn listed<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let listed = Vec::<String>::deserialize(deserializer)?;
    let values: Result<_, _> = listed.iter().map(|value| value.parse()).collect();
    values.map(Some).map_err(serde::de::Error::custom)
}

/// A value that is written without quotes where it is `true` or `false`.
fn flag_or_text<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Flag(bool),
        Text(String),
    }
    let text = match Written::deserialize(deserializer)? {
        Written::Flag(flag) => flag.to_string(),
        Written::Text(text) => text,
    };
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// In double quotes TOML takes `\\` for an escape: a path of Windows is then another, or none.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.contains(char::is_control) {
        return Err(serde::de::Error::custom(format!("not a path: {BACKSLASH}")));
    }
    Ok(Some(text.into()))
}

/// The keys of the file: the long names of a layer's flags.
pub(crate) fn keys() -> Vec<String> {
    let command = Layer::augment_args(Command::new("keys"));
    command.get_arguments().filter_map(Arg::get_long).map(str::to_owned).collect()
}

pub(super) const BACKSLASH: &str = "write paths with backslashes in 'single quotes'";
