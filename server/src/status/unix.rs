//! The socket, a Unix socket in a directory that is the owner's alone.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use handfast_program::Error;
use handfast_udp::explain;

use super::Handler;
use super::report::answer;

/// The open socket. Its file goes with it.
#[derive(Debug)]
pub(crate) struct Guard {
    path: PathBuf,
    /// Device and number of the file: another server may have put its own there.
    file: Identity,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| identity(&found) == self.file) {
            // It is in nobody's way: the next server replaces it.
            fs::remove_file(&self.path).ok();
        }
    }
}

type Identity = (u64, u64, i64, i64);

/// Which file it is: systems give the number of a removed file to the next one, so its time belongs to it.
fn identity(file: &Metadata) -> Identity {
    (file.dev(), file.ino(), file.mtime(), file.mtime_nsec())
}

/// Opens the socket, and answers who asks on threads of its own.
pub(super) fn open(path: &Path, handler: Handler) -> Result<Guard, Error> {
    let shown = path.display();
    let failed = |error: io::Error| Error::Run(format!("{shown}: {}", explain(&error)));
    private_directory(path)?;
    make_way(path)?;
    let listener = UnixListener::bind(path).map_err(|error| match error.kind() {
        // One that started in the same instant was faster.
        io::ErrorKind::AddrInUse => in_use(path),
        _ => failed(error),
    })?;
    let guard = Guard { path: path.to_owned(), file: make_private(path).map_err(failed)? };
    let accept = move || serve(&listener, &handler);
    thread::Builder::new().name("status".to_owned()).spawn(accept).map_err(failed)?;
    Ok(guard)
}

/// Only the owner may open the file. One that starts now may have moved it aside for a moment, to look whether it
/// is the one that is in its way.
fn make_private(path: &Path) -> io::Result<Identity> {
    let attempt = || -> io::Result<Identity> {
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(identity(&fs::symlink_metadata(path)?))
    };
    for _ in 0..MOMENTS {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => thread::sleep(OPENING),
            done => return done,
        }
    }
    attempt()
}

/// Makes the directory, or makes sure that others cannot enter it: else they could put something else there.
fn private_directory(path: &Path) -> Result<(), Error> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    let shown = directory.display();
    let failed = |error: io::Error| Error::Usage(format!("{shown}: {}", explain(&error)));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let mode = fs::metadata(directory).map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Error::Usage(format!(
            "the status socket needs a directory that only its owner may enter, and {shown} has mode \
             {mode:04o}: name another with --status-socket, or run `chmod 700 {shown}`"
        )));
    }
    Ok(())
}

/// Removes the socket of a server that is gone. Anything else stays.
fn make_way(path: &Path) -> Result<(), Error> {
    let shown = path.display();
    let found = match fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(Error::Usage(format!("{shown} is there and no socket: name another")));
        }
        Ok(found) => found,
    };
    // One that is just being opened is there before it listens.
    for wait in [OPENING, Duration::ZERO] {
        if !is_deaf(path) {
            return Err(in_use(path));
        }
        thread::sleep(wait);
    }
    take_away(path, identity(&found))
}

fn is_deaf(path: &Path) -> bool {
    UnixStream::connect(path).is_err_and(|error| {
        [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound].contains(&error.kind())
    })
}

/// Removes the file `stale`. Another server may do the same meanwhile, and have put its own there: that stays. So
/// the file is moved first, which one alone can do, and looked at then.
fn take_away(path: &Path, stale: Identity) -> Result<(), Error> {
    static MOVED: AtomicU32 = AtomicU32::new(0);
    let failed = |error: io::Error| Error::Run(format!("{}: {}", path.display(), explain(&error)));
    let number = MOVED.fetch_add(1, Ordering::Relaxed);
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}.{number}", std::process::id()));
    let aside = PathBuf::from(aside);
    match fs::rename(path, &aside) {
        Ok(()) => {}
        // Somebody was faster: whose socket it will be is decided when it is opened.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    let moved = fs::symlink_metadata(&aside).map_err(failed)?;
    if identity(&moved) == stale {
        return fs::remove_file(&aside).map_err(failed);
    }
    fs::rename(&aside, path).map_err(failed)?;
    Err(in_use(path))
}

fn in_use(path: &Path) -> Error {
    Error::Run(format!(
        "another server that runs answers at {}: give this one a --status-socket of its own",
        path.display()
    ))
}

fn serve(listener: &UnixListener, handler: &Handler) {
    // Every thread holds one, beside this one's.
    let places = Arc::new(());
    loop {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::debug!(error = %explain(&error), "nobody can ask for the status");
                thread::sleep(PAUSE);
                continue;
            }
        };
        if Arc::strong_count(&places) > MAX_CLIENTS {
            // Closed at once: who holds the places is the same user.
            continue;
        }
        let (place, handler) = (Arc::clone(&places), Arc::clone(handler));
        let talk = move || {
            if let Err(error) = talk(&client, &handler) {
                tracing::debug!(error = %explain(&error), "a client of the status socket went");
            }
            drop(place);
        };
        // Without a thread to give the client is closed as well.
        drop(thread::Builder::new().name("status client".to_owned()).spawn(talk));
    }
}

/// Reads one line, and answers it. Neither takes longer than a moment, however slow the client is.
fn talk(client: &UnixStream, handler: &Handler) -> io::Result<()> {
    let line = read_line(client, MAX_LINE, Instant::now() + PATIENCE)?;
    let text = answer(&line, &**handler);
    write_all(client, text.as_bytes(), Instant::now() + PATIENCE)
}

/// What came up to a line's end, or to the end of all.
fn read_line(mut stream: &UnixStream, most: usize, deadline: Instant) -> io::Result<String> {
    let (mut line, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let read = stream.read(&mut buffer)?;
        line.extend_from_slice(&buffer[..read]);
        if line.len() > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
        }
        if read == 0 || line.contains(&b'\n') {
            return Ok(String::from_utf8_lossy(&line)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned());
        }
    }
}

fn write_all(mut stream: &UnixStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        let written = stream.write(bytes)?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Zero would mean for ever.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Asks the server at this socket: its answer.
pub(super) fn exchange(path: &Path, line: &str, patience: Duration) -> io::Result<String> {
    let stream = UnixStream::connect(path)?;
    let deadline = Instant::now() + patience;
    write_all(&stream, format!("{line}\n").as_bytes(), deadline)?;
    read_line(&stream, MAX_ANSWER, deadline)
}

/// How many are answered at the same time.
const MAX_CLIENTS: usize = 8;
/// `kick` and a `PeerId`, and some more.
const MAX_LINE: usize = 256;
/// A line for each of very many peers.
const MAX_ANSWER: usize = 1 << 30;
const PATIENCE: Duration = Duration::from_secs(5);
/// When the system has no descriptor to give.
const PAUSE: Duration = Duration::from_millis(100);
/// A socket that is there listens after so long.
const OPENING: Duration = Duration::from_millis(20);
/// How often to look for a file that was moved aside.
const MOMENTS: usize = 50;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// Each time, the socket of a server that is gone is in the way of two at once.
    #[test]
    fn of_two_servers_that_find_one_stale_socket_one_has_it_and_the_other_knows() {
        let home = std::env::temp_dir().join(format!("handfast-stale-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&home).expect("made");
        let path = home.join("s");
        for round in 0..50 {
            drop(UnixListener::bind(&path).expect("bound"));
            let start = Barrier::new(2);
            let contend = || {
                start.wait();
                open(&path, Arc::new(|_| None))
            };
            let opened = thread::scope(|scope| {
                let both = [scope.spawn(contend), scope.spawn(contend)];
                both.map(|one| one.join().expect("no panic"))
            });
            let refused: Vec<_> = opened.iter().filter_map(|one| one.as_ref().err()).collect();
            assert_eq!(refused.len(), 1, "round {round}: {refused:?}");
            assert!(refused[0].to_string().contains("another server"), "{refused:?}");
            let answer = exchange(&path, "peers", PATIENCE).expect("the one that has it answers");
            assert!(answer.contains("stopping"), "{answer}");
            drop(opened);
            assert!(!path.exists(), "it goes with its server");
        }
        assert_eq!(fs::read_dir(&home).expect("there").count(), 0, "nothing is left");
        fs::remove_dir(&home).expect("empty");
    }
}
