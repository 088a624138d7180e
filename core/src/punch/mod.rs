//! Direct ways to peers that are reached by way of a neighbour: which addresses are told and tried, when, and
//! how often. It knows addresses and times, no packets and no sessions.
//!
//! A [`Puncher`] is what is done about one peer. Its rounds, and what opens a NAT before the other end
//! probes, are those of PROTOCOL.md section 20.3. [`ProbeBudgets`] bound what goes to any one address, whoever
//! names it.

mod budgets;
mod filter;
mod fresh;
mod local;
mod puncher;
mod target;
mod verdict;

pub(crate) use budgets::ProbeBudgets;
pub use fresh::FreshPort;
pub(crate) use fresh::Step as FreshStep;
pub(crate) use local::{LocalAddresses, Order};
pub(crate) use puncher::{Action, Puncher};
pub use verdict::{Nat, PathReason, Verdict};
