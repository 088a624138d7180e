//! A real `p2p_server` that passes packets on, and its counters.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use handfast_core::{PeerId, Target};

use super::network::Network;

/// How servers are started.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    /// The program.
    pub(super) program: PathBuf,
    /// The program `handfast`.
    pub(super) client: PathBuf,
    /// Where their keys are, and nothing else.
    pub(super) home: PathBuf,
}

/// A running `p2p_server --relay`. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    process: Child,
    id: PeerId,
    address: SocketAddr,
    latest: Arc<Latest>,
}

#[derive(Debug, Default)]
struct Latest {
    /// How many lines of statistics came, and the bytes that were passed on as of the newest.
    counted: Mutex<(u64, u64)>,
    news: Condvar,
    /// What the server said last, for when it ends.
    last: Mutex<String>,
}

impl Servers {
    /// Starts one in `network`, which has `address`. Servers of the same `name` have the same key.
    ///
    /// # Errors
    /// When it does not start: with its last words.
    pub(super) fn start(
        &self,
        network: &Network,
        address: Ipv4Addr,
        name: &str,
    ) -> io::Result<Relay> {
        let address = SocketAddr::from((address, PORT));
        let key = self.home.join(name);
        let id = self.run(&["id", "--identity", &key.to_string_lossy()])?;
        let id: PeerId = id.trim().parse().map_err(|_| io::Error::other(format!("no id: {id}")))?;
        let mut command = Command::new(&self.program);
        command.arg("--relay").arg("--listen").arg(address.to_string()).arg("--identity").arg(&key);
        command.args(["--stats-interval", "100ms"]).env("XDG_CONFIG_HOME", &self.home);
        command
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = network.run(|| command.spawn())?;
        let log = process.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let latest = Arc::new(Latest::default());
        let writer = Arc::clone(&latest);
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                writer.take(&line);
            }
        });
        let relay = Relay { process, id, address, latest };
        relay.forwarded()?;
        Ok(relay)
    }

    /// Makes the key of this name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn make_key(&self, name: &str) -> io::Result<()> {
        self.run(&["genkey", &self.home.join(name).to_string_lossy()]).map(drop)
    }

    /// The program `handfast`, beside the server's.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn client(&self) -> io::Result<PathBuf> {
        let program = self.program.with_file_name("handfast");
        if program.is_file() {
            return Ok(program);
        }
        let say = "cargo build -p handfast-client makes it";
        Err(io::Error::other(format!("{} is not there: {say}", program.display())))
    }

    fn run(&self, arguments: &[&str]) -> io::Result<String> {
        super::network::feed(&self.program.to_string_lossy(), arguments, "")
    }
}

impl Relay {
    /// How it is dialled.
    #[must_use]
    pub(super) fn target(&self) -> Target {
        Target::new(self.id, [self.address])
    }

    /// The same for a command line.
    #[must_use]
    pub(super) fn name(&self) -> String {
        format!("{}@{}", self.id, self.address)
    }

    /// How many bytes it has passed on, by a line of statistics that is newer than this call.
    ///
    /// # Errors
    /// When it says nothing any more.
    pub(super) fn forwarded(&self) -> io::Result<u64> {
        let counted = lock(&self.latest.counted);
        let known = counted.0;
        // The next line may have been on its way already.
        let waiting = |counted: &mut (u64, u64)| counted.0 < known + 2;
        let (counted, result) = self
            .latest
            .news
            .wait_timeout_while(counted, PATIENCE, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() {
            let last = lock(&self.latest.last).clone();
            return Err(io::Error::other(format!("the server is silent; its last words: {last}")));
        }
        Ok(counted.1)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Latest {
    fn take(&self, line: &str) {
        line.clone_into(&mut lock(&self.last));
        let mut words =
            line.split_whitespace().filter_map(|word| word.strip_prefix("forward_bytes="));
        if let Some(bytes) = words.next().and_then(|bytes| bytes.parse().ok()) {
            let mut counted = lock(&self.counted);
            *counted = (counted.0 + 1, bytes);
            self.news.notify_all();
        }
    }
}

/// Where a program of this name is: beside this one, unless something else was said. `package` makes it.
///
/// # Errors
/// When it is not there.
pub(super) fn find(program: Option<&Path>, name: &str, package: &str) -> io::Result<PathBuf> {
    let beside = || std::env::current_exe().map(|here| here.with_file_name(name));
    let program = program.map_or_else(beside, |program| Ok(program.to_owned()))?;
    if program.is_file() {
        return Ok(program);
    }
    let say = format!("cargo build -p {package} makes it");
    Err(io::Error::other(format!("{} is not there: {say}", program.display())))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const PORT: u16 = 4263;
/// A busy machine may be late with its statistics, but not by this much.
const PATIENCE: Duration = Duration::from_secs(20);
