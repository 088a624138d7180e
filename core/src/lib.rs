//! The sans-IO core of **handfast**: secure peer-to-peer messages over UDP.
//!
//! An [`Endpoint`] holds the whole protocol and does no I/O: no socket, clock, thread or randomness
//! of its own. You hand it datagrams, commands and the time; it hands you datagrams, events and the
//! next deadline. The crates `handfast-tokio` and `handfast-mio` run it on two runtimes; use this crate
//! directly if your program has a loop of its own.
//! The [guide] says how to embed it, one page a topic.
//!
//! # The loop
//!
//! 1. Make an [`Endpoint`] from a [`ValidConfig`], an [`Identity`] and 32 random bytes.
//! 2. Give it commands: [`connect`](Endpoint::connect), [`send`](Endpoint::send),
//!    [`ping`](Endpoint::ping), [`disconnect`](Endpoint::disconnect).
//! 3. Send what [`poll_transmit`](Endpoint::poll_transmit) writes until it returns `None`, or until
//!    the socket would block: then go on when it is writable again.
//! 4. Handle what [`poll_event`](Endpoint::poll_event) returns until `None`; on
//!    [`Event::Readable`] take messages with [`receive`](Endpoint::receive) until `None`.
//! 5. Sleep until [`poll_timeout`](Endpoint::poll_timeout) or the next datagram, whichever is first.
//! 6. Call [`handle_timeout`](Endpoint::handle_timeout) or
//!    [`handle_datagram`](Endpoint::handle_datagram), and go on with 3.
//!
//! One socket is enough. A driver with more than one announces them by
//! [`socket_opened`](Endpoint::socket_opened) and [`socket_closed`](Endpoint::socket_closed), and opens
//! another when it gets [`Event::OpenSocket`]; it closes one when it gets [`Event::CloseSocket`].
//!
//! In this example two endpoints do all of that. Their network is a function call:
//!
//! ```
//! use handfast_core::{
//!     Bytes, Delivery, Endpoint, Event, Identity, Instant, Origin, Target, ValidConfig,
//! };
//!
//! let now = Instant::from_micros(1_000_000);
//! // The default choices; for others, call `Config::validate`.
//! let config = ValidConfig::default();
//! // Real programs draw the seeds from the operating system.
//! let mut server = Endpoint::new(config.clone(), Identity::from_seed([1; 32]), [2; 32], now);
//! let mut client = Endpoint::new(config, Identity::from_seed([3; 32]), [4; 32], now);
//! let (server_at, client_at) = ("192.0.2.1:4263".parse()?, "192.0.2.2:4263".parse()?);
//!
//! let peer = client.connect(now, Target::new(server.id(), [server_at]))?;
//! client.send(now, peer, Delivery::ordered(0), Bytes::from_static(b"hello"))?;
//!
//! let mut buf = [0; 2048];
//! let mut received = None;
//! loop {
//!     let mut idle = true;
//!     while let Some(transmit) = client.poll_transmit(now, &mut buf) {
//!         server.handle_datagram(now, Origin::from_remote(client_at), &mut buf[..transmit.len]);
//!         idle = false;
//!     }
//!     while let Some(transmit) = server.poll_transmit(now, &mut buf) {
//!         client.handle_datagram(now, Origin::from_remote(server_at), &mut buf[..transmit.len]);
//!         idle = false;
//!     }
//!     while let Some(event) = server.poll_event() {
//!         if let Event::Readable { peer } = event {
//!             received = server.receive(now, peer);
//!         }
//!     }
//!     if idle {
//!         break;
//!     }
//! }
//! assert_eq!(&received.expect("delivered").payload[..], b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The contract
//!
//! 1. Bytes from the network never cause an error or a panic: datagrams that are dropped are counted
//!    by reason ([`Drops`]) and traced.
//! 2. Nothing about a peer changes before a packet's tag verifies.
//! 3. A deadline fires when `now` reaches it; after `handle_timeout(t)` the next deadline is later
//!    than `t`.
//! 4. Time never goes back: an older `now` counts as the newest one so far. Polling until `None` comes
//!    to an end, and after that nothing happens without an input.
//! 5. The same seed, choices and inputs give the same bytes.
//! 6. Work per call depends on the work due, not on the number of peers. Every queue, table and
//!    buffer has a limit, the large ones in [`Config`]. No event is dropped: a message keeps its
//!    place until its fate was polled.
//! 7. An address that is not validated gets no more bytes than came from there, or three times
//!    that if a known peer seems to have moved there (RFC 9000 section 8.1). Addresses named by `connect`
//!    get at most 8 packets each (less than 2 KB) from each dial in any 10 s, until they answer. Answers to STUN
//!    requests, if [`Config::answer_stun`] is on, have a budget of their own.
//! 8. A live peer ends only by silence for the idle timeout, a command, an authenticated `Disconnect`, or
//!    a breach of the protocol inside a sealed packet. A dial ends at its own deadline.
//! 9. A peer whose messages are not taken holds back that peer alone.
//!
//! # Features
//!
//! `rustcrypto` (default) brings portable primitives and needs no std; `aws-lc-rs` brings faster
//! ones, needs std and a C compiler, and is used when both are on. Both give the same bytes.
//! `wire` makes the wire formats public, for tools that look at packets; they may change in every
//! release. `testing` and `audit` are for the tests of this project.

#![no_std]
#![forbid(unsafe_code)]
// What may grow is non_exhaustive: see "What may grow" in docs/ARCHITECTURE.md.
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]
#![cfg_attr(
    not(test),
    warn(clippy::iter_over_hash_type, clippy::unwrap_used, clippy::std_instead_of_core)
)]

extern crate alloc;
#[cfg(any(test, feature = "aws-lc-rs", feature = "audit"))]
extern crate std;

#[cfg(not(any(feature = "rustcrypto", feature = "aws-lc-rs")))]
compile_error!(
    "handfast-core needs a crypto backend: enable the feature `rustcrypto` or `aws-lc-rs`"
);

mod admission;
#[cfg(feature = "audit")]
pub mod audit;
mod bucket;
mod config;
mod context;
mod crypto;
mod delivery;
mod disconnect;
mod discovery;
mod endpoint;
mod error;
mod event;
pub mod guide;
mod handle;
mod info;
mod memory;
mod message;
mod mtu;
mod nat;
mod net;
mod pack;
mod parting;
mod path;
mod peer;
mod punch;
mod recovery;
mod route;
mod router;
mod session;
mod shards;

mod stats;
mod stun;
#[cfg(test)]
mod tests;
mod time;
mod timer;
mod trace;
mod violation;
#[cfg(feature = "wire")]
#[expect(
    clippy::exhaustive_structs,
    clippy::exhaustive_enums,
    reason = "each of them is what a version of the protocol says, and may change in every release"
)]
pub mod wire;
// Much of it is for those who turn the feature on.
#[cfg(not(feature = "wire"))]
#[allow(unused, unreachable_pub, unnameable_types, reason = "public with the feature")]
mod wire;

pub use bytes::Bytes;
pub use config::{
    Admission, AdmissionHook, BASE_DATAGRAM, Budget, Budgets, Config, CongestionControl,
    CookieSecret, Discovery, Flow, Forwarding, ForwardingPolicy, KeyUpdates, Limits, MAX_DATAGRAM,
    NetworkSecret, Punching, Retry, Routing, Timing, ValidConfig,
};
pub use crypto::identity::{Identity, PeerId, PeerIdError};
pub use delivery::{Delivery, Fate, Message, MessageId, Order, Priority};
pub use disconnect::{DisconnectOptions, DisconnectReason};
pub use discovery::Discovered;
pub use endpoint::{Endpoint, Exchange, Target};
pub use error::{CommandError, ConfigError, ConnectError, SendError};
pub use event::{EndReason, Event, ForwardRefusal, PeerState, PingId, Refusal};
pub use handle::PeerHandle;
pub use info::{Direction, PackedInfo, PeerInfo, RouteInfo, StandbyPath};
pub use nat::{NatEvidence, NatFiltering, NatMapping};
pub use net::{Ecn, FourTuple, Origin, Route, SocketId, Transmit, Via, canonical};
pub use punch::{FreshPort, Nat, PathReason, Verdict};
pub use rand_core;
pub use route::Handover;
pub use shards::{PeerMap, Redirect, Siblings, Steering, steer};
pub use stats::{Drops, PathStats, PeerStats, Stats};
pub use time::Instant;
pub use violation::Violation;
