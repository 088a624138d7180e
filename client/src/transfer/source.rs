//! The file that is sent.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use handfast_program::Error;
use handfast_tokio::explain;
use sha2::{Digest, Sha256};

use super::frame::Hash;
use super::name;

/// A file that is read from any place on, and hashed from its beginning.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    pub(super) name: String,
    /// As it was when it was opened: so much is sent.
    pub(super) size: u64,
    position: u64,
    hasher: Sha256,
}

impl Source {
    /// Opens it.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let failed = |error: &io::Error| Error::Usage(format!("{shown}: {}", explain(error)));
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::Usage(format!("{shown} is no name of a file")))?;
        name::check(name).map_err(|error| Error::Usage(format!("{error}: rename it")))?;
        // Before it is opened: to open a pipe would wait for whoever writes it.
        let found = std::fs::metadata(path).map_err(|error| failed(&error))?;
        if !found.is_file() {
            return Err(Error::Usage(format!("{shown} is no file: put it into an archive")));
        }
        let file = File::open(path).map_err(|error| failed(&error))?;
        let size = file.metadata().map_err(|error| failed(&error))?.len();
        Ok(Self { file, name: name.to_owned(), size, position: 0, hasher: Sha256::new() })
    }

    /// Goes to this place if all before it has this hash; else to the beginning. Returns where it is.
    pub(super) fn seek(&mut self, offset: u64, hash: &Hash) -> io::Result<u64> {
        self.rewind()?;
        let mut buffer = vec![0; 1 << 16];
        while offset <= self.size && self.position < offset {
            let left = usize::try_from(offset - self.position).unwrap_or(usize::MAX);
            let end = buffer.len().min(left);
            if self.read(&mut buffer[..end])? == 0 {
                break;
            }
        }
        if self.position != offset || self.hash() != *hash {
            self.rewind()?;
        }
        Ok(self.position)
    }

    fn rewind(&mut self) -> io::Result<()> {
        (self.position, self.hasher) = (0, Sha256::new());
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }

    /// The next bytes, never beyond the size; 0 at the end, or where the file has become shorter.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size - self.position).unwrap_or(usize::MAX);
        let end = buffer.len().min(left);
        let read = self.file.read(&mut buffer[..end])?;
        self.hasher.update(&buffer[..read]);
        self.position += read as u64;
        Ok(read)
    }

    /// The hash of all up to here.
    pub(super) fn hash(&self) -> Hash {
        self.hasher.clone().finalize().into()
    }

    pub(super) const fn position(&self) -> u64 {
        self.position
    }
}
