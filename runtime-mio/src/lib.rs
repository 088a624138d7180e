//! handfast on mio: one thread, one poll loop, no async.
//!
//! An [`Endpoint`] holds the protocol and its sockets. Commands act at once; [`Endpoint::turn`]
//! waits for the network or a timer and does all the work that is due; [`Endpoint::poll_event`]
//! returns what happened. Other threads send it commands through a [`Remote`].
//!
//! ```no_run
//! use handfast_mio::{Config, Delivery, DisconnectOptions, Endpoint, Event, Identity, Listen, entropy};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let identity = Identity::from_seed(entropy()?);
//! let mut endpoint = Endpoint::bind(Config::default(), identity, Listen::all(0))?;
//! let server: std::net::SocketAddr = "192.0.2.1:4263".parse()?;
//! let peer = endpoint.connect(server)?;
//! while !endpoint.is_closed() {
//!     endpoint.turn(None)?;
//!     while let Some(event) = endpoint.poll_event() {
//!         match event {
//!             Event::Connected { .. } => {
//!                 endpoint.send(peer, Delivery::ordered(0), "hello")?;
//!             }
//!             Event::Readable { peer } => {
//!                 while let Some(message) = endpoint.receive(peer) {
//!                     println!("{} bytes", message.payload.len());
//!                 }
//!                 endpoint.close(DisconnectOptions::default());
//!             }
//!             Event::Ended { reason, .. } => println!("{reason}"),
//!             _ => {}
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
// What may grow is non_exhaustive: see "What may grow" in docs/ARCHITECTURE.md.
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]

mod beacons;
mod endpoint;
mod kept;
mod mapped;
mod port;
mod remote;
#[cfg(unix)]
mod source;
mod turn;

pub use endpoint::Endpoint;
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
// Commands act at once here, so they fail as they do in the core.
pub use handfast_core::{ConnectError, SendError};
pub use handfast_udp::{
    Clock, DEFAULT_PORT, KeyFile, KeyFileError, Listen, PortMapping, PortNews, PortProtocol,
    Reconnect, SocketError, SocketStats, TargetName, TargetNameError, entropy, explain,
    generate_identity,
};
pub use remote::{Remote, RemoteError};
