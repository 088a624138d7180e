//! Where log lines go: to stderr, as text or JSON, chosen by `RUST_LOG`.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::LogFormat;
use crate::error::Error;

/// Begins to log.
///
/// # Errors
/// When `RUST_LOG` is not understood, or something else logs already.
pub fn start(format: LogFormat) -> Result<(), Error> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let filter = filter.from_env().map_err(|error| {
        Error::Usage(format!("RUST_LOG is not understood: {error}; write RUST_LOG=debug, say"))
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Nobody may be reading any more. To complain of that on stderr as well would be a panic.
    let lines = lines.log_internal_errors(false);
    let started = match format {
        LogFormat::Text => lines.with_ansi(shows_colours()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Error::Run(format!("cannot log: {error}")))
}

/// A console of Windows has to be asked for them first.
fn shows_colours() -> bool {
    io::stderr().is_terminal() && anstyle_query::windows::enable_ansi_colors().unwrap_or(true)
}
