//! By the file's access control list, which Windows' own `icacls` writes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Exposure;

/// A directory in the user's profile is private already.
pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// While the file is empty, whoever may look into its directory can open it. So it is closed to
/// others first, and then opened for us alone: that fails if anybody else has it open.
pub(super) fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)?;
    close_to_others(path)?;
    OpenOptions::new().write(true).share_mode(0).open(path)
}

/// Nothing is inherited from the directory, and the owner alone may do anything.
fn close_to_others(path: &Path) -> io::Result<()> {
    let mut command = Command::new("icacls");
    command.arg(path).args(["/inheritance:r", "/grant:r", OWNER_EVERYTHING]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("icacls could not close it to others ({status})")))
}

/// Who can read a file that is there already is not looked into.
pub(super) fn exposure(_: &File, _: &Path) -> io::Result<Option<Exposure>> {
    Ok(None)
}

/// The well-known identifier of a file's owner, whoever that is and whatever the system's language.
const OWNER_EVERYTHING: &str = "*S-1-3-4:F";
