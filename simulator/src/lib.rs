//! A seeded network in virtual time for any number of handfast endpoints.
//!
//! [`World`] drives real endpoints over a simulated [`Network`]: no sockets, no threads, no
//! waiting. An hour takes as long as the datagrams in it, and the same seed gives the same run,
//! byte for byte, which [`World::trace_hash`] proves.
//!
//! - [`Conditions`] are what a link does: latency, jitter that keeps the order of datagrams and free
//!   jitter that does not, loss, bursts, reordering, duplication, corruption, size limit, rate with a
//!   queue, ECN marks by its length or by CoDel, a policer. They can change any time. Several links can
//!   share a queue ([`Network::share`]); what each carried is counted ([`Network::traffic`]).
//! - Nodes can be rebound, moved, killed, restarted (as themselves or as someone else) and
//!   suspended, links cut one way or both, clocks can jump. [`Faults`] counts what really happened.
//! - Nodes can be behind a [NAT](nat) of any kind that RFC 4787 knows, alone or several together
//!   ([`World::add_nat`], [`World::add_behind`]); NATs forget mappings and can be rebooted.
//! - An [`Attacker`] sees every datagram, and replays, corrupts, delays and spoofs.
//! - After every input the contract of the core is checked, and that no key sealed twice under one
//!   nonce, in handshakes and sessions (with the feature `audit`, which is for tests).
//! - Datagrams can be [held](World::hold), looked at, changed and made up by hand, one by one.
//! - [`Scenario`] makes a whole random run from one seed and checks end to end what was promised
//!   about messages. [`Meeting`] is two peers behind NATs who look for a direct way; [`Mesh`] is leaves that talk over
//!   several hops. The program `sweep` runs many.
//!
//! The [guide] has a test of an application to start from.
//!
//! ```no_run
//! use std::time::Duration;
//! use handfast_core::{Config, Delivery, Target};
//! use handfast_sim::{Conditions, Probability, World};
//!
//! let mut world = World::new(7);
//! let alice = world.add_node(Config::default(), [1; 32], &["10.0.0.1:4263".parse()?]);
//! let bob = world.add_node(Config::default(), [2; 32], &["10.0.0.2:4263".parse()?]);
//! let loss = Probability::percent(10);
//! world.network().set_all(Conditions { loss, ..Conditions::default() });
//!
//! let address = world.addresses(bob).next().expect("it has one");
//! let peer = world.with(alice, |endpoint, now| endpoint.connect(now, Target::from(address)))?;
//! world.run_for(Duration::from_secs(2));
//! let hello = "hello".into();
//! world.with(alice, |endpoint, now| endpoint.send(now, peer, Delivery::ordered(0), hello))?;
//! world.run_for(Duration::from_secs(2));
//! for (time, event) in world.take_events(bob) {
//!     println!("{time:?} {event:?}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod app;
mod attacker;
mod audit;
mod by_hand;
mod conditions;
mod contract;
mod faults;
mod gateway;
#[doc = include_str!("guide.md")]
pub mod guide {}
mod instances;
mod link;
mod machine;
mod meetings;
mod meshes;
pub mod nat;
mod network;
mod node;
mod queue;
mod rng;
mod scenario;
mod sockets;
mod step;
mod suspend;
mod trace;
mod world;

pub use app::{App, Cx};
pub use attacker::{Acts, Attacker};
pub use conditions::{Bursts, CoDel, Conditions, EcnTreatment, Policer};
pub use faults::Faults;
pub use instances::{Instances, InstancesReport};
pub use link::Outcome;
pub use machine::{Machine, NodeSetup, Unverified};
pub use meetings::{Meeting, MeetingReport, Site};
pub use meshes::{Mesh, MeshReport};
pub use nat::NatId;
pub use network::{Datagram, Network, NodeId, Traffic};
pub use rng::{Probability, Rng};
pub use scenario::{Fault, Report, Scenario, Seen};
pub use sockets::SocketWish;
pub use world::World;
