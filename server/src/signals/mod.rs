//! What asks the server to stop: SIGINT and SIGTERM, on Windows Ctrl-C, Ctrl-Break and the end of the
//! console or of the session. The first ends the server politely, the second at once.

use std::io;
use std::thread;

use handfast_udp::explain;

use crate::error::Error;

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(not(any(unix, windows)), path = "other.rs")]
mod system;

/// Has `stop` run, on a thread of its own, when the first signal comes.
///
/// # Errors
/// When signals cannot be caught.
pub fn on_first(stop: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    watch(stop).map_err(|error| Error::Run(format!("cannot catch signals: {}", explain(&error))))
}

fn watch(stop: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut signals = system::Signals::catch()?;
    let wait = move || {
        signals.wait();
        tracing::info!("stopping: saying goodbye to everyone (a second signal stops at once)");
        stop();
        signals.wait();
        tracing::warn!("stopped at once: some peers may not have been told");
        std::process::exit(1);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}
