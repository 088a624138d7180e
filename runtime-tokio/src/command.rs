//! What handles ask of the driver.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{
    ConfigError, Delivery, DisconnectOptions, NatEvidence, PeerHandle, PeerId, SocketId, Target,
};
use handfast_udp::{SocketError, SocketStats};
use tokio::sync::oneshot;

use crate::driver::Subscriber;
use crate::error::{ConnectError, PeerError};
use crate::pending_handle::PendingHandle;
use crate::receipt_key::MessageKey;

/// A request to the driver, with where to send the answer.
pub(crate) enum Command {
    AddSocket {
        address: SocketAddr,
        reply: oneshot::Sender<Result<SocketId, SocketError>>,
    },
    AddressesChanged,
    BusyPoll(Duration),
    Cancel {
        peer: PeerHandle,
        key: MessageKey,
        reply: oneshot::Sender<Result<(), PeerError>>,
    },
    Change {
        change: Change,
        reply: oneshot::Sender<Result<(), ConfigError>>,
    },
    Close {
        options: DisconnectOptions,
    },
    Connect {
        target: Target,
        reply: oneshot::Sender<Result<PendingHandle, ConnectError>>,
    },
    Disconnect {
        peer: PeerHandle,
        options: DisconnectOptions,
    },
    EndStream {
        peer: PeerHandle,
        delivery: Delivery,
        reply: oneshot::Sender<Result<(), PeerError>>,
    },
    Find {
        whom: PeerSelector,
        reply: oneshot::Sender<Option<PendingHandle>>,
    },
    MappedAddresses(Vec<SocketAddr>),
    NatTest {
        server: PeerHandle,
        ports: [u16; 2],
        reply: oneshot::Sender<Result<NatEvidence, PeerError>>,
    },
    Ping {
        peer: PeerHandle,
        reply: oneshot::Sender<Result<Duration, PeerError>>,
    },
    Query(Query),
    RemoveSocket {
        socket: SocketId,
        reply: oneshot::Sender<Result<(), SocketError>>,
    },
    Subscribe(Subscriber),
}

/// Chooses something anew.
pub(crate) type Change =
    Box<dyn FnOnce(&mut handfast_core::Endpoint) -> Result<(), ConfigError> + Send>;

/// How a peer is looked up.
#[derive(Clone, Copy)]
pub(crate) enum PeerSelector {
    Address(SocketAddr),
    Handle(PeerHandle),
    Id(PeerId),
}

/// Reads from the core, and sends what it read by itself.
pub(crate) type Query = Box<dyn FnOnce(&handfast_core::Endpoint, SocketStats) + Send>;
