//! The thread that keeps a port of the router.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::upnp::{self, Upnp};
use super::{PortNews, PortProtocol, gateway, pcp};
use crate::explain;

/// What a router is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Our port.
    pub(super) port: u16,
    /// The port that others are to use: the one that we had before, or 0 for any.
    pub(super) external: u16,
    /// Names us, the same for as long as we want the port.
    pub(super) nonce: [u8; 12],
}

/// What a router gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) external: SocketAddr,
    pub(super) life: Duration,
    pub(super) protocol: PortProtocol,
}

/// A router that gave a port.
#[derive(Clone, Debug)]
enum Router {
    Pcp(SocketAddr),
    Upnp(Upnp),
}

impl Router {
    /// Asks for the port, or gives it back if for no time.
    fn ask(&self, request: &Request, life: Duration) -> io::Result<Grant> {
        match self {
            Self::Pcp(router) => pcp::ask(*router, request, life),
            Self::Upnp(router) => router.ask(request, life),
        }
    }
}

/// What the thread knows.
pub(super) struct Client {
    /// The router that was named.
    named: Option<SocketAddr>,
    request: Request,
    held: Option<Held>,
    /// Ends when the port is no longer wanted.
    stopping: Receiver<()>,
}

/// A port that is ours.
struct Held {
    router: Router,
    external: SocketAddr,
    until: Instant,
}

impl Client {
    pub(super) const fn new(
        port: u16,
        named: Option<SocketAddr>,
        nonce: [u8; 12],
        stopping: Receiver<()>,
    ) -> Self {
        let request = Request { port, external: 0, nonce };
        Self { named, request, held: None, stopping }
    }

    pub(super) fn run(mut self, mut report: impl FnMut(&PortNews)) {
        let mut is_first = true;
        loop {
            let wait = match self.renew() {
                Ok((router, grant)) => self.on_grant(router, &grant, &mut report),
                Err(reason) => self.on_failure(reason, is_first, &mut report),
            };
            is_first = false;
            match self.stopping.recv_timeout(wait.clamp(SOON, LONGEST_WAIT)) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(Held { router, .. }) = &self.held
            && let Err(error) = router.ask(&self.request, Duration::ZERO)
        {
            let error = explain(&error);
            tracing::debug!(target: "handfast::driver", %error, "the port of the router was not given back");
        }
    }

    /// The port is ours. Returns when it is to be asked for again.
    fn on_grant(
        &mut self,
        router: Router,
        grant: &Grant,
        report: &mut impl FnMut(&PortNews),
    ) -> Duration {
        let Grant { external, life, protocol } = *grant;
        if self.held.as_ref().is_none_or(|held| held.external != external) {
            tracing::info!(
                target: "handfast::driver",
                address = %external, by = %protocol, "the router forwards a port to us",
            );
            report(&PortNews::Open { external, protocol });
        }
        self.held = Some(Held { router, external, until: Instant::now() + life });
        self.request.external = external.port();
        life / 2
    }

    /// There is none, or no answer. Returns when it is to be asked for again.
    fn on_failure(
        &mut self,
        reason: String,
        is_first: bool,
        report: &mut impl FnMut(&PortNews),
    ) -> Duration {
        let now = Instant::now();
        let left = self.held.as_ref().map(|held| held.until.saturating_duration_since(now));
        if let Some(left) = left.filter(|left| *left > SOON) {
            // It is ours for a while yet.
            tracing::debug!(target: "handfast::driver", %reason, "the router's port is not renewed");
            return left / 2;
        }
        if self.held.take().is_some() || is_first {
            tracing::warn!(
                target: "handfast::driver",
                %reason, "no router forwards a port to us; it is tried again every five minutes",
            );
            report(&PortNews::Closed { reason });
        }
        RETRY
    }

    /// Asks whoever gave the port, or looks for somebody who does. Says why there is nobody.
    fn renew(&self) -> Result<(Router, Grant), String> {
        if let Some(Held { router, .. }) = &self.held
            && let Ok(grant) = router.ask(&self.request, LIFE)
        {
            return Ok((router.clone(), grant));
        }
        let router = self.named.map_or_else(gateway::default, Ok);
        // Where it is known, nobody else in the network is taken for it.
        let ip = router.as_ref().ok().map(SocketAddr::ip);
        let by_pcp = router.and_then(|router| {
            let router = Router::Pcp(router);
            router.ask(&self.request, LIFE).map(|grant| (router, grant))
        });
        let no_pcp = match by_pcp {
            Ok(granted) => return Ok(granted),
            Err(error) => explain(&error).to_string(),
        };
        // Whoever is no longer wanted does not wait for a second protocol.
        if matches!(self.stopping.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected)) {
            return Err(no_pcp);
        }
        let by_upnp = upnp::find(ip).and_then(|router| {
            let router = Router::Upnp(router);
            router.ask(&self.request, LIFE).map(|grant| (router, grant))
        });
        by_upnp.map_err(|error| format!("PCP and NAT-PMP: {no_pcp}; UPnP: {}", explain(&error)))
    }
}

/// For how long a port is asked for: what a program that crashed leaves behind.
pub(super) const LIFE: Duration = Duration::from_secs(3600);
const RETRY: Duration = Duration::from_secs(300);
/// The least time between two requests.
const SOON: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
