//! The attack suite: everything hostile that can be done through the public interface.
//!
//! Each attack that broke a related program and those that this protocol's own inventions invite
//! (`docs/SECURITY-TESTS.md` lists them with the code that defends), what a peer that has the keys
//! can say, garbage, and the bodies of the fuzz targets. All against real endpoints in virtual time.

mod anything;
mod control;
mod duel;
mod floods;
mod fragments;
#[path = "../../fuzzing/mod.rs"]
pub mod fuzzing;
mod garbage;
mod handshakes;
mod hoards;
mod interaction;
mod kit;
#[path = "../../../simulator/tests/protocol/common/mod.rs"]
mod net;
mod on_path;
mod ours;
mod parsing;
mod patience;
mod replay;
mod secrets;
mod sessions;
mod source;
mod states;
mod strangers;
mod table;
mod violations;
mod whereabouts;
