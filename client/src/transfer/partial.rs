//! What the receiver has of a file: `NAME.part` beside the place where it will be.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use handfast_tokio::explain;
use sha2::{Digest, Sha256};

use super::frame::Hash;

/// A file that grows until it is whole, and gets its name then.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    part: PathBuf,
    path: PathBuf,
    size: u64,
    length: u64,
    hasher: Sha256,
}

impl Partial {
    /// Opens what there is of a file of this size, or makes an empty one. Says why it cannot be.
    pub(super) fn open(directory: &Path, name: &str, size: u64) -> Result<Self, String> {
        let path = directory.join(name);
        if is_taken(&path) {
            return Err(format!("{name:?} is there already"));
        }
        let part = directory.join(format!("{name}.part"));
        match fs::symlink_metadata(&part) {
            Ok(found) if !found.is_file() => return Err(format!("{name}.part is no file")),
            _ => {}
        }
        let failed = |error: io::Error| format!("cannot write {name}.part: {}", explain(&error));
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&part);
        let file = file.map_err(failed)?;
        let (length, hasher) = (0, Sha256::new());
        let mut partial = Self { file, part, path, size, length, hasher };
        partial.measure().map_err(failed)?;
        Ok(partial)
    }

    /// Reads what there is.
    fn measure(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        self.file.seek(SeekFrom::Start(0))?;
        loop {
            let read = self.file.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            self.hasher.update(&buffer[..read]);
            self.length += read as u64;
            if self.length > self.size {
                // It is no beginning of this file.
                return self.restart();
            }
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        (self.length, self.hasher) = (0, Sha256::new());
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }

    /// Where to go on: at the end of what there is, or from the beginning. Says what is wrong with another place.
    pub(super) fn begin(&mut self, offset: u64) -> Result<(), String> {
        if offset != 0 && offset != self.length {
            return Err("the sender goes on where it was not asked to".to_owned());
        }
        let begun = if offset == 0 { self.restart() } else { Ok(()) };
        begun.and_then(|()| self.file.set_len(offset)).map_err(|error| self.explain(&error))
    }

    /// Takes the next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() as u64 > self.size - self.length {
            return Err("the sender sends more than it said".to_owned());
        }
        self.file.write_all(bytes).map_err(|error| self.explain(&error))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Gives the file its name if it is whole and has this hash. Nothing that has this name is replaced.
    pub(super) fn finish(self, hash: &Hash) -> Result<PathBuf, String> {
        if self.length != self.size {
            return Err("the sender ends before all of it has come".to_owned());
        }
        if self.hash() != *hash {
            // No further part would ever make it right.
            let Self { file, part, .. } = self;
            drop(file);
            return Err(match fs::remove_file(&part) {
                Ok(()) => {
                    "what came has another hash than the sender names: it is thrown away".to_owned()
                }
                Err(error) => format!(
                    "what came has another hash than the sender names, and {} stays: {}",
                    shown(&part),
                    explain(&error)
                ),
            });
        }
        self.file.sync_all().map_err(|error| self.explain(&error))?;
        let Self { file, part, path, .. } = self;
        drop(file);
        publish(&part, &path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!("{} has appeared meanwhile: all is in {}", shown(&path), shown(&part))
            }
            _ => format!("cannot rename {}: {}", shown(&part), explain(&error)),
        })?;
        Ok(path)
    }

    /// The hash of what there is.
    pub(super) fn hash(&self) -> Hash {
        self.hasher.clone().finalize().into()
    }

    /// How much there is, in bytes.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    fn explain(&self, error: &io::Error) -> String {
        format!("cannot write {}: {}", shown(&self.part), explain(error))
    }
}

/// The name of a file: where it is, is nothing for the other end, which is told of it.
fn shown(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether there is anything of this name, a link that leads nowhere included.
fn is_taken(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Gives a file its name, which must be free.
fn publish(part: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(part, path) {
        Ok(()) => fs::remove_file(part),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Some file systems have no links. Then the name is taken first, and what takes it is replaced.
        Err(_) => {
            OpenOptions::new().write(true).create_new(true).open(path)?;
            fs::rename(part, path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("handfast-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("made");
            Self(path)
        }

        fn write(&self, name: &str, bytes: &[u8]) {
            fs::write(self.0.join(name), bytes).expect("written");
        }

        fn read(&self, name: &str) -> Option<Vec<u8>> {
            fs::read(self.0.join(name)).ok()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("removed");
        }
    }

    fn hash(bytes: &[u8]) -> Hash {
        Sha256::digest(bytes).into()
    }

    #[test]
    fn what_is_there_is_gone_on_with_and_has_its_name_only_when_it_is_whole() {
        let directory = Directory::new("whole");
        directory.write("a.part", b"hello");
        let mut partial = Partial::open(&directory.0, "a", 11).expect("opened");
        assert_eq!((partial.length(), partial.hash()), (5, hash(b"hello")));
        assert!(partial.begin(3).is_err());
        partial.begin(5).expect("where it is");
        partial.write(b" wor").expect("written");
        assert!(partial.write(b"ld!").is_err(), "one too many");
        assert_eq!(directory.read("a"), None);
        partial.write(b"ld").expect("written");
        let path = partial.finish(&hash(b"hello world")).expect("whole");
        assert_eq!(path, directory.0.join("a"));
        assert_eq!(directory.read("a").as_deref(), Some(&b"hello world"[..]));
        assert_eq!(directory.read("a.part"), None);
    }

    #[test]
    fn a_file_is_never_replaced_and_what_has_another_hash_never_gets_a_name() {
        let directory = Directory::new("kept");
        directory.write("a", b"mine");
        assert!(Partial::open(&directory.0, "a", 1).is_err());
        let mut partial = Partial::open(&directory.0, "b", 1).expect("opened");
        partial.write(b"x").expect("written");
        directory.write("b", b"mine");
        let error = partial.finish(&hash(b"x")).expect_err("taken");
        assert!(error.contains("appeared"), "{error}");
        assert_eq!(directory.read("b").as_deref(), Some(&b"mine"[..]));
        assert_eq!(directory.read("b.part").as_deref(), Some(&b"x"[..]));
        let mut partial = Partial::open(&directory.0, "c", 1).expect("opened");
        partial.write(b"y").expect("written");
        assert!(partial.finish(&hash(b"x")).is_err());
        let short = Partial::open(&directory.0, "c", 1).expect("opened");
        assert!(short.finish(&hash(b"")).is_err());
        assert_eq!(directory.read("c"), None);
    }

    #[test]
    fn what_is_longer_than_the_file_is_no_beginning_of_it() {
        let directory = Directory::new("longer");
        directory.write("a.part", b"hello");
        let mut partial = Partial::open(&directory.0, "a", 2).expect("opened");
        assert_eq!(partial.length(), 0);
        partial.begin(0).expect("from the beginning");
        partial.write(b"hi").expect("written");
        partial.finish(&hash(b"hi")).expect("whole");
        assert_eq!(directory.read("a").as_deref(), Some(&b"hi"[..]));
    }

    #[cfg(unix)]
    #[test]
    fn no_link_is_followed() {
        let directory = Directory::new("links");
        directory.write("mine", b"mine");
        let link = |name| std::os::unix::fs::symlink("mine", directory.0.join(name));
        link("a.part").expect("linked");
        assert!(Partial::open(&directory.0, "a", 9).is_err());
        std::os::unix::fs::symlink("nowhere", directory.0.join("b")).expect("linked");
        assert!(Partial::open(&directory.0, "b", 9).is_err());
        assert_eq!(directory.read("mine").as_deref(), Some(&b"mine"[..]));
    }
}
