//! What the programs do with files that hold keys.

use std::path::Path;

use handfast_core::{Config, NetworkSecret};
use handfast_udp::KeyFile;

use crate::Error;
use crate::output::print;

/// Prints the `PeerId` of the key in this file.
///
/// # Errors
/// When there is no such key, with the advice how `program` makes one; when stdout takes nothing.
pub fn show_id(key: &KeyFile, program: &str) -> Result<(), Error> {
    let identity = key.load().map_err(|error| {
        let advice = if error.is_missing() {
            format!("; `{program} genkey` makes one")
        } else {
            String::new()
        };
        Error::Usage(format!("{error}{advice}"))
    })?;
    print(&format!("{}\n", identity.id()))
}

/// Makes a key in this file, and prints its `PeerId`.
///
/// # Errors
/// When the file exists or cannot be made; when stdout takes nothing.
pub fn make(key: &KeyFile) -> Result<(), Error> {
    let identity = key.create().map_err(|error| Error::Usage(error.to_string()))?;
    print(&format!("{}\n", identity.id()))
}

/// The secrets of a private network: the one that is used, and another that is accepted; none for a public
/// network.
pub type Secrets = (Option<NetworkSecret>, Option<NetworkSecret>);

/// Reads the file that `--network-secret-file` names.
///
/// # Errors
/// When it cannot be read, is no secret, or one that protects nothing.
pub fn network_secrets(path: &Path) -> Result<Secrets, Error> {
    let read = KeyFile::new(path).network_secrets();
    let (current, previous) = read.map_err(|error| Error::Usage(error.to_string()))?;
    let mut config = Config::default();
    (config.network_secret, config.previous_network_secret) = (Some(current), previous);
    let config = config.validate().map_err(|error| {
        let other = error.other().map_or("", |_| " --network-secret-file");
        Error::Usage(format!("--network-secret-file {}{other}", error.rule()))
    })?;
    let Config { network_secret, previous_network_secret, .. } = config.into_inner();
    Ok((network_secret, previous_network_secret))
}
