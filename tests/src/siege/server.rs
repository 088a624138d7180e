//! A server as seen by the process that started it.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use handfast_core::PeerId;

use super::sample::Sample;
use super::serve::{READY, ServeOptions};

/// A running server. It is killed when dropped.
#[derive(Debug)]
pub struct Server {
    process: Process,
    /// The server lives as long as this is open.
    _stdin: Option<ChildStdin>,
    address: SocketAddr,
    id: PeerId,
    latest: Arc<Latest>,
}

/// The newest counters, and how many came before.
#[derive(Debug, Default)]
struct Latest {
    sample: Mutex<(u64, Sample)>,
    news: Condvar,
}

impl Server {
    /// Starts a server, with `program` being the siege itself, and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started, or does not come up.
    pub fn start(program: &Path, options: &ServeOptions) -> io::Result<Self> {
        let mut command = Command::new(program);
        let runtime = options.runtime.to_possible_value();
        let runtime = runtime.as_ref().map_or("", |value| value.get_name());
        command.args(["serve", "--runtime", runtime]);
        command.arg("--listen").arg(options.listen.to_string());
        command.arg("--identity").arg(options.identity.to_string());
        if let Some(journal) = &options.journal {
            command.arg("--journal").arg(journal);
        }
        let mut process = Process(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let stdout = process.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let Some((address, id)) = introduction(&first) else {
            return Err(io::Error::other(format!("the server said {first:?}")));
        };
        let latest = Arc::new(Latest::default());
        let writer = Arc::clone(&latest);
        thread::spawn(move || {
            for sample in lines.map_while(Result::ok).filter_map(|line| Sample::parse(&line)) {
                let mut newest = lock(&writer.sample);
                *newest = (newest.0 + 1, sample);
                writer.news.notify_all();
            }
        });
        Ok(Self { _stdin: process.0.stdin.take(), process, address, id, latest })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who it is.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// Its next counters; the newest once more if none come.
    #[must_use]
    pub fn sample(&self) -> Sample {
        let newest = lock(&self.latest.sample);
        let known = newest.0;
        let news = &self.latest.news;
        let waited = news.wait_timeout_while(newest, PATIENCE, |newest| newest.0 == known);
        waited.unwrap_or_else(PoisonError::into_inner).0.1.clone()
    }

    /// Its resident memory in KiB.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.0.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// The processor time it used so far.
    #[must_use]
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.0.id()));
        // The program's name, in brackets, may hold anything: user and system time are the 12th and
        // 13th field after it, in hundredths of a second.
        let ticks = stat.unwrap_or_default().rsplit_once(')').map_or(0, |(_, fields)| {
            let times = fields.split_whitespace().skip(11).take(2);
            times.filter_map(|field| field.parse::<u64>().ok()).sum()
        });
        Duration::from_millis(ticks * 10)
    }

    /// Datagrams that the system dropped because the server's socket had no room.
    #[must_use]
    pub fn socket_drops(&self) -> u64 {
        drops_at(self.address).unwrap_or(0)
    }

    /// Ends it with SIGKILL, and waits until its port is free.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(mut self) -> io::Result<()> {
        self.process.0.kill()?;
        self.process.0.wait().map(drop)
    }
}

/// Does not outlive what it is for.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The last column of the system's table for the socket at this address.
fn drops_at(address: SocketAddr) -> Option<u64> {
    let SocketAddr::V4(address) = address else { return None };
    // The address as it lies in memory, taken for a number.
    let ip = u32::from_ne_bytes(address.ip().octets());
    let local = format!("{ip:08X}:{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/udp").ok()?;
    let mut sockets = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    sockets.find(|fields| fields.get(1) == Some(&local.as_str()))?.last()?.parse().ok()
}

fn introduction(line: &str) -> Option<(SocketAddr, PeerId)> {
    let (address, id) = line.strip_prefix(READY)?.trim().split_once(' ')?;
    Some((address.parse().ok()?, id.parse().ok()?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server under siege may be late with its counters, but not by this much.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn the_socket_of_an_address_is_told_from_another_with_its_port() {
        let socket = UdpSocket::bind(SocketAddr::from(([127, 77, 0, 2], 0))).expect("bound");
        let address = socket.local_addr().expect("an address");
        assert_eq!(drops_at(address), Some(0));
        assert_eq!(drops_at(SocketAddr::from(([127, 77, 0, 3], address.port()))), None);
    }
}
