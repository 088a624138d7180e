//! This program, or another, as a process of its own.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

/// A running process. It ends with this.
pub(crate) struct Process(Child);

impl Process {
    /// Starts another program.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().map(Self)
    }

    /// Runs this very program with other words, which make it tell where it listens. Returns that, too.
    pub(crate) fn serve(words: &[String]) -> io::Result<(Self, SocketAddr)> {
        let mut command = Command::new(env::current_exe()?);
        command.args(words).stdout(Stdio::piped());
        let mut process = Self::start(&mut command)?;
        let stdout = process.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse();
        address.map(|address| (process, address)).map_err(io::Error::other)
    }

    /// Runs this very program with other words, and talks with it.
    pub(crate) fn piped(words: &[String]) -> io::Result<(Self, ChildStdin, ChildStdout)> {
        let mut command = Command::new(env::current_exe()?);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((Self(child), input, output))
    }

    /// Whether it has not ended by itself.
    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// What all its threads have computed so far.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        // User and system time are the 14th and 15th field, in ticks of 10 ms.
        let ticks = after_name.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// The bytes of memory that it has written to, without files.
    pub(crate) fn memory(&self) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.map(|kib| kib * 1024.0).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Tells whoever started this process where it listens.
pub(crate) fn tell(place: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{place}")?;
    out.flush()
}
