//! Files with secrets: the key of an identity, the secrets of a private network. Each secret is one
//! line of base32.

mod error;
mod private_file;

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use data_encoding::{BASE32_NOPAD, BASE32_NOPAD_NOCASE};
use handfast_core::{Identity, NetworkSecret};
use zeroize::Zeroizing;

pub use error::KeyFileError;
use error::Problem;

use crate::host::entropy;

/// A new identity, drawn from the operating system's generator. Nothing of it is kept: to be the same
/// peer tomorrow, use [`KeyFile::load_or_create`].
///
/// # Errors
/// When the system has no randomness to give.
pub fn generate_identity() -> io::Result<Identity> {
    Ok(Identity::from_seed(*Zeroizing::new(entropy()?)))
}

/// A file with a secret. It must be a regular file that not everyone can read and that nobody but its
/// owner can write; its group may read it (so secrets that Kubernetes and systemd hand out are fine). On
/// Windows the access control list of a file that is there already is not looked into.
///
/// ```no_run
/// use handfast_udp::KeyFile;
///
/// let identity = KeyFile::new("server.key").load_or_create()?;
/// println!("I am {}", identity.id());
/// # Ok::<(), handfast_udp::KeyFileError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The file at `path`. Nothing is read yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the key of an identity.
    ///
    /// # Errors
    /// When it cannot be read (or is not there: [`KeyFileError::is_missing`]), others may read or write
    /// it, or it is not one line of base32 for 32 bytes.
    pub fn load(&self) -> Result<Identity, KeyFileError> {
        let secrets = self.read(KEY)?;
        match &secrets[..] {
            [seed] => Ok(Identity::from_seed(**seed)),
            _ => Err(self.error(KEY, Problem::NotASecret)),
        }
    }

    /// Reads the key of an identity. If there is no file, makes a new key, the file, and the directories
    /// it is in, for their owner alone. Of several processes that come first at once, one makes
    /// the key and all read it.
    ///
    /// # Errors
    /// Those of [`load`](Self::load), except that the file may be missing; and when it cannot be
    /// written.
    pub fn load_or_create(&self) -> Result<Identity, KeyFileError> {
        match self.load() {
            Err(error) if error.is_missing() => {}
            loaded => return loaded,
        }
        match self.make() {
            Ok(identity) => Ok(identity),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.load_when_written(),
            Err(error) => Err(self.error(KEY, Problem::Unwritable(error))),
        }
    }

    /// Makes a new key, the file, and the directories it is in, for their owner alone.
    ///
    /// # Errors
    /// When there is such a file already, or it cannot be written.
    pub fn create(&self) -> Result<Identity, KeyFileError> {
        self.make().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => self.error(KEY, Problem::Exists),
            _ => self.error(KEY, Problem::Unwritable(error)),
        })
    }

    /// Reads the secrets of a private network: on the first line the one with which handshakes are begun,
    /// on a second line, if there is one, another one that is accepted too
    /// ([`Config::previous_network_secret`](handfast_core::Config::previous_network_secret)).
    ///
    /// # Errors
    /// When it cannot be read, others may read or write it, or it is not one or two lines of base32 for
    /// 32 bytes each.
    pub fn network_secrets(&self) -> Result<(NetworkSecret, Option<NetworkSecret>), KeyFileError> {
        let secrets = self.read(NETWORK_SECRET)?;
        let secret = |bytes: &Zeroizing<[u8; 32]>| NetworkSecret::new(**bytes);
        match &secrets[..] {
            [current] => Ok((secret(current), None)),
            [current, previous] => Ok((secret(current), Some(secret(previous)))),
            _ => Err(self.error(NETWORK_SECRET, Problem::NotASecret)),
        }
    }

    fn make(&self) -> io::Result<Identity> {
        let seed = Zeroizing::new(entropy()?);
        let mut line = Zeroizing::new([b'\n'; TEXT + 1]);
        BASE32_NOPAD.encode_mut(&*seed, &mut line[..TEXT]);
        line.make_ascii_lowercase();
        private_file::create(&self.path, &*line)?;
        tracing::info!(target: "handfast::keys", file = %self.path.display(), "made a new key");
        Ok(Identity::from_seed(*seed))
    }

    /// Another process made the file a moment ago. Where files have no second names, the key is not in it
    /// yet.
    fn load_when_written(&self) -> Result<Identity, KeyFileError> {
        for _ in 0..WAITS {
            if fs::metadata(&self.path).is_ok_and(|file| file.len() > 0) {
                break;
            }
            thread::sleep(WAIT);
        }
        self.load()
    }

    /// The secrets in the file, one a line; at least one.
    fn read(&self, what: &'static str) -> Result<Vec<Zeroizing<[u8; 32]>>, KeyFileError> {
        let fail = |problem| self.error(what, problem);
        let unreadable = |error| fail(Problem::Unreadable(error));
        // Before it is opened: to open a pipe is to wait for its other end.
        refuse_what_is_no_file(&fs::metadata(&self.path).map_err(unreadable)?).map_err(fail)?;
        let file = File::open(&self.path).map_err(unreadable)?;
        refuse_what_is_no_file(&file.metadata().map_err(unreadable)?).map_err(fail)?;
        if let Some(exposure) = private_file::exposure(&file, &self.path).map_err(unreadable)? {
            return Err(fail(Problem::Exposed(exposure)));
        }
        let mut text = Zeroizing::new(String::with_capacity(LONGEST_FILE));
        let limit = u64::try_from(LONGEST_FILE).unwrap_or(u64::MAX);
        file.take(limit).read_to_string(&mut text).map_err(unreadable)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Option<Vec<_>> = lines.map(decode).collect();
        let secrets = secrets.filter(|secrets| !secrets.is_empty());
        secrets.ok_or_else(|| fail(Problem::NotASecret))
    }

    fn error(&self, what: &'static str, problem: Problem) -> KeyFileError {
        KeyFileError::new(&self.path, what, problem)
    }
}

fn refuse_what_is_no_file(metadata: &Metadata) -> Result<(), Problem> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(if metadata.is_dir() { Problem::Directory } else { Problem::NoFile })
}

fn decode(line: &str) -> Option<Zeroizing<[u8; 32]>> {
    let digits = line.trim_end_matches('=').as_bytes();
    let mut secret = Zeroizing::new([0; 32]);
    let is_read =
        digits.len() == TEXT && BASE32_NOPAD_NOCASE.decode_mut(digits, &mut *secret).is_ok();
    is_read.then_some(secret)
}

const KEY: &str = "key";
const NETWORK_SECRET: &str = "network secret";
/// Characters of base32 that hold 32 bytes.
const TEXT: usize = 52;
/// Room for two lines, padding and stray white space. More are no secrets of ours.
const LONGEST_FILE: usize = 256;
/// How often, and for how long each time, to wait for another process that makes the key.
const WAITS: usize = 100;
const WAIT: Duration = Duration::from_millis(10);

#[cfg(all(test, unix))]
mod tests;
