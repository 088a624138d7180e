//! By the file's mode.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(super) fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

pub(super) fn exposure(file: &File, path: &Path) -> io::Result<Option<String>> {
    let mode = file.metadata()?.mode() & 0o7777;
    let path = path.display();
    Ok((mode & 0o077 != 0).then(|| format!("(mode {mode:04o}): run `chmod 600 {path}`")))
}
