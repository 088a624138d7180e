//! Hostile input: the bodies of the fuzz targets replayed on stable, and a peer that has the keys
//! and lies.

#[path = "../../fuzzing/mod.rs"]
pub mod fuzzing;
mod liar;
mod replay;
