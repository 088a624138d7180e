use super::*;
use std::env;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Barrier;

/// A directory of the test's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("handfast-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> KeyFile {
        let path = self.0.join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        KeyFile::new(path)
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
    let file = KeyFile::new(scratch.0.join("new/deeper/server.key"));
    assert!(file.load().expect_err("not there").is_missing());
    let made = file.load_or_create().expect("made").id();
    assert_eq!(file.load_or_create().expect("read").id(), made);
    assert_eq!(file.load().expect("read").id(), made);
    let text = file.create().expect_err("there already").to_string();
    assert!(text.contains("not replaced"), "{text}");
    assert_eq!(file.load().expect("read").id(), made);
    let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
    let directory = file.path().parent().expect("one");
    assert_eq!(mode(file.path()), 0o600);
    assert_eq!(mode(directory), 0o700);
    let text = fs::read_to_string(file.path()).expect("read");
    assert_eq!((text.len(), text.lines().count()), (TEXT + 1, 1));
    assert_eq!(fs::read_dir(directory).expect("read").count(), 1, "a draft is left");
}

#[test]
fn who_comes_first_at_once_agrees_on_one_key() {
    let scratch = Scratch::new("first");
    for round in 0..50 {
        let file = KeyFile::new(scratch.0.join(format!("{round}/server.key")));
        let together = Barrier::new(8);
        let come = || {
            together.wait();
            file.load_or_create().map(|identity| identity.id())
        };
        let ids = thread::scope(|scope| {
            let starting: Vec<_> = (0..8).map(|_| scope.spawn(come)).collect();
            let started = starting.into_iter().map(|thread| thread.join().expect("no panic"));
            started.collect::<Result<Vec<_>, _>>()
        });
        let ids = ids.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(ids.iter().all(|id| *id == ids[0]), "round {round}: {ids:?}");
    }
}

#[test]
fn what_the_world_can_read_or_others_can_write_is_refused() {
    let scratch = Scratch::new("open");
    let line = "a".repeat(TEXT);
    for mode in 0..0o1000 {
        // Root reads whatever the mode says; others read what is theirs to read.
        let file = scratch.write("server.key", &line, mode | 0o400);
        let refused = (mode & 0o004 != 0) || (mode & 0o022 != 0);
        match file.load_or_create() {
            Ok(_) => assert!(!refused, "{mode:o}"),
            Err(error) => {
                assert!(refused, "{mode:o}: {error}");
                let text = error.to_string();
                let may = if mode & 0o022 != 0 { "may write" } else { "may read" };
                assert!(text.contains("chmod 600") && text.contains(may), "{mode:o}: {text}");
            }
        }
    }
}

#[test]
fn what_is_no_file_is_refused_as_such() {
    let scratch = Scratch::new("kind");
    let directory = KeyFile::new(&scratch.0);
    for error in [directory.load_or_create().map(drop), directory.network_secrets().map(drop)] {
        let text = error.expect_err("refused").to_string();
        assert!(text.contains("is a directory") && !text.contains("chmod"), "{text}");
    }
    for device in ["/dev/zero", "/dev/null"] {
        let text = KeyFile::new(device).load_or_create().expect_err("refused").to_string();
        assert!(text.contains("is a device") && !text.contains("chmod"), "{text}");
    }
}

#[test]
fn what_is_not_a_secret_is_refused_without_being_shown() {
    let scratch = Scratch::new("bad");
    let three = format!("{0}\n{0}\n{0}\n", "a".repeat(TEXT));
    for text in ["", "short", &"1".repeat(TEXT), &"a".repeat(200), &three] {
        let file = scratch.write("k", text, 0o600);
        for error in [file.load_or_create().map(drop), file.network_secrets().map(drop)] {
            let error = error.expect_err("refused").to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
            assert!(!error.contains("aaaa"), "{error}");
        }
    }
    let two = format!("{0}\n{0}\n", "a".repeat(TEXT));
    assert!(scratch.write("k", &two, 0o600).load().is_err(), "a key has one line");
}

#[test]
fn network_secrets_are_one_line_or_two_as_base32_itself_writes_them() {
    let scratch = Scratch::new("network");
    let one = format!("{}====\n", "A".repeat(TEXT));
    let (_, previous) = scratch.write("s", &one, 0o440).network_secrets().expect("one");
    assert!(previous.is_none());
    let two = format!("{one}\r\n  {}  \n", "b".repeat(51) + "a");
    let (_, previous) = scratch.write("s", &two, 0o600).network_secrets().expect("two");
    assert!(previous.is_some());
    let missing = KeyFile::new(scratch.0.join("none")).network_secrets().expect_err("missing");
    assert!(missing.is_missing() && missing.to_string().contains("none"), "{missing}");
}
