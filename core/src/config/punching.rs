//! Whether direct ways to peers are looked for, and what those are told of us.

use alloc::vec::Vec;
use core::net::SocketAddr;

/// Whether direct ways are looked for to peers that are reached by way of a neighbour, and which addresses of ours
/// such a peer is told.
///
/// It concerns peers that the application dialled, sent a message to or took a message from, and those that
/// [`Admission`](crate::Admission) names. Nobody else is told or probed, and only a peer that looks for a way as well is found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Punching {
    /// Whether they are looked for. Default: false.
    pub enabled: bool,
    /// Whether such a peer is told the addresses of our interfaces, those of
    /// [`Endpoint::set_host_addresses`](crate::Endpoint::set_host_addresses). Default: true.
    pub tell_host: bool,
    /// Whether it is told where our neighbours see us. Default: true.
    pub tell_observed: bool,
    /// Further addresses that it is told, say those of a port that a router forwards to us. Of more than four, the
    /// first four. Default: none.
    pub advertise: Vec<SocketAddr>,
    /// Whether a search that found nothing by the usual socket, or whose way was lost, may go on by a further one, which
    /// the driver opens ([`Event::OpenSocket`](crate::Event)) and closes again: at most 64 at once. Set it to false
    /// if the driver cannot do that; the [`Verdict`](crate::Verdict) says that the step was left out. Default: true.
    pub fresh_ports: bool,
    /// The two further ports by which neighbours that forward help with the test of our NAT that is made by itself, in the order
    /// in which the server names them (`p2p_server --probe-ports`). Default: `None`, for the two after that of the
    /// neighbour. A neighbour that has others tells nothing of the NAT.
    pub probe_ports: Option<[u16; 2]>,
}

impl Default for Punching {
    fn default() -> Self {
        Self {
            enabled: false,
            tell_host: true,
            tell_observed: true,
            advertise: Vec::new(),
            fresh_ports: true,
            probe_ports: None,
        }
    }
}
