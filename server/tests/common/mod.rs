//! The built program under test, and a client to talk to it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use handfast_mio::{
    Config, Endpoint, Event, Identity, Listen, PeerHandle, PeerId, Target, entropy,
};

/// The runtimes that are built into the program.
pub(crate) fn runtimes() -> Vec<&'static str> {
    let built = [("tokio", cfg!(feature = "tokio")), ("mio", cfg!(feature = "mio"))];
    built.into_iter().filter_map(|(name, is_built)| is_built.then_some(name)).collect()
}

/// A runtime to start on and one to go on with: both ways where there are two.
pub(crate) fn pairs() -> Vec<(&'static str, &'static str)> {
    match runtimes()[..] {
        [first, second] => vec![(first, second), (second, first)],
        [only] => vec![(only, only)],
        _ => Vec::new(),
    }
}

/// A directory of the test's own, gone with it.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("p2p_server-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("removed");
    }
}

/// The program, with its configuration in `home` and not in the user's.
///
/// `P2P_SERVER_EXE` names the program built for Windows: then that is tested, under Wine.
pub(crate) fn program(home: &Path, arguments: &[&str]) -> Command {
    let mut command = match windows_program() {
        Some(program) => {
            let mut wine = Command::new("wine");
            wine.arg(program).arg("--identity").arg(home.join("handfast").join("server.key"));
            wine
        }
        None => Command::new(env!("CARGO_BIN_EXE_p2p_server")),
    };
    command.args(arguments).env("XDG_CONFIG_HOME", home);
    for name in [
        "RUST_LOG",
        "CARGO_MANIFEST_DIR",
        "CREDENTIALS_DIRECTORY",
        "STATE_DIRECTORY",
        "RUNTIME_DIRECTORY",
        "XDG_RUNTIME_DIR",
    ] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn windows_program() -> Option<OsString> {
    std::env::var_os("P2P_SERVER_EXE")
}

/// Runs a program that is to end by itself: its exit code and what it said on stderr.
pub(crate) fn failure(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().expect("started");
    (status.code(), String::from_utf8(stderr).expect("text"))
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    pub(crate) id: PeerId,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it and waits until it has said how to reach it. Its log tells of every message.
    pub(crate) fn start(home: &Path, arguments: &[&str]) -> Self {
        let mut command = program(home, arguments);
        command.env("RUST_LOG", "info,handfast_server=debug");
        Self::started(command)
    }

    /// Starts it with what is logged unless told otherwise.
    pub(crate) fn start_usual(home: &Path, arguments: &[&str]) -> Self {
        Self::started(program(home, arguments))
    }

    fn started(mut command: Command) -> Self {
        let mut child = command.spawn().expect("started");
        let stderr = lines(child.stderr.take().expect("piped"));
        Self::introduced(child, stderr)
    }

    /// Starts it with a log into a pipe that stays open and that nobody reads.
    pub(crate) fn start_stuck(home: &Path, arguments: &[&str]) -> (Self, ChildStderr) {
        let mut child = program(home, arguments).env("RUST_LOG", "trace").spawn().expect("started");
        let pipe = child.stderr.take().expect("piped");
        (Self::introduced(child, channel().1), pipe)
    }

    /// Starts it with a log that nobody reads: the pipe has no other end.
    pub(crate) fn start_unread(home: &Path, arguments: &[&str]) -> Self {
        let mut child = program(home, arguments).spawn().expect("started");
        drop(child.stderr.take());
        Self::introduced(child, channel().1)
    }

    fn introduced(mut child: Child, stderr: Receiver<String>) -> Self {
        let stdout = lines(child.stdout.take().expect("piped"));
        let line = wait_for(&stdout, "reached at ");
        let target = line.split(' ').next_back().expect("the last word");
        let (id, address) = target.split_once('@').expect("PeerId@address");
        let (id, address) = (id.parse().expect("an id"), address.parse().expect("an address"));
        Self { child, stdout, stderr, id, address }
    }

    /// The next line of its log that contains `text`.
    pub(crate) fn log(&self, text: &str) -> String {
        wait_for(&self.stderr, text)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        // Wine makes of this one what Ctrl-C is on Windows, and ends at once at any other.
        let name = if windows_program().is_some() { "INT" } else { name };
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill is there");
        assert!(sent.success());
    }

    /// Waits for the end: what is left of its log.
    pub(crate) fn rest(mut self) -> Vec<String> {
        self.child.wait().expect("waited");
        std::iter::from_fn(|| self.stderr.recv_timeout(PATIENCE).ok()).collect()
    }

    /// Waits for the end: the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        // Its pipes end with it, and the guard against hanging is on the pipe.
        let deadline = Instant::now() + PATIENCE;
        while self.stdout.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {
        }
        assert!(Instant::now() < deadline, "the server does not end");
        self.child.wait().expect("waited").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A client, driven by the test's own thread.
pub(crate) struct Client {
    pub(crate) endpoint: Endpoint,
    pub(crate) peer: PeerHandle,
}

impl Client {
    pub(crate) fn connect(id: PeerId, address: SocketAddr) -> Self {
        Self::with(Config::default(), id, address)
    }

    /// Connects, as a new peer.
    pub(crate) fn with(config: Config, id: PeerId, address: SocketAddr) -> Self {
        let identity = Identity::from_seed(entropy().expect("entropy"));
        Self::call(config, identity, id, address).expect("connected")
    }

    /// Dials as `identity`; none if nobody let it in.
    pub(crate) fn call(
        config: Config,
        identity: Identity,
        id: PeerId,
        address: SocketAddr,
    ) -> Option<Self> {
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let mut endpoint = Endpoint::bind(config, identity, Listen::from(any)).expect("bound");
        let peer = endpoint.connect(Target::new(id, [address])).expect("a dial");
        let mut client = Self { endpoint, peer };
        let first = client.wait(|event| {
            matches!(event, Event::Connected { .. } | Event::Ended { .. }).then(|| event.clone())
        });
        matches!(first, Event::Connected { .. }).then_some(client)
    }

    /// Turns until an event answers.
    pub(crate) fn wait<T>(&mut self, answer: impl Fn(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Some(event) = self.endpoint.poll_event() {
                if let Some(found) = answer(&event) {
                    return found;
                }
            }
            assert!(Instant::now() < deadline, "it did not happen");
            self.endpoint.turn(Some(PATIENCE)).expect("a turn");
        }
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // The pipe is read to its end even if nobody listens: the server must not block.
            sender.send(line).ok();
        }
    });
    receiver
}

fn wait_for(lines: &Receiver<String>, text: &str) -> String {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) if line.contains(text) => return line,
            Ok(line) => seen.push(line),
            Err(error) => panic!("no line with {text:?} ({error}), only {seen:#?}"),
        }
    }
}

/// Guards against a hang; nothing takes nearly as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
