//! The program under test, and peers for it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use handfast_tokio::{
    Config, Connections, Endpoint, ForwardingPolicy, Listen, PeerId, Reconnect, Target,
    generate_identity,
};
use tokio::runtime::Runtime;

/// A directory of the test's own, gone with it.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("handfast-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("in")).expect("a directory");
        Self(path)
    }

    /// A file to send, of bytes that do not repeat soon.
    pub(crate) fn file(&self, name: &str, length: usize) -> (String, Vec<u8>) {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let bytes: Vec<u8> = (0..length).map(|_| next()).collect();
        let path = self.0.join(name);
        fs::write(&path, &bytes).expect("written");
        (path.to_str().expect("text").to_owned(), bytes)
    }

    /// Where files arrive.
    pub(crate) fn inside(&self, name: &str) -> PathBuf {
        self.0.join("in").join(name)
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Program {
        Program::start(&self.0, arguments)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("removed");
    }
}

/// The running program.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    /// Starts it, with its configuration in `home` and not in the user's.
    fn start(home: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_handfast"));
        command.args(arguments).env("XDG_CONFIG_HOME", home);
        for name in ["RUST_LOG", "CARGO_MANIFEST_DIR", "CREDENTIALS_DIRECTORY", "STATE_DIRECTORY"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let (sender, lines) = channel();
        let stdout: Box<dyn Read + Send> = Box::new(child.stdout.take().expect("piped"));
        let stderr: Box<dyn Read + Send> = Box::new(child.stderr.take().expect("piped"));
        for pipe in [stdout, stderr] {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(io::Result::ok) {
                    sender.send(line).ok();
                }
            });
        }
        Self { child, lines, seen: Vec::new() }
    }

    /// The next line that contains `text`.
    #[track_caller]
    pub(crate) fn line(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with {text:?} ({error}), only {:#?}", self.seen),
            }
        }
    }

    /// Waits for its end: the exit code, and all that it said on stdout and stderr.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:#?}", self.seen),
            }
        }
        (self.child.wait().expect("waited").code(), self.seen.join("\n"))
    }

    /// What Ctrl-C does.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", "INT", &pid]).status().expect("kill is there");
        assert!(sent.success());
    }

    /// Ends it without a word to anybody.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A peer in this process; it passes packets on for all that are connected to it.
pub(crate) struct Node {
    pub(crate) endpoint: Endpoint,
    pub(crate) runtime: Runtime,
    connections: Option<Connections>,
}

impl Node {
    /// On both families of addresses.
    pub(crate) fn relay(bytes_per_second: u64) -> Self {
        let mut config = Config::default();
        config.forwarding.policy = ForwardingPolicy::Anyone;
        config.forwarding.pair_rate = bytes_per_second;
        Self::new(config, Listen::all(0))
    }

    /// On an address of its own.
    pub(crate) fn at(address: &str) -> Self {
        let address: SocketAddr = address.parse().expect("an address");
        Self::new(Config::default(), Listen::from(address))
    }

    fn new(config: Config, listen: Listen) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let identity = generate_identity().expect("a key");
        let bound = runtime.block_on(async { Endpoint::bind(config, identity, listen) });
        Self { endpoint: bound.expect("bound"), runtime, connections: None }
    }

    pub(crate) fn id(&self) -> PeerId {
        self.endpoint.id()
    }

    pub(crate) fn port(&self) -> u16 {
        self.endpoint.local_addresses()[0].port()
    }

    /// How it is written on a command line, reached by IPv4 or IPv6.
    pub(crate) fn name(&self, host: &str) -> String {
        format!("{}@{host}:{}", self.id(), self.port())
    }

    /// Opens two further ports that test NATs.
    pub(crate) fn open_probe_ports(&self) -> [u16; 2] {
        self.runtime.block_on(async {
            let (mut sockets, mut ports) = (Vec::new(), Vec::new());
            for _ in 0..2 {
                let free = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
                let address = free.local_addr().expect("an address");
                drop(free);
                sockets.push(self.endpoint.add_socket(address).await.expect("opened"));
                ports.push(address.port());
            }
            self.endpoint.set_probe_sockets(sockets).await.expect("it runs");
            [ports[0], ports[1]]
        })
    }

    /// Stays connected to a relay.
    pub(crate) fn join(&mut self, relay: &Self) {
        let address = SocketAddr::from(([127, 0, 0, 1], relay.port()));
        let target = Target::new(relay.id(), [address]);
        self.runtime.block_on(async {
            let mut connections = self.endpoint.keep_connected(target, Reconnect::default());
            connections.next().await.expect("connected");
            self.connections = Some(connections);
        });
    }
}

/// Guards against a hang; nothing takes nearly as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// As fast as a relay may be for these tests.
pub(crate) const FAST: u64 = 5_000_000;
