//! Where log lines go: to stderr, as text or JSON, chosen by `RUST_LOG`. Nobody waits for whoever reads
//! them: see [`Writer`].

mod filter;
mod json;
mod writer;

use std::backtrace::Backtrace;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::OnceLock;
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

pub use writer::Writer;

use crate::config::LogFormat;
use handfast_program::Error;

/// The log of the program.
#[derive(Debug)]
pub struct Log {
    writer: Writer,
    /// Known once it is started.
    format: OnceLock<LogFormat>,
}

impl Log {
    /// Opens stderr. Nothing is logged yet.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn open() -> io::Result<Self> {
        let tell = |count| {
            tracing::warn!(count, "log lines were dropped: they were not read in time");
        };
        Ok(Self { writer: Writer::start(sink(), tell)?, format: OnceLock::new() })
    }

    /// Begins to log.
    ///
    /// # Errors
    /// When `RUST_LOG` is not understood, or something else logs already.
    pub fn start(&self, format: LogFormat) -> Result<(), Error> {
        self.format.set(format).ok();
        let wanted = env::var("RUST_LOG").ok();
        let filter = filter::parse(wanted.as_deref())?;
        let lines = fmt::layer().with_writer(self.writer.clone()).log_internal_errors(false);
        let lines = match format {
            LogFormat::Text => lines.with_ansi(shows_colours()).boxed(),
            LogFormat::Json => lines.event_format(json::Json).boxed(),
        };
        let started = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
        started.map_err(|error| Error::Run(format!("cannot log: {error}")))?;
        if let Some(warning) = wanted.as_deref().and_then(filter::warning) {
            // The filter may well let no warning through.
            self.writer.push(line(Level::WARN, &warning, None, format).as_bytes());
        }
        // The usual way to tell of a panic waits for whoever reads stderr.
        let writer = self.writer.clone();
        panic::set_hook(Box::new(move |panic| {
            let text = format!("{panic}\n{}", Backtrace::capture());
            writer.push(line(Level::ERROR, &text, None, format).as_bytes());
        }));
        Ok(())
    }

    /// Says why the program ends: as a line of the log if that is JSON. `fallback` is its format if it
    /// was not started.
    pub fn fail(&self, error: &Error, fallback: impl FnOnce() -> LogFormat) {
        let format = self.format.get().copied().unwrap_or_else(fallback);
        let line = line(Level::ERROR, &error.to_string(), Some(error.exit_code()), format);
        self.writer.push(line.as_bytes());
    }

    /// What takes the lines.
    #[must_use]
    pub const fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Waits for the reader, but not for long.
    pub fn finish(&self) {
        self.writer.flush(LAST_LINES);
    }
}

/// A line that is written whatever the filter.
fn line(level: Level, message: &str, exit_code: Option<u8>, format: LogFormat) -> String {
    match format {
        LogFormat::Text if level == Level::ERROR => format!("p2p_server: {message}\n"),
        LogFormat::Text => format!("p2p_server: warning: {message}\n"),
        LogFormat::Json => json::line(level, message, exit_code),
    }
}

/// Whoever writes to stderr by the usual way as well must not wait for a reader with the writer.
#[cfg(unix)]
fn sink() -> Box<dyn Write + Send> {
    use std::fs::File;
    use std::os::fd::AsFd;
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(copy) => Box::new(File::from(copy)),
        Err(_) => Box::new(io::stderr()),
    }
}

/// Consoles take text by the usual way alone.
#[cfg(not(unix))]
fn sink() -> Box<dyn Write + Send> {
    Box::new(io::stderr())
}

/// A console of Windows has to be asked for them first.
fn shows_colours() -> bool {
    io::stderr().is_terminal() && anstyle_query::windows::enable_ansi_colors().unwrap_or(true)
}

/// How long the end waits for the reader of the log.
const LAST_LINES: Duration = Duration::from_secs(1);
