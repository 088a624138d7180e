//! How far a transfer is: a bar on a terminal, else a line now and then.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::say;

/// Shows how far one file is.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    size: u64,
    told: Instant,
}

impl Progress {
    /// Of a file of this size.
    pub(super) fn new(size: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(BAR);
            ProgressBar::new(size)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, size, told: Instant::now() }
    }

    /// So much of it is through.
    pub(super) fn set(&mut self, bytes: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(bytes),
            None if self.told.elapsed() >= BETWEEN_LINES => {
                self.told = Instant::now();
                let percent = bytes * 100 / self.size.max(1);
                let (bytes, size) = (HumanBytes(bytes), HumanBytes(self.size));
                say(format_args!("{percent:>3} %      {bytes} of {size}"));
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

const BAR: &str = "{bar:32} {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left";
const BETWEEN_LINES: Duration = Duration::from_secs(5);
