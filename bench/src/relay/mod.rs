//! What lies between two ends that reach each other by way of a third: how fast it passes packets on, what that
//! costs it, how much later they come, and what it remembers of the two.
//!
//! Beside handfast, which seals each packet twice and controls congestion from end to end, stand a loop
//! that copies datagrams from one socket to another, and coturn (`turnserver`), if it is installed, which puts
//! a header before them. The ends of those two only count. Each relay is a process of its own (`serve`), so that its processor time and its memory are told apart from those of the ends.

mod counting;
mod figures;
mod handfast;
mod raw;
mod serve;
mod turn;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use figures::{HEAD, Round, Summary};
pub(crate) use serve::{WORD, serve};

use crate::figure::Figure;
use crate::process::Process;

/// Measures the relays in turn, round after round, and prints a line for each.
///
/// # Errors
/// If nothing arrives.
pub(crate) fn run(quick: bool) -> Result<Vec<Figure>, String> {
    let (rounds, time) = if quick { QUICK } else { FULL };
    let mut taken: Vec<(System, Vec<Round>)> = Vec::new();
    let mut missing = None;
    for system in System::ALL {
        match system.is_there() {
            Ok(()) => taken.push((system, Vec::new())),
            Err(reason) => missing = Some(format!("{:17}{reason}", system.name())),
        }
    }
    for _ in 0..rounds {
        for (system, taken) in &mut taken {
            taken.push(system.measure(time)?);
        }
    }
    println!("{HEAD}");
    let raw = taken[0].1.clone();
    let mut figures = Vec::new();
    for (system, rounds) in &taken {
        let summary = Summary::of(system.name(), &raw, rounds, system.memory()?);
        println!("{summary}");
        figures.extend(summary.figures());
    }
    missing.into_iter().for_each(|line| println!("{line}"));
    Ok(figures)
}

/// Starts a relay of this kind. Returns where it listens, too.
fn start(kind: &str, more: &[String]) -> io::Result<(Process, SocketAddr)> {
    Process::serve(&[&[WORD.to_owned(), kind.to_owned()], more].concat())
}

/// What passes packets on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Raw,
    Coturn,
    Tokio,
    Mio,
}

impl System {
    /// The first is what the others are compared with.
    const ALL: [Self; 4] = [Self::Raw, Self::Coturn, Self::Tokio, Self::Mio];

    const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw UDP",
            Self::Coturn => "coturn",
            Self::Tokio => "handfast, tokio",
            Self::Mio => "handfast, mio",
        }
    }

    /// Whether it can be measured on this machine, or why not.
    fn is_there(self) -> Result<(), &'static str> {
        match self {
            Self::Coturn if !turn::is_installed() => Err("not installed (no `turnserver`)"),
            _ => Ok(()),
        }
    }

    /// Everything but the memory, once.
    fn measure(self, time: Duration) -> Result<Round, String> {
        let round = match self {
            Self::Raw => raw::measure(time).map_err(|error| error.to_string()),
            Self::Coturn => turn::measure(time).map_err(|error| error.to_string()),
            Self::Tokio => handfast::measure("tokio", time),
            Self::Mio => handfast::measure("mio", time),
        };
        round.map_err(|error| format!("{}: {error}", self.name()))
    }

    /// Bytes that the relay's memory grows by for two more ends that talk by way of it; `None` if it remembers nothing.
    fn memory(self) -> Result<Option<f64>, String> {
        let grown = match self {
            Self::Raw => return Ok(None),
            Self::Coturn => turn::memory().map_err(|error| error.to_string()),
            Self::Tokio => handfast::memory("tokio"),
            Self::Mio => handfast::memory("mio"),
        };
        grown.map(Some).map_err(|error| format!("{}: {error}", self.name()))
    }
}

/// How many rounds, and for how long data flows in each.
const FULL: (usize, Duration) = (9, Duration::from_millis(1500));
const QUICK: (usize, Duration) = (3, Duration::from_millis(500));
/// How many round trips are measured in a round.
const ROUND_TRIPS: usize = 1_000;
/// How many pairs the memory is measured with.
const PAIRS: u16 = 100;
