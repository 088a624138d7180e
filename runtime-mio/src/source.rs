//! An endpoint among the sources of somebody else's poll.

use std::io;
use std::os::fd::AsRawFd;

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::Endpoint;

/// Readable whenever a turn has something to do that no timer tells of: the endpoint's own poll, with all
/// its sockets, whichever there are, is what is registered. See [`Endpoint::prepare`].
impl Source for Endpoint {
    fn register(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        SourceFd(&self.poll.as_raw_fd()).register(registry, token, Interest::READABLE)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        SourceFd(&self.poll.as_raw_fd()).reregister(registry, token, Interest::READABLE)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.poll.as_raw_fd()).deregister(registry)
    }
}
