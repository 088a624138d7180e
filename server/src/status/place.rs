//! Where the socket is.

use std::env;
use std::path::{Path, PathBuf};

use handfast_program::{Error, places};

/// The choice of no socket.
pub(super) const NONE: &str = "none";

/// Where it is unless the operator says otherwise: in a directory of its own in `$RUNTIME_DIRECTORY`,
/// `$XDG_RUNTIME_DIR`, `$STATE_DIRECTORY` or the directory of the configuration, the first that there is.
pub(super) fn usual() -> Option<PathBuf> {
    let named = ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "STATE_DIRECTORY"];
    let named = named.into_iter().find_map(|name| {
        // Several are separated as in $PATH: the first is the main one.
        let first = env::split_paths(&env::var_os(name)?).next()?;
        first.is_dir().then_some(first)
    });
    let base = named.or_else(|| places::configuration(""))?;
    Some(base.join("p2p_server").join("status.sock"))
}

/// Where a running server has it.
pub(super) fn of_the_running(choice: Option<&Path>) -> Result<PathBuf, Error> {
    match choice {
        Some(path) if path == Path::new(NONE) => {
            Err(Error::Usage("--status-socket none: there is nobody to ask".to_owned()))
        }
        Some(path) => Ok(path.to_owned()),
        None => usual().ok_or_else(|| {
            Error::Usage("no place for the status socket: name it with --status-socket".to_owned())
        }),
    }
}
