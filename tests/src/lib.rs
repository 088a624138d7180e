//! What the tests of the whole share: the drivers on real sockets, what they are put through, and
//! what must come out the same whatever the driver.
//!
//! - [`Node`] is an endpoint on either [`Runtime`] behind one blocking interface, so that a test is
//!   written once and run on both.
//! - [`Proxy`] stands between nodes and impairs what passes: seeded loss, delay, rate, queue.
//! - [`script`] is a conversation with all that the transport can do; [`Rehearsal`] plays it in the
//!   simulator.
//! - [`within`] keeps a hanging test from hanging the whole run. No test asserts on the time that
//!   anything took, and none sleeps to let something happen.

#![forbid(unsafe_code)]

pub mod digest;
mod node;
mod proxy;
mod rehearsal;
pub mod script;
mod watchdog;

pub use node::{Commander, Happening, Node, Outgoing, Report, Runtime, Setup, What, loopback};
pub use proxy::{Counters, Proxy, ProxyConfig, Way};
pub use rehearsal::Rehearsal;
pub use watchdog::within;
