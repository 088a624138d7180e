//! Where files are kept unless the operator says otherwise: in the directories that a service manager
//! names, else where this system keeps configurations (`$XDG_CONFIG_HOME` or `~/.config` on Unix,
//! `%APPDATA%` on Windows, `~/Library/Application Support` on macOS; a directory `handfast` in it).

use std::env;
use std::path::PathBuf;

use etcetera::BaseStrategy;
use etcetera::base_strategy::choose_native_strategy;

use crate::Error;

/// Where the key of this name is kept unless the operator says otherwise: where there is one, of
/// `$CREDENTIALS_DIRECTORY`, `$STATE_DIRECTORY` and the usual directory, in this order; else it is to be
/// made in `$STATE_DIRECTORY` if there is one, else in the usual directory.
///
/// # Errors
/// When the user has no home directory.
pub fn key(name: &str) -> Result<PathBuf, Error> {
    let named = ["CREDENTIALS_DIRECTORY", "STATE_DIRECTORY"].map(env::var_os);
    // Several are separated as in $PATH: the first is the main one.
    let [credentials, state] = named.map(|paths| env::split_paths(&paths?).next());
    choose(name, credentials, state, directory()).ok_or_else(|| {
        Error::Usage(format!("no place for the key: set {HOME}, or name a file with --identity"))
    })
}

fn choose(
    name: &str,
    credentials: Option<PathBuf>,
    state: Option<PathBuf>,
    usual: Option<PathBuf>,
) -> Option<PathBuf> {
    let is_named = |directory: &PathBuf| !directory.as_os_str().is_empty();
    let in_directory = |directory: Option<PathBuf>| Some(directory.filter(is_named)?.join(name));
    let [credentials, state, usual] = [credentials, state, usual].map(in_directory);
    let places = [&credentials, &state, &usual];
    let found = places.into_iter().flatten().find(|key| key.exists()).cloned();
    found.or(state).or(usual)
}

/// Where a file of this name is in the directory in which this system keeps configurations. `None` when the
/// user has no home directory.
#[must_use]
pub fn configuration(name: &str) -> Option<PathBuf> {
    directory().map(|directory| directory.join(name))
}

fn directory() -> Option<PathBuf> {
    let strategy = choose_native_strategy().ok()?;
    // What others call configuration is written by Apple's own interfaces alone there.
    let base =
        if cfg!(target_vendor = "apple") { strategy.data_dir() } else { strategy.config_dir() };
    Some(base.join("handfast"))
}

const HOME: &str = if cfg!(windows) { "APPDATA" } else { "HOME" };

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_key_that_is_there_is_found_and_a_new_one_is_made_where_state_is_kept() {
        let root = env::temp_dir().join(format!("handfast-places-{}", std::process::id()));
        let [credentials, state, usual] =
            ["credentials", "state", "usual"].map(|name| root.join(name));
        let chosen = || {
            let all = [&credentials, &state, &usual].map(|directory| Some(directory.clone()));
            let [credentials, state, usual] = all;
            choose("server.key", credentials, state, usual)
        };
        assert_eq!(chosen(), Some(state.join("server.key")), "none is there yet");
        assert_eq!(
            choose("server.key", None, None, Some(usual.clone())),
            Some(usual.join("server.key"))
        );
        assert_eq!(choose("server.key", None, Some(PathBuf::new()), None), None);
        for directory in [&usual, &state, &credentials] {
            fs::create_dir_all(directory).expect("made");
            fs::write(directory.join("server.key"), "").expect("written");
            assert_eq!(chosen(), Some(directory.join("server.key")));
        }
        fs::remove_dir_all(root).expect("removed");
    }
}
