//! By the file's mode.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::Exposure;

pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(super) fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The group may read: systemd and Kubernetes hand out secrets so.
pub(super) fn exposure(file: &File, path: &Path) -> io::Result<Option<Exposure>> {
    let mode = file.metadata()?.mode() & 0o7777;
    let may = match mode {
        _ if mode & 0o022 != 0 => "write",
        _ if mode & 0o004 != 0 => "read",
        _ => return Ok(None),
    };
    let advice = format!("run `chmod 600 {}`", path.display());
    Ok(Some(Exposure { may, mode, advice }))
}
