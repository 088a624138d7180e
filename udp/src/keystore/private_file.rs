//! Files that their owner alone can read, in each system's way.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(not(any(unix, windows)), path = "other.rs")]
mod system;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::host::entropy;

/// What others may do to a file that they should not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exposure {
    /// `read` or `write`.
    pub(super) may: &'static str,
    /// The bits that say so.
    pub(super) mode: u32,
    /// What to do about it.
    pub(super) advice: String,
}

/// Makes a file with these contents, and the directories it is in. Whoever opens it finds all of them,
/// and none of it is left after a failure: half a secret would be worse than none.
///
/// # Errors
/// `AlreadyExists` when there is such a file already; others when the system refuses.
pub(super) fn create(path: &Path, contents: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|path| !path.as_os_str().is_empty()) {
        system::create_directory(directory)?;
    }
    let draft = draft(path)?;
    let write = |mut file: File| file.write_all(contents).and_then(|()| file.sync_all());
    let written = system::create_file(&draft).and_then(write);
    let published = written.and_then(|()| publish(&draft, path));
    // After a success it may be gone, or be a second name of the file.
    fs::remove_file(&draft).ok();
    published
}

/// A name beside `path` that nobody else has.
fn draft(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let unique = HEXLOWER.encode(&entropy()?[..8]);
    let mut draft = OsString::from(".");
    draft.push(name);
    draft.push(format!(".{unique}"));
    Ok(path.with_file_name(draft))
}

/// Gives the file its name, if no file has it.
fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // Not every file system has second names. There the name is claimed first.
            File::create_new(path)?;
            fs::rename(draft, path).inspect_err(|_| {
                fs::remove_file(path).ok();
            })
        }
        linked => linked,
    }
}

/// What others may do to the file; `None` when it is nothing, or when this system cannot tell.
///
/// # Errors
/// When the system does not say.
pub(super) fn exposure(file: &File, path: &Path) -> io::Result<Option<Exposure>> {
    system::exposure(file, path)
}
