//! Why a file with a secret cannot be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::private_file::Exposure;
use crate::explain;

/// A file with a secret cannot be used. Its text is one line that names the file and says what to do,
/// and shows nothing of the secret.
#[derive(Debug)]
pub struct KeyFileError {
    path: PathBuf,
    /// What should be in the file.
    what: &'static str,
    problem: Problem,
}

#[derive(Debug)]
pub(super) enum Problem {
    Unreadable(io::Error),
    Unwritable(io::Error),
    /// A new one was to be made.
    Exists,
    Directory,
    /// A device, a pipe or a socket.
    NoFile,
    Exposed(Exposure),
    NotASecret,
}

impl KeyFileError {
    pub(super) fn new(path: &Path, what: &'static str, problem: Problem) -> Self {
        Self { path: path.to_owned(), what, problem }
    }

    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        let Problem::Unreadable(error) = &self.problem else { return false };
        error.kind() == io::ErrorKind::NotFound
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, what) = (self.path.display(), self.what);
        match &self.problem {
            Problem::Unreadable(error) => write!(
                f,
                "cannot read the {what} {path}: {}; check the path, and who owns the file",
                explain(error)
            ),
            Problem::Unwritable(error) => {
                write!(f, "cannot write the {what} {path}: {}; name another file", explain(error))
            }
            Problem::Exists => write!(
                f,
                "{path} is there already, and is not replaced: name another file, or remove it"
            ),
            Problem::Directory => {
                write!(f, "{path} is a directory, not a {what}: name a file in it")
            }
            Problem::NoFile => write!(
                f,
                "{path} is a device, a pipe or a socket, not a {what}: name a regular file"
            ),
            Problem::Exposed(Exposure { may, mode, advice }) => write!(
                f,
                "others may {may} the {what} {path} (mode {mode:04o}): {advice}; if others did, \
                 replace it"
            ),
            Problem::NotASecret => write!(
                f,
                "{path} is not a {what}: it should be {} of 52 characters of base32; restore it \
                 from a copy, or name another file",
                if self.what == super::KEY { "one line" } else { "one line or two" }
            ),
        }
    }
}

impl std::error::Error for KeyFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Unreadable(error) | Problem::Unwritable(error) => Some(error),
            _ => None,
        }
    }
}
