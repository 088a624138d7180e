//! Runs the scenarios of many seeds, and for each several instances of one identity, two peers behind NATs and a mesh of nodes,
//! on all cores, and prints what they came to.
//!
//! `sweep --seeds N [--start S] [--jobs J]` runs N seeds from S on, with `--meshes` their meshes alone;
//! `sweep --seed X` runs one, recorded.

#![forbid(unsafe_code)]

mod arguments;
mod jobs;
mod meetings;
mod meshes;
mod totals;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

use handfast_sim::{Instances, Meeting, Mesh, Scenario};

use arguments::{Arguments, USAGE};

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)) {
        Ok(Arguments::One(seed)) => replay(seed),
        Ok(Arguments::Many { start, seeds, jobs, meshes_alone }) => {
            sweep(start, seeds, jobs, meshes_alone)
        }
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs one seed and prints everything that happened.
fn replay(seed: u64) -> ExitCode {
    let run = || Scenario::from_seed(seed).run_recorded();
    let Ok((report, lines)) = catch_unwind(run) else {
        eprintln!("seed {seed} failed. To see it again:\n{}", replay_command(seed));
        return ExitCode::FAILURE;
    };
    for line in lines {
        println!("{line}");
    }
    println!("{report:#?}");
    let Ok(instances) = catch_unwind(|| Instances::from_seed(seed).run()) else {
        eprintln!("the instances of seed {seed} failed");
        return ExitCode::FAILURE;
    };
    println!("{instances:#?}");
    let Ok(meeting) = catch_unwind(|| Meeting::from_seed(seed).run_recorded()) else {
        eprintln!("the meeting of seed {seed} failed");
        return ExitCode::FAILURE;
    };
    println!("{meeting:#?}");
    let Ok(mesh) = catch_unwind(|| Mesh::from_seed(seed).run_recorded()) else {
        eprintln!("the mesh of seed {seed} failed");
        return ExitCode::FAILURE;
    };
    println!("{mesh:#?}");
    ExitCode::SUCCESS
}

/// Runs them all, failures or not.
fn sweep(start: u64, seeds: u64, jobs: usize, meshes_alone: bool) -> ExitCode {
    let began = Instant::now();
    let end = start.saturating_add(seeds);
    let totals = jobs::run(start..end, jobs, meshes_alone, |seed, failure| {
        eprintln!("seed {seed} failed: {failure}\n  {}", replay_command(seed));
    });
    totals.print(began.elapsed(), jobs, meshes_alone);
    if totals.run() != seeds {
        eprintln!("{} of {seeds} seeds were run", totals.run());
        return ExitCode::FAILURE;
    }
    if totals.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replay_command(seed: u64) -> String {
    format!("cargo run --release -p handfast-sim --features audit --bin sweep -- --seed {seed}")
}
