//! Files with secrets: the server's key and the network secret. Each is one line of base32.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use data_encoding::{BASE32_NOPAD, BASE32_NOPAD_NOCASE};
use handfast_core::{Identity, NetworkSecret};
use handfast_udp::explain;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::private_file;

/// Reads the server's key, or makes one if there is none yet.
///
/// # Errors
/// When it can be neither read nor made, others may read it, or it is not a key.
pub fn load_or_create(path: &Path) -> Result<Identity, Error> {
    match File::open(path) {
        Ok(file) => Ok(Identity::from_seed(*read_secret(file, path, "key")?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path).map_err(|error| {
            Error::Usage(format!(
                "cannot write the key {}: {}; choose another file with --identity",
                path.display(),
                explain(&error)
            ))
        }),
        Err(error) => Err(unreadable(path, "key", &error)),
    }
}

/// Reads the secret of a private network.
///
/// # Errors
/// When it cannot be read, others may read it, or it is not 32 bytes of base32.
pub fn network_secret(path: &Path) -> Result<NetworkSecret, Error> {
    let file = File::open(path).map_err(|error| unreadable(path, "network secret", &error))?;
    Ok(NetworkSecret::new(*read_secret(file, path, "network secret")?))
}

fn create(path: &Path) -> io::Result<Identity> {
    let seed = Zeroizing::new(handfast_udp::entropy()?);
    let mut line = Zeroizing::new([b'\n'; TEXT + 1]);
    BASE32_NOPAD.encode_mut(&*seed, &mut line[..TEXT]);
    line.make_ascii_lowercase();
    private_file::create(path, &*line)?;
    tracing::info!(file = %path.display(), "made a new key");
    Ok(Identity::from_seed(*seed))
}

/// Reads 32 secret bytes. No error shows any of them.
fn read_secret(file: File, path: &Path, what: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
    refuse_if_open_to_others(&file, path, what)?;
    let mut text = Zeroizing::new(String::with_capacity(LONGEST_FILE));
    let limit = u64::try_from(LONGEST_FILE).unwrap_or(u64::MAX);
    file.take(limit).read_to_string(&mut text).map_err(|error| unreadable(path, what, &error))?;
    let digits = text.trim().trim_end_matches('=').as_bytes();
    let mut secret = Zeroizing::new([0; 32]);
    let is_read =
        digits.len() == TEXT && BASE32_NOPAD_NOCASE.decode_mut(digits, &mut *secret).is_ok();
    if is_read {
        return Ok(secret);
    }
    Err(Error::Usage(format!(
        "{} is not a {what}: it should be one line of {TEXT} characters of base32; restore it from \
         a copy, or name another file",
        path.display()
    )))
}

fn unreadable(path: &Path, what: &str, error: &io::Error) -> Error {
    Error::Usage(format!(
        "cannot read the {what} {}: {}; check the path, and who owns the file",
        path.display(),
        explain(error)
    ))
}

fn refuse_if_open_to_others(file: &File, path: &Path, what: &str) -> Result<(), Error> {
    let exposure = private_file::exposure(file, path);
    let exposure = exposure.map_err(|error| unreadable(path, what, &error))?;
    exposure.map_or(Ok(()), |exposure| {
        Err(Error::Usage(format!(
            "others may read the {what} {} {exposure}; if others may have, replace it",
            path.display()
        )))
    })
}

/// Characters of base32 that hold 32 bytes.
const TEXT: usize = 52;
/// Room for the line, padding and stray white space. More is not a secret of ours.
const LONGEST_FILE: usize = 128;

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::PathBuf;
    use std::{env, fs};

    /// A directory of the test's own, gone with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("handfast-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory");
            Self(path)
        }

        fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("removed");
        }
    }

    #[test]
    fn a_missing_key_is_made_for_the_owner_alone_and_found_again() {
        let scratch = Scratch::new("made");
        let path = scratch.0.join("new/deeper/server.key");
        let made = load_or_create(&path).expect("made").id();
        assert_eq!(load_or_create(&path).expect("read").id(), made);
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("one")), 0o700);
        let text = fs::read_to_string(&path).expect("read");
        assert_eq!((text.len(), text.lines().count()), (TEXT + 1, 1));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let scratch = Scratch::new("open");
        let line = "a".repeat(TEXT);
        for mode in [0o640, 0o604, 0o666] {
            let path = scratch.write("server.key", &line, mode);
            let error = load_or_create(&path).expect_err("refused");
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        let path = scratch.write("server.key", &line, 0o400);
        assert!(load_or_create(&path).is_ok());
    }

    #[test]
    fn what_is_not_a_secret_is_refused_without_being_shown() {
        let scratch = Scratch::new("bad");
        for text in ["", "short", &"1".repeat(TEXT), &"a".repeat(200)] {
            let error = load_or_create(&scratch.write("k", text, 0o600)).expect_err("refused");
            assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn a_network_secret_may_be_written_by_base32_itself() {
        let scratch = Scratch::new("network");
        let path = scratch.write("s", &format!("{}====\n", "A".repeat(TEXT)), 0o600);
        assert!(network_secret(&path).is_ok());
        let missing = network_secret(&scratch.0.join("none")).expect_err("missing");
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}
