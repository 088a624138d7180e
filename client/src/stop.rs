//! Ctrl-C and what the system has beside it.

use std::thread;
use std::time::{Duration, Instant};

use handfast_program::Error;
use handfast_program::signals::{Signal, Signals};
use handfast_tokio::explain;
use tokio::sync::watch;

/// Knows whether the program was told to stop. The first signal ends the task in order, a second one the
/// program at once. Those within half a second of the first are the first.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(crate) fn catch() -> Result<Self, Error> {
        let failed = |error| Error::Run(format!("cannot catch signals: {}", explain(&error)));
        let mut signals = Signals::catch().map_err(failed)?;
        let (sender, receiver) = watch::channel(false);
        let wait = move || {
            let mut first = None;
            loop {
                if signals.wait() != Signal::Stop {
                    continue;
                }
                sender.send_replace(true);
                if first.get_or_insert_with(Instant::now).elapsed() >= SAME_SIGNAL {
                    std::process::exit(1);
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(failed)?;
        Ok(Self(receiver))
    }

    /// Completes when the program is to stop.
    pub(crate) async fn asked(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|stop| *stop).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}

const SAME_SIGNAL: Duration = Duration::from_millis(500);
