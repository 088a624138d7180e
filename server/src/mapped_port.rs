//! The port of a router that leads to the server.

use std::io;

use handfast_udp::{PortMapping, PortNews, explain};

/// Logs what becomes of it, in a line each time.
pub(crate) fn log(news: &PortNews) {
    match news {
        PortNews::Open { external, protocol, .. } => {
            tracing::info!(address = %external, by = %protocol, "the router forwards a port to us");
        }
        PortNews::Closed { reason, .. } => {
            tracing::warn!(%reason, "no router forwards a port to us; it is tried again every five minutes");
        }
        news => tracing::info!("{news}"),
    }
}

/// What keeps it, if that could be started. The server serves without as well.
pub(crate) fn started(mapping: io::Result<PortMapping>) -> Option<PortMapping> {
    let failed = |error: &io::Error| tracing::warn!(error = %explain(error), "no router is asked for a port");
    mapping.inspect_err(failed).ok()
}
