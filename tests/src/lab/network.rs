//! Networks of the system, each with its own devices, addresses, filters and translations.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::system;

/// A network namespace without a name. It ends when this is dropped and nothing runs in it.
#[derive(Clone, Debug)]
pub(super) struct Network(Arc<File>);

impl Network {
    /// A new one that has only a loopback.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn new() -> io::Result<Self> {
        let made = thread::scope(|scope| {
            let make = || {
                system::enter_new_network()?;
                File::open("/proc/thread-self/ns/net")
            };
            join(scope.spawn(make))
        })?;
        let network = Self(Arc::new(made));
        network.ip("link set lo up")?;
        Ok(network)
    }

    /// Does something in this network, with a thread of its own. Sockets, threads and processes that it
    /// starts stay there.
    ///
    /// # Errors
    /// When the system refuses, or `work` fails.
    pub(super) fn run<R: Send>(
        &self,
        work: impl FnOnce() -> io::Result<R> + Send,
    ) -> io::Result<R> {
        thread::scope(|scope| {
            join(scope.spawn(|| {
                system::enter(self.0.as_fd())?;
                work()
            }))
        })
    }

    /// Sets the calling thread's network for the rest of its life.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn enter(&self) -> io::Result<()> {
        system::enter(self.0.as_fd())
    }

    /// What `ip` knows it by.
    #[must_use]
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs commands of `ip`, one a line.
    ///
    /// # Errors
    /// When one of them fails: with its words.
    pub(super) fn ip(&self, commands: &str) -> io::Result<()> {
        self.feed("ip", &["-batch", "-"], commands).map(drop)
    }

    /// Loads rules into `nft`.
    ///
    /// # Errors
    /// When they are refused: with its words.
    pub(super) fn nft(&self, rules: &str) -> io::Result<()> {
        self.feed("nft", &["-f", "-"], rules).map(drop)
    }

    /// Runs a program with `input`, and returns what it wrote.
    ///
    /// # Errors
    /// When it fails: with its words.
    pub(super) fn feed(
        &self,
        program: &str,
        arguments: &[&str],
        input: &str,
    ) -> io::Result<String> {
        self.run(|| feed(program, arguments, input))
    }

    /// Sets a choice of the system under `/proc/sys/net`.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn set(&self, name: &str, value: &str) -> io::Result<()> {
        let path = format!("/proc/sys/net/{name}");
        self.run(|| fs::write(&path, value).map_err(|e| io::Error::other(format!("{path}: {e}"))))
    }

    /// A new device whose packets the caller carries, with this address and a way to everywhere.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn uplink(&self, name: &str, address: &str) -> io::Result<File> {
        let file = self.run(|| system::tun(name))?;
        self.ip(&format!(
            "link set {name} txqueuelen 10000\naddr add {address} dev {name}\nlink set {name} up\n\
             route add default dev {name}"
        ))?;
        Ok(file)
    }

    /// A socket in this network whose reads wait for `patience`.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn socket(
        &self,
        address: impl Into<SocketAddr>,
        patience: Duration,
    ) -> io::Result<UdpSocket> {
        let address = address.into();
        let socket = self.run(|| UdpSocket::bind(address))?;
        socket.set_read_timeout(Some(patience))?;
        Ok(socket)
    }
}

/// Runs a program with `input` in this thread's network, and returns what it wrote.
///
/// # Errors
/// When it fails: with its words.
pub(super) fn feed(program: &str, arguments: &[&str], input: &str) -> io::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let missing = |error| io::Error::other(format!("{program}: {error}"));
    let mut child = command.spawn().map_err(missing)?;
    // Who ends before it has read all says why.
    child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.split('\n').map(str::trim).filter(|line| !line.is_empty());
    Err(io::Error::other(format!("{program}: {}", said.collect::<Vec<_>>().join("; "))))
}

fn join<R>(thread: thread::ScopedJoinHandle<'_, io::Result<R>>) -> io::Result<R> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
