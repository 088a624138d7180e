//! handfast on tokio.
//!
//! [`Endpoint::bind`] opens the sockets and spawns the one task that owns them and the protocol;
//! there is no lock around either. [`Endpoint`] and [`Peer`] are handles to it: cheap to clone,
//! usable from any task. The task ends when [`Endpoint::close`] is complete, or when the last
//! handle is dropped (peers that are connected then get a `Disconnect` at once, which never says that all
//! messages have arrived: [`EndReason::is_complete`]).
//!
//! ```no_run
//! use handfast_tokio::{Config, Delivery, DisconnectOptions, Endpoint, Identity, Listen, entropy};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let identity = Identity::from_seed(entropy()?);
//! let endpoint = Endpoint::bind(Config::default(), identity, Listen::all(0))?;
//! let server: std::net::SocketAddr = "192.0.2.1:4263".parse()?;
//! let peer = endpoint.connect(server).await?;
//! peer.send(Delivery::unreliable(1), "no promises").await?;
//! let receipt = peer.send_with_receipt(Delivery::ordered(0), "hello").await?;
//! println!("hello: {:?}, ping: {:?}", receipt.await, peer.ping().await?);
//! if let Some(message) = peer.recv().await {
//!     println!("{} bytes", message.payload.len());
//! }
//! println!("{}", peer.disconnect(DisconnectOptions::default()).await);
//! endpoint.close(DisconnectOptions::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Cancelling
//! Every future here may be dropped at any time, as `select!` does. What that means:
//! - [`Peer::send`], [`Peer::send_with_receipt`]: a message is final when they complete. Dropped before
//!   that, nothing of it is sent, now or later: to try again never sends it twice.
//! - [`Peer::recv`], [`Peer::recv_from`], [`Endpoint::accept`], [`Events::recv`], [`Incoming::recv`]:
//!   nothing is lost, the next call returns it.
//! - [`Endpoint::connect`]: the dial goes on. When it connects, the peer gets a `Disconnect` at once,
//!   unless the peer initiated a handshake with us as well: then [`Endpoint::accept`] returns it.
//! - [`Endpoint::add_socket`]: a socket whose id was not returned is removed again.
//! - [`Endpoint::remove_socket`], [`Peer::ping`], [`Peer::test_nat`], [`Peer::cancel`], [`Peer::end_stream`]: once polled,
//!   they go on, and their result is ignored.
//! - [`Peer::disconnect`], [`Endpoint::close`]: once polled, they go on.
//!
//! # Backpressure
//! `send` of a reliable message waits while the queue of its stream is full; unreliable and sequenced
//! messages never wait, and no stream waits for another. Messages that are not received wait in the core
//! within the peer's credit: an application that is slow to `recv` holds back that peer, no other
//! peer, and never the sending of acknowledgements. What [`Peer::recv_from`] takes of one channel waits for no
//! other channel's messages to be taken.
//!
//! # Events and messages
//! [`Endpoint::incoming`] is one stream of both, in one order. [`Endpoint::events`] is for whoever
//! watches events alone: no message holds it back.
//!
//! # Tests
//! The endpoint follows tokio's clock. With `tokio::time::pause` heartbeats, timeouts and retransmissions
//! take no real time.
#![forbid(unsafe_code)]
// What may grow is non_exhaustive: see "What may grow" in docs/ARCHITECTURE.md.
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]

mod answer;
mod backlog;
mod beacons;
mod command;
mod connections;
mod driver;
mod endpoint;
mod error;
mod events;
mod link;
mod mailbox;
mod peer;
mod pending_handle;
mod port;
mod receipt;
mod receipt_key;
mod recv_stream;
mod resolve;
mod send_stream;
mod shards;
mod wake;

pub use connections::Connections;
pub use endpoint::{Endpoint, EndpointStats};
pub use error::{ConnectError, PeerError, SendError, Stopped, TryRecvError};
pub use events::{Events, Incoming, Received};
pub use handfast_core;
pub use handfast_core::{
    Admission, AdmissionHook, BASE_DATAGRAM, Budget, Budgets, Bytes, CommandError, Config,
    ConfigError, CongestionControl, CookieSecret, Delivery, Direction, DisconnectOptions,
    DisconnectReason, Discovered, Discovery, Drops, Ecn, EndReason, Event, Fate, Flow,
    ForwardRefusal, Forwarding, ForwardingPolicy, FourTuple, FreshPort, Identity, Instant,
    KeyUpdates, Limits, MAX_DATAGRAM, Message, MessageId, Nat, NatEvidence, NatFiltering,
    NatMapping, NetworkSecret, Order, Origin, PathReason, PathStats, PeerHandle, PeerId,
    PeerIdError, PeerInfo, PeerState, PeerStats, PingId, Priority, Punching, Refusal, Retry, Route,
    RouteInfo, Routing, SocketId, StandbyPath, Stats, Target, Timing, ValidConfig, Verdict, Via,
    Violation,
};
pub use handfast_udp::{
    Clock, DEFAULT_PORT, KeyFile, KeyFileError, Listen, PortMapping, PortNews, PortProtocol,
    Reconnect, SocketError, SocketStats, TargetName, TargetNameError, entropy, explain,
    generate_identity,
};
pub use peer::Peer;
pub use receipt::Receipt;
pub use recv_stream::RecvStream;
pub use resolve::resolve;
pub use send_stream::SendStream;
