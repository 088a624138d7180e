//! What is asked of an endpoint, of all its shards.

use handfast_core::{Discovered, Drops, PeerHandle, PeerInfo, RouteInfo, Stats};
use handfast_udp::SocketStats;

use super::Endpoint;
use crate::error::Stopped;

impl Endpoint {
    /// All peers, in whatever state, each as it was during this call. The driver looks at a few at a time, so that its other
    /// work goes on: if peers come or end meanwhile, they may be in it or not.
    ///
    /// # Errors
    /// When the endpoint has stopped.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, Stopped> {
        let some = |core: &handfast_core::Endpoint, after: Option<PeerHandle>| {
            let handles = core.peer_handles(after).take(PEERS_AT_ONCE);
            handles.filter_map(|peer| core.peer(peer)).collect()
        };
        self.all(some, |peer: &PeerInfo| peer.handle).await
    }

    /// The handles of all peers, in whatever state: for whoever has many, and wants to know of which there are. It costs much
    /// less than [`peers`](Self::peers). If peers come or end meanwhile, they may be in it or not.
    ///
    /// # Errors
    /// When the endpoint has stopped.
    pub async fn peer_handles(&self) -> Result<Vec<PeerHandle>, Stopped> {
        let some = |core: &handfast_core::Endpoint, after: Option<PeerHandle>| {
            core.peer_handles(after).take(HANDLES_AT_ONCE).collect()
        };
        self.all(some, |peer: &PeerHandle| *peer).await
    }

    /// The routes over several hops that are used, as of now; none without [`Config::routing`](crate::Config::routing).
    ///
    /// # Errors
    /// When the endpoint has stopped.
    pub async fn routes(&self) -> Result<Vec<RouteInfo>, Stopped> {
        self.link.first.query(|core, _| core.routes().collect()).await
    }

    /// Who was heard of by beacons in the last minute: see
    /// [`discovered`](handfast_core::Endpoint::discovered) of the core.
    ///
    /// # Errors
    /// When the endpoint has stopped.
    pub async fn discovered(&self) -> Result<Vec<Discovered>, Stopped> {
        self.link.first.query(|core, _| core.discovered().collect()).await
    }

    /// Statistics as of now, or as of the end if the endpoint has stopped.
    ///
    /// # Errors
    /// None today: an endpoint leaves its last statistics even if its task is aborted or panics. So whoever
    /// wants to know whether the endpoint runs asks for something else.
    pub async fn stats(&self) -> Result<EndpointStats, Stopped> {
        let shards = self.stats_of_shards().await?;
        shards.into_iter().reduce(|sum, next| sum.and(next)).ok_or(Stopped)
    }

    /// The same for each shard by itself, in the order of their numbers; one, unless there are several
    /// ([`Self::bind_shards`]).
    ///
    /// # Errors
    /// As [`Self::stats`].
    pub async fn stats_of_shards(&self) -> Result<Vec<EndpointStats>, Stopped> {
        let mut shards = Vec::new();
        for driver in self.link.drivers() {
            let now = driver.query(EndpointStats::of).await;
            shards.push(now.or_else(|Stopped| driver.last_stats.get().copied().ok_or(Stopped))?);
        }
        Ok(shards)
    }

    /// What there is of each peer of all shards. A turn of a driver lists `some`, those after the peer that
    /// `handle` tells of the last one, so that it never keeps what is due waiting.
    async fn all<T: Send + 'static>(
        &self,
        some: fn(&handfast_core::Endpoint, Option<PeerHandle>) -> Vec<T>,
        handle: fn(&T) -> PeerHandle,
    ) -> Result<Vec<T>, Stopped> {
        let mut all = Vec::new();
        for driver in self.link.drivers() {
            let mut last = None;
            loop {
                let next = driver.query(move |core, _| some(core, last)).await?;
                let Some(peer) = next.last() else { break };
                last = Some(handle(peer));
                all.extend(next);
            }
        }
        Ok(all)
    }
}

/// Counters of what an endpoint did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// What the protocol did.
    pub stats: Stats,
    /// Datagrams dropped, by reason.
    pub drops: Drops,
    /// What happened at all sockets together, those that were removed included.
    pub sockets: SocketStats,
}

impl EndpointStats {
    pub(crate) fn of(core: &handfast_core::Endpoint, sockets: SocketStats) -> Self {
        Self { stats: *core.stats(), drops: *core.drops(), sockets }
    }

    /// Both together.
    fn and(mut self, other: Self) -> Self {
        self.stats += other.stats;
        self.drops += other.drops;
        self.sockets += other.sockets;
        self
    }
}

/// To look at a peer that was quiet for long takes some microseconds.
const PEERS_AT_ONCE: usize = 32;
const HANDLES_AT_ONCE: usize = 1024;
