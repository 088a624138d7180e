//! Several endpoints of one identity behind one address, so that more processor cores than one do the work.
//!
//! Each is a *shard*: an endpoint like any other, with its share of the budgets (`share`) and with its number in all
//! indices that it hands out, which steers packets to it (`steer`). Together they have each peer once: which of them has
//! whom stands in a map that they share (`map`), and who comes to another is sent on there (`membership`).

mod map;
mod membership;
mod share;
mod steer;
#[cfg(test)]
pub(crate) mod tests;

pub use map::{PeerMap, Siblings};
pub use steer::{Redirect, Steering, steer};
