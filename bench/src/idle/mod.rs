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

/// Measures every server, and prints a line for each; with so many peers, if that is said.
///
/// # Errors
/// If a client cannot connect, or what it sends does not arrive.
pub(crate) fn run(quick: bool, peers: Option<u32>) -> Result<Vec<Figure>, String> {
    let allocator =
        if cfg!(feature = "mimalloc") { "mimalloc, as in p2p_server" } else { "of the system" };
    println!("Allocator of all servers: {allocator}.\n{HEAD}");
    let rest = if quick { QUICK_REST } else { REST };
    if let Some(peers) = peers {
        let capable = if peers < ENET_PEERS { &System::ALL[..] } else { &System::ALL[..2] };
        return compare(capable, peers as usize, rest);
    }
    if quick {
        return compare(&System::ALL, QUICK_PEERS, QUICK_REST);
    }
    // rusty_enet has no room for so many, and quinn would need more memory than many machines have.
    let mut figures = compare(&[System::Tokio, System::Mio], MANY_PEERS, REST)?;
    figures.extend(compare(&System::ALL, PEERS, REST)?);
    Ok(figures)
}

/// Measures these servers with so many peers each that are silent for so long.
fn compare(systems: &[System], peers: usize, rest: Duration) -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    let mut ours = None;
    for &system in systems {
        let name = system.name();
        let needs = measure(system, peers, rest).map_err(|error| format!("{name}: {error}"))?;
        let Needs { bytes, share } = needs;
        let ours = *ours.get_or_insert(bytes);
        let column = share.map_or("-".into(), |share| format!("{:.2} %", share * 100.0));
        println!("{name:31} {peers:>7} {bytes:>12.0} {:>7.2} {column:>10}", ours / bytes);
        let mut add = |metric, value, unit| {
            let (case, system) = (format!("{peers} peers"), name.to_owned());
            figures.push(Figure { bench: "idle", case, system, metric, value, unit });
        };
        add("memory", bytes, "bytes/peer");
        if let Some(share) = share {
            add("upkeep", share, "of a core");
        }
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

/// What silent peers take of a server.
struct Needs {
    bytes: f64,
    /// The share of a core that it computes; `None` if they rested too shortly to tell.
    share: Option<f64>,
}

/// The bytes by which a server of so many peers is larger than that of one, for each of them, and what 100,000 would
/// have it compute.
fn measure(system: System, peers: usize, rest: Duration) -> Result<Needs, String> {
    // What it makes once is in both.
    let few = serve_some(system, 1, rest.min(SHORT))?;
    let many = serve_some(system, 1 + peers, rest)?;
    let bytes = (many.bytes - few.bytes) / peers as f64;
    Ok(Needs { bytes, share: many.share.map(|share| share * 100_000.0 / peers as f64) })
}

/// What a server needs that so many peers talked to, and rested so long.
fn serve_some(system: System, peers: usize, rest: Duration) -> Result<Needs, String> {
    let text = |error: std::io::Error| error.to_string();
    let words = [WORD.to_owned(), system.word().to_owned(), peers.to_string()];
    let (server, place) = Process::serve(&words).map_err(text)?;
    let mut clients = clients::connect(system, place, peers)?;
    // In the second half all that they said is settled, and heartbeats have begun.
    thread::sleep(rest / 2);
    let cpu = server.cpu().map_err(text)?;
    thread::sleep(rest / 2);
    clients.check()?;
    let cpu = server.cpu().map_err(text)?.saturating_sub(cpu);
    let share = (rest >= REST).then(|| cpu.as_secs_f64() / (rest / 2).as_secs_f64());
    Ok(Needs { bytes: server.memory().map_err(text)?, share })
}

/// How many peers, and for how long they are silent.
const QUICK_PEERS: usize = 1_000;
const PEERS: usize = 4_000;
const MANY_PEERS: usize = 100_000;
/// More than rusty_enet has room for.
const ENET_PEERS: u32 = 4_095;
const QUICK_REST: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(60);
/// More than the first peer needs.
const SHORT: Duration = Duration::from_secs(5);
/// What each of them sends before, on each of two channels, or streams.
const MESSAGES: u32 = 50;
const CHANNELS: u16 = 2;

const HEAD: &str = "\
By how much the memory of a server's process is larger for each peer that sent 100 reliable messages of 64 bytes on two channels (quinn: two streams) and is
silent since (5 s with --quick, else 60 s), all indexes included. Ratio: handfast on tokio by the system. Defaults, but room for all peers. Upkeep: the share of a core that 100,000 of them would take
(heartbeats, and rusty_enet's pings; measured from 30 s to 60 s of silence).
system                            peers   bytes/peer   ratio     upkeep";
