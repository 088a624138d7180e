//! SIGINT and SIGTERM: the first ends the server politely, the second at once.

use std::io;

use crate::error::Error;

/// Has `stop` run, on a thread of its own, when the first signal comes.
///
/// # Errors
/// When signals cannot be caught.
pub fn on_first(stop: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    watch(stop).map_err(|error| Error::Run(format!("cannot catch signals: {error}")))
}

#[cfg(unix)]
fn watch(stop: impl FnOnce() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let wait = move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            tracing::info!("stopping: saying goodbye to everyone (a second signal stops at once)");
            stop();
        }
        if signals.next().is_some() {
            tracing::warn!("stopped at once: some peers may not have been told");
            std::process::exit(1);
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

/// Elsewhere the system ends the process, and peers find out by its silence.
#[cfg(not(unix))]
fn watch(_stop: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Ok(())
}
