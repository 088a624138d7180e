//! By which way packets go, in words.

use handfast_tokio::{Peer, Via};

/// `direct ADDRESS`, `routed via PEERID`.
pub(crate) fn words(path: Option<Via>) -> String {
    match path {
        Some(Via::Direct(tuple)) => format!("direct {}", canonical(tuple.remote)),
        Some(Via::Routed(route)) => format!("routed via {}", route.neighbour),
        Some(other) => other.to_string(),
        None => "parted".to_owned(),
    }
}

/// An IPv4 address is shown as one, whatever socket it came by.
pub(crate) fn canonical(address: std::net::SocketAddr) -> std::net::SocketAddr {
    (address.ip().to_canonical(), address.port()).into()
}

/// Whether packets go to the peer without anybody between.
pub(crate) fn is_direct(peer: &Peer) -> bool {
    matches!(peer.path(), Some(Via::Direct(_)))
}
