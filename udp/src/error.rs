//! Why a socket does not come or go.

use std::error::Error;
use std::fmt;
use std::io;

use handfast_core::SocketId;

/// Why a socket was not added or removed.
#[derive(Debug)]
#[non_exhaustive]
pub enum SocketError {
    /// It cannot be removed: an endpoint has at least one socket. Add another first.
    Last(SocketId),
    /// The system does not open it, for instance because the address is in use
    /// ([`io::ErrorKind::AddrInUse`]). The error names the address.
    Open(io::Error),
    /// The endpoint has several shards: its sockets are those that it was bound with.
    Sharded,
    /// The endpoint has stopped: its sockets are closed.
    Stopped,
    /// 1,024 sockets are open.
    TooMany,
    /// No socket has this id, or no longer.
    Unknown(SocketId),
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last(SocketId(id)) => {
                write!(f, "socket {id} is the last one of the endpoint: add another first")
            }
            Self::Open(error) => error.fmt(f),
            Self::Sharded => f.write_str("an endpoint with several shards keeps its sockets"),
            Self::Stopped => f.write_str("the endpoint has stopped"),
            Self::TooMany => f.write_str("too many sockets are open: remove one"),
            Self::Unknown(SocketId(id)) => write!(f, "there is no socket {id}"),
        }
    }
}

impl Error for SocketError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Open(error) => error.source(),
            Self::Last(_) | Self::Sharded | Self::Stopped | Self::TooMany | Self::Unknown(_) => {
                None
            }
        }
    }
}
