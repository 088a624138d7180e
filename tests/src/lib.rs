//! What the tests of the whole share: the drivers on real sockets, what they are put through, and
//! what must come out the same whatever the driver.
//!
//! - [`Node`] is an endpoint on either [`Runtime`] behind one blocking interface, so that a test is
//!   written once and run on both.
//! - [`Proxy`] stands between nodes and impairs what passes: seeded loss, delay, rate, queue.
//! - [`script`] is a conversation with all that the transport can do; [`Rehearsal`] plays it in the
//!   simulator.
//! - `lab` (on Linux) has networks of the system with NATs, and endpoints that meet through them.
//! - [`memory`] counts what a thread allocates.
//! - [`siege`] floods a server that runs in a process of its own, which can also be killed.
//! - [`Vitals`] tells whether a test left descriptors or memory behind.
//! - `refusal` (on Linux) has the kernel refuse socket options.
//! - [`within`] keeps a hanging test from hanging the whole run. No test asserts on the time that
//!   anything took, and none sleeps to let something happen but the siege and the lab, which watch for a time.

#![deny(unsafe_code)]

pub mod digest;
#[cfg(target_os = "linux")]
pub mod lab;
pub mod memory;
mod node;
mod proxy;
#[cfg(target_os = "linux")]
pub mod refusal;
mod rehearsal;
pub mod script;
pub mod siege;
mod vitals;
mod watchdog;

pub use node::{Commander, Happening, Node, Outgoing, Report, Runtime, Setup, What, loopback};
pub use proxy::{Counters, Proxy, ProxyConfig, Way};
pub use rehearsal::Rehearsal;
pub use vitals::Vitals;
pub use watchdog::within;

/// The examples of the READMEs run with the tests of the documentation.
#[cfg(doctest)]
mod readmes {
    #[doc = include_str!("../../README.md")]
    mod all {}
    #[doc = include_str!("../../runtime-tokio/README.md")]
    mod tokio {}
    #[doc = include_str!("../../runtime-mio/README.md")]
    mod mio {}
}
