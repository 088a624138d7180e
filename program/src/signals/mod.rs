//! What whoever runs a program tells it: SIGINT and SIGTERM to stop, SIGHUP to read files anew; on Windows
//! Ctrl-C, Ctrl-Break and the end of the console or of the session to stop.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(not(any(unix, windows)), path = "other.rs")]
mod system;

pub use system::Signals;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To end.
    Stop,
    /// To read files anew. Not every system has it.
    Reload,
}
