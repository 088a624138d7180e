//! SIGINT, SIGTERM and SIGHUP.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Signal;

/// The signals that this process gets from now on.
#[derive(Debug)]
pub struct Signals(signal_hook::iterator::Signals);

impl Signals {
    /// Catches them.
    ///
    /// # Errors
    /// When the system does not let them be caught.
    pub fn catch() -> io::Result<Self> {
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).map(Self)
    }

    /// The next one, when it comes.
    pub fn wait(&mut self) -> Signal {
        match self.0.forever().next() {
            Some(SIGHUP) => Signal::Reload,
            Some(_) => Signal::Stop,
            // Nothing closes the iterator. Were it closed, no signal would come.
            None => loop {
                thread::park();
            },
        }
    }
}
