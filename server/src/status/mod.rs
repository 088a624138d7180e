//! `p2p_server status` and `kick`: what a running server tells whoever runs it, over a socket that nobody else
//! can open.
//!
//! Who asks sends one line, `peers` or `kick PEERID`, and gets one line of JSON. [`report`] writes and reads it,
//! [`place`] says where the socket is, [`socket`] is the server's end of it, [`ask`] the other one. Where a
//! system has no Unix sockets, the server runs without.

pub(crate) mod ask;
mod place;
mod report;
#[cfg(unix)]
#[path = "unix.rs"]
mod socket;
#[cfg(not(unix))]
#[path = "other.rs"]
mod socket;

use std::path::Path;
use std::sync::Arc;

use handfast_core::{
    DisconnectOptions, DisconnectReason, Instant, PeerId, PeerInfo, RouteInfo, Stats,
};
use handfast_program::Error;

pub(crate) use socket::Guard;

/// What is asked of a running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Who is connected.
    Peers,
    /// To part from this peer.
    Kick(PeerId),
}

/// What it answers.
#[derive(Debug)]
pub(crate) enum Answer {
    Peers(Box<Snapshot>),
    /// Whether there was such a peer.
    Kicked(bool),
}

/// A moment of the server's life.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// On the clock of the peers' times.
    pub(crate) now: Instant,
    pub(crate) peers: Vec<PeerInfo>,
    pub(crate) stats: Stats,
    /// To peers that are several hops away, and to those that tell of themselves.
    pub(crate) routes: Vec<RouteInfo>,
}

/// Asks the runtime, from any thread, and waits; `None` once the server has stopped, or has no time.
pub(crate) type Handler = Arc<dyn Fn(Ask) -> Option<Answer> + Send + Sync>;

/// Opens the socket. `None` if there is to be none, or, where nobody chose a place, none can be: the log says
/// why, but for a system that has no such sockets.
///
/// # Errors
/// When the place that was chosen is not private, cannot be used, or is that of a running server.
pub(crate) fn open(choice: Option<&Path>, handler: Handler) -> Result<Option<Guard>, Error> {
    // Where there are none, nobody misses one that he did not ask for.
    if choice == Some(Path::new(place::NONE)) || (choice.is_none() && cfg!(not(unix))) {
        return Ok(None);
    }
    let opened = match choice {
        Some(path) => socket::open(path, handler),
        None => match place::usual() {
            Some(path) => socket::open(&path, handler),
            None => Err(Error::Usage(
                "this user has no directory for it: name a place with --status-socket".to_owned(),
            )),
        },
    };
    match opened {
        Ok(guard) => Ok(Some(guard)),
        Err(error) if choice.is_some() => Err(error),
        Err(error) => {
            tracing::warn!(%error, "`p2p_server status` and `kick` will not find this server");
            Ok(None)
        }
    }
}

/// How the server parts from a peer that the operator does not want.
pub(crate) fn farewell_to_the_kicked() -> DisconnectOptions {
    let reason = DisconnectReason::new(crate::KICKED, "the operator parts from you");
    DisconnectOptions::now().with_reason(reason)
}
