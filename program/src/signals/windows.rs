//! What a console tells its programs. When it is closed, Windows ends them five seconds later at the
//! most: time enough for a goodbye.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::select;
use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

use super::Signal;

/// The signals that this process gets from now on.
#[derive(Debug)]
pub struct Signals {
    runtime: Runtime,
    c: CtrlC,
    r#break: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Signals {
    /// Catches them.
    ///
    /// # Errors
    /// When the system does not let them be caught.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            runtime: Builder::new_current_thread().build()?,
            c: ctrl_c()?,
            r#break: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// The next one, when it comes.
    pub fn wait(&mut self) -> Signal {
        let Self { runtime, c, r#break, close, shutdown } = self;
        runtime.block_on(async {
            select! {
                _ = c.recv() => {}
                _ = r#break.recv() => {}
                _ = close.recv() => {}
                _ = shutdown.recv() => {}
            }
        });
        Signal::Stop
    }
}
