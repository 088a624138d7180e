//! SIGINT and SIGTERM.

use std::io;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};

pub(super) struct Signals(signal_hook::iterator::Signals);

impl Signals {
    pub(super) fn catch() -> io::Result<Self> {
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map(Self)
    }

    /// Returns when the next one comes.
    pub(super) fn wait(&mut self) {
        if self.0.forever().next().is_none() {
            // Nothing closes the iterator. Were it closed, no signal would come.
            loop {
                thread::park();
            }
        }
    }
}
