//! The program `p2p_server`: a handfast peer that anyone who is let in can talk to.
//!
//! It is a library so that tests can use its parts. From the outside in: [`cli`] reads the command
//! line, [`config`] adds the configuration file and the defaults, [`places`] says where the system
//! keeps such files, [`identity`] and [`allow`] read those that the configuration names. [`app`] is what the server does about each event, on whichever runtime:
//! `tokio_server` and `mio_server` drive it, each behind the feature of that name. [`stats`] puts the
//! statistics into a log line.
#![forbid(unsafe_code)]

#[cfg(not(any(feature = "tokio", feature = "mio")))]
compile_error!("handfast-server needs a runtime: enable the feature `tokio` or `mio`");

pub mod allow;
pub mod app;
pub mod banner;
pub mod cli;
pub mod config;
pub mod error;
pub mod identity;
pub mod logging;
#[cfg(feature = "mio")]
pub mod mio_server;
pub mod places;
mod private_file;
mod refusal;
pub mod signals;
pub mod stats;
#[cfg(feature = "tokio")]
pub mod tokio_server;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use handfast_core::{DisconnectOptions, DisconnectReason};

use cli::Invocation;
use config::{RuntimeKind, Settings};
use error::Error;

/// Runs the program with these arguments, the first being its own name.
///
/// The exit code is 0 after a shutdown by signal, 1 when something failed while running, and 2 when
/// the command line, the configuration or a file it names is at fault. An error is one line on
/// stderr that says what to do.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be reading: that must not change the exit code, as a panic would.
            writeln!(io::stderr(), "p2p_server: {error}").ok();
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    let (settings, file) = match cli::read(arguments, places::configuration())? {
        Invocation::Help(text) => return banner::print(&text),
        Invocation::Serve { layer, config } => (Settings::resolve(layer)?, config),
    };
    logging::start(settings.log_format)?;
    if let Some(file) = file {
        tracing::info!(file = %file.display(), "configuration read");
    }
    let identity = identity::load_or_create(&settings.identity)?;
    let config = settings.endpoint_config()?;
    match settings.runtime {
        #[cfg(feature = "tokio")]
        RuntimeKind::Tokio => tokio_server::serve(&settings, config, identity),
        #[cfg(feature = "mio")]
        RuntimeKind::Mio => mio_server::serve(&settings, config, identity),
        #[cfg(not(all(feature = "tokio", feature = "mio")))]
        absent => Err(absent.not_built_in()),
    }
}

/// How the server parts from its peers when it stops.
#[must_use]
pub fn options() -> DisconnectOptions {
    let reason = DisconnectReason::new(SHUTTING_DOWN, "the server is shutting down");
    DisconnectOptions::after(LINGER).with_reason(reason)
}

/// The code of the goodbye when the server stops, as peers see it.
pub const SHUTTING_DOWN: u16 = 1;

/// How long queues may take to drain when the server stops.
const LINGER: Duration = Duration::from_secs(2);

/// How often the state of peers that are gone is dropped.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(30);
