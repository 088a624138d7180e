//! Looking hosts up.

use std::io;

use handfast_core::Target;
use handfast_udp::TargetName;
use tokio::net::lookup_host;

/// Looks up the host of a name such as `PEERID@example.org:4263`, without blocking. The target goes to
/// [`Endpoint::connect`](crate::Endpoint::connect).
///
/// # Errors
/// When the host is unknown or has no address.
pub async fn resolve(name: &TargetName) -> io::Result<Target> {
    name.found(lookup_host(name.place()).await)
}
