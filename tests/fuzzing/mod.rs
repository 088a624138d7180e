//! What the fuzz targets check. The targets in `fuzz/` feed these from libFuzzer; the tests
//! `attacks` feed them committed seeds and pseudo-random bytes on stable.
//!
//! Each function takes any bytes and panics if, and only if, a property of the protocol's
//! implementation does not hold.

mod account;
mod end;
mod endpoint;
mod frames;
mod input;
mod interaction;
mod model;
mod network;
mod operation;
mod packet;
mod pair;
mod seeds;
mod world;

pub use endpoint::endpoint;
pub use frames::frames;
pub use interaction::{Outcome, Setup, interact, interaction};
pub use operation::{Call, Direction, ENDS, Fault, Operation, Tamper};
pub use packet::packet;
pub use seeds::{Seed, seeds};
