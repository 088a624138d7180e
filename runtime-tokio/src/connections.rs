//! One peer, met again and again.

use handfast_core::Target;
use handfast_udp::Backoff;

use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::peer::Peer;

/// A peer that is dialled again whenever it is lost, from
/// [`Endpoint::keep_connected`](crate::Endpoint::keep_connected). Dropping it stops that, and leaves the
/// peer as it is.
#[derive(Debug)]
pub struct Connections {
    endpoint: Endpoint,
    target: Target,
    backoff: Backoff,
    current: Option<Peer>,
}

impl Connections {
    pub(crate) const fn new(endpoint: Endpoint, target: Target, backoff: Backoff) -> Self {
        Self { endpoint, target, backoff, current: None }
    }

    /// The peer, connected: the first time as soon as it is, later when the one before has ended and was
    /// found again. May be dropped and called again.
    ///
    /// # Errors
    /// When there is no sense in dialling again: we disconnected, the peer told us to go, the endpoint is
    /// closing or stopped, or the target cannot be dialled.
    pub async fn next(&mut self) -> Result<Peer, ConnectError> {
        if let Some(peer) = &self.current {
            let reason = peer.closed().await;
            if !self.backoff.reconnect().applies_to(&reason) {
                return Err(ConnectError::Ended(reason));
            }
            self.current = None;
        }
        loop {
            match self.endpoint.connect(self.target.clone()).await {
                Ok(peer) => {
                    self.backoff.reset();
                    self.current = Some(peer.clone());
                    return Ok(peer);
                }
                Err(ConnectError::Ended(reason))
                    if self.backoff.reconnect().applies_to(&reason) => {}
                // It is still being parted from, or others take all places.
                Err(ConnectError::Refused(
                    handfast_core::ConnectError::PeerClosing
                    | handfast_core::ConnectError::TooManyPeers,
                )) => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(self.backoff.advance()).await;
        }
    }
}
