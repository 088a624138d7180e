//! Where there are no Unix sockets.

use std::io;
use std::path::Path;
use std::time::Duration;

use handfast_program::Error;

use super::Handler;

/// There is never one.
pub(crate) enum Guard {}

const ABSENT: &str =
    "this system has no Unix sockets: `p2p_server status` and `kick` do not exist here";

pub(super) fn open(_: &Path, _: Handler) -> Result<Guard, Error> {
    Err(Error::Usage(ABSENT.to_owned()))
}

pub(super) fn exchange(_: &Path, _: &str, _: Duration) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::Unsupported, ABSENT))
}
