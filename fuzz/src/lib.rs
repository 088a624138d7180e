//! The bodies of the fuzz targets, which ordinary tests on stable replay as well.
#![forbid(unsafe_code)]

#[path = "../../tests/fuzzing/mod.rs"]
pub mod fuzzing;
