//! Hostile input: the bodies of the fuzz targets replayed on stable, and a peer that has the keys
//! and lies.

mod anything;
mod duel;
mod floods;
#[path = "../../fuzzing/mod.rs"]
pub mod fuzzing;
mod hoards;
mod interaction;
mod lies;
mod patience;
mod replay;
mod secrets;
mod stage;
mod states;
mod violations;
mod whereabouts;

/// What the victim of lies allocates is part of what is tested.
#[global_allocator]
static ALLOCATOR: handfast_tests::memory::Counting = handfast_tests::memory::Counting;
