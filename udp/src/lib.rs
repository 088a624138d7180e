//! What the handfast runtimes share: everything about sockets, clocks and the host that does not
//! depend on how a program waits.
//!
//! A driver owns a [`handfast_core::Endpoint`] and, per address it listens on, a socket of its
//! runtime beside a [`Socket`] from here. [`Inbox`] reads batches and splits them into datagrams,
//! [`Outbox`] keeps a batch until all of it is sent, [`Traffic`] does both for all sockets of a
//! driver, which come and go meanwhile (with several of them, up to 16 batches wait per blocked
//! socket), [`Clock`] tells the time in the core's terms.
//! Neither blocks, and a failure to send is a lost datagram, as it would be anywhere further along
//! the way (the core recovers from it).
//!
//! ```no_run
//! use handfast_udp::{Clock, Inbox, Listen, Outbox, SockRef, Socket, entropy, host_config};
//! use handfast_core::{Config, Endpoint, Identity, SocketId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Clock::start();
//! let io = Listen::default().bind()?.remove(0);
//! let mut socket = Socket::new(SockRef::from(&io))?;
//! let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
//! let config = host_config(Config::default()).validate()?;
//! let mut endpoint = Endpoint::new(config, Identity::from_seed(entropy()?), entropy()?, clock.now());
//!
//! if inbox.receive(&mut socket, SockRef::from(&io)).is_ok() {
//!     while let Some((origin, datagram)) = inbox.take(SocketId(0)) {
//!         endpoint.handle_datagram(clock.now(), origin, datagram);
//!     }
//! }
//! while outbox.fill(&mut endpoint, clock.now(), socket.batch_len()) {
//!     outbox.flush(&mut socket, SockRef::from(&io))?; // only ever fails with `WouldBlock`
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
// What may grow is non_exhaustive: see "What may grow" in docs/ARCHITECTURE.md.
#![warn(clippy::exhaustive_structs, clippy::exhaustive_enums)]

mod clock;
mod crossing;
mod discovery;
mod error;
mod explain;
mod failure;
#[cfg(any(test, feature = "faults"))]
#[doc(hidden)]
#[expect(
    clippy::exhaustive_structs,
    clippy::exhaustive_enums,
    reason = "for tests, and as they need it"
)]
pub mod faults;
mod host;
mod inbox;
mod interfaces;
mod keystore;
mod listen;
mod mapping;
mod outbox;
mod port;
mod recent;
mod reconnect;
mod shards;
mod socket;
mod stats;
mod steering;
mod target_name;
mod traffic;

pub use clock::Clock;
pub use crossing::{Crossing, MAX_SHARDS};
pub use discovery::{BeaconPort, Beacons};
pub use error::SocketError;
pub use explain::explain;
pub use handfast_core;
pub use host::{entropy, host_config};
pub use inbox::Inbox;
pub use interfaces::interface_addresses;
pub use keystore::{KeyFile, KeyFileError, generate_identity};
pub use listen::{DEFAULT_PORT, Listen, bind};
pub use mapping::{PortMapping, PortNews, PortProtocol};
pub use outbox::Outbox;
pub use port::Port;
pub use recent::Recent;
pub use reconnect::{Backoff, Reconnect};
pub use shards::{ShardPorts, Shards};
pub use socket::{MAX_BATCH, Socket};
pub use socket2::SockRef;
pub use stats::SocketStats;
pub use target_name::{TargetName, TargetNameError};
pub use traffic::{Traffic, fire_timers};
