//! What a server on sockets remembers of a peer that sent a little and is silent now.
//!
//! Each server is a process of its own, so that its memory is told apart from that of its clients. Its clients
//! are in this process, or in others (handfast), each with a socket of its own (quinn: all at one, which its server does not see).

mod clients;
mod many;
mod server;

use std::thread;
use std::time::Duration;

pub(crate) use many::{WORD as CLIENTS, run as clients};
pub(crate) use server::{WORD, serve};

use crate::figure::Figure;
use crate::process::Process;

/// Measures every server, and prints a line for each.
///
/// # Errors
/// If a client cannot connect, or what it sends does not arrive.
pub(crate) fn run(quick: bool) -> Result<Vec<Figure>, String> {
    println!("{HEAD}");
    if quick {
        return compare(&System::ALL, QUICK_PEERS, QUICK_REST);
    }
    // rusty_enet has room for no more than 4,095, and quinn would need more memory than many machines have.
    let mut figures = compare(&[System::Tokio, System::Mio], MANY_PEERS, REST)?;
    figures.extend(compare(&System::ALL, PEERS, REST)?);
    Ok(figures)
}

/// Measures these servers with so many peers each that are silent for so long.
fn compare(systems: &[System], peers: usize, rest: Duration) -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    let mut ours = None;
    for &system in systems {
        let bytes =
            measure(system, peers, rest).map_err(|error| format!("{}: {error}", system.name()))?;
        let ours = *ours.get_or_insert(bytes);
        println!("{:31} {peers:>7} {bytes:>12.0} {:>7.2}", system.name(), ours / bytes);
        let (case, system) = (format!("{peers} peers"), system.name().to_owned());
        figures.push(Figure {
            bench: "idle",
            case,
            system,
            metric: "memory",
            value: bytes,
            unit: "bytes/peer",
        });
    }
    Ok(figures)
}

/// What serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Tokio,
    Mio,
    Quinn,
    Enet,
}

impl System {
    /// The first is what the others are compared with.
    const ALL: [Self; 4] = [Self::Tokio, Self::Mio, Self::Quinn, Self::Enet];

    const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "handfast, tokio",
            Self::Mio => "handfast, mio",
            Self::Quinn => "quinn",
            Self::Enet => "rusty_enet (no encryption)",
        }
    }

    /// What it is called on the command line of its process.
    const fn word(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Mio => "mio",
            Self::Quinn => "quinn",
            Self::Enet => "enet",
        }
    }
}

/// Bytes by which a server of so many peers is larger than that of one, for each of them.
fn measure(system: System, peers: usize, rest: Duration) -> Result<f64, String> {
    // What it makes once is in both.
    let few = memory(system, 1, rest.min(SHORT))?;
    let many = memory(system, 1 + peers, rest)?;
    Ok((many - few) / peers as f64)
}

/// Bytes that a server needs that so many peers talked to, and rested so long.
fn memory(system: System, peers: usize, rest: Duration) -> Result<f64, String> {
    let words = [WORD.to_owned(), system.word().to_owned(), peers.to_string()];
    let (server, place) = Process::serve(&words).map_err(|error| error.to_string())?;
    let mut clients = clients::connect(system, place, peers)?;
    thread::sleep(rest);
    clients.check()?;
    server.memory().map_err(|error| error.to_string())
}

/// How many peers, and for how long they are silent.
const QUICK_PEERS: usize = 1_000;
const PEERS: usize = 4_000;
const MANY_PEERS: usize = 100_000;
const QUICK_REST: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(60);
/// More than the first peer needs.
const SHORT: Duration = Duration::from_secs(5);
/// What each of them sends before, on each of two channels, or streams.
const MESSAGES: u32 = 50;
const CHANNELS: u16 = 2;

const HEAD: &str = "\
By how much the memory of a server's process is larger for each peer that sent 100 reliable messages of 64 bytes on two channels (quinn: two streams) and is
silent since (5 s with --quick, else 60 s), all indexes included. Ratio: handfast on tokio by the system. Defaults, but room for all peers.
system                            peers   bytes/peer   ratio";
