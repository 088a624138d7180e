//! handfast on mio: one poll loop in a thread of yours, or several in as many threads; no async.
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
//!
//! # Several threads
//!
//! [`Endpoint::bind_shards`] shares the work of many peers among threads, on Linux and Android. Each has an endpoint of its
//! own, which shares identity and addresses with the others, so that peers see one. Here each thread answers its peers, until
//! one of them asks for the end of all:
//!
//! ```
//! use std::ops::ControlFlow;
//! use std::thread;
//!
//! use handfast_mio::{
//!     Config, Delivery, DisconnectOptions, Endpoint, Event, Identity, Remote, entropy,
//! };
//!
//! /// What each thread does.
//! fn serve(mut endpoint: Endpoint, all: &[Remote]) -> std::io::Result<()> {
//!     endpoint.run(|endpoint, event| {
//!         let Event::Readable { peer } = event else { return ControlFlow::Continue(()) };
//!         while let Some(message) = endpoint.receive(peer) {
//!             if &message.payload[..] == b"stop" {
//!                 // It comes to each with its next turn, this one included.
//!                 for shard in all {
//!                     shard.run(|endpoint| endpoint.close(DisconnectOptions::default())).ok();
//!                 }
//!             } else if let Err(error) = endpoint.send(peer, message.delivery, message.payload) {
//!                 println!("no answer: {error}");
//!             }
//!         }
//!         ControlFlow::Continue(())
//!     })
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (identity, loopback) = (Identity::from_seed(entropy()?), ([127, 0, 0, 1], 0));
//! let threads = if cfg!(target_os = "linux") { 2 } else { 1 };
//! let address = std::net::SocketAddr::from(loopback);
//! let shards = Endpoint::bind_shards(Config::default(), identity, address, threads)?;
//! let all: Vec<_> = shards.iter().map(Endpoint::remote).collect();
//! # let server = shards[0].local_addresses()[0];
//! let serving = shards.into_iter().map(|shard| {
//!     let all = all.clone();
//!     thread::spawn(move || serve(shard, &all))
//! });
//! let serving: Vec<_> = serving.collect();
//! # let mut client = Endpoint::bind(Config::default(), Identity::from_seed(entropy()?), address)?;
//! # let peer = client.connect(server)?;
//! # client.run(|client, event| {
//! #     if let Event::Connected { .. } = event {
//! #         client.send(peer, Delivery::ordered(0), "stop").expect("sent");
//! #     }
//! #     if let Event::Ended { .. } = event { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
//! # })?;
//! for thread in serving {
//!     thread.join().expect("no panic")?;
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
mod shards;
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
