//! What a system refused while a socket was set up.

use std::io;

use socket2::SockRef;

use crate::explain;

/// What the socket does without, in words, and the first error that the system gave.
#[derive(Debug, Default)]
pub(super) struct Refused {
    options: Vec<&'static str>,
    error: Option<io::Error>,
}

impl Refused {
    pub(super) fn add(&mut self, option: &'static str) {
        self.options.push(option);
    }

    pub(super) fn add_error(&mut self, error: io::Error) {
        self.error.get_or_insert(error);
    }

    /// One line with all of it, if there is any.
    pub(super) fn warn(&self, io: &SockRef<'_>) {
        if self.options.is_empty() {
            return;
        }
        tracing::warn!(
            target: "handfast::driver",
            address = ?io.local_addr().ok().and_then(|address| address.as_socket()),
            without = self.options.join(", "),
            error = self.error.as_ref().map(|error| explain(error).to_string()),
            "the system refuses options of this socket, which does without them",
        );
    }
}
