//! Where there are none the system ends the process, and peers find out by its silence.

use std::io;
use std::thread;

use super::Signal;

pub(super) struct Signals;

impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "elsewhere it says whom to ask")]
    pub(super) fn wait(&mut self) -> Signal {
        loop {
            thread::park();
        }
    }
}
