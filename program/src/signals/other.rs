//! Where there are none the system ends the process, and peers find out by its silence.

use std::io;
use std::thread;

use super::Signal;

/// The signals that this process gets from now on.
#[derive(Debug)]
pub struct Signals;

impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    /// Catches them.
    ///
    /// # Errors
    /// When the system does not let them be caught.
    pub fn catch() -> io::Result<Self> {
        Ok(Self)
    }

    /// The next one, when it comes.
    #[expect(clippy::unused_self, reason = "elsewhere it says whom to ask")]
    pub fn wait(&mut self) -> Signal {
        loop {
            thread::park();
        }
    }
}
