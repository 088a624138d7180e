//! The server, in a process of its own: it sends every message back, writes it into a journal if
//! there is one, and prints its counters.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use handfast_core::{Config, Message};

use super::sample::Sample;
use crate::{Happening, Node, Outgoing, Runtime, Setup, What, digest};

/// Choices for a server.
#[derive(Args, Clone, Debug)]
pub struct ServeOptions {
    /// What drives it
    #[arg(long, value_enum)]
    pub runtime: Runtime,
    /// Where to listen
    #[arg(long)]
    pub listen: SocketAddr,
    /// Its identity
    #[arg(long, default_value_t = 1)]
    pub identity: u8,
    /// A file to which it adds a line for every message
    #[arg(long)]
    pub journal: Option<PathBuf>,
}

/// Serves until standard input ends.
///
/// # Errors
/// When the journal or standard output cannot be written.
pub fn serve(options: &ServeOptions) -> io::Result<()> {
    end_with_stdin();
    let mut journal = options.journal.as_deref().map(open).transpose()?;
    let (runtime, listen) = (options.runtime, options.listen);
    let identity = [options.identity; 32];
    let (config, busy_poll) = (Config::default(), Duration::ZERO);
    let setup = Setup { runtime, config, identity, listen, deaf: false, busy_poll };
    let node = Node::start(setup);
    let mut out = io::stdout().lock();
    writeln!(out, "{READY} {} {}", node.address(), node.id())?;
    let mut due = Instant::now();
    loop {
        let wait = due.saturating_duration_since(Instant::now());
        if let Some(happening) = node.next_within(wait) {
            answer(&node, happening, journal.as_mut())?;
        }
        if Instant::now() >= due {
            due = Instant::now() + INTERVAL;
            writeln!(out, "{}", Sample::from(&node.report()))?;
            out.flush()?;
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn answer(node: &Node, happening: Happening, journal: Option<&mut File>) -> io::Result<()> {
    let Happening { peer, what: What::Message(message) } = happening else { return Ok(()) };
    if let Some(journal) = journal {
        journal.write_all(entry(&message).as_bytes())?;
    }
    let Message { mut delivery, payload, .. } = message;
    delivery.requires_ack = false;
    node.send(peer, Outgoing { tag: 0, delivery, payload });
    Ok(())
}

/// A line of the journal: one write, so that a killed server leaves whole lines.
fn entry(message: &Message) -> String {
    format!("{} {:016x}\n", message.payload.len(), digest::of(&message.payload))
}

/// Whoever started us is gone, or wants us to be.
fn end_with_stdin() {
    thread::spawn(|| {
        io::copy(&mut io::stdin().lock(), &mut io::sink()).ok();
        process::exit(0);
    });
}

/// The first word of the line that tells where the server is.
pub(super) const READY: &str = "ready";
/// Between two lines of counters.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);
