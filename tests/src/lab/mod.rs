//! Real endpoints behind real NATs: networks of the system with the NATs of its kernel, a program for the
//! internet between them, and a real `p2p_server`.
//!
//! - A `World` has a server and two sites, each behind a `Kind` of NAT, which is probed before it is
//!   trusted. It needs the rights of an administrator, and Linux.
//! - The `oracle` says what two NATs allow. It knows nothing about the protocol.
//! - A `Case` is a pair that tries to meet; which way its data takes, the server's counters say.
//! - A `Link` connects two neighbours that find each other by beacons, with no server.
//! - A `Mapping` asks a router for a port, where there is a program for such a router (`miniupnpd`).
//! - A `Trouble` befalls a pair that talks.
//! - The `program` handfast does what its user asks, in the same worlds, also by way of a port that a router forwards.
//! - A `Netcheck` is the self-test of a host behind one of them.
//! - [`run`] plays many of them and makes the table.

mod agent;
mod case;
mod kind;
mod link;
mod mapping;
mod netcheck;
mod network;
mod oracle;
mod plan;
mod probe;
mod program;
mod relay;
mod switch;
mod system;
mod table;
mod trouble;
mod world;

use kind::Kind;
pub use plan::{LabOptions, run};

/// Whether direct ways are looked for. Where they are not, a pair that could be direct must stay routed.
const PUNCHES: bool = true;
