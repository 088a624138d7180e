//! What a server on sockets remembers of a peer that sent a little and is silent now.
//!
//! Each server is a process of its own, so that its memory is told apart from that of its clients. Its clients
//! are in others, each with a socket of its own (quinn: in this one, all at one socket, which its server does not see).

mod clients;
mod enet;
mod many;
mod server;

use std::thread;
use std::time::Duration;

pub(crate) use many::{WORD as CLIENTS, run as clients};
pub(crate) use server::{WORD, serve};

use clients::{Clients, text};

use crate::about::ALLOCATOR;
use crate::figure::Figure;
use crate::process::Process;

/// Measures every server, and prints a line for each; with so many peers, if that is said.
///
/// # Errors
/// If a client cannot connect, or what it sends does not arrive.
pub(crate) fn run(quick: bool, peers: Option<u32>) -> Result<Vec<Figure>, String> {
    println!("Allocator of all servers: {ALLOCATOR}, {OF_THE_SERVER}.\n{HEAD}");
    if let Some(peers) = peers {
        let capable = if peers < ENET_PEERS { &System::ALL[..] } else { &System::ALL[..2] };
        return compare(capable, peers as usize, quick);
    }
    if quick {
        return compare(&System::ALL, QUICK_PEERS, true);
    }
    // rusty_enet has no room for so many, and quinn would need more memory than many machines have.
    let mut figures = compare(&[System::Tokio, System::Mio], MANY_PEERS, false)?;
    figures.extend(compare(&System::ALL, PEERS, false)?);
    Ok(figures)
}

/// Measures these servers with so many peers each, side by side or one after the other.
fn compare(
    systems: &[System],
    peers: usize,
    are_side_by_side: bool,
) -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    let mut ours = None;
    for systems in systems.chunks(if are_side_by_side { systems.len() } else { 1 }) {
        for (system, needs) in systems.iter().zip(measure(systems, peers)) {
            let name = system.name();
            let Needs { bytes, share } = match needs {
                Ok(needs) => needs,
                Err(error) if system.is_ours() => return Err(format!("{name}: {error}")),
                Err(error) => {
                    println!("{name:31} {peers:>7} {error}");
                    continue;
                }
            };
            let (ours, upkeep) = (*ours.get_or_insert(bytes), share * 100.0);
            let ratio = ours / bytes;
            println!("{name:31} {peers:>7} {bytes:>12.0} {ratio:>7.2} {upkeep:>8.2} %");
            let mut add = |metric, value, unit| {
                let (case, system) = (format!("{peers} peers"), name.to_owned());
                figures.push(Figure { bench: "idle", case, system, metric, value, unit });
            };
            add("memory", bytes, "bytes/peer");
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

    const fn is_ours(self) -> bool {
        matches!(self, Self::Tokio | Self::Mio)
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
    /// The share of a core that it computes.
    share: f64,
}

/// The bytes by which a server of so many peers is larger than that of one, for each of them, and what 100,000 would
/// have it compute; of each system, or why not. All are silent at the same time.
fn measure(systems: &[System], peers: usize) -> Vec<Result<Needs, String>> {
    let gather = |system: &System| Pair::gather(*system, peers);
    let mut pairs: Vec<_> = systems.iter().map(gather).collect();
    // In the second half all that they said is settled, and heartbeats have begun.
    thread::sleep(REST / 2);
    for pair in &mut pairs {
        let begun = pair.as_mut().map_err(|error| error.clone()).and_then(Pair::begin);
        if let Err(error) = begun {
            *pair = Err(error);
        }
    }
    thread::sleep(REST / 2);
    pairs.into_iter().map(|pair| pair?.needs()).collect()
}

/// A server with one peer and another with so many more. What a server makes once is in both.
struct Pair {
    few: Crowd,
    many: Crowd,
    more: usize,
    /// What that with many had computed when it was looked at first.
    cpu: Duration,
}

impl Pair {
    fn gather(system: System, more: usize) -> Result<Self, String> {
        let (few, many) = (Crowd::gather(system, 1)?, Crowd::gather(system, 1 + more)?);
        Ok(Self { few, many, more, cpu: Duration::ZERO })
    }

    fn begin(&mut self) -> Result<(), String> {
        self.cpu = self.many.server.cpu().map_err(text)?;
        Ok(())
    }

    fn needs(mut self) -> Result<Needs, String> {
        let cpu = self.many.server.cpu().map_err(text)?.saturating_sub(self.cpu);
        let (bytes, more) = (self.many.memory()? - self.few.memory()?, self.more as f64);
        let share = cpu.as_secs_f64() / (REST / 2).as_secs_f64();
        Ok(Needs { bytes: bytes / more, share: share * 100_000.0 / more })
    }
}

/// A server, and clients that have talked to it.
struct Crowd {
    server: Process,
    clients: Clients,
}

impl Crowd {
    fn gather(system: System, peers: usize) -> Result<Self, String> {
        let words = [WORD.to_owned(), system.word().to_owned(), peers.to_string()];
        let (server, place) = Process::serve(&words).map_err(text)?;
        Ok(Self { server, clients: clients::connect(system, place, peers)? })
    }

    /// What the server takes, if all its clients are there.
    fn memory(&mut self) -> Result<f64, String> {
        self.clients.check()?;
        self.server.memory().map_err(text)
    }
}

/// How many peers, and for how long they are silent.
const QUICK_PEERS: usize = 2_000;
const PEERS: usize = 4_000;
const MANY_PEERS: usize = 100_000;
/// More than rusty_enet has room for.
const ENET_PEERS: u32 = 4_095;
const REST: Duration = Duration::from_secs(60);
/// What each of them sends before, on each of two channels, or streams.
const MESSAGES: u32 = 50;
const CHANNELS: u16 = 2;

const OF_THE_SERVER: &str = if cfg!(feature = "mimalloc") {
    "as in p2p_server"
} else {
    "which gives little back (p2p_server has mimalloc: build with --features sockets,mimalloc)"
};

const HEAD: &str = "\
By how much the memory of a server's process is larger for each peer that sent 100 reliable messages of 64 bytes on two channels (quinn: two streams) and is
silent for 60 s since, all indexes included; with --quick all systems side by side. Ratio: handfast on tokio by the system. Defaults, but room for all peers.
Upkeep: the share of a core that 100,000 of them would take (heartbeats, and rusty_enet's pings; measured from 30 s to 60 s of silence).
system                            peers   bytes/peer   ratio     upkeep";
