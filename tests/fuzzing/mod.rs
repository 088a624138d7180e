//! What the fuzz targets check. The targets in `fuzz/` feed these from libFuzzer; the test
//! `hostile` feeds them committed seeds and pseudo-random bytes on stable.
//!
//! Each function takes any bytes and panics if, and only if, a property of the protocol's
//! implementation does not hold.

mod endpoint;
mod frames;
mod input;
mod model;
mod packet;
mod pair;
mod seeds;

pub use endpoint::endpoint;
pub use frames::frames;
pub use packet::packet;
pub use pair::{Datagram, End, Pair};
pub use seeds::{Seed, seeds};
