//! Runs the scenarios of many seeds and prints what they came to.
//!
//! `sweep --seeds N [--start S]` runs N seeds from S on; `sweep --seed X` runs one, recorded.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use handfast_sim::{Fault, Faults, Report, Scenario};

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)) {
        Ok(Arguments::One(seed)) => replay(seed),
        Ok(Arguments::Many { start, seeds }) => sweep(start, seeds),
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs one seed and prints everything that happened.
fn replay(seed: u64) -> ExitCode {
    let run = || Scenario::from_seed(seed).run_recorded();
    let Ok((report, lines)) = catch_unwind(run) else { return failed(seed) };
    for line in lines {
        println!("{line}");
    }
    println!("{report:#?}");
    ExitCode::SUCCESS
}

fn sweep(start: u64, seeds: u64) -> ExitCode {
    let (began, mut totals) = (Instant::now(), Totals::default());
    for seed in start..start.saturating_add(seeds) {
        match catch_unwind(|| Scenario::from_seed(seed).run()) {
            Ok(report) => totals.add(&report),
            Err(_) => return failed(seed),
        }
    }
    totals.print(began.elapsed());
    ExitCode::SUCCESS
}

/// The panic has been printed; what remains is how to see it again.
fn failed(seed: u64) -> ExitCode {
    eprintln!("seed {seed} failed. To see it again:");
    eprintln!("cargo run --release -p handfast-sim --bin sweep -- --seed {seed}");
    ExitCode::FAILURE
}

#[derive(Default)]
struct Totals {
    seeds: u64,
    simulated: Duration,
    datagrams: u64,
    delivered: u64,
    handshakes: u64,
    /// Seeds that proved little.
    dull: u64,
    faults: Faults,
    kinds: BTreeMap<Fault, u64>,
    seen: BTreeMap<&'static str, u64>,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.simulated += report.simulated;
        self.datagrams += report.datagrams;
        self.delivered += report.delivered;
        self.handshakes += report.handshakes;
        self.dull += u64::from(report.shortfall().is_some());
        self.faults += report.faults;
        for &kind in &report.kinds {
            *self.kinds.entry(kind).or_default() += 1;
        }
        for (name, seen) in report.seen.iter() {
            *self.seen.entry(name).or_default() += u64::from(seen);
        }
    }

    fn print(&self, took: Duration) {
        let hours = self.simulated.as_secs() / 3600;
        println!("{} seeds, {hours} simulated hours in {took:.1?}", self.seeds);
        println!(
            "{} datagrams, {} messages delivered, {} handshakes",
            self.datagrams, self.delivered, self.handshakes
        );
        println!("{} seeds did not see what they were about", self.dull);
        for (name, seeds) in &self.seen {
            println!("seeds that saw {name}: {seeds}");
        }
        for (kind, seeds) in &self.kinds {
            println!("seeds about {kind:?}: {seeds}");
        }
        for (name, count) in self.faults.iter() {
            println!("{name}: {count}");
        }
    }
}

enum Arguments {
    One(u64),
    Many { start: u64, seeds: u64 },
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut one, mut start, mut seeds) = (None, 0, 2_000);
        while let Some(word) = words.next() {
            if word == "--help" {
                return Err("Runs random scenarios in a simulated network.".to_owned());
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            let number = value.parse().map_err(|_| format!("{value:?} is not a number"))?;
            match word.as_str() {
                "--seed" => one = Some(number),
                "--start" => start = number,
                "--seeds" => seeds = number,
                _ => return Err(format!("unknown argument {word:?}")),
            }
        }
        Ok(one.map_or(Self::Many { start, seeds }, Self::One))
    }
}

const USAGE: &str = "usage: sweep [--seeds N] [--start S] | sweep --seed X";
