//! Files that their owner alone can read, in each system's way.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(not(any(unix, windows)), path = "other.rs")]
mod system;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes a file with these contents, and the directories it is in. None of it is left after a
/// failure: half a secret would be worse than none.
///
/// # Errors
/// When there is such a file already, or the system refuses.
pub(crate) fn create(path: &Path, contents: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|path| !path.as_os_str().is_empty()) {
        system::create_directory(directory)?;
    }
    let write = |mut file: File| file.write_all(contents).and_then(|()| file.sync_all());
    let created = system::create_file(path);
    // Somebody else's file is not ours to remove.
    let is_ours = !matches!(&created, Err(error) if error.kind() == io::ErrorKind::AlreadyExists);
    let written = created.and_then(write);
    if written.is_err() && is_ours {
        fs::remove_file(path).ok();
    }
    written
}

/// Who but the owner can read the file, and what to do about it; `None` when nobody can, or when
/// this system cannot tell.
///
/// # Errors
/// When the system does not say.
pub(crate) fn exposure(file: &File, path: &Path) -> io::Result<Option<String>> {
    system::exposure(file, path)
}
