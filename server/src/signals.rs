//! What the operator tells the running server: SIGINT and SIGTERM to stop, SIGHUP to read the files anew;
//! on Windows Ctrl-C, Ctrl-Break and the end of the console or of the session to stop.
//!
//! The first signal to stop ends the server politely, the second at once. Those within half a second of
//! the first are the first: `timeout`, for one, sends its signal to the process and to its group.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use handfast_program::Error;
use handfast_program::signals::{Signal, Signals};
use handfast_udp::explain;

use crate::logging::Writer;

/// Has `stop` run at the first signal to stop, and `reload` at every signal to read the files anew, each on
/// a thread of its own. Whatever they do comes before anything is logged.
///
/// # Errors
/// When signals cannot be caught.
pub fn watch(
    log: Writer,
    stop: impl FnOnce() + Send + 'static,
    reload: impl FnMut() + Send + 'static,
) -> Result<(), Error> {
    spawn(log, stop, reload)
        .map_err(|error| Error::Run(format!("cannot catch signals: {}", explain(&error))))
}

fn spawn(
    log: Writer,
    stop: impl FnOnce() + Send + 'static,
    mut reload: impl FnMut() + Send + 'static,
) -> io::Result<()> {
    let mut signals = Signals::catch()?;
    // To read files may take long, and to stop must not wait for it.
    let (wish, wishes) = std::sync::mpsc::sync_channel(1);
    let reloading = move || wishes.iter().for_each(|()| reload());
    thread::Builder::new().name("reload".to_owned()).spawn(reloading)?;
    let wait = move || {
        let mut wait_for_stop = || loop {
            match signals.wait() {
                Signal::Stop => return,
                // One that waits already will do.
                Signal::Reload => _ = wish.try_send(()),
            }
        };
        wait_for_stop();
        let first = Instant::now();
        // Said before: a server without peers is gone at once.
        tracing::info!("stopping: saying goodbye to everyone (a second signal stops at once)");
        stop();
        loop {
            wait_for_stop();
            if first.elapsed() >= SAME_SIGNAL {
                break;
            }
        }
        tracing::warn!("stopped at once: some peers may not have been told");
        log.flush(LAST_LINE);
        std::process::exit(1);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

/// Signals as close as this are one.
const SAME_SIGNAL: Duration = Duration::from_millis(500);
/// How long a second signal waits for the reader of the log.
const LAST_LINE: Duration = Duration::from_millis(100);
