//! Where this system keeps a program's files: `$XDG_CONFIG_HOME` or `~/.config` on Unix,
//! `%APPDATA%` on Windows, `~/Library/Application Support` on macOS; a directory `handfast` in it.

use std::path::PathBuf;

use etcetera::BaseStrategy;
use etcetera::base_strategy::choose_native_strategy;

use crate::error::Error;

/// Where the key is kept unless the operator says otherwise.
///
/// # Errors
/// When the user has no home directory.
pub fn key() -> Result<PathBuf, Error> {
    directory().map(|directory| directory.join("server.key")).ok_or_else(|| {
        Error::Usage(format!("no place for the key: set {HOME}, or name a file with --identity"))
    })
}

/// The configuration that is read, if it is there, unless the operator names one. `None` when the
/// user has no home directory.
#[must_use]
pub fn configuration() -> Option<PathBuf> {
    directory().map(|directory| directory.join("server.toml"))
}

fn directory() -> Option<PathBuf> {
    let strategy = choose_native_strategy().ok()?;
    // What others call configuration is written by Apple's own interfaces alone there.
    let base =
        if cfg!(target_vendor = "apple") { strategy.data_dir() } else { strategy.config_dir() };
    Some(base.join("handfast"))
}

const HOME: &str = if cfg!(windows) { "APPDATA" } else { "HOME" };
