//! The program `p2p_server`: a handfast peer that anyone who is let in can talk to.
//!
//! It is a library so that tests can use its parts. From the outside in: [`cli`] reads the command
//! line, [`config`] adds the configuration file and the defaults, [`access`] and [`allow`] read those that say who may come in. [`app`] is what the
//! server does about each event, on whichever runtime: `tokio_server` and `mio_server` drive it, each behind
//! the feature of that name. [`logging`] takes log lines without ever waiting for whoever reads them,
//! [`stats`] puts the statistics into one. `status` answers whoever runs the server, over a socket.
#![forbid(unsafe_code)]

#[cfg(not(any(feature = "tokio", feature = "mio")))]
compile_error!("handfast-server needs a runtime: enable the feature `tokio` or `mio`");

pub mod access;
pub mod allow;
pub mod app;
pub mod banner;
pub mod cli;
pub mod config;
pub mod logging;
#[cfg(feature = "mio")]
pub mod mio_server;
mod record;
mod refusal;
mod repeats;
pub mod signals;
pub mod stats;
#[cfg_attr(not(unix), allow(dead_code, reason = "without a socket nobody asks"))]
mod status;
#[cfg(feature = "tokio")]
pub mod tokio_server;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use handfast_core::{
    Config, Direction, DisconnectOptions, DisconnectReason, Identity, PeerInfo, Target,
};
use handfast_program::output::print;
use handfast_program::{Error, keys, places};
use handfast_udp::{KeyFile, PortMapping, TargetName, explain};

use access::Access;
use cli::Invocation;
use config::{Layer, RuntimeKind, Settings};
use logging::{Log, Writer};

/// Runs the program with these arguments, the first being its own name.
///
/// The exit code is 0 after a shutdown by signal, 1 when something failed while running, and 2 when
/// the command line, the configuration or a file it names is at fault. An error is one line on
/// stderr that says what to do: an object if the log is JSON.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let log = match Log::open() {
        Ok(log) => log,
        Err(error) => {
            writeln!(io::stderr(), "p2p_server: cannot log: {}", explain(&error)).ok();
            return ExitCode::FAILURE;
        }
    };
    let result = run(&arguments, &log);
    if let Err(error) = &result {
        log.fail(error, || cli::log_format(&arguments, places::configuration(CONFIGURATION)));
    }
    log.finish();
    result.map_or_else(|error| ExitCode::from(error.exit_code()), |()| ExitCode::SUCCESS)
}

fn run(arguments: &[OsString], log: &Log) -> Result<(), Error> {
    match cli::read(arguments.iter().cloned(), places::configuration(CONFIGURATION))? {
        Invocation::Help(text) => print(&text),
        Invocation::Id(layer) => keys::show_id(&key_file(layer)?, "p2p_server"),
        Invocation::GenKey(file, layer) => {
            keys::make(&file.map_or_else(|| key_file(layer), |file| Ok(KeyFile::new(file)))?)
        }
        Invocation::Status { layer, json, watch } => {
            status::ask::status(layer.status_socket.as_deref(), json, watch)
        }
        Invocation::Kick(peer, layer) => status::ask::kick(layer.status_socket.as_deref(), peer),
        Invocation::Serve { layer, config } => serve(Settings::resolve(layer)?, config, log),
    }
}

fn serve(settings: Settings, file: Option<PathBuf>, log: &Log) -> Result<(), Error> {
    log.start(settings.log_format)?;
    if let Some(file) = file {
        tracing::info!(file = %file.display(), "configuration read");
    }
    let identity = KeyFile::new(&settings.identity).load_or_create();
    let identity = identity.map_err(|error| Error::Usage(error.to_string()))?;
    let access = Access::read(&settings)?;
    let config = settings.endpoint_config(&access)?;
    let servers = settings.servers.iter().map(resolve).collect::<Result<_, _>>()?;
    let log = log.writer().clone();
    let start = Start { settings, access, config, identity, servers, log };
    match start.settings.runtime {
        #[cfg(feature = "tokio")]
        RuntimeKind::Tokio => tokio_server::serve(start),
        #[cfg(feature = "mio")]
        RuntimeKind::Mio => mio_server::serve(start),
        #[cfg(not(all(feature = "tokio", feature = "mio")))]
        absent => Err(absent.not_built_in()),
    }
}

fn resolve(server: &TargetName) -> Result<Target, Error> {
    let found = server.resolve();
    found.map_err(|error| Error::Usage(format!("--server {server}: {}", explain(&error))))
}

/// What keeps a port of the router, if that could be started; it logs what becomes of it. The server serves without as
/// well.
fn mapping(started: io::Result<PortMapping>) -> Option<PortMapping> {
    let failed = |error: &io::Error| {
        tracing::warn!(error = %explain(error), "no router is asked for a port");
    };
    started.inspect_err(failed).ok()
}

/// What a server starts with, on either runtime.
#[derive(Debug)]
pub struct Start {
    /// What the operator chose.
    pub settings: Settings,
    /// Who may come in.
    pub access: Access,
    /// The same for the endpoint.
    pub config: Config,
    /// Who the server is.
    pub identity: Identity,
    /// Servers to stay connected to.
    pub servers: Vec<Target>,
    /// What takes the lines of the log.
    pub log: Writer,
}

fn key_file(layer: Layer) -> Result<KeyFile, Error> {
    layer.identity.map_or_else(|| places::key(KEY), Ok).map(KeyFile::new)
}

/// How the server parts from its peers when it stops.
#[must_use]
pub fn options() -> DisconnectOptions {
    let reason = DisconnectReason::new(SHUTTING_DOWN, "the server is shutting down");
    DisconnectOptions::after(LINGER).with_reason(reason)
}

/// Whether a peer may no longer be here. The list does not concern those that the server itself dials.
fn is_unwelcome(peer: &PeerInfo, access: &Access) -> bool {
    let is_ours = peer.direction == Some(Direction::Outbound) || peer.connected_since.is_none();
    !is_ours && peer.id.is_some_and(|id| !access.admits(&id))
}

/// How the server parts from a peer that may no longer be here.
#[must_use]
pub fn farewell_to_the_unwelcome() -> DisconnectOptions {
    let reason = DisconnectReason::new(NO_LONGER_ADMITTED, "no longer admitted");
    DisconnectOptions::now().with_reason(reason)
}

/// The code of the goodbye to a peer that is no longer on the list, as it sees it.
pub const NO_LONGER_ADMITTED: u16 = 2;

/// The code of the goodbye to a peer from which the operator parted (`p2p_server kick`), as it sees it.
pub const KICKED: u16 = 3;

/// The code of the goodbye when the server stops, as peers see it.
pub const SHUTTING_DOWN: u16 = 1;

/// The file with the key of the server, where its place is not chosen.
const KEY: &str = "server.key";
/// The file with its configuration, where none is named.
const CONFIGURATION: &str = "server.toml";
/// How long queues may take to drain when the server stops.
const LINGER: Duration = Duration::from_secs(2);

/// How often the state of peers that are gone is dropped.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(30);
