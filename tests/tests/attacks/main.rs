//! The attack suite: each attack that broke a related program, and those that this protocol's own
//! inventions invite, run against real endpoints in virtual time. `docs/SECURITY-TESTS.md` lists
//! them with the code that defends.

mod control;
#[path = "../../fuzzing/end.rs"]
pub mod end;
mod fragments;
mod handshakes;
mod kit;
mod memory;
mod ours;
#[path = "../../fuzzing/pair.rs"]
pub mod pair;
mod parsing;
mod sessions;
mod source;
mod strangers;
mod table;
